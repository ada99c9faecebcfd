"""Opening the app for a command; what goes wrong becomes one message without a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click
from alembic.util import CommandError
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from registry.app import create_app
from registry.errors import RegistryError
from registry.hooks.ports import StorageError
from registry.setting_values import hide_password
from registry.settings import Settings, SettingsError


@contextmanager
def told() -> Iterator[None]:
    """Turn the failures that an operator can mend into one message and exit code 1."""
    try:
        yield
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    except RegistryError as error:
        detail = f" ({error.detail})" if error.detail else ""
        raise click.ClickException(hide_password(f"{error.message}{detail}")) from None
    except (
        StorageError,
        SQLAlchemyError,
        CommandError,
        ImportError,
        OSError,
        ValueError,
        RuntimeError,
    ) as error:
        raise click.ClickException(hide_password(str(error))) from None


def open_app(settings: Settings) -> Flask:
    """Return the app on its data folder, which is made where there is none."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(
            f"cannot make the data folder {settings.data}: {error.strerror}. Choose another with --data."
        ) from None
    return create_app(settings)

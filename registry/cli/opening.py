"""Opening the app for a command; what goes wrong becomes one message without a traceback."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from alembic.util import CommandError
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from registry.app import create_app
from registry.errors import RegistryError
from registry.hooks.ports import StorageError
from registry.isolation.starting import Starting
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
        raise _no_data_folder(settings, error) from None
    starting = Starting(settings.data)
    try:
        app = create_app(settings, watch=starting.begin)
    finally:
        starting.end()
    app.extensions["moorage"].caretaker.told = starting.deaths
    return app


@contextmanager
def inspected(settings: Settings) -> Iterator[Flask]:
    """Yield the app to look at; where there is no data folder, it stands in one that is removed afterwards."""
    if settings.data.exists():
        yield create_app(settings)
        return
    above = next(folder for folder in settings.data.parents if folder.exists())
    try:
        scratch = TemporaryDirectory(prefix=".moorage-", dir=above)
    except OSError as error:
        raise _no_data_folder(settings, error) from None
    with scratch as folder:
        yield create_app(_moved(settings, Path(folder)))


def _moved(settings: Settings, data: Path) -> Settings:
    usual = Settings(data=settings.data)
    database = "" if settings.database_url == usual.database_url else settings.database_url
    storage = "" if settings.storage_url == usual.storage_url else settings.storage_url
    return dataclasses.replace(settings, data=data, database_url=database, storage_url=storage)


def _no_data_folder(settings: Settings, error: OSError) -> click.ClickException:
    reason = "a file is there" if isinstance(error, FileExistsError) else error.strerror
    return click.ClickException(f"cannot make the data folder {settings.data}: {reason}. Choose another with --data.")

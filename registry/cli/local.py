"""A registry opened in this process, for the command line's client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
import httpx
from flask import Flask
from sqlalchemy import make_url

from registry import schema
from registry.app import create_app
from registry.blueprints._asking import OPERATOR_ENVIRON
from registry.cli.common import read_settings
from registry.cli.opening import told
from registry.db import sqlite
from registry.setting_values import hide_password
from registry.settings import Settings
from registry.work.queue import JobQueue
from registry.work.worker import Worker, new_holder

_WAIT_SECONDS = 0.1


@contextmanager
def opened(
    flags: Mapping[str, object],
) -> Iterator[tuple[httpx.WSGITransport, str, Callable[[], AbstractContextManager[None]]]]:
    """Yield the way to a registry on the data that ``flags`` and settings name.

    With it come what the registry is called to people, and what runs its jobs for as long as a context lasts.
    """
    settings = read_settings(flags)
    with opened_app(settings, ", or a running server with --server URL") as app:
        transport = httpx.WSGITransport(_by_operator(app), remote_addr="")
        yield transport, _name(settings), partial(_working, app.extensions["moorage"].queue)


def _by_operator(app: Flask) -> Callable[..., Iterable[bytes]]:
    """Let every request be the operator's: who reads and writes the data may do all that its rules could allow."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return app(environ | {OPERATOR_ENVIRON: True}, start_response)

    return call


@contextmanager
def opened_app(settings: Settings, advice: str = "") -> Iterator[Flask]:
    """Yield the app on the data that is there; where there is none, ``advice`` ends what is to be done."""
    _require_database(settings, advice)
    with told():
        app = create_app(settings)
        pending = schema.status(app).pending
    if pending:
        raise click.ClickException(f"{_name(settings)} lacks migrations ({', '.join(pending)}): run moorage db upgrade")
    with told():
        app.extensions["moorage"].plugin_blocks.refresh()
    try:
        yield app
    finally:
        app.extensions["moorage"].database.close_idle()


@contextmanager
def _working(queue: JobQueue) -> Iterator[None]:
    """Run what is asked for by hand; schedules are a worker's."""
    worker = Worker(queue, new_holder(), asked_only=True, poll_seconds=_WAIT_SECONDS)
    thread = threading.Thread(target=worker.run, name="worker")
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def _require_database(settings: Settings, advice: str) -> None:
    """Refuse to make an empty registry where none is."""
    with told():
        url = make_url(settings.database_url)
    path = sqlite.database_path(url.database) if url.get_backend_name() == "sqlite" else None
    if path is not None and not Path(path).is_file():
        raise click.ClickException(f"there is no registry in {_place(settings)}: name its folder with --data{advice}")


def _name(settings: Settings) -> str:
    return f"the registry in {_place(settings)}"


def _place(settings: Settings) -> str:
    usual = Settings(data=settings.data)
    return str(settings.data) if settings.database_url == usual.database_url else hide_password(settings.database_url)

"""A context for each plugin, over the services of one app."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType
from typing import Any

from sqlalchemy import select

from registry.db.engine import Database
from registry.db.models import Repository
from registry.hooks.context import PluginContext

NO_SETTINGS: Mapping[str, object] = MappingProxyType({})


class Contexts:
    """Makes contexts; nothing is opened until a plugin uses what is in one."""

    def __init__(self, database: Database, settings: Mapping[str, object] = NO_SETTINGS) -> None:
        """Give each plugin its ``settings`` by its name."""
        self._database = database
        self._settings = settings

    def __call__(self, plugin: str) -> PluginContext:
        """Return a plugin's context."""
        absent: Any = None
        return PluginContext(
            plugin=plugin,
            settings=self._settings.get(plugin),
            store=absent,
            tags=absent,
            reader=absent,
            repositories=partial(_repositories, self._database),
            clock=self._now,
            log=logging.getLogger(f"moorage.{plugin}"),
        )

    def _now(self) -> datetime:
        with self._database.read() as connection:
            return datetime.fromtimestamp(self._database.now(connection) / 1000, UTC)


def _repositories(database: Database) -> Iterator[str]:
    with database.read() as connection:
        names = connection.scalars(
            select(Repository.name).where(Repository.current == 1).order_by(Repository.name)
        ).all()
    yield from names

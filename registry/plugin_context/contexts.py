"""A context for each plugin, over the services of one app."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from types import MappingProxyType

from sqlalchemy import bindparam, select

from registry.db.engine import Database
from registry.db.models import Repository
from registry.hooks.calls import Calls
from registry.hooks.context import PluginContext, TagWriter
from registry.hooks.egress import Egress
from registry.plugin_context.readers import StoredReaders
from registry.plugin_context.store import StoredValues

NO_SETTINGS: Mapping[str, object] = MappingProxyType({})
_PAGE = 1000
_NAMES = (
    select(Repository.name)
    .where(Repository.current == 1, Repository.name > bindparam("last"))
    .order_by(Repository.name)
    .limit(_PAGE)
)


class Contexts:
    """Makes contexts; nothing is opened until a plugin uses what is in one."""

    def __init__(
        self,
        database: Database,
        readers: StoredReaders,
        tags: Callable[[str], TagWriter],
        egress: Egress,
        settings: Mapping[str, object] = NO_SETTINGS,
    ) -> None:
        """Give each plugin its ``settings`` by its name; ``tags`` makes what changes tags in a plugin's name.

        All send through one ``egress``.
        """
        self._database = database
        self._readers = readers
        self._tags = tags
        self._egress = egress
        self._settings = settings
        self._made: dict[str, PluginContext] = {}

    def __call__(self, plugin: str) -> PluginContext:
        """Return a plugin's context, the same each time."""
        return self._made.get(plugin) or self._made.setdefault(plugin, self._make(plugin))

    def _make(self, plugin: str) -> PluginContext:
        return PluginContext(
            plugin=plugin,
            settings=self._settings.get(plugin),
            store=StoredValues(self._database, plugin),
            tags=self._tags(plugin),
            reader=self._readers,
            repositories=partial(_repositories, self._database),
            clock=self._now,
            log=logging.getLogger(f"moorage.{plugin}"),
            egress=self._egress,
        )

    def _now(self) -> datetime:
        with self._database.read() as connection:
            return datetime.fromtimestamp(self._database.now(connection) / 1000, UTC)


def default_settings(calls: Calls) -> Mapping[str, object]:
    """Return the settings of each plugin that declares some, where nothing is set."""
    found = {name: calls.call(name, "plugin_settings") for name in calls.plugins("plugin_settings")}
    return {name: declared() for name, declared in found.items() if isinstance(declared, type)}


def _repositories(database: Database) -> Iterator[str]:
    last = ""
    while True:
        with database.read() as connection:
            names = connection.scalars(_NAMES, {"last": last}).all()
        yield from names
        if len(names) < _PAGE:
            return
        last = names[-1]

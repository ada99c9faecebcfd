"""The values that plugins keep, in the registry's database."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import PluginValue
from registry.hooks.context import StoreConflict, StoredValue

MAX_KEY, MAX_VALUE = 255, 1024 * 1024
_PAGE = 1000
_REVISION_BITS = 53
"""As many as every JSON reader keeps."""
_VALUE = table(PluginValue)
_OF_PLUGIN = _VALUE.c.plugin == bindparam("b_plugin")
_ONE = (_OF_PLUGIN, _VALUE.c.key == bindparam("b_key"))
_GET = select(_VALUE.c.value, _VALUE.c.revision).where(*_ONE)
_LOCK = select(_VALUE.c.revision).where(*_ONE).with_for_update()
_KEYS = (
    select(_VALUE.c.key)
    .where(
        _OF_PLUGIN,
        _VALUE.c.key > bindparam("b_last"),
        _VALUE.c.key >= bindparam("b_prefix"),
        func.substr(_VALUE.c.key, 1, bindparam("b_length")) == bindparam("b_prefix"),
    )
    .order_by(_VALUE.c.key)
    .limit(_PAGE)
)
_REPLACE = update(_VALUE).where(*_ONE).values(value=bindparam("b_value"), revision=bindparam("b_revision"))
_DELETE = delete(_VALUE).where(*_ONE)


class StoredValues:
    """A :class:`~registry.hooks.PluginStore`.

    Revisions are chosen at random: a value that was deleted and stored again is never taken for the old one.
    """

    def __init__(self, database: Database, plugin: str) -> None:
        """Keep the values of ``plugin``."""
        self._database = database
        self._plugin = plugin

    def get(self, key: str) -> StoredValue | None:
        """Return a value, or None."""
        with self._database.read() as connection:
            row = connection.execute(_GET, self._at(key)).first()
        return None if row is None else StoredValue(json.loads(row.value), row.revision)

    def put(self, key: str, value: object, expected: int | None = None) -> int:
        """Store a value; raises :class:`StoreConflict`, or :class:`ValueError`."""
        at = self._at(key)
        text, revision = _encoded(value), secrets.randbits(_REVISION_BITS) + 1
        new = {"plugin": self._plugin, "key": key, "value": text, "revision": revision}

        def work(connection: Connection) -> int:
            if self._checked(connection, key, expected) == 0:
                connection.execute(insert(_VALUE).values(new))  # who is quicker makes it a conflict, tried again
            else:
                connection.execute(_REPLACE, {**at, "b_value": text, "b_revision": revision})
            return revision

        return self._database.write(work)

    def delete(self, key: str, expected: int | None = None) -> None:
        """Forget a value; raises :class:`StoreConflict`."""
        at = self._at(key)

        def work(connection: Connection) -> None:
            self._checked(connection, key, expected)
            connection.execute(_DELETE, at)

        self._database.write(work)

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield keys in bytewise order."""
        wanted = {"b_plugin": self._plugin, "b_prefix": prefix, "b_length": len(prefix)}
        last = ""
        while True:
            with self._database.read() as connection:
                keys = connection.scalars(_KEYS, {**wanted, "b_last": last}).all()
            yield from keys
            if len(keys) < _PAGE:
                return
            last = keys[-1]

    def _at(self, key: str) -> dict[str, object]:
        if not 0 < len(key) <= MAX_KEY or "\0" in key:
            raise ValueError(f"a key has 1 to {MAX_KEY} characters, without NUL")
        return {"b_plugin": self._plugin, "b_key": key}

    def _checked(self, connection: Connection, key: str, expected: int | None) -> int:
        """Return the revision that is there, 0 for none; raise :class:`StoreConflict` where it is another one."""
        found: int = connection.execute(_LOCK, self._at(key)).scalar() or 0
        if expected not in (None, found):
            raise StoreConflict(f"{key} is not as it was read: read it again")
        return found


def _encoded(value: object) -> str:
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, RecursionError) as error:
        raise ValueError(f"this is no JSON: {error}") from error
    if len(text) > MAX_VALUE:
        raise ValueError(f"a value has at most {MAX_VALUE} bytes of JSON, this one has {len(text)}")
    return text

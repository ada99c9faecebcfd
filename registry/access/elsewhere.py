"""Users whom plugins know: asked for, remembered for a minute, and made principals at their first login."""

from __future__ import annotations

import hmac
import logging
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from registry.access.actors import Actor, Proof
from registry.access.memberships import STAYS, Moves, keep_teams, moves_of
from registry.access.principal_rows import NO_PASSWORD, insert_principal
from registry.access.secrets import LONGEST_PASSWORD
from registry.db.engine import Database
from registry.db.models import Principal
from registry.errors import Unavailable
from registry.hooks.access import Identity, LoginCredentials
from registry.hooks.authenticating import Logins

PLUGIN = "plugin:"
"""What the source of a plugin's users starts with; the plugin's name follows."""
REMEMBERED_SECONDS = 60.0
"""So long a password that a plugin found right is taken for right: nobody tells of its change."""
_MOST, _LONGEST_NAME = 4096, 255
_PATIENCE_SECONDS = 1.0
"""So long a login waits for others to be answered."""
_BY_NAME = select(Principal.id, Principal.name, Principal.source, Principal.disabled, Principal.valid_from_ms).where(
    Principal.name == bindparam("name")
)
_log = logging.getLogger(__name__)


class SourceFailed(Exception):
    """A plugin that was asked failed, and none of the others knows the credentials.

    ``refused`` tells that one of the others said so.
    """

    def __init__(self, plugin: str, *, refused: bool) -> None:
        """Name the ``plugin``."""
        self.plugin, self.refused = plugin, refused
        super().__init__(f"plugin {plugin} failed to tell who somebody is")


@dataclass(frozen=True, slots=True)
class Known:
    """A principal whose password a plugin found right."""

    name: str
    proof: Proof


class Elsewhere:
    """Lets in whom plugins know. A user belongs to the plugin that knew it first, and to nobody else."""

    def __init__(self, database: Database, logins: Logins, is_taken: Callable[[str], bool], at_once: int) -> None:
        """Ask by ``logins``, ``at_once`` at most, and keep principals in ``database``.

        ``is_taken`` tells of names that are in a file.
        """
        self._database = database
        self._logins = logins
        self._is_taken = is_taken
        self._few = threading.BoundedSemaphore(at_once)
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._turn = threading.Lock()

    def vouches(self, source: str) -> bool:
        """Tell whether a source is none of plugins, or a plugin that is there and not blocked."""
        return not source.startswith(PLUGIN) or source.removeprefix(PLUGIN) in self._logins.plugins

    def plugins_for(self, shown: LoginCredentials, row: Row[*tuple[Any, ...]] | None) -> Sequence[str]:
        """Return the plugins that may be asked about a name whose principal is ``row``, or which has none."""
        if not (shown.password and shown.name) or len(shown.password) > LONGEST_PASSWORD:
            return ()
        if row is None:
            return self._logins.plugins if len(shown.name) <= _LONGEST_NAME else ()
        return [name for name in self._logins.plugins if row.source == f"{PLUGIN}{name}" and not row.disabled]

    def remembered(self, plugins: Sequence[str], shown: LoginCredentials) -> Known | None:
        """Return whose credentials these were found to be a moment ago by one of ``plugins``."""
        now = time.monotonic()
        for plugin in plugins:
            name, until = self._right.get(self._mark(plugin, shown), ("", 0.0))
            if now < until and (row := self._find(name)) is not None and _may_enter(row, plugin):
                return Known(row.name, Proof(row.id, row.valid_from_ms))
        return None

    def ask(self, plugins: Sequence[str], shown: LoginCredentials, nobody: Actor) -> Known | None:
        """Return whose credentials these are, None where nobody knows.

        Raises :class:`SourceFailed`, or :class:`Unavailable` where too many are asked about: a source that takes its
        time must not hold all threads.
        """
        if not plugins:
            return None
        if not self._few.acquire(timeout=_PATIENCE_SECONDS):
            raise Unavailable("too many log in at once: try again", detail={"plugins": list(plugins)})
        try:
            asked = self._logins.ask(plugins, shown)
        finally:
            self._few.release()
        if asked.identity is None:
            if asked.failed:
                raise SourceFailed(asked.failed, refused=asked.refused)
            return None
        known = self._welcome(asked.plugin, asked.identity, nobody)
        if known is not None:
            self._remember(self._mark(asked.plugin, shown), known.name)
        return known

    def _welcome(self, plugin: str, identity: Identity, nobody: Actor) -> Known | None:
        """Return the principal of a plugin's user, made where it is new; None where the name is somebody else's."""
        member = replace(nobody, principal=identity.name)

        def moves(connection: Connection, row: Row[*tuple[Any, ...]]) -> Moves:
            """Return which teams it joins and leaves, where the plugin tells of any."""
            if identity.teams is None or not _may_enter(row, plugin):
                return STAYS
            return moves_of(self._database, connection, row.id, identity.teams)

        def work(connection: Connection) -> Row[*tuple[Any, ...]]:
            row = connection.execute(_BY_NAME, {"name": identity.name}).first()
            if row is None:
                source = f"{PLUGIN}{plugin}"
                insert_principal(self._database, connection, identity.name, None, source, NO_PASSWORD, "", member)
                row = connection.execute(_BY_NAME, {"name": identity.name}).one()
            keep_teams(self._database, connection, member, row.id, moves(connection, row))
            return row

        with self._database.read() as connection:
            row = connection.execute(_BY_NAME, {"name": identity.name}).first()
            stays = row is not None and moves(connection, row).stays
        if row is None and self._is_taken(identity.name):
            _log.warning(
                "plugin %s knows %s, who is not let in: the name is in the htpasswd file", plugin, identity.name
            )
            return None
        if row is None or not stays:
            row = self._database.write(work)
        if _may_enter(row, plugin):
            return Known(row.name, Proof(row.id, row.valid_from_ms))
        if row.source != f"{PLUGIN}{plugin}":
            _log.warning("plugin %s knows %s, who is not let in: %s is of %s", plugin, row.name, row.name, row.source)
        return None

    def _find(self, name: str) -> Row[*tuple[Any, ...]] | None:
        with self._database.read() as connection:
            return connection.execute(_BY_NAME, {"name": name}).first()

    def _remember(self, mark: bytes, name: str) -> None:
        with self._turn:
            self._right[mark] = name, time.monotonic() + REMEMBERED_SECONDS
            self._right.move_to_end(mark)
            if len(self._right) > _MOST:
                self._right.popitem(last=False)

    def _mark(self, plugin: str, shown: LoginCredentials) -> bytes:
        told = f"{plugin}\0{shown.address}\0{shown.name}\0{shown.password}"
        return hmac.digest(self._key, told.encode(), "sha256")


def _may_enter(row: Row[*tuple[Any, ...]], plugin: str) -> bool:
    return row.source == f"{PLUGIN}{plugin}" and not row.disabled

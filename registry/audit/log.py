"""The audit log for those who ask: in pages, newest or oldest first, and its head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.audit.chain import START, Head
from registry.audit.records import Record, record_of
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditEntry, AuditRecord, AuditState
from registry.events.log import named
from registry.names import RepositoryName
from registry.pages import Page, cut

_ENTRY, _RECORD, _STATE = table(AuditEntry), table(AuditRecord), table(AuditState)
_HEAD = select(_STATE.c.position, _STATE.c.hash)
_WAITING = select(func.count()).select_from(_ENTRY)
_OLDEST = select(_RECORD).where(_RECORD.c.position > bindparam("key")).order_by(_RECORD.c.position)
_NEWEST = select(_RECORD).where(_RECORD.c.position < bindparam("key")).order_by(_RECORD.c.position.desc())
BEFORE_ALL, BEHIND_ALL = 0, (1 << 63) - 1
"""The keys with which a list begins, oldest or newest first."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which records: each that is given must be so. Kinds that end in a dot stand for all that begin with them.

    ``decided`` are those before which the policy was asked.
    """

    principal: str | None = None
    address: str | None = None
    kinds: tuple[str, ...] = ()
    outcome: str | None = None
    repository: RepositoryName | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    decided: bool = False


@dataclass(frozen=True, slots=True)
class End:
    """The last record, and how many entries wait to be records."""

    head: Head
    waiting: int


class AuditService:
    """Shows the audit log: all of it to who administers the registry, that of a repository to who administers it."""

    def __init__(self, database: Database, authorizer: Authorizer) -> None:
        """Read ``database``."""
        self._database = database
        self._authorizer = authorizer

    def list(self, actor: Actor, wanted: AuditFilter, limit: int, key: int, *, oldest: bool) -> Page[Record]:
        """Return at most ``limit`` records behind the position ``key``, oldest or newest first."""
        self._authorizer.require(actor, Action.ADMIN, wanted.repository)
        with self._database.read() as connection:
            return cut(read(connection, wanted, limit + 1, key, oldest=oldest), limit)

    def end(self, actor: Actor) -> End:
        """Return the end of the chain: whoever keeps it elsewhere can tell later that all up to it is as it was."""
        self._authorizer.require(actor, Action.ADMIN, None)
        with self._database.read() as connection:
            row = connection.execute(_HEAD).first()
            head = Head(0, START) if row is None else Head(row.position, row.hash)
            return End(head, int(connection.execute(_WAITING).scalar_one()))


def read(connection: Connection, wanted: AuditFilter, limit: int, key: int, *, oldest: bool) -> Sequence[Record]:
    """Return at most ``limit`` records behind a position."""
    statement = _filtered(_OLDEST if oldest else _NEWEST, wanted).limit(limit)
    return [record_of(row) for row in connection.execute(statement, {"key": key})]


def _filtered(statement: Select[Any], wanted: AuditFilter) -> Select[Any]:
    found = statement
    for column, value in (("principal", wanted.principal), ("address", wanted.address), ("outcome", wanted.outcome)):
        if value is not None:
            found = found.where(_RECORD.c[column] == value)
    if wanted.repository is not None:
        found = found.where(_RECORD.c.repository == wanted.repository.value)
    if wanted.since_ms is not None:
        found = found.where(_RECORD.c.time_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        found = found.where(_RECORD.c.time_ms < wanted.until_ms)
    if wanted.decided:
        found = found.where(_RECORD.c.action != "")
    return found.where(named(_RECORD.c.kind, wanted.kinds)) if wanted.kinds else found

"""The outbox: an event is written in the very transaction that makes it happen, by one cheap statement."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection, bindparam, func, insert, null, select

from registry.access.actors import Actor, Kind
from registry.access.ruling import RULE
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Outbox as OutboxRow
from registry.db.models import Repository
from registry.events.types import MANIFEST_PULLED, EventType

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_BY_ID = func.coalesce(select(Repository.name).where(Repository.id == bindparam("repository_id")).scalar_subquery(), "")
_INSERT = insert(table(OutboxRow)).values(
    position=null(),
    repository=_BY_ID,
    **{name: bindparam(name) for name in ("event_id", "type", "subject", "actor", "time_ms", "data", "origin")},
)
_INSERT_PULL = insert(table(OutboxRow)).values(type=MANIFEST_PULLED.name, actor="", position=null(), origin="")
Pull = tuple[str, str | None, str]
"""What was pulled: the repository's name, the tag that was asked for (None: the digest was), and the digest."""
_LONGEST_AGENT = 256


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change came from: kept for the audit log, and told to no observer."""

    address: str = ""
    user_agent: str = ""
    request_id: str = ""
    rule: str = ""


class Outbox:
    """Writes events; nobody hears of them before the caller's commit."""

    def __init__(self, database: Database) -> None:
        """Prepare the one statement."""
        self._insert = database.prepare_change(_INSERT)

    def record(
        self,
        connection: Connection,
        now: int,
        kind: EventType,
        repository_id: int | None,
        subject: str,
        actor: Actor,
        data: Mapping[str, object],
    ) -> None:
        """Write an event of one repository, or (None) of none, in the caller's transaction.

        It belongs after the change that it tells of: who waits for the same rows then comes later here as well.
        ``data`` has the fields that ``kind`` lists.
        """
        self._insert(
            connection,
            {
                "event_id": uuid4().hex,
                "type": kind.name,
                "repository_id": repository_id,
                "subject": subject,
                "actor": actor.principal,
                "time_ms": now,
                "data": _encode(data),
                "origin": _origin(actor),
            },
        )

    @staticmethod
    def record_pulls(connection: Connection, now: int, pulls: Mapping[Pull, int]) -> None:
        """Write how often each was pulled, in the caller's transaction."""
        rows = [
            {
                "event_id": uuid4().hex,
                "repository": repository,
                "subject": digest,
                "time_ms": now,
                "data": _encode({"tag": tag, "count": count}),
            }
            for (repository, tag, digest), count in pulls.items()
        ]
        if rows:
            connection.execute(_INSERT_PULL, rows)


def time_text(milliseconds: int | None) -> str | None:
    """Return a time as events tell it: RFC 3339, in UTC; None for none."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def read_origin(text: str) -> Origin:
    """Return where an event came from."""
    return Origin(*json.loads(text)) if text else Origin()


def _origin(actor: Actor) -> str:
    rule = "" if actor.kind is Kind.INSIDER else RULE.get()
    return _encode([actor.address, actor.user_agent[:_LONGEST_AGENT], actor.request_id, rule])

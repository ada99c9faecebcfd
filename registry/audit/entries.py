"""Entries of the audit log, before they are sealed: bounded, printable, and free of secrets.

What changes who may do what is written in the transaction that changes it. What the outbox tells of anyway (pushes,
deletions and the like) comes from there, so that a push pays for no entry of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, insert

from registry.access.actions import Action
from registry.access.actors import Actor
from registry.access.ruling import RULE
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import AuditEntry
from registry.texts import readable

ALLOWED, DENIED = "allowed", "denied"
CREDENTIAL, PLUGIN = "credential", "plugin"
"""In the detail of a denial: why the credential would not do, or which plugin refuses, whatever the policy says."""
MOST_AGENT, MOST_TEXT = 256, 255
_ENTRY = table(AuditEntry)
_INSERT = insert(_ENTRY)
encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, as both tables hold it.

    ``action`` is there where the policy was asked: then ``repository`` (empty: the registry as a whole) and
    ``reference`` are what it was asked about. ``detail`` is the JSON text of an object.
    """

    time_ms: int
    kind: str
    outcome: str
    principal: str
    address: str
    user_agent: str
    repository: str
    reference: str
    action: str
    rule: str
    request_id: str
    count: int
    detail: str


FIELDS = tuple(Entry.__dataclass_fields__)


def bounded(text: str, most: int = MOST_TEXT) -> str:
    """Return what a client chose as it may be kept: printable, and of ``most`` characters."""
    return readable(text, most)[:most]


def write(
    database: Database,
    connection: Connection,
    actor: Actor,
    kind: str,
    reference: str,
    detail: Mapping[str, object] | None = None,
    *,
    repository: str = "",
    action: Action | None = Action.ADMIN,
) -> None:
    """Write an entry in the caller's transaction: of what was changed, and the ``action`` that it needed.

    ``reference`` is what was changed; the action is None where the policy was not asked, as somebody just logged in.
    """
    row = {
        "time_ms": database.now(connection),
        "kind": kind,
        "outcome": ALLOWED,
        "principal": actor.principal,
        "address": bounded(actor.address),
        "user_agent": bounded(actor.user_agent, MOST_AGENT),
        "repository": repository,
        "reference": bounded(reference),
        "action": "" if action is None else action.value,
        "rule": "" if action is None else RULE.get(),
        "request_id": actor.request_id,
        "count": 1,
        "detail": encode(dict(detail or {})),
    }
    connection.execute(_INSERT, row)

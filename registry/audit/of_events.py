"""What events become in the audit log: who did it, from where, and what the policy was asked before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Row

from registry.access.actions import Action
from registry.audit.entries import ALLOWED, Entry, bounded, encode
from registry.events import types
from registry.events.outbox import read_origin

_PREFIX = "org.moorage."
RENAMED = types.REPOSITORY_RENAMED.name.removeprefix(_PREFIX)
"""The kind of an entry before which it was also asked whether the old name may be administered."""
PUSHED = types.MANIFEST_PUSHED.name.removeprefix(_PREFIX)
"""The kind of an entry before which it was asked about each of the tags in its detail."""
_REASON = "reason"
_BY_HAND = ("deleted", "manifest deleted")
_ACTIONS: Mapping[str, Action] = {
    types.REPOSITORY_CREATED.name: Action.PUSH,
    types.REPOSITORY_CHANGED.name: Action.ADMIN,
    types.REPOSITORY_RENAMED.name: Action.PUSH,  # of the new name
    types.REPOSITORY_DELETED.name: Action.DELETE,
    types.REPOSITORY_RESTORED.name: Action.ADMIN,
    types.MANIFEST_PUSHED.name: Action.PUSH,
    types.MANIFEST_DELETED.name: Action.DELETE,
    types.MANIFEST_RESTORED.name: Action.PUSH,
    types.MANIFEST_LABELLED.name: Action.PUSH,
    types.MANIFEST_UNLABELLED.name: Action.PUSH,
    types.TAG_CHANGED.name: Action.PUSH,
    types.TAG_RESTORED.name: Action.PUSH,
    types.TAG_UPDATED.name: Action.PUSH,
    types.TAG_DELETED.name: Action.DELETE,
    types.BLOB_PUSHED.name: Action.PUSH,
    types.BLOB_DELETED.name: Action.DELETE,
    types.DIGEST_PURGED.name: Action.ADMIN,
    types.DIGEST_ALLOWED.name: Action.ADMIN,
    types.REGISTRY_CLOSED.name: Action.ADMIN,
    types.REGISTRY_OPENED.name: Action.ADMIN,
}
"""What the policy was asked before it came to an event."""


def entry_of_event(row: Row[Any]) -> Entry | None:
    """Return the entry of an event; None for pulls, which are noted with who pulled."""
    if row.type == types.MANIFEST_PULLED.name:
        return None
    origin, data = read_origin(row.origin), json.loads(row.data)
    reference, detail = row.subject, data
    if row.type == types.MANIFEST_PUSHED.name:  # the tags are what was asked about
        reference, detail = (data["tags"] or [row.subject])[0], {**data, "digest": row.subject}
    action = "" if _follows(row.type, data) else str(_ACTIONS.get(row.type, ""))
    return Entry(
        time_ms=row.time_ms,
        kind=row.type.removeprefix(_PREFIX),
        outcome=ALLOWED,
        principal=row.actor,
        address=bounded(origin.address),
        user_agent=bounded(origin.user_agent),
        repository=row.repository,
        reference=reference,
        action=action,
        rule=origin.rule,
        request_id=origin.request_id,
        count=1,
        detail=encode(detail),
    )


def _follows(kind: str, data: Mapping[str, Any]) -> bool:
    """Tell whether something only went with something else, or by rules of retention: nothing was asked then."""
    if kind == types.TAG_DELETED.name:
        return bool(data[_REASON] != _BY_HAND[0])
    removals = (types.MANIFEST_DELETED.name, types.BLOB_DELETED.name)
    return kind in removals and data[_REASON] not in _BY_HAND

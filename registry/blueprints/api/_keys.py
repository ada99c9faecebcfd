"""API keys as the API shows them."""

from __future__ import annotations

from datetime import datetime

import msgspec

from registry.access.keys import KeyRow, NewKey
from registry.blueprints.api._operations import Reply
from registry.blueprints.api._times import maybe_moment, moment


class Key(msgspec.Struct):
    """A key as it may be shown. ``prefix`` is the part of it between the underscores, by which it is known.

    Without ``scopes`` it is good for all that its principal may do, but for making keys and changing the password.
    """

    prefix: str
    principal: str
    name: str
    scopes: list[str]
    actor: str
    created: datetime
    expires: datetime | None
    last_used: datetime | None


class MadeKey(msgspec.Struct):
    """A key that was just made; ``text`` is the key itself, which nobody can be shown again."""

    key: Key
    text: str


def made_key(made: NewKey) -> Reply[MadeKey]:
    """Return the answer that tells of a key that was just made."""
    return Reply(MadeKey(shown_key(made.key), made.text), secret=True)


def shown_key(row: KeyRow) -> Key:
    """Return a key as it may be shown."""
    return Key(
        row.prefix,
        row.owner,
        row.name,
        list(row.scopes),
        row.actor,
        moment(row.created_ms),
        maybe_moment(row.expires_ms),
        maybe_moment(row.last_used_ms),
    )

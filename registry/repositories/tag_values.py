"""What a tag's period is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class Period(NamedTuple):
    """A period as the database has it; the fields are columns of ``tag``."""

    id: int
    name: str
    manifest_id: int | None
    digest: str
    lifetime_start_ms: int
    lifetime_end_ms: int | None
    immutable: bool
    label_immutable: bool
    expiry_source: str | None
    family: str | None


class EndReason(StrEnum):
    """Why a period ended. One that lapsed has no reason until that was told to observers: its end was known before."""

    MOVED = "moved"
    DELETED = "deleted"
    MANIFEST_DELETED = "manifest deleted"
    RETENTION = "retention"
    KEEP_LAST = "keep last"
    PURGED = "purged"
    RESTORED = "restored"
    EXPIRED = "expired"


class ExpirySource(StrEnum):
    """Who set a tag's end; what the API set, labels leave alone."""

    LABEL = "label"
    API = "api"


@dataclass(frozen=True, slots=True)
class LifeBounds:
    """How long a life a tag may be given, in milliseconds from its start."""

    least_ms: int
    most_ms: int

    def within(self, life_ms: int) -> int:
        """Return the life nearest to ``life_ms`` that is allowed."""
        return min(max(life_ms, self.least_ms), self.most_ms)


@dataclass(frozen=True, slots=True)
class Family:
    """The tags of a repository of which a label keeps the ``last`` few, by a name that they share."""

    name: str
    last: int


@dataclass(frozen=True, slots=True)
class LabelEvent:
    """An event that the action of the label ``label`` with ``value`` asks for; ``data`` is JSON-shaped."""

    label: str
    value: str
    name: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TagEffects:
    """What a manifest's labels do to each tag made for it.

    ``lives_ms`` is how long it lives after its start (None: for ever); an ``immutable`` tag never has an end. Each
    new tag is told of by ``events`` as well.
    """

    lives_ms: int | None = None
    immutable: bool = False
    family: Family | None = None
    events: tuple[LabelEvent, ...] = ()


NO_EFFECTS = TagEffects()


@dataclass(frozen=True, slots=True)
class TagTarget:
    """What a tag is to stand for; ``reversion`` where it stood for that before and is put back."""

    manifest_id: int
    digest: str
    effects: TagEffects = NO_EFFECTS
    reversion: bool = False

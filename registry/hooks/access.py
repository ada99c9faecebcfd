"""What plugins are asked about access: who shows credentials, and whether something that rules allow is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from registry.hooks.types import keep


@dataclass(frozen=True, slots=True)
class LoginCredentials:
    """The name and the password that a client showed from ``address`` (empty where a socket has none).

    Neither is empty, and both are as the client wrote them. The password is no part of what is printed of this, and
    belongs into no message.
    """

    name: str
    password: str = field(repr=False)
    address: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose credentials these are: ``name`` is what the user is called in rules and logs, always the same for one.

    Where what people type is not that (capital letters, an address of mail), it is the name that the source itself
    has. It is up to 128 letters, digits, and ``. _ @ -`` between. ``teams`` are all that the source knows the user to
    be in, of which those count that the registry has; None leaves to the registry who is in which.
    """

    name: str
    teams: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Copy what could be changed."""
        keep(self, teams=self.teams)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """One thing that the policy allows and somebody wants to do.

    ``principal`` is the name, ``anonymous`` without credentials; ``kind`` is ``anonymous``, ``user`` or ``robot``.
    ``action`` is ``pull``, ``push``, ``delete``, ``list`` or ``admin``. ``repository`` is None for the registry as a
    whole. ``reference`` is a tag or digest to pull, push or delete, and otherwise what it is about, empty where nothing
    is named (for a token, or where it is about a whole repository); ``tag`` is the tag among these. ``time`` is the
    registry's, in UTC.
    """

    principal: str
    kind: str
    action: str
    repository: str | None
    reference: str
    tag: str | None
    teams: Sequence[str]
    address: str
    time: datetime

    def __post_init__(self) -> None:
        """Copy what could be changed."""
        keep(self, teams=self.teams)


@dataclass(frozen=True, slots=True)
class Denial:
    """A request is refused; people read ``reason``."""

    reason: str

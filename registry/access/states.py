"""What credentials of principals are worth now, as it is kept in memory."""

from __future__ import annotations

from dataclasses import dataclass

from registry.access import trust_rules
from registry.access.limits import Limits


@dataclass(frozen=True, slots=True)
class PrincipalState:
    """What a credential of a principal is worth now."""

    id: int
    name: str
    source: str
    disabled: bool
    valid_from_ms: int


@dataclass(frozen=True, slots=True)
class KeyState:
    """What an API key is worth now; ``expires_ms`` is None for one that does not end by itself."""

    owner_id: int
    limits: Limits | None
    expires_ms: int | None


@dataclass(frozen=True, slots=True)
class TrustState:
    """A trust in tokens of others, and the robot for which they stand."""

    id: int
    name: str
    principal_id: int
    robot: str
    trust: trust_rules.Trust

"""What plugins that decide about access are asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from registry.hooks import AuthorizationRequest

__all__ = ["access_request"]

_NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)


def access_request(
    action: str = "pull",
    repository: str | None = "team/app",
    reference: str = "",
    *,
    principal: str = "alice",
    teams: Sequence[str] = (),
    address: str = "192.0.2.1",
    time: datetime = _NOON,
) -> AuthorizationRequest:
    """Return a request as the registry makes it: its ``kind`` and ``tag`` follow from the rest."""
    kind = "anonymous" if principal == "anonymous" else "robot" if "+" in principal else "user"
    of_tag = repository is not None and action in ("pull", "push", "delete") and ":" not in reference
    tag = (reference or None) if of_tag else None
    return AuthorizationRequest(principal, kind, action, repository, reference, tag, teams, address, time)

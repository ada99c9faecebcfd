"""What users and robots share."""

from __future__ import annotations

from registry.access.actors import Actor, Kind
from registry.errors import PrincipalUnknown


def require_kind(kind: Kind, name: str) -> None:
    """Raise :class:`PrincipalUnknown` for a name that none of this kind can have."""
    if Actor(name).kind is not kind:
        raise PrincipalUnknown(f"there is no {kind} {name[:128]!r}", detail={"name": name[:128]})

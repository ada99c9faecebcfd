"""The party behind a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from registry.access.limits import Limits

ANONYMOUS = "anonymous"
OPERATOR = "operator"
"""Who opens the registry's data on its own machine: the command line without a server."""
_ROBOT_SIGN, _INSIDER_SIGN = "+", ":"


class Kind(StrEnum):
    """What kind of party a principal's name stands for: the grammars of names keep them apart."""

    ANONYMOUS = "anonymous"
    USER = "user"
    ROBOT = "robot"
    INSIDER = "insider"
    """The registry itself: its operator, its jobs, its plugins. No client can be one."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a principal's name, the client's address and its user agent.

    ``principal_id`` is that of a user or robot whose credentials were checked. ``limits`` are what the credential
    allows of all that the principal may do; None: all. ``token`` tells that it was a token, which can be had anew
    with other limits.
    """

    principal: str = ANONYMOUS
    address: str = ""
    user_agent: str = ""
    principal_id: int | None = None
    limits: Limits | None = None
    token: bool = False

    @property
    def kind(self) -> Kind:
        """What kind of party it is."""
        if self.principal == ANONYMOUS:
            return Kind.ANONYMOUS
        if self.principal == OPERATOR or _INSIDER_SIGN in self.principal:
            return Kind.INSIDER
        return Kind.ROBOT if _ROBOT_SIGN in self.principal else Kind.USER

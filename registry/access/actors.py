"""The party behind a request."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from registry.access.limits import Limits, TokenLimits

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
class Proof:
    """By what a user or robot is known: its id, and the API key that it used, or got its token with.

    ``valid_from_ms`` is the principal's as it was when the credentials were checked: a later one ends what they gave.
    ``trust_ids`` are of the trusts by which another issuer's token stood for it, and ``until`` is when what was shown
    ends, in seconds since 1970; None: not by itself.
    """

    principal_id: int
    valid_from_ms: int
    key_id: int | None = None
    trust_ids: tuple[int, ...] = ()
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a principal's name, the client's address and its user agent.

    ``proof`` is there for a user or robot whose credentials were checked. ``limits`` are what the credential allows of
    all that the principal may do; None: all. ``token`` tells that it was a token, which can be had anew with others.
    ``revision`` is that of the state of things at which the proof was found good. ``request_id`` is what the access log
    calls the request. ``granted`` is what a token of an external service grants: that, in place of what rules allow,
    but not of what they deny.
    """

    principal: str = ANONYMOUS
    address: str = ""
    user_agent: str = ""
    proof: Proof | None = None
    limits: Limits | None = None
    token: bool = False
    revision: int = 0
    request_id: str = ""
    granted: TokenLimits | None = None

    def is_itself(self, name: str) -> bool:
        """Tell whether it is the user ``name`` with its password, and no key, token or trust that speaks for it."""
        proof = self.proof
        of_password = proof is not None and proof.key_id is None and not proof.trust_ids and not self.token
        return of_password and self.principal == name

    @property
    def kind(self) -> Kind:
        """What kind of party it is."""
        if self.principal == ANONYMOUS:
            return Kind.ANONYMOUS
        if self.principal == OPERATOR or _INSIDER_SIGN in self.principal:
            return Kind.INSIDER
        return Kind.ROBOT if _ROBOT_SIGN in self.principal else Kind.USER

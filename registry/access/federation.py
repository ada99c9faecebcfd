"""Tokens of other issuers that stand for a robot: a CI job shows who it is, and no secret is stored with it.

Sources: RFC 8693 (token exchange), RFC 7523, 3 (what is checked of a token that stands for credentials).

What a client is told depends on what it has proved. A token that no issuer of a trust signed hears one sentence,
whichever robots and trusts there are; to one that fits a trust's claims it is told what else is wrong with it. The log
and `moorage trust explain` tell everything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.access.actors import Actor, Proof
from registry.access.authorizer import Action, Authorizer
from registry.access.issuers import IssuerFailed, Issuers, check_times, claimed, proved
from registry.access.jwks import KeySet, TokenRefused
from registry.access.standing import Standings
from registry.access.states import TrustState
from registry.access.trust_rules import Trust
from registry.errors import TrustInvalid, Unauthorized, Unavailable
from registry.texts import readable

_PARTS = 3
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrustTrial:
    """What comes of a token by a trust: it is let in where there are no ``problems``."""

    name: str
    robot: str
    problems: Sequence[str]


@dataclass(frozen=True, slots=True)
class TrustExplanation:
    """What a token claims, proved or not, and what each trust in its issuer says of it."""

    claims: Mapping[str, Any]
    trials: Sequence[TrustTrial]


def is_token(text: str) -> bool:
    """Tell whether a text looks like a signed token (RFC 7515, 7.1), and like no password that people have."""
    return text.startswith("ey") and text.count(".") == _PARTS - 1


class Federation:
    """Lets tokens of others stand for robots, as trusts say."""

    def __init__(
        self, standings: Standings, issuers: Issuers, authorizer: Authorizer, clock_ms: Callable[[], int]
    ) -> None:
        """Apply the trusts of ``standings`` to what ``issuers`` prove."""
        self._standings = standings
        self._issuers = issuers
        self._authorizer = authorizer
        self._clock_ms = clock_ms

    def robot_of(self, text: str, name: str | None = None) -> tuple[str, Proof]:
        """Return the robot that a token stands for, and the proof; it must be ``name`` where that is given.

        Raises :class:`Unauthorized`, and :class:`Unavailable` where the issuer's keys cannot be had.
        """
        proven, claims = self._proven(text, name)
        fitting = [state for state in proven if not any(state.trust.differences(claims))]
        meant = [state for state in fitting if state.trust.is_meant(claims)]
        if not meant:
            for state in proven:
                _log.info("a token was refused: %s", readable(f"{state.name}: {'; '.join(_problems(state, claims))}"))
            raise Unauthorized("the audience of the token is not that of the trust" if fitting else _unknown(name))
        if len({state.robot for state in meant}) > 1:
            raise Unauthorized("the token fits several robots: log in as one of them, by its name")
        return self._proof(meant, claims)

    def explain(self, actor: Actor, text: str, name: str | None) -> TrustExplanation:
        """Tell an administrator what a token claims and what each trust says; ``name`` is the robot it is to be for.

        Raises :class:`TrustInvalid` for what is no token.
        """
        self._authorizer.require(actor, Action.ADMIN, None)
        self._standings.now(at_once=True)
        try:
            claims = claimed(text)
        except TokenRefused as error:
            raise TrustInvalid(str(error)) from None
        return TrustExplanation(claims, [self._tried(state, text, claims) for state in self._candidates(claims, name)])

    def _tried(self, state: TrustState, text: str, claims: Mapping[str, Any]) -> TrustTrial:
        problems: list[str] = []
        for check in (lambda: self._prove(state.trust, text), lambda: check_times(claims, self._now())):
            try:
                check()
            except (TokenRefused, IssuerFailed) as error:
                problems.append(str(error))
        robot = self._standings.principal(self._standings.now(), state.robot)
        if robot is None or robot.disabled:
            problems.append(f"{state.robot} is disabled")
        return TrustTrial(state.name, state.robot, [*problems, *_problems(state, claims)])

    def _candidates(self, claims: Mapping[str, Any], name: str | None) -> Sequence[TrustState]:
        """Return the trusts in a token's issuer, by name."""
        known = self._standings.trusts(self._standings.now()).values()
        return [one for one in known if one.trust.issuer == claims.get("iss") and name in (None, one.robot)]

    def _proven(self, text: str, name: str | None) -> tuple[Sequence[TrustState], Mapping[str, Any]]:
        """Return the trusts whose keys prove a token, and what it claims.

        Raises :class:`Unauthorized` where there is none, and :class:`Unavailable`.
        """
        known: dict[KeySet | None, Mapping[str, Any]] = {}
        silent = False
        try:
            states = self._candidates(claimed(text), name)
        except TokenRefused:
            states = []
        for keys, trust in {state.trust.keys: state.trust for state in states}.items():
            try:
                known[keys] = self._prove(trust, text)
            except TokenRefused:
                continue
            except IssuerFailed:
                silent = True
        if known:
            return [state for state in states if state.trust.keys in known], next(iter(known.values()))
        if silent:
            raise Unavailable("the issuer of the token does not tell its keys now")
        raise Unauthorized(_unknown(name))

    def _prove(self, trust: Trust, text: str) -> Mapping[str, Any]:
        if trust.keys is not None:
            return proved(trust.keys, text, trust.issuer)
        return self._issuers.prove(text, trust.issuer)

    def _proof(self, meant: Sequence[TrustState], claims: Mapping[str, Any]) -> tuple[str, Proof]:
        """Return what was proved; it lasts no longer than the token, and no longer than each trust lets it."""
        now, robot = self._now(), meant[0].robot
        try:
            ends = check_times(claims, now)
        except TokenRefused as error:
            raise Unauthorized(str(error)) from None
        caps = [now + cap for state in meant if (cap := state.trust.lifetime_seconds) is not None]
        found = self._standings.principal(self._standings.now(), robot)
        if found is None or found.id != meant[0].principal_id:
            raise Unauthorized(_unknown(robot))
        trusts = tuple(sorted(state.id for state in meant))
        return robot, Proof(found.id, found.valid_from_ms, None, trusts, min([ends, *caps]))

    def _now(self) -> int:
        return self._clock_ms() // 1000


def _problems(state: TrustState, claims: Mapping[str, Any]) -> Iterator[str]:
    yield from state.trust.differences(claims)
    if not state.trust.is_meant(claims):
        yield f"the audience is {str(claims.get('aud'))[:256]!r}, not {' or '.join(sorted(state.trust.audiences))}"


def _of(name: str | None) -> str:
    return "" if name is None else f" of {name[:128]}"


def _unknown(name: str | None) -> str:
    return f"no trust{_of(name)} lets this token in: `moorage trust explain` tells administrators why"

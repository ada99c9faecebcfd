"""What plugins refuse of what the policy allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType

from registry.access.actions import CHANGING
from registry.access.actors import Kind
from registry.access.requests import AccessRequest, Decision
from registry.access.standing import FRESH_SECONDS
from registry.hooks.access import AuthorizationRequest
from registry.hooks.authorizing import Denials

NO_TEAMS: Mapping[str, Sequence[str]] = MappingProxyType({})
_MOST_KEPT = 10_000


class PluginDenials:
    """Asks plugins about what the policy allows; what one did not refuse to be read holds for half a second."""

    def __init__(self, denials: Denials, clock_ms: Callable[[], int]) -> None:
        """Ask by ``denials``, at the time of ``clock_ms``."""
        self._denials = denials
        self._clock_ms = clock_ms
        self._kept: dict[tuple[object, ...], float] = {}

    def narrow(
        self, requests: Sequence[AccessRequest], decisions: Sequence[Decision], teams: Mapping[str, Sequence[str]]
    ) -> Sequence[Decision]:
        """Return the decisions with what plugins refuse of it; they are asked once about all that the policy allows.

        What only another credential would do for is asked about, too: who is refused anyway should read why.
        """
        if len(requests) != 1 or not decisions[0].allowed or requests[0].action in CHANGING:
            return self._asked(requests, decisions, teams)
        (request,) = requests
        actor = request.actor
        mark = (actor.principal, actor.address, request.action, request.repository, request.reference)
        now = time.monotonic()
        if self._kept.get(mark, 0.0) > now:
            return decisions
        found = self._asked(requests, decisions, teams)
        if found[0].allowed:
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[mark] = now + FRESH_SECONDS
        return found

    def _asked(
        self, requests: Sequence[AccessRequest], decisions: Sequence[Decision], teams: Mapping[str, Sequence[str]]
    ) -> Sequence[Decision]:
        places = [
            place
            for place, (request, decision) in enumerate(zip(requests, decisions, strict=True))
            if decision.by_policy and request.actor.kind is not Kind.INSIDER
        ]
        if not places:
            return decisions
        now, found = datetime.fromtimestamp(self._clock_ms() / 1000, UTC), list(decisions)
        told = [_told(requests[place], teams, now) for place in places]
        for place, refusal in zip(places, self._denials.of(told), strict=True):
            if refusal is not None:
                found[place] = Decision(
                    allowed=False, reason=refusal.reason, plugin=refusal.plugin, failed=refusal.failed
                )
        return found


def _told(request: AccessRequest, teams: Mapping[str, Sequence[str]], now: datetime) -> AuthorizationRequest:
    """Return a request as plugins are told of it."""
    actor, repository = request.actor, request.repository
    return AuthorizationRequest(
        actor.principal,
        actor.kind.value,
        request.action.value,
        None if repository is None else repository.value,
        request.reference,
        request.tag,
        tuple(teams.get(actor.principal, ())),
        actor.address,
        now,
    )

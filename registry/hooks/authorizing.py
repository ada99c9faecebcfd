"""Asking plugins whether something that the policy allows is refused. One that cannot answer refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from registry.hooks.access import AuthorizationRequest, Denial
from registry.hooks.admitting import Contexts
from registry.hooks.answers import check
from registry.hooks.broken import WrongAnswer
from registry.hooks.calls import Calls, PluginBlocked, PluginBroke
from registry.texts import readable

_HOOK = "authorize"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a plugin refuses, and why; it ``failed`` where it could not tell, and has no reason then."""

    plugin: str
    reason: str = ""
    failed: bool = False


class Denials:
    """Asks every plugin that may refuse. Fails closed."""

    def __init__(self, calls: Calls, contexts: Contexts) -> None:
        """Ask the plugins of ``calls``: most registries have none."""
        self._calls = calls
        self._contexts = contexts
        self._guards = {name: calls.guards[name] for name in calls.implementing(_HOOK)}

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._guards)

    def of(self, requests: Sequence[AuthorizationRequest]) -> Sequence[Refusal | None]:
        """Return what refuses each request, or None; a plugin is asked about what none before it refused."""
        found: list[Refusal | None] = [None] * len(requests)
        left, asked = list(range(len(requests))), tuple(requests)
        for name, guard in self._guards.items():
            if guard.blocked or not left:
                continue
            answers = self._ask(name, asked)
            if answers is None:
                continue
            for place, refusal in zip(left, answers, strict=True):
                found[place] = refusal
            left = [place for place in left if found[place] is None]
            asked = tuple(requests[place] for place in left)
        return found

    def _ask(self, name: str, asked: tuple[AuthorizationRequest, ...]) -> Sequence[Refusal | None] | None:
        """Return what one plugin refuses; None where it has nothing to say."""
        try:
            answer: Sequence[Refusal | None] | None = self._calls.call(
                name, _HOOK, partial(_read, name, len(asked)), requests=asked, context=self._contexts(name)
            )
        except PluginBlocked:  # in this moment: it decides about nothing
            return None
        except PluginBroke:  # which was told where it was caught
            return [Refusal(name, failed=True)] * len(asked)
        return answer


def _read(name: str, count: int, answer: object) -> Sequence[Refusal | None]:
    """Return what a plugin refuses of so many requests; raises :class:`WrongAnswer`."""
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        raise WrongAnswer.of(answer)
    found = [None if one is None else _refusal(name, one) for one in answer]
    if len(found) != count:
        raise WrongAnswer(f"it returned {len(found)} answers to {count} requests")
    return found


def _refusal(name: str, answer: object) -> Refusal:
    reason = check(Denial, answer).reason
    if not isinstance(reason, str):
        raise WrongAnswer("it returned a Denial whose reason is no text")
    return Refusal(name, readable(reason))

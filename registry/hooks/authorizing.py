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
        self._asked = calls.found(_HOOK)

    @property
    def asks(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._asked)

    def of(self, requests: Sequence[AuthorizationRequest]) -> Sequence[Refusal | None]:
        """Return what refuses each request, or None; a plugin is asked about what none before it refused."""
        found: list[Refusal | None] = [None] * len(requests)
        left: Sequence[int] = range(len(requests))
        arguments: dict[str, object] = {"requests": tuple(requests)}
        read = partial(_reasons, len(left))
        for one in self._asked:
            if one.blocked:
                continue
            arguments["context"] = self._contexts(one.plugin)
            try:
                reasons: Sequence[str | None] | None = self._calls.ask(one, read, arguments)
            except PluginBlocked:  # in this moment: it decides about nothing
                continue
            except PluginBroke:  # which was told where it was caught
                for place in left:
                    found[place] = Refusal(one.plugin, failed=True)
                break
            if reasons is None or not any(reason is not None for reason in reasons):
                continue
            for place, reason in zip(left, reasons, strict=True):
                found[place] = None if reason is None else Refusal(one.plugin, reason)
            left = [place for place in left if found[place] is None]
            if not left:
                break
            arguments["requests"], read = tuple(requests[place] for place in left), partial(_reasons, len(left))
        return found


def _reasons(count: int, answer: object) -> Sequence[str | None]:
    """Return why a plugin refuses some of so many requests; raises :class:`WrongAnswer`."""
    if not isinstance(answer, Sequence) or isinstance(answer, str | bytes):
        raise WrongAnswer.of(answer)
    found = [None if one is None else _reason(one) for one in answer]
    if len(found) != count:
        raise WrongAnswer(f"it returned {len(found)} answers to {count} requests")
    return found


def _reason(answer: object) -> str:
    reason = check(Denial, answer).reason
    if not isinstance(reason, str):
        raise WrongAnswer("it returned a Denial whose reason is no text")
    return readable(reason)

"""What is known of each plugin in this process: how it did, and how it may be called from now on."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from registry.hooks.broken import PluginBlocked, PluginBroke, PluginOff

T = TypeVar("T")
THREADS = 8
"""Most threads that calls of one slow plugin hold at once."""
LOST = 4
"""So many threads that hang at once switch a plugin off. Half of what it may hold: those that hang leave room for
calls which still come back, and one hiccup of what a plugin depends on is not the end."""
_QUIET_SECONDS = 10.0
_log = logging.getLogger(__name__)


class Tally:
    """How one plugin's implementation of one hook did since :meth:`reset`, and how it is called.

    It is changed without a lock: a count that two threads lose to each other is one of thousands.
    """

    __slots__ = (
        "_aside",
        "_quiet_until",
        "_unsaid",
        "calls",
        "deadline",
        "failures",
        "guard",
        "hook",
        "known",
        "last_error",
        "last_error_at",
        "number",
        "plain",
        "plugin",
        "seconds",
    )

    def __init__(self, guard: Guard, hook: str, number: int, deadline: float, *, aside: bool = False) -> None:
        """Give a call ``deadline`` seconds; ``number`` is what breadcrumbs call it.

        With ``aside`` every call is in a thread of its own: who asks has others to ask, too.
        """
        self.guard, self.plugin, self.hook, self.number, self.deadline = guard, guard.plugin, hook, number, deadline
        self.known = guard.trusted or deadline == float("inf")
        self.plain = False
        self._aside = aside
        self._quiet_until, self._unsaid = 0.0, 0
        self.reset()
        guard.add(self)

    def reset(self) -> None:
        """Count from nothing: after a fork, what the parent counted is the parent's."""
        self.calls, self.failures, self.seconds = 0, 0, 0.0
        self.last_error, self.last_error_at = "", 0.0

    def settle(self) -> None:
        """Find out whether a call can be made without a detour."""
        endless = self.deadline == float("inf")
        in_turn = not (self.guard.slow or self._aside)
        self.plain = not (self.guard.off or self.guard.blocked) and self.known and (endless or in_turn)

    def failed(self, reason: str, error: BaseException | None = None) -> None:
        """Count a failure and log it; of many in a row only the first, and later how many there were."""
        self.failures += 1
        self.last_error, self.last_error_at = reason, time.time()
        now = time.monotonic()
        if now < self._quiet_until:
            self._unsaid += 1
            return
        unsaid, self._unsaid, self._quiet_until = self._unsaid, 0, now + _QUIET_SECONDS
        more = f" ({unsaid} more failures since the last message)" if unsaid else ""
        _log.error("plugin %s failed in %s: %s%s", self.plugin, self.hook, reason, more, exc_info=error)


class _Outcome(Generic[T]):
    """What a call in a thread of its own came to."""

    __slots__ = ("answer", "done", "error", "lost")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.answer: T
        self.error: BaseException | None = None
        self.lost = False


class Guard:
    """One plugin in this process: trusted, slow, switched off or blocked."""

    def __init__(self, plugin: str, *, trusted: bool) -> None:
        """Start with a plugin of which nothing is known; the ``trusted`` ones are the registry's own."""
        self.plugin, self.trusted = plugin, trusted
        self.tallies: list[Tally] = []
        self.slow = False
        self.lost = 0
        self.off = self.blocked = ""
        self.told = True
        """Whether the other processes know what :attr:`off` says."""
        self.final = False
        """Whether only a new start can change that: the plugin failed while it was asked what it claims."""
        self._free = threading.BoundedSemaphore(THREADS)
        self._changing = threading.RLock()

    def add(self, tally: Tally) -> None:
        """Take a further implementation of the plugin."""
        self.tallies.append(tally)
        self._settle()

    def now_known(self, tally: Tally) -> None:
        """Note that an implementation answered in time: from now on it is called without a detour."""
        tally.known = True
        self._settle()

    def be_slow(self, tally: Tally) -> None:
        """Call the plugin under a deadline from now on."""
        if self.slow or self.trusted:
            return
        _log.warning(
            "plugin %s took more than %g s in %s: from now on its calls end after that, in threads of their own",
            self.plugin,
            tally.deadline,
            tally.hook,
        )
        self.slow = True
        self._settle()

    def switch_off(self, reason: str, *, final: bool = False) -> None:
        """Let every further call fail at once, until the operator or (always where ``final``) a new start."""
        with self._changing:
            if self.off:
                return
            self.off, self.told, self.final = reason, final, final
        self._settle()
        way_out = "mend it, and start again" if final else f"`moorage plugins unblock {self.plugin}` ends that"
        _log.error("plugin %s is switched off: %s; %s", self.plugin, reason, way_out)

    def agree(self, *, off: str, blocked: str) -> None:
        """Follow what was decided for all processes; empty texts say that nothing was."""
        with self._changing:
            if not self.final and (off or self.told):
                self.off, self.told = off, True
            self.blocked = blocked
        self._settle()

    def refuse(self, hook: str) -> None:
        """Raise :class:`PluginBlocked` or :class:`PluginOff` where the plugin is not to be called."""
        if self.blocked:
            raise PluginBlocked(self.plugin, hook, f"it is blocked: {self.blocked}", shown="it is blocked")
        if self.off:
            raise PluginOff(self.plugin, hook, f"it is switched off: {self.off}", shown="it is switched off")

    def within(self, tally: Tally, work: Callable[[], T]) -> T:
        """Return what ``work`` returns in a thread of its own, or raise what it raises.

        One that takes longer than the deadline is left alone, and raises :class:`PluginBroke`.
        """
        until = time.monotonic() + tally.deadline
        if not self._free.acquire(timeout=tally.deadline):
            raise self._late(tally, f"all of its {THREADS} threads hang")
        outcome: _Outcome[T] = _Outcome()
        run = contextvars.copy_context().run
        try:
            threading.Thread(
                target=run, args=(self._carry_out, work, outcome), name=f"plugin {self.plugin}", daemon=True
            ).start()
        except BaseException:
            self._free.release()
            raise
        if not outcome.done.wait(max(0.0, until - time.monotonic())):
            self._lose(tally, outcome)
        if not tally.known:
            self.now_known(tally)
        if outcome.error is not None:
            raise outcome.error
        return outcome.answer

    def _carry_out(self, work: Callable[[], T], outcome: _Outcome[T]) -> None:
        try:
            outcome.answer = work()
        except BaseException as error:  # noqa: BLE001 - it is raised again by who waits
            outcome.error = error
        with self._changing:
            outcome.done.set()
            if outcome.lost:
                self.lost -= 1
        self._free.release()

    def _lose(self, tally: Tally, outcome: _Outcome[T]) -> None:
        with self._changing:
            if outcome.done.is_set():
                return
            outcome.lost = True
            self.lost += 1
            lost = self.lost
        self.be_slow(tally)
        late = self._late(tally, f"it did not answer in {tally.deadline:g} s")
        if lost >= LOST:
            self.switch_off(f"{lost} of its threads hang; {tally.hook} did not answer in {tally.deadline:g} s")
        raise late

    def _late(self, tally: Tally, reason: str) -> PluginBroke:
        tally.failed(reason)
        return PluginBroke(self.plugin, tally.hook, reason, shown=reason)

    def _settle(self) -> None:
        with self._changing:
            for tally in self.tallies:
                tally.settle()

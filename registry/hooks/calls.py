"""Calling plugins, each implementation on its own: what one of them does wrong is told by its name, and stays its own.

A healthy implementation is called in the thread that asks. The first call of each in a process, and every call of a
plugin that was slow once, runs in a thread of its own and is given up after a deadline (:mod:`registry.hooks.guards`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import pluggy

from registry.errors import RegistryError
from registry.hooks.broken import PluginBlocked, PluginBroke, PluginOff, WrongAnswer, described, placed
from registry.hooks.guards import Guard, Tally
from registry.hooks.implementations import Implementation, picking
from registry.hooks.manager import DEFAULT_PLUGINS
from registry.hooks.places import Places, Shared, frames_of_threads
from registry.hooks.ports import StorageError

__all__ = ["Calls", "Implementation", "PluginBlocked", "PluginBroke", "PluginOff", "WrongAnswer"]

T = TypeVar("T")
DEADLINE_SECONDS = 10.0
_PATIENCE = {"event_happened": 6, "event_consumers": 0.2}
"""How many deadlines a hook has where that is not one: an observer, which no request waits for, may speak to a slow
neighbour; while one says how it divides itself, the others hear of nothing."""
_ASIDE = ("event_consumers",)
"""Hooks that one thread asks of all plugins, again and again: each call is in a thread of its own."""
_DEEPEST = 16
"""Calls of plugins within calls of plugins: what is deeper than any that makes sense is a circle."""
_MANY_THREADS, _TOO_MANY_THREADS = 16, 256
_THREADS_HOOK = "threads"
"""Under this name threads are counted that a plugin started and left."""
_ENDLESS = ("jobs", "cli_commands", "blueprints")
"""Hooks whose plugins hand over functions that may take as long as they like."""
_LATELY_SECONDS = 900.0
_PASSING: tuple[type[BaseException], ...] = (RegistryError, StorageError)
_ANSWERING = ("authenticate", "authorize")
"""Hooks that refuse by what they return: whatever they raise is a failure."""
_TOLD_SECRETS = ("authenticate",)
"""Hooks that are told a password: of what they raise, the type and the place are told, as the words could hold it."""


class Calls:
    """The implementations of every hook, by plugin."""

    def __init__(self, manager: pluggy.PluginManager, deadline: float = DEADLINE_SECONDS) -> None:
        """Take what is registered now; a call may take ``deadline`` seconds."""
        self._deadline = deadline
        self._shared = Shared(Tally(Guard("", trusted=True), "", 0, float("inf")))
        self._places = Places(self._shared)
        self._tallies: list[Tally] = []
        self._modules: dict[str, str] = {}
        self._leaked: Counter[str] = Counter()
        self._guards: dict[str, Guard] = {}
        for name, plugin in manager.list_name_plugin():
            if plugin is not None:
                module = getattr(plugin, "__name__", "") or type(plugin).__module__
                self._guards[name] = Guard(name, trusted=module in DEFAULT_PLUGINS)
                self._modules[name] = module
        self._found = {
            hook: {
                one.plugin_name: self._implementation(hook, one) for one in getattr(manager.hook, hook).get_hookimpls()
            }
            for hook in vars(manager.hook)
            if not hook.startswith("_")
        }
        endless = [(name, hook) for hook in _ENDLESS for name in self._found.get(hook, ())]
        endless += [(name, _THREADS_HOOK) for name in self._guards]
        self._endless = {key: self._tally(*key, float("inf")) for key in endless}

    @property
    def guards(self) -> Mapping[str, Guard]:
        """What is known of every plugin in this process, by name."""
        return self._guards

    @property
    def tallies(self) -> Sequence[Tally]:
        """How every implementation did in this process."""
        return self._tallies

    @property
    def shared(self) -> Shared:
        """Where it is noted which plugin runs in which thread."""
        return self._shared

    def plugins(self, hook: str) -> Sequence[str]:
        """Return the plugins that implement ``hook`` and are not blocked now, in the order of their registration."""
        return [name for name in self._found[hook] if not self._guards[name].blocked]

    def implementing(self, hook: str) -> Sequence[str]:
        """Return the plugins that implement ``hook``, blocked or not, in the order of their registration."""
        return list(self._found[hook])

    def call(self, plugin: str, hook: str, read: Callable[[Any], Any] | None = None, /, **arguments: object) -> Any:  # noqa: ANN401 - what read makes of it
        """Return what ``read`` makes of one plugin's answer; None where it is that, or the hook is not implemented.

        Reading is part of the call: an answer may be a generator, or worse. ``read`` raises :class:`WrongAnswer`.
        Raises :class:`PluginBroke`; what a plugin refuses on purpose (:class:`~registry.errors.RegistryError`), and
        a failing store (:class:`StorageError`), pass.
        """
        one = self._found[hook].get(plugin)
        return None if one is None else self.ask(one, read, arguments)

    def found(self, hook: str) -> Sequence[Implementation]:
        """Return the implementations of ``hook``, blocked or not, in the order of their registration."""
        return list(self._found[hook].values())

    def ask(self, one: Implementation, read: Callable[[Any], Any] | None, arguments: Mapping[str, object]) -> Any:  # noqa: ANN401 - what read makes of it
        """Call an implementation of :meth:`found`, as :meth:`call` does: for who asks many, again and again."""
        tally = one.tally
        carry_out = self._carry_out if tally.plain else self._guarded
        return carry_out(tally, one.function, one.pick(arguments), read, one.passes)

    def claim(self, plugin: str, hook: str, read: Callable[[Any], Any], /, **arguments: object) -> Any:  # noqa: ANN401 - what read makes of it
        """Return what ``read`` makes of what a plugin claims at the start; None where it claims nothing.

        A plugin that fails in that is switched off: what it would decide about stays closed, and all else goes on.
        """
        try:
            return self.call(plugin, hook, read, **arguments)
        except PluginOff:  # it failed in another hook
            return None
        except (PluginBroke, RegistryError, StorageError) as error:
            reason = error.reason if isinstance(error, PluginBroke) else f"{type(error).__name__}: {error}"
            self._guards[plugin].switch_off(f"at the start it failed in {hook}: {reason}", final=True)
            return None

    def run(
        self,
        plugin: str,
        hook: str,
        function: Callable[..., object],
        /,
        *given: object,
        passes: tuple[type[BaseException], ...] = (),
        endless: bool = False,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Call a function that a plugin handed over through ``hook``, contained as the hook itself.

        Errors of ``passes`` pass. An ``endless`` one (a job, a command, a view) has no deadline.
        """
        tally = self._endless[plugin, hook] if endless else self._found[hook][plugin].tally
        call = self._carry_out if tally.plain else self._guarded
        return call(tally, function, given, None, (*_PASSING, *passes))

    def look_after(self) -> None:
        """Find calls that take too long, and threads that plugins left; for a thread that does this now and then."""
        now = time.perf_counter()
        busy = set()
        for place in self._shared.all():
            tally, started, depth = place.running
            if depth == 0:
                continue
            busy.add(place.ident)
            if now - started > tally.deadline:
                tally.guard.be_slow(tally)
        self._count_threads(busy)

    def troubles(self) -> list[str]:
        """Tell, in a line each, which plugins are not called, slow, or failed lately in this process."""
        found = []
        for guard in self._guards.values():
            if guard.blocked:
                found.append(f"{guard.plugin} is blocked: {guard.blocked}")
            elif guard.final:
                continue  # it is among those that failed to load
            elif guard.off:
                found.append(f"{guard.plugin} is switched off: {guard.off}")
            elif guard.slow:
                found.append(f"{guard.plugin} was slow: its calls are given up after their deadline")
        since = time.time() - _LATELY_SECONDS
        return found + [
            f"{tally.plugin} failed in {tally.hook}, {tally.failures} times in this process"
            for tally in self._tallies
            if tally.last_error_at > since
        ]

    def reset(self) -> None:
        """Count from nothing; for a process that was forked."""
        for tally in self._tallies:
            tally.reset()

    def _implementation(self, hook: str, one: pluggy.HookImpl) -> Implementation:
        passes = () if hook in _ANSWERING else _PASSING
        tally = self._tally(one.plugin_name, hook, self._deadline)
        return Implementation(one.plugin_name, one.function, picking(one.argnames), tally, passes)

    def _tally(self, plugin: str, hook: str, deadline: float) -> Tally:
        guard = self._guards[plugin]
        number = (
            0 if guard.trusted else len(self._tallies) + 1
        )  # who is killed at work does not blame the registry's own
        aside = hook in _ASIDE and not guard.trusted
        tally = Tally(guard, hook, number, deadline * _PATIENCE.get(hook, 1), aside=aside)
        self._tallies.append(tally)
        return tally

    def _guarded(
        self,
        tally: Tally,
        function: Callable[..., object],
        given: Sequence[object],
        read: Callable[[Any], T] | None,
        passes: tuple[type[BaseException], ...],
    ) -> T | None:
        """Call what is not simply called: it is new here, slow, switched off, or blocked."""
        tally.guard.refuse(tally.hook)
        outer, _, depth = self._places.mine.running
        # A new one that another plugin's call leads to is under that call's deadline.
        if tally.plain or (depth and not outer.guard.trusted and not tally.guard.slow):
            return self._carry_out(tally, function, given, read, passes)
        return tally.guard.within(tally, partial(self._carry_out, tally, function, given, read, passes, depth))

    def _carry_out(
        self,
        tally: Tally,
        function: Callable[..., object],
        given: Sequence[object],
        read: Callable[[Any], T] | None,
        passes: tuple[type[BaseException], ...],
        depth: int = 0,
    ) -> T | None:
        """Call ``function`` in this thread; ``depth`` is that of the thread which waits for this one."""
        place = self._places.mine
        outer = place.running
        started = time.perf_counter()
        deep = max(outer[2], depth) + 1 if depth else outer[2] + 1
        place.running = tally, started, deep
        crumbs = self._shared.crumbs
        crumbs[place.index] = tally.number
        try:
            if deep > _DEEPEST:
                raise WrongAnswer("plugins call plugins in a circle")  # noqa: TRY301 - counted as any failure is
            answer: Any = function(*given)
            return answer if answer is None or read is None else read(answer)
        except passes:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                raise
            raise _broke(tally, error) from error
        finally:
            place.running = outer
            crumbs[place.index] = outer[0].number
            took = time.perf_counter() - started
            tally.calls += 1
            tally.seconds += took
            if took > tally.deadline:
                tally.guard.be_slow(tally)

    def _count_threads(self, busy: Iterable[int]) -> None:
        """Count the threads that run a plugin's code outside of any call."""
        frames = frames_of_threads()
        if len(frames) < _MANY_THREADS:
            return
        expected = {*busy, threading.main_thread().ident, threading.get_ident()}
        found = Counter(
            name for ident, frame in frames.items() if ident not in expected for name in self._owners(frame)
        )
        del frames
        for name, count in found.items():
            if count < max(_MANY_THREADS, 2 * self._leaked[name]):
                continue
            self._leaked[name] = count
            reason = f"{count} threads that it started run on"
            self._endless[name, _THREADS_HOOK].failed(reason)
            if count >= _TOO_MANY_THREADS:
                self._guards[name].switch_off(reason)

    def _owners(self, frame: Any) -> set[str]:  # noqa: ANN401 - a frame, whose type has no public name
        """Return the plugins whose code is on a stack."""
        packages: set[str] = set()
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            while module and module not in packages:
                packages.add(module)
                module = module.rpartition(".")[0]
            frame = frame.f_back
        return {name for name, module in self._modules.items() if module in packages and not self._guards[name].trusted}


def _broke(tally: Tally, error: BaseException) -> PluginBroke:
    secret = tally.hook in _TOLD_SECRETS
    if isinstance(error, PluginBroke | WrongAnswer):  # of a plugin that this one called, or of an answer
        reason = str(error)
    else:
        reason = placed(error) if secret else described(error)
    tally.failed(reason, None if secret else error)
    return PluginBroke(tally.plugin, tally.hook, reason, shown=reason if isinstance(error, WrongAnswer) else "")

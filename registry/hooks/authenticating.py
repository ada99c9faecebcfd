"""Asking plugins who somebody is. Who cannot be asked lets nobody in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from registry.errors import RegistryError
from registry.hooks.access import Identity, LoginCredentials
from registry.hooks.admitting import Contexts
from registry.hooks.answers import check, check_all
from registry.hooks.broken import WrongAnswer
from registry.hooks.calls import Calls, PluginBlocked, PluginBroke

_HOOK = "authenticate"


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of it: the identity and the ``plugin`` that knows it; who ``failed``; whether one said no."""

    identity: Identity | None = None
    plugin: str = ""
    failed: str = ""
    refused: bool = False


class Logins:
    """Asks the plugins that know users."""

    def __init__(self, calls: Calls, contexts: Contexts, check_name: Callable[[str], None]) -> None:
        """Ask the plugins of ``calls``; ``check_name`` raises :class:`RegistryError` for what is no user's name."""
        self._calls = calls
        self._contexts = contexts
        self._check_name = check_name
        self._guards = {name: calls.guards[name] for name in calls.implementing(_HOOK)}

    @property
    def plugins(self) -> Sequence[str]:
        """The plugins that are asked now: those that nobody blocked."""
        return [name for name, guard in self._guards.items() if not guard.blocked]

    def ask(self, plugins: Sequence[str], credentials: LoginCredentials) -> Asked:
        """Ask one plugin after the other until one knows the credentials; each has a copy of its own."""
        failed, refused = "", False
        for name in plugins:
            try:
                identity: Identity | None = self._calls.call(
                    name, _HOOK, self._identity, credentials=replace(credentials), context=self._contexts(name)
                )
            except PluginBlocked:  # in this moment
                continue
            except PluginBroke:  # which was told where it was caught
                failed = failed or name
                continue
            if identity is not None:
                return Asked(identity, name)
            refused = True
        return Asked(failed=failed, refused=refused)

    def _identity(self, answer: object) -> Identity:
        found = check(Identity, answer)
        if not isinstance(found.name, str):
            raise WrongAnswer("it returned an Identity whose name is no text")
        try:
            self._check_name(found.name)
        except RegistryError as error:
            raise WrongAnswer(f"it returned an Identity whose name is none: {error.message}") from None
        return found if found.teams is None else Identity(found.name, check_all(str, found.teams))

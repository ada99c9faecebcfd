"""Asking plugins whether something may be: each on its own, and what one cannot answer is refused by its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Protocol

from registry.errors import Denied, RegistryError, Unavailable
from registry.hooks.admission import ManifestPush, TagChange, TagPull
from registry.hooks.calls import Calls, PluginBlocked, PluginBroke, WrongAnswer
from registry.hooks.context import PluginContext, RepositoryReader
from registry.hooks.ports import StorageError
from registry.texts import readable

PUSH, TAG, PULL = HOOKS = ("admit_manifest", "admit_tag_change", "admit_pull")
"""The hooks of admission."""
Contexts = Callable[[str], PluginContext]
"""Gives a plugin its context, by its name."""
_MOST_WARNINGS = 100
_log = logging.getLogger(__name__)


class Readers(Protocol):
    """Opens repositories for plugins."""

    def __call__(self, repository: str, *, deleted: bool = False) -> RepositoryReader:
        """Return a repository's reader; with ``deleted`` it reads content that was deleted and is still kept, too."""


class AdmissionFailed(Denied):
    """A plugin that has to decide could not: refused for now, which is no verdict about the content."""


class Admission:
    """Asks every plugin that has something to admit. Fails closed."""

    def __init__(self, calls: Calls, contexts: Contexts, readers: Readers) -> None:
        """Ask the plugins of ``calls``, except for what they leave out by ``admission_hooks``.

        One that cannot tell that is switched off: all that it would be asked about is refused.
        """
        self._calls = calls
        self._contexts = contexts
        self._readers = readers
        wanted = {name: _wanted(calls, name, contexts) for name in calls.plugins("admission_hooks")}
        self._asked = {
            hook: [one for one in calls.found(hook) if hook in wanted.get(one.plugin, HOOKS)] for hook in HOOKS
        }

    def asked(self, hook: str) -> Sequence[str]:
        """Return the plugins that are asked by one of :data:`HOOKS`: most registries have none."""
        return [one.plugin for one in self._asked[hook] if not one.blocked]

    def push(self, push: ManifestPush) -> Sequence[str]:
        """Return the warnings of a push, each with its plugin's name; raises :class:`Denied`."""
        return self._ask(PUSH, {"push": push, "reader": self._readers(push.repository)})

    def tag(self, change: TagChange) -> Sequence[str]:
        """Return the warnings of a tag's change, as :meth:`push` does; raises :class:`Denied`."""
        return self._ask(TAG, {"change": change, "reader": self._readers(change.repository, deleted=True)})

    def pull(self, pull: TagPull, *, deleted: bool) -> None:
        """Raise :class:`Denied` where a tag's manifest may not be handed out; ``deleted``: it may be a deleted one."""
        self._ask(PULL, {"pull": pull, "reader": self._readers(pull.repository, deleted=deleted)})

    def _ask(self, hook: str, arguments: dict[str, object]) -> Sequence[str]:
        """Ask all; raises :class:`Denied` that names the first who refuses, and the reason."""
        read = _READ[hook]
        warnings: list[str] = []
        for one in self._asked[hook]:
            if one.blocked:
                continue
            arguments["context"] = self._contexts(one.plugin)
            try:
                texts = self._calls.ask(one, read, arguments)
            except PluginBlocked:  # in this moment: it decides about nothing
                continue
            except (RegistryError, StorageError, PluginBroke) as error:
                raise _refusal(one.plugin, hook, error) from error
            for text in texts or ():
                warnings.append(f"{one.plugin}: {readable(text)}")
                _log.warning("%s warns: %s", hook, warnings[-1])
        return warnings


def _refusal(name: str, hook: str, error: Exception) -> RegistryError:
    """Return what a client is told: the plugin's reason, or that it failed, without what is for its author alone."""
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, StorageError):
        return Unavailable("the storage does not answer")
    if isinstance(error, Denied):
        reason = readable(error.message)
        return Denied(f"refused by {name}: {reason}", detail={"plugin": name, "reason": reason})
    if not isinstance(error, PluginBroke):  # which was told where it was caught
        _log.error("plugin %s failed in %s, so it is refused: %s", name, hook, error, exc_info=error)
    return AdmissionFailed(
        f"refused, as the plugin {name} failed: the registry's log says how", detail={"plugin": name, "hook": hook}
    )


def _texts(hook: str, answer: object) -> Sequence[str]:
    """Return the warnings; a generator runs here. Raises :class:`WrongAnswer`."""
    if hook == PULL or isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise WrongAnswer.of(answer)
    texts = list(islice(answer, _MOST_WARNINGS))
    for text in texts:
        if not isinstance(text, str):
            raise WrongAnswer(f"it returned {type(text).__name__} among its warnings")
    return texts


_READ = {hook: partial(_texts, hook) for hook in HOOKS}
"""What reads the answers to each hook."""


def _wanted(calls: Calls, name: str, contexts: Contexts) -> Collection[str]:
    wanted = named(calls, name, "admission_hooks", contexts, HOOKS)
    return HOOKS if wanted is None else wanted


def named(
    calls: Calls, plugin: str, hook: str, contexts: Contexts, allowed: Collection[str] = ()
) -> Sequence[str] | None:
    """Return the names that a plugin answers at start-up, each once, of ``allowed`` where there are some.

    One that fails in that is switched off, and None is returned.
    """

    def read(answer: object) -> Sequence[str]:
        if isinstance(answer, str) or not isinstance(answer, Iterable):
            raise WrongAnswer(f"it returned {type(answer).__name__} where a list is expected")
        texts: list[object] = list(dict.fromkeys(answer))
        for text in texts:
            if not isinstance(text, str) or not text or (allowed and text not in allowed):
                raise WrongAnswer(f"it returned a list with {text!r}")
        return [str(text) for text in texts]

    found: Sequence[str] | None = calls.claim(plugin, hook, read, context=contexts(plugin))
    return found

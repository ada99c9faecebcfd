"""Asking plugins whether something may be: each on its own, and what one cannot answer is refused by its name."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from registry.errors import Denied, RegistryError, Unavailable
from registry.hooks.admission import ManifestPush, TagChange, TagPull
from registry.hooks.calls import Calls, PluginBroke
from registry.hooks.context import PluginContext, RepositoryReader
from registry.hooks.manager import PluginError
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


class Admission:
    """Asks every plugin that has something to admit. Fails closed."""

    def __init__(self, calls: Calls, contexts: Contexts, readers: Readers) -> None:
        """Ask the plugins of ``calls``, except for what they leave out by ``admission_hooks``.

        Raises :class:`PluginError` where one of them cannot tell that.
        """
        self._calls = calls
        self._contexts = contexts
        self._readers = readers
        self._wanted = {name: _wanted(calls, name, contexts) for name in calls.plugins("admission_hooks")}

    def asked(self, hook: str) -> Sequence[str]:
        """Return the plugins that are asked by one of :data:`HOOKS`: most registries have none."""
        return [name for name in self._calls.plugins(hook) if hook in self._wanted.get(name, HOOKS)]

    def push(self, push: ManifestPush) -> Sequence[str]:
        """Return the warnings of a push, each with its plugin's name; raises :class:`Denied`."""
        reader = self._readers(push.repository)
        return [text for name in self.asked(PUSH) for text in self._warnings(name, PUSH, {"push": push}, reader)]

    def tag(self, change: TagChange) -> Sequence[str]:
        """Return the warnings of a tag's change, as :meth:`push` does; raises :class:`Denied`."""
        reader = self._readers(change.repository, deleted=True)
        return [text for name in self.asked(TAG) for text in self._warnings(name, TAG, {"change": change}, reader)]

    def pull(self, pull: TagPull, *, deleted: bool) -> None:
        """Raise :class:`Denied` where a tag's manifest may not be handed out; ``deleted``: it may be a deleted one."""
        reader = self._readers(pull.repository, deleted=deleted)
        for name in self.asked(PULL):
            self._warnings(name, PULL, {"pull": pull}, reader)

    def _warnings(self, name: str, hook: str, about: Mapping[str, object], reader: RepositoryReader) -> Sequence[str]:
        """Ask one plugin; raises :class:`Denied` that names it and its reason."""
        try:
            answer = self._calls.call(name, hook, **about, reader=reader, context=self._contexts(name))
            texts = _checked(name, hook, answer)
        except (RegistryError, StorageError, PluginBroke) as error:
            raise _refusal(name, hook, error) from error
        found = [f"{name}: {readable(text)}" for text in texts]
        for text in found:
            _log.warning("%s warns: %s", hook, text)
        return found


def _refusal(name: str, hook: str, error: Exception) -> RegistryError:
    """Return what a client is told: the plugin's reason, or that it failed, without what is for its author alone."""
    if isinstance(error, Unavailable):
        return error
    if isinstance(error, StorageError):
        return Unavailable("the storage does not answer")
    if isinstance(error, Denied):
        reason = readable(error.message)
        return Denied(f"refused by {name}: {reason}", detail={"plugin": name, "reason": reason})
    _log.error("plugin %s failed in %s, so it is refused: %s", name, hook, error, exc_info=error)
    return Denied(
        f"refused, as the plugin {name} failed: the registry's log says how", detail={"plugin": name, "hook": hook}
    )


def _checked(name: str, hook: str, answer: object) -> Sequence[str]:
    """Return the warnings; a generator runs here, so what it raises is its own; raises :class:`PluginBroke`."""
    if answer is None:
        return ()
    if hook == PULL or isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        raise PluginBroke(name, hook, f"it returned {type(answer).__name__}")
    try:
        texts = list(islice(answer, _MOST_WARNINGS))
    except (RegistryError, StorageError):
        raise
    except (Exception, SystemExit) as error:
        raise PluginBroke(name, hook, f"{type(error).__name__}: {error}") from error
    for text in texts:
        if not isinstance(text, str):
            raise PluginBroke(name, hook, f"it returned {type(text).__name__} among its warnings")
    return texts


def _wanted(calls: Calls, name: str, contexts: Contexts) -> Collection[str]:
    wanted = named(calls, name, "admission_hooks", contexts)
    if wanted is not None and not set(wanted) <= set(HOOKS):
        raise PluginError(f"plugin {name} names hooks of admission that are none: {', '.join(wanted)}")
    return HOOKS if wanted is None else wanted


def named(calls: Calls, plugin: str, hook: str, contexts: Contexts) -> Sequence[str] | None:
    """Return the names that a plugin answers at start-up, each once; raises :class:`PluginError` for anything else."""
    try:
        answer = calls.call(plugin, hook, context=contexts(plugin))
        texts = list(dict.fromkeys(answer)) if isinstance(answer, Iterable) else []
    except Exception as error:
        raise PluginError(f"plugin {plugin} failed in {hook}: {error}") from error
    if answer is None:
        return None
    if isinstance(answer, str) or not isinstance(answer, Iterable):
        raise PluginError(f"plugin {plugin} returned {type(answer).__name__} from {hook}, where a list is expected")
    for text in texts:
        if not isinstance(text, str) or not text:
            raise PluginError(f"plugin {plugin} returned {text!r} in the list of {hook}")
    return texts

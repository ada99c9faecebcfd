"""Tags, changed in a plugin's name by the services that change them for everybody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from registry.access.actors import Actor
from registry.digest import Digest
from registry.errors import ManifestUnknown, NameInvalid, NameUnknown, NotRestorable, TagInvalid
from registry.manifests.tagging import TagChanges
from registry.names import RepositoryName, TagName
from registry.repositories.tags import TagService
from registry.revisions import Condition


class PluginTags:
    """A :class:`~registry.hooks.TagWriter`."""

    def __init__(self, plugin: str, changes: Callable[[], TagChanges], tags: Callable[[], TagService]) -> None:
        """Act as ``plugin:NAME``. Services are asked for when they are needed: they ask plugins themselves."""
        self._actor = Actor(principal=f"plugin:{plugin}")
        self._changes = changes
        self._tags = tags

    def set(self, repository: str, tag: str, digest: Digest) -> None:
        """Let a tag stand for a manifest."""
        with _missing_told():
            self._changes().move(self._actor, RepositoryName.parse(repository), TagName.parse(tag), digest, Condition())

    def end(self, repository: str, tag: str) -> None:
        """End a tag's life."""
        with _missing_told():
            self._tags().delete(self._actor, RepositoryName.parse(repository), TagName.parse(tag), Condition())


@contextmanager
def _missing_told() -> Iterator[None]:
    """Tell what is not there, and names that are none, in Python's own errors."""
    try:
        yield
    except (NameUnknown, ManifestUnknown, NotRestorable) as error:
        raise LookupError(error.message) from error
    except (NameInvalid, TagInvalid) as error:
        raise ValueError(error.message) from error

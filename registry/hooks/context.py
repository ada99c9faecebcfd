"""What a plugin is handed to work with: the registry as far as a plugin may look and touch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from registry.digest import Digest
from registry.hooks.egress import Egress
from registry.hooks.ports import ContentReader
from registry.hooks.types import Descriptor, Layer


@dataclass(frozen=True, slots=True)
class TagDescription:
    """A living tag: what it stands for, since when, until when (None: for ever), and whether it can be moved."""

    name: str
    digest: Digest
    start: datetime
    end: datetime | None
    immutable: bool


@dataclass(frozen=True, slots=True)
class ManifestDescription:
    """A stored manifest: its type, its size in bytes with all layers, and when it was pushed first (UTC)."""

    digest: Digest
    media_type: str
    artifact_type: str
    size: int
    pushed: datetime


class RepositoryReader(ContentReader, Protocol):
    """Read one repository: what it holds, and what stands for it. One that does not exist is empty."""

    @property
    def name(self) -> str:
        """The repository's name."""

    def tag(self, name: str) -> Digest | None:
        """Return what a living tag stands for, or None."""

    def tags(self, prefix: str = "") -> Iterator[TagDescription]:
        """Yield the living tags whose names start with ``prefix``, in bytewise order."""

    def describe(self, digest: Digest) -> ManifestDescription:
        """Describe a manifest; raises :class:`~registry.hooks.ContentMissing`."""

    def manifests(self) -> Iterator[ManifestDescription]:
        """Yield every manifest, in the order of pushes."""

    def labels(self, digest: Digest) -> Mapping[str, str]:
        """Return the labels stored with a manifest, its own and added ones; empty where it is not there."""

    def layers(self, digest: Digest) -> Sequence[Layer]:
        """Return a manifest's layers, base first; raises :class:`~registry.hooks.ContentMissing`."""

    def referrers(self, digest: Digest, artifact_type: str = "") -> Sequence[Descriptor]:
        """Return the manifests whose subject is ``digest``, all or those of one type, in bytewise order of digests."""


class TagWriter(Protocol):
    """Move and end tags as the principal ``plugin:NAME``: with authorization, immutability, admission and events."""

    def set(self, repository: str, tag: str, digest: Digest) -> None:
        """Let a tag stand for a manifest of the repository.

        Raises :class:`~registry.hooks.Denied` where it may not, and :class:`LookupError` where there is no such
        repository or manifest.
        """

    def end(self, repository: str, tag: str) -> None:
        """End a tag's life; raises :class:`~registry.hooks.Denied` or :class:`LookupError` like :meth:`set`."""


class StoreConflict(RuntimeError):
    """A stored value is not the one that was expected any more: read it again, and decide again."""


@dataclass(frozen=True, slots=True)
class StoredValue:
    """A JSON value in a plugin's store, and the revision by which it is replaced."""

    value: Any
    revision: int


class PluginStore(Protocol):
    """JSON values by key, of one plugin alone, shared by every process of the registry."""

    def get(self, key: str) -> StoredValue | None:
        """Return the value under ``key`` (255 characters at most), or None."""

    def put(self, key: str, value: object, expected: int | None = None) -> int:
        """Store a JSON value of at most 1 MiB, and return its revision.

        ``expected`` is the revision that it replaces (0: none is there yet); None replaces whatever there is. Raises
        :class:`StoreConflict`, or :class:`ValueError` for what is no JSON or too long.
        """

    def delete(self, key: str, expected: int | None = None) -> None:
        """Forget a value; raises :class:`StoreConflict` like :meth:`put`."""

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that start with ``prefix``, in bytewise order."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What the registry hands to a plugin; never kept across forks, and fit for any thread.

    ``settings`` is an instance of what the plugin's :func:`plugin_settings` gave, None without it. ``reader`` opens a
    repository by its name, ``repositories`` yields all names in bytewise order, ``clock`` is the registry's time in
    UTC, ``log`` is the plugin's own logger, and ``egress`` is the one way to speak to other hosts.
    """

    plugin: str
    settings: Any
    store: PluginStore
    tags: TagWriter
    reader: Callable[[str], RepositoryReader]
    repositories: Callable[[], Iterator[str]]
    clock: Callable[[], datetime]
    log: logging.Logger
    egress: Egress


class JobProgress(Protocol):
    """How a running job hears what it was asked for, and tells how far it is."""

    @property
    def arguments(self) -> Mapping[str, object]:
        """What the run was asked for; empty where a schedule started it."""

    def progress(self, done: int, total: int = 0) -> None:
        """Tell how far it is; ``total`` 0 where that is not known."""

    def stopping(self) -> bool:
        """Tell whether it should end soon: what it did stays done, and it is run again."""


@dataclass(frozen=True, slots=True)
class PluginJob:
    """A job of the worker, called ``PLUGIN.name``.

    ``about`` is one line for lists. It runs ``every`` so often, in one worker at a time (None: only when asked for),
    and returns what it did, JSON-shaped; empty values throughout mean that there was nothing to do.
    """

    name: str
    about: str
    run: Callable[[JobProgress], Mapping[str, object]]
    every: timedelta | None = None

"""What admission is asked about: frozen, and complete enough to decide without asking back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from registry.digest import Digest
from registry.hooks.types import Layer, ParsedManifest


@dataclass(frozen=True, slots=True)
class ManifestPush:
    """A manifest that is about to be stored, with all that it names already there, unless sparse ones are allowed.

    ``labels`` are its own, those that all its images share, and added ones of a manifest that is here already;
    ``layers`` are base first; ``tags`` are the names that it is pushed under, empty for a push by digest; ``actor``
    is the principal who pushes. What else an image says of itself (``created``, ``architecture``, ...) stands in its
    config: ``reader.read(push.manifest.config.digest)``. That raises :class:`ContentMissing` for a sparse
    manifest; ``config`` is None for images of Docker's schema 1, whose layers tell when they were made.
    """

    repository: str
    digest: Digest
    manifest: ParsedManifest
    labels: Mapping[str, str]
    layers: Sequence[Layer]
    tags: Sequence[str]
    actor: str


@dataclass(frozen=True, slots=True)
class TagChange:
    """A tag that is about to stand for a manifest: pushed, moved, or restored.

    ``previous`` is the digest that it stands for until then, or None. ``labels`` are those of the manifest: as of a
    push, and those that were added to it.
    """

    repository: str
    tag: str
    digest: Digest
    previous: Digest | None
    manifest: ParsedManifest
    labels: Mapping[str, str]
    actor: str


@dataclass(frozen=True, slots=True)
class TagPull:
    """A manifest that is about to be handed out by its tag. Who pulls is not told: the verdict serves everybody.

    ``labels`` are those stored with the manifest: its own, and added ones.
    """

    repository: str
    tag: str
    digest: Digest
    manifest: ParsedManifest
    labels: Mapping[str, str]

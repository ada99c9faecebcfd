"""The steps an image was built in: its layers, joined with its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from registry.digest import Digest
from registry.formats._image_config import HistoryEntry, ImageConfig
from registry.hooks.types import Descriptor, Layer

EMPTY_LAYER = Digest("sha256", "a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4")
"""Docker's 32-byte gzip of an empty tar, which stands for a step without files where each must have a blob."""

NO_HISTORY = HistoryEntry(fields={})


@dataclass(frozen=True, slots=True)
class Step:
    """One step, base first; ``layer`` is None for one that changed no file."""

    history: HistoryEntry
    layer: Descriptor | None
    urls: Sequence[str] = ()

    @property
    def blob(self) -> Digest:
        """The blob that stands for the step, also where it changed no file."""
        return self.layer.digest if self.layer else EMPTY_LAYER

    def as_layer(self) -> Layer:
        """Return the step as the hook contract shows it."""
        return Layer(
            digest=self.layer.digest if self.layer else None,
            size=self.layer.size if self.layer else 0,
            media_type=self.layer.media_type if self.layer else "",
            empty=self.layer is None,
            created=self.history.created,
            created_by=self.history.created_by,
            author=self.history.author,
            comment=self.history.comment,
            urls=self.urls,
        )


def join_history(layers: Sequence[Descriptor], urls: Sequence[Sequence[str]], config: ImageConfig | None) -> list[Step]:
    """Join layers with history, base first.

    ko writes no history, and buildah on top of such a base too little: nobody can say then which entry is of
    which layer, so the history is left out and each layer is a step by its position.
    """
    history = config.history if config else ()
    if sum(not entry.empty for entry in history) != len(layers):
        return [Step(NO_HISTORY, layer, links) for layer, links in zip(layers, urls, strict=True)]
    filled = iter(zip(layers, urls, strict=True))
    return [Step(entry, None) if entry.empty else Step(entry, *next(filled)) for entry in history]

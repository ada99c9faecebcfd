"""Where cosign keeps what it makes: under a tag derived from the digest, and among the referrers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from moorage_signed.formats import BUNDLE, CHECKERS, IN_TOTO, SIGNED_PREDICATE, Unfit, Wanted
from registry.hooks import (
    ContentMissing,
    ContentTooLarge,
    Descriptor,
    Digest,
    ParsedManifest,
    RepositoryReader,
)

MAX_CANDIDATES = 100
"""The most that is looked at for one question; what says it is of the wanted type comes first."""
MAX_TOTAL = 16 * 1024 * 1024
"""The most that is read for one question, in bytes."""
MAX_EACH = 4 * 1024 * 1024
"""The most that one signature or attestation may be long, in bytes: no reader gives more."""
_MAX_TAG = 128
# What cosign 3 writes, and what cosign 2 wrote when it was asked for referrers.
_ARTIFACT_TYPES = frozenset((BUNDLE, "application/vnd.dev.cosign.artifact.sig.v1+json", IN_TOTO))
_PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"


def layers_of(manifest: ParsedManifest) -> Sequence[Descriptor]:
    """Return what a manifest holds beside its config."""
    return [blob.descriptor for blob in manifest.blobs if blob.descriptor != manifest.config]


def is_evidence(manifest: ParsedManifest) -> bool:
    """Tell whether a manifest holds signatures and attestations, and nothing else."""
    layers = layers_of(manifest)
    return bool(layers) and all(layer.media_type in CHECKERS for layer in layers)


class Search:
    """One look for what is wanted in one repository; ``failures`` tells afterwards what was found and did not fit."""

    def __init__(self, reader: RepositoryReader, wanted: Wanted) -> None:
        """Look in the reader's repository."""
        self.failures: list[str] = []
        self._reader = reader
        self._wanted = wanted
        self._bytes_left = MAX_TOTAL

    def succeeds(self) -> bool:
        """Tell whether something fits. Whatever is malformed does not; only a failing store raises."""
        for looked_at, (place, layer) in enumerate(self._candidates()):
            if looked_at == MAX_CANDIDATES:
                self.failures.append(f"only the first {MAX_CANDIDATES} were looked at")
                break
            try:
                self._check(layer)
            except Unfit as error:
                self.failures.append(f"{place}: {error}")
            else:
                return True
        return False

    def _check(self, layer: Descriptor | None) -> None:
        if layer is None:
            raise Unfit("it holds nothing of cosign's")
        limit = min(MAX_EACH, self._bytes_left)
        try:
            payload = self._reader.read(layer.digest, limit)
        except ContentMissing:
            raise Unfit("its content is not in the repository") from None
        except ContentTooLarge:
            raise Unfit(f"it is longer than the {limit} bytes left to look at") from None
        self._bytes_left -= len(payload)
        CHECKERS[layer.media_type](payload, layer, self._wanted)

    def _candidates(self) -> Iterator[tuple[str, Descriptor | None]]:
        for place, digest in self._places():
            try:
                layers = layers_of(self._reader.manifest(digest))
            except ContentMissing:  # deleted since it was listed
                layers = []
            fit: list[Descriptor | None] = [layer for layer in layers if layer.media_type in CHECKERS]
            yield from ((place, layer) for layer in fit or [None])

    def _places(self) -> Iterator[tuple[str, Digest]]:
        wanted = self._wanted
        kind = "sig" if wanted.predicate_type == SIGNED_PREDICATE else "att"
        tag = f"{wanted.digest.algorithm}-{wanted.digest.encoded}.{kind}"
        # The tag of a sha512 digest would be longer than a tag may be.
        tagged = self._reader.tag(tag) if len(tag) <= _MAX_TAG else None
        if tagged is not None:
            yield f"tag {tag[:19]}….{kind}", tagged
        referrers = [one for one in self._reader.referrers(wanted.digest) if one.artifact_type in _ARTIFACT_TYPES]
        likely = sorted(referrers, key=lambda one: one.annotations.get(_PREDICATE_ANNOTATION) != wanted.predicate_type)
        yield from ((f"referrer {str(one.digest)[:19]}", one.digest) for one in likely)

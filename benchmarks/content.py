"""What is pushed: blobs, images of a few small layers, and manifests about others."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
# What clients name when they ask for a manifest.
ACCEPT = (
    f"application/vnd.oci.image.index.v1+json, {MANIFEST}, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
SMALL_BLOB_BYTES = 4096
LAYERS = 3


@dataclass(frozen=True)
class Blob:
    """Some bytes; a large one is a view, so that it is never copied."""

    data: bytes | memoryview

    @cached_property
    def digest(self) -> str:
        """The SHA-256 digest, hashed at the first use: take it before the clock runs."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def descriptor(self, media_type: str) -> dict[str, object]:
        """Return the OCI descriptor."""
        return {"mediaType": media_type, "digest": self.digest, "size": len(self.data)}


EMPTY_BLOB = Blob(b"{}")


@dataclass(frozen=True)
class Image:
    """A config, layers, and the manifest that names them."""

    config: Blob
    layers: Sequence[Blob]
    manifest: Blob

    @property
    def blobs(self) -> list[Blob]:
        """The layers, then the config, in the order clients push."""
        return [*self.layers, self.config]


def as_json(value: Mapping[str, object]) -> Blob:
    """Return the value as a blob of JSON."""
    return Blob(json.dumps(value, separators=(",", ":")).encode())


def small_image() -> Image:
    """Return a new image: a config and three layers of about 4 KiB, no blob of it seen before."""
    layers, diff_ids = [], []
    for _ in range(LAYERS):
        archive = _archive()
        diff_ids.append(Blob(archive).digest)
        layers.append(Blob(gzip.compress(archive, 1, mtime=0)))
    config = as_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }
    )
    return Image(config, layers, manifest(config, layers))


def _archive() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = SMALL_BLOB_BYTES
        archive.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return file.getvalue()


def manifest(config: Blob, layers: Sequence[Blob], note: str | None = None) -> Blob:
    """Return an OCI image manifest; the note makes it differ from others of the same content."""
    value: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER) for layer in layers],
    }
    if note is not None:
        value["annotations"] = {"org.opencontainers.image.ref.name": note}
    return as_json(value)


def referrer(subject: Blob, serial: int) -> Blob:
    """Return a manifest about another one, as a signature or a bill of materials is."""
    return as_json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.example.note",
            "config": EMPTY_BLOB.descriptor(EMPTY),
            "layers": [EMPTY_BLOB.descriptor(EMPTY)],
            "subject": subject.descriptor(MANIFEST),
            "annotations": {"serial": str(serial)},
        }
    )


def random_blob(size: int) -> Blob:
    """Return a blob that no server has seen, with its digest taken."""
    block = os.urandom(min(size, 1 << 20))
    blob = Blob(memoryview((block * -(-size // len(block)))[:size]))
    _ = blob.digest
    return blob

"""Images, indexes and artifacts as bytes: built in memory, small, and the same on every run.

``image(layer({"a": b"1"}))`` is a whole OCI image. What a builder returns knows its digest, its
descriptor and everything it needs in a registry (``everything``), so a test can compare what arrived
with what was sent. Sources: OCI image-spec 1.1, Docker's image manifest v2 schema 2.
"""

# Long: a line a name and a few a builder.
from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

__all__ = [
    "CREATED",
    "DOCKER",
    "EMPTY_CONFIG",
    "EMPTY_TYPE",
    "MANIFEST_TYPES",
    "OCI",
    "SCHEMA1",
    "SIGNED_SCHEMA1",
    "Blob",
    "Flavour",
    "Layer",
    "Manifest",
    "artifact",
    "digest_of",
    "image",
    "image_config",
    "index",
    "layer",
    "simple_image",
    "simple_index",
    "tar_of",
    "to_json",
    "untar",
]

EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
CREATED = "2024-02-29T12:00:00Z"
_EPOCH = 1709208000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Flavour:
    """The media types of one family of image formats."""

    name: str
    manifest: str
    index: str
    config: str
    layer: str
    gzip_layer: str


OCI = Flavour(
    name="oci",
    manifest="application/vnd.oci.image.manifest.v1+json",
    index="application/vnd.oci.image.index.v1+json",
    config="application/vnd.oci.image.config.v1+json",
    layer="application/vnd.oci.image.layer.v1.tar",
    gzip_layer="application/vnd.oci.image.layer.v1.tar+gzip",
)
DOCKER = Flavour(
    name="docker",
    manifest="application/vnd.docker.distribution.manifest.v2+json",
    index="application/vnd.docker.distribution.manifest.list.v2+json",
    config="application/vnd.docker.container.image.v1+json",
    layer="application/vnd.docker.image.rootfs.diff.tar",
    gzip_layer="application/vnd.docker.image.rootfs.diff.tar.gzip",
)
SIGNED_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
MANIFEST_TYPES = (
    OCI.manifest,
    OCI.index,
    DOCKER.manifest,
    DOCKER.index,
    SIGNED_SCHEMA1,
    SCHEMA1,
)


def digest_of(data: bytes, algorithm: str = "sha256") -> str:
    """Return the digest of bytes as a registry writes it."""
    return f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"


def to_json(value: object) -> bytes:
    """Return the one JSON text of a value that the builders here use."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(frozen=True)
class Blob:
    """Bytes with a media type, as a descriptor names them."""

    data: bytes = field(repr=False)
    media_type: str = "application/octet-stream"
    annotations: Mapping[str, str] = field(default_factory=dict)
    algorithm: str = "sha256"

    @cached_property
    def digest(self) -> str:
        """The digest by this blob's algorithm."""
        return digest_of(self.data, self.algorithm)

    def descriptor(self, **more: object) -> dict[str, Any]:
        """Return the descriptor; ``more`` are further fields of it (platform, urls, ...)."""
        named: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.data),
        }
        if self.annotations:
            named["annotations"] = dict(self.annotations)
        return {**named, **more}


EMPTY_CONFIG = Blob(b"{}", EMPTY_TYPE)


@dataclass(frozen=True)
class Layer(Blob):
    """One layer of an image: ``data`` as stored, and the digest of the tar inside."""

    diff_id: str = ""


@dataclass(frozen=True)
class Manifest(Blob):
    """An image, an index or an artifact: its exact bytes, and what it needs beside them."""

    blobs: tuple[Blob, ...] = ()
    children: tuple[Manifest, ...] = ()
    platform: Mapping[str, str] | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The manifest as a JSON object."""
        return dict(json.loads(self.data))

    @property
    def config(self) -> Blob:
        """The config of an image or artifact."""
        return self.blobs[0]

    @property
    def layers(self) -> tuple[Blob, ...]:
        """The layers of an image or artifact."""
        return self.blobs[1:]

    def walk(self) -> Iterator[Blob]:
        """Yield what has to be pushed in an order that a registry accepts: this manifest comes last."""
        yield from self.blobs
        for child in self.children:
            yield from child.walk()
        yield self

    def everything(self) -> dict[str, bytes]:
        """Return the bytes of this and of all below it, by digest."""
        return {part.digest: part.data for part in self.walk()}


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """Return a tar with the files, whose owner, mode and time are always the same."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), _EPOCH, 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def untar(data: bytes) -> dict[str, bytes]:
    """Return the files of a layer, which may be gzipped, by their path without a leading './' or '/'."""
    plain = gzip.decompress(data) if data.startswith(_GZIP) else data
    with tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        return {
            entry.name.removeprefix("./").lstrip("/"): content.read()
            for entry in archive
            if entry.isfile() and (content := archive.extractfile(entry))
        }


def layer(files: Mapping[str, bytes], flavour: Flavour = OCI, *, gzipped: bool = True) -> Layer:
    """Build a layer with these files."""
    plain = tar_of(files)
    return Layer(
        data=gzip.compress(plain, mtime=0) if gzipped else plain,
        media_type=flavour.gzip_layer if gzipped else flavour.layer,
        diff_id=digest_of(plain),
    )


def image_config(
    layers: Sequence[Layer],
    *,
    architecture: str = "amd64",
    labels: Mapping[str, str] | None = None,
    empty_steps: int = 0,
    created: str = CREATED,
) -> dict[str, Any]:
    """Return an image's config, its history with one step a layer and then ``empty_steps`` without one."""
    steps: list[dict[str, Any]] = [
        {"created": created, "created_by": f"COPY layer-{number} /"} for number in range(len(layers))
    ]
    steps += [
        {"created": created, "created_by": f"ENV STEP={number}", "empty_layer": True} for number in range(empty_steps)
    ]
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"], "Labels": dict(labels or {})},
        "rootfs": {"type": "layers", "diff_ids": [one.diff_id for one in layers]},
        "history": steps,
    }


def image(
    *layers: Layer,
    flavour: Flavour = OCI,
    architecture: str = "amd64",
    labels: Mapping[str, str] | None = None,
    empty_steps: int = 0,
    annotations: Mapping[str, str] | None = None,
    subject: Blob | None = None,
    created: str = CREATED,
) -> Manifest:
    """Build an image of the layers, base first; ``created`` is an RFC 3339 time, of the image and of each step."""
    config = image_config(layers, architecture=architecture, labels=labels, empty_steps=empty_steps, created=created)
    parts = (Blob(to_json(config), flavour.config), *layers)
    body: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": flavour.manifest,
        "config": parts[0].descriptor(),
        "layers": [one.descriptor() for one in layers],
    }
    return Manifest(
        to_json(_finished(body, annotations, subject)),
        flavour.manifest,
        blobs=parts,
        platform={"os": "linux", "architecture": architecture},
    )


def simple_image(text: str, flavour: Flavour = OCI, architecture: str = "amd64") -> Manifest:
    """Build an image of two layers that is like no other text's."""
    layers = [layer({f"base-{architecture}.txt": b"base"}, flavour), layer({"text": text.encode()}, flavour)]
    return image(*layers, flavour=flavour, architecture=architecture, labels={"text": text}, empty_steps=1)


def index(
    *children: Manifest,
    flavour: Flavour = OCI,
    annotations: Mapping[str, str] | None = None,
    subject: Blob | None = None,
) -> Manifest:
    """Build an index (Docker's manifest list) of images or other indexes."""
    entries = [child.descriptor(**({"platform": dict(child.platform)} if child.platform else {})) for child in children]
    body = {"schemaVersion": 2, "mediaType": flavour.index, "manifests": entries}
    return Manifest(to_json(_finished(body, annotations, subject)), flavour.index, children=children)


def simple_index(text: str, flavour: Flavour = OCI) -> Manifest:
    """Build an index of one image for amd64 and one for arm64."""
    children = [simple_image(text, flavour, architecture) for architecture in ("amd64", "arm64")]
    return index(*children, flavour=flavour)


def artifact(
    artifact_type: str,
    *blobs: Blob,
    config: Blob = EMPTY_CONFIG,
    annotations: Mapping[str, str] | None = None,
    subject: Blob | None = None,
) -> Manifest:
    """Build an artifact as OCI 1.1 wants it: an image manifest with an ``artifactType``, empty config unless given.

    Without an ``artifact_type`` its type is that of its ``config``.
    """
    parts = blobs or (EMPTY_CONFIG,)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        **({"artifactType": artifact_type} if artifact_type else {}),
        "config": config.descriptor(),
        "layers": [one.descriptor() for one in parts],
    }
    return Manifest(to_json(_finished(body, annotations, subject)), OCI.manifest, blobs=(config, *parts))


def _finished(body: Mapping[str, Any], annotations: Mapping[str, str] | None, subject: Blob | None) -> dict[str, Any]:
    finished = dict(body)
    if subject is not None:
        finished["subject"] = {
            "mediaType": subject.media_type,
            "digest": subject.digest,
            "size": len(subject.data),
        }
    if annotations:
        finished["annotations"] = dict(annotations)
    return finished

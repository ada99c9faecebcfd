"""What tests of clients and old formats need beside the builders of the public kit."""

import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from registry.testing.images import CREATED, OCI, SCHEMA1, Layer, Manifest, digest_of, to_json, untar

CACHE_CONFIG_TYPE = "application/vnd.buildkit.cacheconfig.v0"


def schema1(*layers: Layer, labels: Mapping[str, str] | None = None) -> Manifest:
    """Build an unsigned manifest of Docker's schema 1; its leaf has the labels."""
    ids = [digest_of(f"{place} {one.digest}".encode()).partition(":")[2] for place, one in enumerate(layers)]
    steps: list[dict[str, Any]] = [{"id": own, "created": CREATED} for own in ids]
    for step, parent in zip(steps[1:], ids, strict=False):
        step["parent"] = parent
    steps[-1]["config"] = {"Labels": dict(labels or {})}
    body = {
        "schemaVersion": 1,
        "name": "any/name",
        "tag": "any",
        "architecture": "amd64",
        "fsLayers": [{"blobSum": one.digest} for one in reversed(layers)],
        "history": [{"v1Compatibility": to_json(step).decode()} for step in reversed(steps)],
    }
    return Manifest(to_json(body), SCHEMA1, blobs=layers)


def write_layout(folder: Path, *manifests: Manifest, names: Sequence[str] = ()) -> Path:
    """Write manifests as an OCI image layout, named by `names` in the same order, and return the folder."""
    for manifest in manifests:
        for part in manifest.walk():
            algorithm, _, encoded = part.digest.partition(":")
            path = folder / "blobs" / algorithm / encoded
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(part.data)
    entries = [manifest.descriptor() for manifest in manifests]
    for entry, name in zip(entries, names, strict=False):
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    (folder / "oci-layout").write_bytes(to_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(to_json({"schemaVersion": 2, "mediaType": OCI.index, "manifests": entries}))
    return folder


def saved_files(archive: Path) -> dict[str, bytes]:
    """Return the files of the one image in an archive of `docker save`, its upper layers winning."""
    with tarfile.open(archive) as opened:

        def member(name: str) -> bytes:
            content = opened.extractfile(name)
            return content.read() if content else b""

        layers = json.loads(member("manifest.json"))[0]["Layers"]
        return {name: data for one in layers for name, data in untar(member(one)).items()}


def layout_blobs(folder: Path) -> dict[str, bytes]:
    """Return the blobs of an OCI image layout by the digest that their path claims."""
    files = [path for path in (folder / "blobs").glob("*/*") if path.is_file()]
    return {f"{path.parent.name}:{path.name}": path.read_bytes() for path in files}

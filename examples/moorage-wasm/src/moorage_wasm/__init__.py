"""WASM modules as OCI artifacts: checked when they are pushed, listed as layers, and labelled.

Source: CNCF TAG Runtime, "Wasm OCI Artifact layout".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from registry.hooks import (
    ContentMissing,
    ContentReader,
    ContentTooLarge,
    Descriptor,
    Layer,
    ManifestInvalid,
    ParsedManifest,
    decode_object,
    hookimpl,
)

MOORAGE_API = "1.2"
"""The version of the plugin API that this was written for."""

CONFIG_TYPE = "application/vnd.wasm.config.v0+json"
MODULE_TYPE = "application/wasm"
SYSTEMS = ("wasip1", "wasip2")
_MAGIC = b"\0asm"
_LABEL = "org.example.wasm"


@hookimpl
def artifact_types() -> Sequence[str]:
    """Own the artifacts whose config is that of a WASM module."""
    return [CONFIG_TYPE]


@hookimpl
def validate_artifact(manifest: ParsedManifest, content: ContentReader) -> None:
    """Refuse what is called a WASM module and is none."""
    config = _config(manifest, content)
    if config is not None:
        if config.get("architecture") != "wasm":
            raise ManifestInvalid("a module's architecture is wasm", detail={"field": "config.architecture"})
        if config.get("os") not in SYSTEMS:
            raise ManifestInvalid(f"a module's os is {' or '.join(SYSTEMS)}", detail={"field": "config.os"})
    modules = [file for file in _files(manifest) if file.media_type == MODULE_TYPE]
    if len(modules) != 1:
        raise ManifestInvalid(f"a module is one layer of type {MODULE_TYPE}", detail={"layers": len(modules)})
    try:
        start = content.read(modules[0].digest)[: len(_MAGIC)]
    except (ContentMissing, ContentTooLarge):
        return
    if start != _MAGIC:
        raise ManifestInvalid("the layer is no WASM module", detail={"digest": str(modules[0].digest)})


@hookimpl
def artifact_layers(manifest: ParsedManifest) -> Sequence[Layer]:
    """List the module, and what lies beside it."""
    return [Layer(file.digest, file.size, file.media_type, comment="module") for file in _files(manifest)]


@hookimpl
def artifact_labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
    """Make labels of the system that the module is for, and of what it exports and imports."""
    config = _config(manifest, content) or {}
    component = config.get("component")
    component = component if isinstance(component, dict) else {}
    labels = {"os": str(config.get("os", ""))}
    for name in ("exports", "imports"):
        names = component.get(name)
        labels[name] = ",".join(map(str, names)) if isinstance(names, list) else ""
    return {f"{_LABEL}.{name}": value for name, value in labels.items() if value}


def _files(manifest: ParsedManifest) -> list[Descriptor]:
    return [blob.descriptor for blob in manifest.blobs if blob.descriptor != manifest.config]


def _config(manifest: ParsedManifest, content: ContentReader) -> dict[str, Any] | None:
    """Return the config, None where it is not there; raises ManifestInvalid for what is no JSON object."""
    if manifest.config is None:
        return None
    try:
        return decode_object(content.read(manifest.config.digest))
    except (ContentMissing, ContentTooLarge):
        return None

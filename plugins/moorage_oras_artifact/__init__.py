"""Files pushed by oras, Helm charts and bills of materials: listed by their names, labelled by what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from registry.hooks import (
    ContentMissing,
    ContentReader,
    ContentTooLarge,
    Descriptor,
    Layer,
    ManifestInvalid,
    ParsedManifest,
    PluginContext,
    decode_object,
    hookimpl,
)

MOORAGE_API = "1.2"

TITLE = "org.opencontainers.image.title"
HELM = "application/vnd.cncf.helm.config.v1+json"
SPDX = ("application/spdx+json", "text/spdx+json")
CYCLONEDX = ("application/vnd.cyclonedx+json", "application/vnd.cyclonedx")
FILES = ("application/vnd.unknown.artifact.v1", "application/vnd.unknown.config.v1+json")
"""What oras calls artifacts of no stated type, by its present and its former custom."""
MAX_CONFIG, MAX_SBOM = 256 * 1024, 4 * 1024 * 1024
"""The most that is read of a chart's metadata and of a bill of materials, in bytes; longer ones get no labels."""
_LONGEST = 1000
_HELM_FILES: Mapping[str, str] = MappingProxyType(
    {
        "application/vnd.cncf.helm.chart.content.v1.tar+gzip": "chart",
        "application/tar+gzip": "chart",
        "application/vnd.cncf.helm.chart.provenance.v1.prov": "provenance",
    }
)


@dataclass(frozen=True)
class Settings:
    """The settings of this plugin."""

    types: tuple[str, ...] = field(
        default=(), metadata={"about": "further artifact types whose files are listed by their names"}
    )


@hookimpl
def plugin_settings() -> type[Settings]:
    """Take further types."""
    return Settings


@hookimpl
def artifact_types(context: PluginContext) -> Iterable[str]:
    """Own what is known here, and what the settings add."""
    return list(dict.fromkeys([*_KINDS, *FILES, *context.settings.types]))


@hookimpl
def validate_artifact(manifest: ParsedManifest, content: ContentReader) -> None:
    """Refuse a chart without its archive or its metadata: no client could use it."""
    if manifest.artifact_type != HELM or manifest.config is None:
        return
    if "chart" not in [_HELM_FILES.get(file.media_type) for file in files_of(manifest)]:
        raise ManifestInvalid("a Helm chart has a layer that is its archive", detail={"expected": list(_HELM_FILES)})
    try:
        chart = decode_object(content.read(manifest.config.digest, MAX_CONFIG))
    except (ContentMissing, ContentTooLarge):
        return
    except ManifestInvalid as error:
        raise ManifestInvalid(f"the metadata of a Helm chart is a JSON object: {error.message}") from error
    for name in ("name", "version"):
        if not isinstance(chart.get(name), str) or not chart[name]:
            raise ManifestInvalid(f"the metadata of a Helm chart has a {name}", detail={"field": name})


@hookimpl
def artifact_layers(manifest: ParsedManifest) -> Sequence[Layer]:
    """List the files, each with its name where it has one."""
    return [Layer(file.digest, file.size, file.media_type, comment=_name_of(file)) for file in files_of(manifest)]


@hookimpl
def artifact_labels(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
    """Say what the artifact says of itself; what cannot be read says nothing."""
    kind = _KINDS.get(manifest.artifact_type)
    if kind is None:
        return {}
    try:
        found = kind(manifest, content)
    except (ContentMissing, ContentTooLarge, ManifestInvalid):
        return {}
    return {key: text for key, value in found.items() if (text := _text(value))}


def files_of(manifest: ParsedManifest) -> Sequence[Descriptor]:
    """Return the files of an artifact: all its blobs but its config."""
    files = [blob.descriptor for blob in manifest.blobs]
    if manifest.config in files:
        files.remove(manifest.config)  # once: an empty artifact names the same bytes again
    return files


def _name_of(file: Descriptor) -> str:
    return file.annotations.get(TITLE, "")[:_LONGEST] or _HELM_FILES.get(file.media_type, "")


def _helm(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, object]:
    if manifest.config is None:
        return {}
    chart = decode_object(content.read(manifest.config.digest, MAX_CONFIG))
    return {
        "org.moorage.helm.name": chart.get("name"),
        "org.moorage.helm.version": chart.get("version"),
        "org.moorage.helm.app-version": chart.get("appVersion"),
        "org.moorage.helm.type": chart.get("type"),
    }


def _spdx(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, object]:
    bill = _bill(manifest, content)
    if "spdxVersion" not in bill:
        return {}
    made = bill.get("creationInfo")
    return {
        "org.moorage.sbom.format": bill["spdxVersion"],
        "org.moorage.sbom.name": bill.get("name"),
        "org.moorage.sbom.created": made.get("created") if isinstance(made, dict) else None,
        "org.moorage.sbom.components": _count(bill.get("packages")),
    }


def _cyclonedx(manifest: ParsedManifest, content: ContentReader) -> Mapping[str, object]:
    bill = _bill(manifest, content)
    if bill.get("bomFormat") != "CycloneDX":
        return {}
    about = bill.get("metadata")
    about = about if isinstance(about, dict) else {}
    subject = about.get("component")
    return {
        "org.moorage.sbom.format": f"CycloneDX-{_text(bill.get('specVersion'))}",
        "org.moorage.sbom.name": subject.get("name") if isinstance(subject, dict) else None,
        "org.moorage.sbom.created": about.get("timestamp"),
        "org.moorage.sbom.components": _count(bill.get("components")),
    }


def _bill(manifest: ParsedManifest, content: ContentReader) -> dict[str, Any]:
    """Return the first file as JSON; none is an empty bill."""
    files = files_of(manifest)
    return decode_object(content.read(files[0].digest, MAX_SBOM)) if files else {}


def _count(items: object) -> str:
    return str(len(items)) if isinstance(items, list) else ""


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


_KINDS: Mapping[str, Callable[[ParsedManifest, ContentReader], Mapping[str, object]]] = MappingProxyType(
    {HELM: _helm, **dict.fromkeys(SPDX, _spdx), **dict.fromkeys(CYCLONEDX, _cyclonedx)}
)

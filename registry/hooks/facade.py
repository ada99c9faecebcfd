"""One typed method a hook: the only place that calls pluggy.

A media type has one owner and format hooks are called on it alone. "Nobody answered" becomes an error or a
default here, once, so that the core never asks what kind of manifest it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pluggy

from registry.digest import Digest
from registry.errors import ManifestInvalid, RegistryError, Unavailable, UnsupportedMediaType
from registry.hooks.admitting import Contexts
from registry.hooks.artifacts import NO_ARTIFACTS, owners_of_artifacts
from registry.hooks.calls import Calls, PluginBroke
from registry.hooks.manager import PluginError
from registry.hooks.ports import ContentReader, StorageError, StorageFactory
from registry.hooks.types import (
    ConversionRequest,
    Descriptor,
    LabelAction,
    Layer,
    LegacyImage,
    ParsedManifest,
)

T = TypeVar("T")


class PluginFailed(RegistryError):
    """A plugin broke while it handled this request; the detail names it."""

    code, http_status, summary = "UNKNOWN", 500, "a plugin of this registry failed"


class Hooks:
    """The hooks of one app. Raises :class:`PluginError` where two plugins claim one thing."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        """Collect what plugins claim."""
        self.calls = Calls(manager)
        self._owners = self._claims("manifest_media_types", _listed)
        actions = self._claims("label_actions", lambda actions: {action.key: action for action in actions})
        self._label_actions: dict[str, LabelAction] = {key: action for key, (_, action) in actions.items()}
        self._factories = {
            scheme: factory
            for scheme, (_, factory) in self._claims("storage_drivers", dict[str, StorageFactory]).items()
        }
        self._artifacts: Mapping[str, str] = NO_ARTIFACTS

    def open(self, contexts: Contexts) -> None:
        """Collect what plugins claim once they have their contexts; raises :class:`PluginError`."""
        self._artifacts = owners_of_artifacts(self.calls, contexts)

    @property
    def artifact_types(self) -> Mapping[str, str]:
        """The owners of artifact types, by type."""
        return self._artifacts

    @property
    def media_types(self) -> Sequence[str]:
        """All manifest media types that are accepted, sorted."""
        return sorted(self._owners)

    @property
    def label_actions(self) -> Mapping[str, LabelAction]:
        """Label actions by label key."""
        return self._label_actions

    @property
    def storage_factories(self) -> Mapping[str, StorageFactory]:
        """Storage driver factories by URL scheme."""
        return self._factories

    def owns(self, media_type: str) -> bool:
        """Tell whether an installed format owns ``media_type``."""
        return media_type in self._owners

    def parse(self, media_type: str, payload: bytes) -> ParsedManifest:
        """Parse a manifest; raise :class:`UnsupportedMediaType` or :class:`ManifestInvalid`."""
        if media_type not in self._owners:
            raise UnsupportedMediaType(
                f"no installed format accepts {media_type[:255] or 'a manifest without Content-Type'}",
                detail={"mediaType": media_type[:255], "accepted": list(self.media_types)},
            )
        parsed = self._ask("parse_manifest", media_type, ParsedManifest, media_type=media_type, payload=payload)
        if parsed is None:
            raise ManifestInvalid("the format's owner does not know this manifest", detail={"mediaType": media_type})
        return parsed

    def validate(self, manifest: ParsedManifest, content: ContentReader) -> None:
        """Let the owners of the format and of the artifact's type check it; raises :class:`ManifestInvalid`."""
        self._ask("validate_manifest", manifest.media_type, object, manifest=manifest, content=content)
        self._ask_artifact("validate_artifact", manifest, content)

    def layers(self, manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer]:
        """Return the layers, base first: what the artifact's owner says, else the format's; none by default."""
        files = self._ask_artifact("artifact_layers", manifest, content)
        if files is not None:
            return self._all_of(files, Layer, self._artifacts[manifest.artifact_type], "artifact_layers")
        return self._ask_all("manifest_layers", manifest.media_type, Layer, manifest=manifest, content=content) or ()

    def children(self, manifest: ParsedManifest) -> Sequence[Descriptor]:
        """Return the manifests that this one consists of."""
        answer = self._ask_all("manifest_children", manifest.media_type, Descriptor, manifest=manifest)
        return manifest.children if answer is None else answer

    def labels(self, manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
        """Return the manifest's labels; its annotations by default. Empty keys are left out.

        Those that an artifact's owner finds come on top, except for keys that are there.
        """
        arguments = {"manifest": manifest, "content": content}
        answer = self._ask("manifest_labels", manifest.media_type, object, **arguments)
        labels = manifest.annotations if answer is None else answer
        owner = self._owners[manifest.media_type][0] if self.owns(manifest.media_type) else ""
        further = self._ask_artifact("artifact_labels", manifest, content)
        if further is None:
            return self._as_labels(labels, owner, "manifest_labels")
        added = self._as_labels(further, self._artifacts[manifest.artifact_type], "artifact_labels")
        return {**added, **self._as_labels(labels, owner, "manifest_labels")}

    def needs_empty_layer(self, manifest: ParsedManifest, content: ContentReader) -> bool:
        """Tell whether the registry must provide Docker's empty layer for this manifest."""
        return bool(self._ask("needs_empty_layer", manifest.media_type, bool, manifest=manifest, content=content))

    def legacy_image_ids(self, manifest: ParsedManifest, content: ContentReader) -> Sequence[str]:
        """Return the v1 image ids that the manifest would like."""
        return self._ask_all("legacy_image_ids", manifest.media_type, str, manifest=manifest, content=content) or ()

    def legacy_images(
        self, manifest: ParsedManifest, content: ContentReader, taken: Mapping[str, Digest]
    ) -> Sequence[LegacyImage]:
        """Return the v1 images, parents before children."""
        arguments = {"manifest": manifest, "content": content, "taken": taken}
        return self._ask_all("legacy_images", manifest.media_type, LegacyImage, **arguments) or ()

    def convert(
        self, manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
    ) -> ParsedManifest | None:
        """Return the next step towards ``request.wanted``, or None."""
        arguments = {"manifest": manifest, "content": content, "request": request}
        return self._ask("convert_manifest", manifest.media_type, ParsedManifest, **arguments)

    def _ask(self, hook: str, media_type: str, kind: type[T], /, **arguments: object) -> T | None:
        """Return the owner's answer, which must be of ``kind`` or None."""
        owner = self._owners.get(media_type)
        if owner is None:  # stored when its plugin was still installed
            return None
        answer = self._call(owner[0], hook, **arguments)
        return None if answer is None else self._check(answer, kind, owner[0], hook)

    def _ask_all(self, hook: str, media_type: str, kind: type[T], /, **arguments: object) -> Sequence[T] | None:
        """Return the owner's answer, which must be a sequence of ``kind`` or None."""
        answer = self._ask(hook, media_type, object, **arguments)
        return None if answer is None else self._all_of(answer, kind, self._owners[media_type][0], hook)

    def _ask_artifact(self, hook: str, manifest: ParsedManifest, content: ContentReader) -> object | None:
        """Return what the owner of the artifact's type answers, None where nobody owns it."""
        owner = self._artifacts.get(manifest.artifact_type)
        return None if owner is None else self._call(owner, hook, manifest=manifest, content=content)

    def _call(self, plugin: str, hook: str, /, **arguments: object) -> object:
        try:
            return self.calls.call(plugin, hook, **arguments)
        except StorageError as error:
            raise Unavailable("the storage does not answer") from error
        except PluginBroke as error:
            raise PluginFailed(detail={"plugin": plugin, "hook": hook}) from error

    def _all_of(self, answer: object, kind: type[T], plugin: str, hook: str) -> Sequence[T]:
        if not isinstance(answer, Sequence) or isinstance(answer, str):
            raise _wrong(answer, plugin, hook)
        return [self._check(item, kind, plugin, hook) for item in answer]

    def _as_labels(self, labels: object, plugin: str, hook: str) -> Mapping[str, str]:
        if not isinstance(labels, Mapping):
            raise _wrong(labels, plugin, hook)
        for text in (text for pair in labels.items() for text in pair):
            self._check(text, str, plugin, hook)
        return {key: value for key, value in labels.items() if key}

    def _check(self, value: object, kind: type[T], plugin: str, hook: str) -> T:
        if not isinstance(value, kind):
            raise _wrong(value, plugin, hook)
        return value

    def _claims(self, hook: str, claimed: Callable[[Any], Mapping[str, T]]) -> dict[str, tuple[str, T]]:
        """Collect what each plugin answers to ``hook``, refusing a second claimant by both names."""
        claims: dict[str, tuple[str, T]] = {}
        for name in self.calls.plugins(hook):
            try:
                answer = claimed(self.calls.call(name, hook) or ())
            except PluginBroke as error:
                raise PluginError(str(error)) from error
            except Exception as error:
                raise PluginError(f"plugin {name} failed in {hook}: {type(error).__name__}: {error}") from error
            for key, value in answer.items():
                if key in claims:
                    raise PluginError(f"{key} is claimed by two plugins: {claims[key][0]} and {name}")
                claims[key] = (name, value)
        return claims


def _wrong(value: object, plugin: str, hook: str) -> PluginFailed:
    return PluginFailed(
        f"plugin {plugin} returned {type(value).__name__} from {hook}", detail={"plugin": plugin, "hook": hook}
    )


def _listed(media_types: Iterable[str]) -> Mapping[str, None]:
    """Refuse the text that was meant as a list of one."""
    if isinstance(media_types, str):
        raise TypeError("a list of media types is expected, not a text")
    return dict.fromkeys(media_types)

"""One typed method a hook: the only place that calls pluggy.

A media type has one owner and format hooks are called on it alone. "Nobody answered" becomes an error or a
default here, once, so that the core never asks what kind of manifest it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

import pluggy

from registry.digest import Digest
from registry.errors import ManifestInvalid, RegistryError, Unavailable, UnsupportedMediaType
from registry.hooks import answers
from registry.hooks.admitting import Contexts
from registry.hooks.answers import check, check_all
from registry.hooks.artifacts import NO_ARTIFACTS, owners_of_artifacts
from registry.hooks.calls import DEADLINE_SECONDS, Calls, PluginBlocked, PluginBroke, PluginOff
from registry.hooks.manager import PluginError
from registry.hooks.ports import (
    ContentMissing,
    ContentReader,
    ContentTooLarge,
    StorageDriver,
    StorageError,
    StorageFactory,
)
from registry.hooks.types import (
    ConversionRequest,
    Descriptor,
    Effect,
    LabelAction,
    LabelValueRefused,
    Layer,
    LegacyImage,
    ParsedManifest,
)
from registry.texts import readable

T = TypeVar("T")


class PluginFailed(RegistryError):
    """A plugin broke while it handled this request; the detail names it."""

    code, http_status, summary = "UNKNOWN", 500, "a plugin of this registry failed"

    @classmethod
    def of(cls, error: PluginBroke) -> PluginFailed:
        """Tell the client which plugin failed in which hook, and no more of why than the registry's own words."""
        kind = PluginUnavailable if isinstance(error, PluginOff | PluginBlocked) else cls
        told = f": {error.shown}" if error.shown else ""
        return kind(
            f"plugin {error.plugin} failed in {error.hook}{told}", detail={"plugin": error.plugin, "hook": error.hook}
        )


class PluginUnavailable(PluginFailed):
    """A plugin that this request needs is switched off; the detail names it."""

    code, http_status, summary = "UNAVAILABLE", 503, "a plugin of this registry is switched off"


class Hooks:
    """The hooks of one app. Raises :class:`PluginError` where two plugins claim one thing.

    A plugin that fails while it is asked what it claims is switched off, see :meth:`Guard.switch_off`: what it would
    decide about stays closed, and all else goes on.
    """

    def __init__(
        self,
        manager: pluggy.PluginManager,
        deadline: float = DEADLINE_SECONDS,
        watch: Callable[[Calls], None] | None = None,
    ) -> None:
        """Collect what plugins claim; a call of one may take ``deadline`` seconds.

        Before the first call ``watch`` is told of all plugins.
        """
        self.calls = Calls(manager, deadline)
        if watch is not None:
            watch(self.calls)
        self._owners = self._claims("manifest_media_types", answers.listed)
        actions = self._claims("label_actions", answers.actions)
        self._actions: dict[str, tuple[str, LabelAction]] = actions
        self._label_actions: dict[str, LabelAction] = {key: action for key, (_, action) in actions.items()}
        drivers = self._claims("storage_drivers", dict[str, StorageFactory])
        self._drivers: dict[str, tuple[str, StorageFactory]] = drivers
        self._factories = {scheme: factory for scheme, (_, factory) in drivers.items()}
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
        """All manifest media types that are accepted now, sorted."""
        return sorted(media_type for media_type in self._owners if self.owns(media_type))

    @property
    def label_actions(self) -> Mapping[str, LabelAction]:
        """Label actions by label key."""
        return self._label_actions

    @property
    def storage_factories(self) -> Mapping[str, StorageFactory]:
        """Storage driver factories by URL scheme."""
        return self._factories

    def open_storage(self, scheme: str, url: str, options: Mapping[str, str]) -> StorageDriver:
        """Return a driver of an offered scheme; raises what the factory refuses, or :class:`PluginError`."""
        plugin, factory = self._drivers[scheme]
        try:
            driver: StorageDriver = self.calls.run(
                plugin, "storage_drivers", factory, url, options, passes=(ValueError, OSError, ImportError)
            )
        except PluginBroke as error:
            raise PluginError(str(error)) from error
        return driver

    def label_effects(
        self, key: str, value: str, read: Callable[[Sequence[Effect]], Sequence[Effect]]
    ) -> Sequence[Effect]:
        """Return what ``read`` makes of the effects that a label's action names.

        Raises :class:`LabelValueRefused`, or :class:`PluginBroke`. Nothing where no action knows the label.
        """
        if key not in self._actions:
            return ()
        plugin, action = self._actions[key]
        found: Sequence[Effect] = self.calls.run(
            plugin, "label_actions", lambda text: read(action.effects(text)), value, passes=(LabelValueRefused,)
        )
        return found

    def owns(self, media_type: str) -> bool:
        """Tell whether an installed format owns ``media_type``; one that is blocked counts as not installed."""
        owner = self._owners.get(media_type)
        return owner is not None and not self.calls.guards[owner[0]].blocked

    def parse(self, media_type: str, payload: bytes) -> ParsedManifest:
        """Parse a manifest; raise :class:`UnsupportedMediaType` or :class:`ManifestInvalid`."""
        if media_type not in self._owners:
            raise UnsupportedMediaType(
                f"no installed format accepts {media_type[:255] or 'a manifest without Content-Type'}",
                detail={"mediaType": media_type[:255], "accepted": list(self.media_types)},
            )
        if not self.owns(media_type):
            plugin = self._owners[media_type][0]
            raise UnsupportedMediaType(
                f"{media_type} is not accepted now: plugin {plugin}, which owns it, is blocked",
                detail={"mediaType": media_type, "plugin": plugin, "accepted": list(self.media_types)},
            )
        arguments = {"media_type": media_type, "payload": payload}
        parsed: ParsedManifest | None = self._read("parse_manifest", media_type, answers.manifest, **arguments)
        if parsed is None:
            raise ManifestInvalid("the format's owner does not know this manifest", detail={"mediaType": media_type})
        return parsed

    def validate(self, manifest: ParsedManifest, content: ContentReader) -> None:
        """Let the owners of the format and of the artifact's type check it; raises :class:`ManifestInvalid`."""
        self._ask("validate_manifest", manifest.media_type, object, manifest=manifest, content=content)
        self._read_artifact("validate_artifact", partial(check, object), manifest, content)

    def layers(self, manifest: ParsedManifest, content: ContentReader) -> Sequence[Layer]:
        """Return the layers, base first: what the artifact's owner says, else the format's; none by default."""
        files = self._read_artifact("artifact_layers", partial(check_all, Layer), manifest, content)
        if files is not None:
            return files
        return self._ask_all("manifest_layers", manifest.media_type, Layer, manifest=manifest, content=content) or ()

    def children(self, manifest: ParsedManifest) -> Sequence[Descriptor]:
        """Return the manifests that this one consists of."""
        arguments = {"manifest": manifest}
        answer = self._read("manifest_children", manifest.media_type, answers.descriptors, **arguments)
        return manifest.children if answer is None else answer

    def labels(self, manifest: ParsedManifest, content: ContentReader) -> Mapping[str, str]:
        """Return the manifest's labels; its annotations by default. Empty keys are left out.

        Those that an artifact's owner finds come on top, except for keys that are there.
        """
        arguments = {"manifest": manifest, "content": content}
        own: Mapping[str, str] | None = self._read("manifest_labels", manifest.media_type, answers.labels, **arguments)
        further: Mapping[str, str] | None = self._read_artifact("artifact_labels", answers.labels, manifest, content)
        return {**(further or {}), **(answers.labels(manifest.annotations) if own is None else own)}

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
        arguments = {"manifest": manifest, "content": content, "taken": MappingProxyType(dict(taken))}
        return self._read("legacy_images", manifest.media_type, answers.legacy_images, **arguments) or ()

    def convert(
        self, manifest: ParsedManifest, content: ContentReader, request: ConversionRequest
    ) -> ParsedManifest | None:
        """Return the next step towards ``request.wanted``, or None."""
        arguments = {"manifest": manifest, "content": content, "request": request}
        return self._read("convert_manifest", manifest.media_type, answers.manifest, **arguments)

    def _ask(self, hook: str, media_type: str, kind: type[T], /, **arguments: object) -> T | None:
        """Return the owner's answer, which must be of ``kind`` or None."""
        return self._read(hook, media_type, partial(check, kind), **arguments)

    def _ask_all(self, hook: str, media_type: str, kind: type[T], /, **arguments: object) -> Sequence[T] | None:
        """Return the owner's answer, which must be a sequence of ``kind`` or None."""
        return self._read(hook, media_type, partial(check_all, kind), **arguments)

    def _read(self, hook: str, media_type: str, read: Callable[[Any], T], /, **arguments: object) -> T | None:
        """Return what ``read`` makes of the owner's answer, or None; nobody owns what is stored without its plugin."""
        owner = self._owners.get(media_type)
        return None if owner is None else self._call(owner[0], hook, read, **arguments)

    def _read_artifact(
        self, hook: str, read: Callable[[Any], T], manifest: ParsedManifest, content: ContentReader
    ) -> T | None:
        """Return what ``read`` makes of the answer of the artifact type's owner, None where nobody owns it."""
        owner = self._artifacts.get(manifest.artifact_type)
        return None if owner is None else self._call(owner, hook, read, manifest=manifest, content=content)

    def _call(self, plugin: str, hook: str, read: Callable[[Any], T], /, **arguments: object) -> T | None:
        try:
            answer: T | None = self.calls.call(plugin, hook, read, **arguments)
        except StorageError as error:
            raise Unavailable("the storage does not answer") from error
        except PluginBlocked:  # which counts as not installed
            return None
        except PluginBroke as error:
            raise _without_content(error) or PluginFailed.of(error) from error
        return answer

    def _claims(self, hook: str, claimed: Callable[[Any], Mapping[str, T]]) -> dict[str, tuple[str, T]]:
        """Collect what each plugin answers to ``hook``, refusing a second claimant by both names."""
        claims: dict[str, tuple[str, T]] = {}
        for name in self.calls.plugins(hook):
            answer: Mapping[str, T] = self.calls.claim(name, hook, claimed) or {}
            for key, value in answer.items():
                if key in claims:
                    raise PluginError(f"{key} is claimed by two plugins: {claims[key][0]} and {name}")
                claims[key] = (name, value)
        return claims


def _without_content(error: PluginBroke) -> ManifestInvalid | None:
    """Return the refusal of a manifest whose format cannot do without content that it cannot read."""
    detail = {"plugin": error.plugin, "hook": error.hook}
    if isinstance(error.__cause__, ContentMissing):
        missing = readable(str(error.__cause__))
        return ManifestInvalid(
            f"plugin {error.plugin} needs {missing} in {error.hook}, which is not here", detail=detail
        )
    if isinstance(error.__cause__, ContentTooLarge):
        reason = readable(str(error.__cause__))
        return ManifestInvalid(f"plugin {error.plugin} cannot go on in {error.hook}: {reason}", detail=detail)
    return None

"""Labels: which a manifest carries, which take effect, and what that does to its tags."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.hooks.facade import Hooks
from registry.hooks.ports import ContentMissing, ContentReader
from registry.hooks.types import (
    Descriptor,
    Effect,
    ExpireTag,
    KeepLast,
    LabelValueRefused,
    ParsedManifest,
    Pin,
    ProtectTag,
)
from registry.repositories.tag_values import Family, TagEffects

MAX_LIFE = timedelta(days=36500)
MAX_LABELS = 4096
MANIFEST, API = "manifest", "api"
"""Sources of labels: the pushed content, and the API."""
_log = logging.getLogger(__name__)


Label = tuple[str, str]
"""A label's key and value."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A label to store; ``warning`` says why its action refused the value."""

    key: str
    value: str
    media_type: str
    warning: str


@dataclass(frozen=True, slots=True)
class LabelVerdict:
    """What labels make happen to each tag, whether they pin the manifest, and warnings by label."""

    effects: TagEffects
    pin: bool
    warnings: Mapping[Label, str]


def labels_to_apply(
    hooks: Hooks,
    content: ContentReader,
    manifest: ParsedManifest,
    children: Sequence[Descriptor],
    own: Mapping[str, str],
) -> Mapping[str, str]:
    """Return the labels that take effect: the manifest's own, over those that all its images share.

    A child that is not there counts as an image without labels; attestations and artifacts do not count.
    """
    if not children:
        return own
    shared: set[tuple[str, str]] | None = None
    for labels in _image_labels(hooks, content, children, {Digest.of(manifest.digest_bytes)}):
        shared = set(labels.items()) if shared is None else shared & set(labels.items())
        if not shared:
            break
    return {**dict(sorted(shared or ())), **own}


def _image_labels(
    hooks: Hooks, content: ContentReader, children: Sequence[Descriptor], seen: set[Digest]
) -> Iterator[Mapping[str, str]]:
    for child in children:
        if child.digest in seen or child.auxiliary:
            continue
        seen.add(child.digest)
        try:
            parsed = content.manifest(child.digest)
        except ContentMissing:
            if hooks.owns(child.media_type):
                yield {}
            continue
        if parsed.is_image:
            yield hooks.labels(parsed, content)
        else:
            yield from _image_labels(hooks, content, hooks.children(parsed), seen)


def judge(hooks: Hooks, labels: Iterable[Label], manifest: Digest) -> LabelVerdict:
    """Run the label actions; a refused value becomes a warning and has no effect.

    Of several expiries the earliest wins, of several families the one that keeps the fewest; protection beats any
    expiry.
    """
    found: list[Effect] = []
    families: list[Family] = []
    warnings: dict[Label, str] = {}
    for key, value in labels:
        action = hooks.label_actions.get(key)
        if action is None:
            continue
        try:
            effects = [_checked(effect) for effect in action.effects(value)]
        except LabelValueRefused as refusal:
            warnings[key, value] = str(refusal)
        except Exception as error:  # noqa: BLE001 - a plugin's failure must not refuse a push
            warnings[key, value] = f"the label's action failed: {type(error).__name__}: {error}"
        else:
            found += effects
            families += [_family(key, value, effect) for effect in effects if isinstance(effect, KeepLast)]
    for (key, _), warning in warnings.items():
        _log.warning("label %s of %s has no effect: %s", key, manifest, warning)
    protected = any(isinstance(effect, ProtectTag) for effect in found)
    lives = [effect.after for effect in found if isinstance(effect, ExpireTag)]
    return LabelVerdict(
        TagEffects(
            lives_ms=_life_ms(min(lives)) if lives and not protected else None,
            immutable=protected,
            family=min(families, key=lambda family: family.last, default=None),
        ),
        pin=any(isinstance(effect, Pin) for effect in found),
        warnings=warnings,
    )


def _checked(effect: Effect) -> Effect:
    """Return a plugin's effect; raises :class:`TypeError` or :class:`ValueError` where it cannot be applied."""
    match effect:
        case ExpireTag(after):
            _life_ms(after)
        case KeepLast(count):
            if count < 1:
                raise ValueError("a family keeps one tag at least")
        case ProtectTag() | Pin():
            pass
        case _:
            raise TypeError(f"{effect!r} is no effect")
    return effect


def _life_ms(life: timedelta) -> int:
    return min(max(life, timedelta(milliseconds=1)), MAX_LIFE) // timedelta(milliseconds=1)


def _family(key: str, value: str, effect: KeepLast) -> Family:
    return Family(Digest.of(f"{key}={value}".encode()).encoded, effect.count)


def label_rows(labels: Mapping[str, str], warnings: Mapping[Label, str]) -> list[LabelRow]:
    """Return the rows of a manifest's own labels; raise :class:`ManifestInvalid` for more than 4096 of them."""
    if len(labels) > MAX_LABELS:
        raise ManifestInvalid("too many labels", detail={"labels": len(labels), "limit": MAX_LABELS})
    return [LabelRow(key, value, media_type_of(value), warnings.get((key, value), "")) for key, value in labels.items()]


def media_type_of(value: str) -> str:
    """Only a JSON object or array is called JSON: ``1`` and ``true`` are words like any other."""
    if value.lstrip()[:1] not in ("{", "["):
        return "text/plain"
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return "text/plain"
    return "application/json"

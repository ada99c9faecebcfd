"""Labels: which a manifest carries, which take effect, and what that does to its tags."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from registry.digest import Digest
from registry.errors import ManifestInvalid
from registry.hooks.calls import PluginBroke
from registry.hooks.facade import Hooks
from registry.hooks.ports import ContentMissing, ContentReader
from registry.hooks.types import (
    Descriptor,
    Effect,
    EmitEvent,
    ExpireTag,
    KeepLast,
    LabelValueRefused,
    ParsedManifest,
    Pin,
    ProtectTag,
)
from registry.repositories.tag_values import Family, LabelEvent, LifeBounds, TagEffects
from registry.texts import readable

MAX_LABELS = 4096
_MAX_FAMILY = 2**31
_MAX_NAME, _MAX_DATA = 128, 64 * 1024
_EVENT_NAME = re.compile(r"[a-z0-9]+(?:[.-][a-z0-9]+)*")
_MS = timedelta(milliseconds=1)
MANIFEST, API = "manifest", "api"
"""Sources of labels: the pushed content, and the API."""
_log = logging.getLogger(__name__)


Label = tuple[str, str]
"""A label's key and value."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A label to store; ``warning`` says what its action found odd about the value."""

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


@dataclass(frozen=True, slots=True)
class AddedLabels:
    """The labels that the API added to a manifest; ``mark`` is another one whenever they are others."""

    labels: Sequence[Label] = ()
    mark: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the labels of a stored manifest make happen; only for as long as ``mark`` is that of its added labels.

    ``manifest`` is what is stored, as its owner reads it; ``labels`` are those that take effect, and added ones.
    ``pins`` tells, by digest, of each deleted manifest that it consists of, itself included, whether labels pin
    that one: it is pinned again when it comes back.
    """

    effects: TagEffects
    mark: tuple[int, int]
    pins: Mapping[str, bool]
    manifest: ParsedManifest
    labels: Mapping[str, str]


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


def together(own: Mapping[str, str], added: Iterable[Label]) -> Mapping[str, str]:
    """Return a manifest's labels by key: what came with it wins, of what was added the latest does."""
    return {**dict(added), **own}


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


def judge(hooks: Hooks, labels: Iterable[Label], bounds: LifeBounds) -> LabelVerdict:
    """Run the label actions; a refused value becomes a warning and has no effect.

    Of several expiries the earliest wins, of several families the one that keeps the fewest; protection beats any
    expiry. A life beyond ``bounds`` is brought within them, with a warning.
    """
    found: list[Effect] = []
    lives: list[int] = []
    families: list[Family] = []
    events: list[LabelEvent] = []
    warnings: dict[Label, str] = {}
    for key, value in labels:
        try:
            effects = hooks.label_effects(key, value, lambda named: [_checked(effect) for effect in named])
        except LabelValueRefused as refusal:
            warnings[key, value] = readable(str(refusal))
            continue
        except PluginBroke as error:  # which must not refuse a push
            warnings[key, value] = readable(f"the label's action failed: {error.reason}")
            continue
        found += effects
        families += [_family(key, value, effect) for effect in effects if isinstance(effect, KeepLast)]
        events += [
            LabelEvent(key, value, effect.name, effect.data) for effect in effects if isinstance(effect, EmitEvent)
        ]
        for asked in (effect.after // _MS for effect in effects if isinstance(effect, ExpireTag)):
            lives.append(bounds.within(asked))
            if lives[-1] != asked:
                warnings[key, value] = f"a tag cannot be given this life: it is brought to {lives[-1] * _MS}"
    protected = any(isinstance(effect, ProtectTag) for effect in found)
    return LabelVerdict(
        TagEffects(
            lives_ms=min(lives) if lives and not protected else None,
            immutable=protected,
            family=min(families, key=lambda family: family.last, default=None),
            events=tuple(events),
        ),
        pin=any(isinstance(effect, Pin) for effect in found),
        warnings=warnings,
    )


def log_warnings(manifest: Digest, warnings: Mapping[Label, str]) -> None:
    """Log what is odd about a manifest's labels, also those of its children, which have no rows of their own here."""
    for (key, _), warning in warnings.items():
        _log.warning("label %s of %s: %s", key, manifest, warning)


def _checked(effect: Effect) -> Effect:
    """Return a plugin's effect; raises :class:`TypeError` or :class:`ValueError` where it cannot be applied."""
    match effect:
        case ExpireTag(after):
            if after <= timedelta():
                raise ValueError("a tag lives for some time at least")
        case KeepLast(int(count)) if count >= 1:
            pass
        case KeepLast():
            raise ValueError("a family keeps a whole number of tags, one at least")
        case ProtectTag() | Pin():
            pass
        case EmitEvent(name, data):
            return EmitEvent(name, _event_data(name, data))
        case _:
            raise TypeError(f"{effect!r} is no effect")
    return effect


def _event_data(name: object, data: object) -> Mapping[str, object]:
    """Return the data of an event, copied; raises :class:`TypeError` or :class:`ValueError` for what is none."""
    if not isinstance(name, str) or len(name) > _MAX_NAME or _EVENT_NAME.fullmatch(name) is None:
        raise ValueError(f"an event is called by up to {_MAX_NAME} of a-z, 0-9, dots and dashes, not {name!r}")
    if not isinstance(data, Mapping):
        raise TypeError("an event's data is a mapping")
    text = json.dumps(dict(data), allow_nan=False)
    if len(text) > _MAX_DATA:
        raise ValueError(f"an event's data is {_MAX_DATA} bytes long at most")
    copy: dict[str, object] = json.loads(text)
    return copy


def _family(key: str, value: str, effect: KeepLast) -> Family:
    return Family(Digest.of(f"{key}={value}".encode()).encoded, min(effect.count, _MAX_FAMILY))


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

"""Reading what plugins answer: checked as deep as the core relies on it, and copied: nobody changes it later."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from registry.digest import Digest
from registry.hooks.broken import WrongAnswer
from registry.hooks.types import BlobReference, Descriptor, LabelAction, LegacyImage, ParsedManifest

T = TypeVar("T")


def check(kind: type[T], value: object) -> T:
    """Return ``value``; raises :class:`WrongAnswer` where it is not of ``kind``."""
    if not isinstance(value, kind):
        raise WrongAnswer.of(value)
    return value


def check_all(kind: type[T], values: object) -> Sequence[T]:
    """Return a copy of ``values``; raises :class:`WrongAnswer` where they are no sequence of ``kind``."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise WrongAnswer.of(values)
    return tuple(check(kind, value) for value in values)


def labels(answer: object) -> Mapping[str, str]:
    """Return a copy of labels without empty keys."""
    if not isinstance(answer, Mapping):
        raise WrongAnswer.of(answer)
    return {check(str, key): check(str, value) for key, value in answer.items() if key != ""}


def manifest(answer: object) -> ParsedManifest:
    """Return a parsed manifest whose parts are what they should be."""
    parsed = check(ParsedManifest, answer)
    for name, kind in _PARTS:
        _part("ParsedManifest", parsed, name, kind)
    for blob in check_all(BlobReference, parsed.blobs):
        descriptor(blob.descriptor)
    descriptors(parsed.children)
    for one in (parsed.config, parsed.subject):
        if one is not None:
            descriptor(one)
    labels(parsed.annotations)
    return parsed


def descriptors(answer: object) -> Sequence[Descriptor]:
    """Return a copy of descriptors whose parts are what they should be."""
    return tuple(descriptor(one) for one in check_all(Descriptor, answer))


def descriptor(answer: object) -> Descriptor:
    """Return a descriptor whose parts are what they should be."""
    one = check(Descriptor, answer)
    _part("Descriptor", one, "digest", Digest)
    _part("Descriptor", one, "size", int)
    _part("Descriptor", one, "media_type", str)
    labels(one.annotations)
    return one


def legacy_images(answer: object) -> Sequence[LegacyImage]:
    """Return a copy of Docker v1 images whose parts are what they should be."""
    images = check_all(LegacyImage, answer)
    for image in images:
        _part("LegacyImage", image, "image_id", str)
        _part("LegacyImage", image, "blob", Digest)
    return images


def actions(answer: Iterable[LabelAction]) -> Mapping[str, LabelAction]:
    """Return label actions by key."""
    return {check(LabelAction, action).key: action for action in answer}


def listed(answer: Iterable[str]) -> Mapping[str, None]:
    """Return texts once each; raises :class:`TypeError` for the text that was meant as a list of one."""
    if isinstance(answer, str):
        raise TypeError("a list of media types is expected, not a text")
    return dict.fromkeys(check(str, one) for one in answer)


_PARTS = (("payload", bytes), ("digest_bytes", bytes), ("media_type", str), ("artifact_type", str), ("is_image", bool))


def _part(owner: str, value: object, name: str, kind: type) -> None:
    part = getattr(value, name)
    if not isinstance(part, kind):
        raise WrongAnswer(f"it returned a {owner} whose {name} is a {type(part).__name__}, not {kind.__name__}")

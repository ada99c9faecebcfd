"""What rules find at a manifest. An index is judged by each of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from moorage_admission.rules import Rule
from registry.hooks import ContentMissing, Descriptor, Digest, ParsedManifest, RepositoryReader

BASE_DIGEST, BASE_NAME = "org.opencontainers.image.base.digest", "org.opencontainers.image.base.name"
_SHOWN = 200
_MOST_IMAGES = 1000


@dataclass(frozen=True)
class Finding:
    """What a rule has to say against a manifest, or a tag."""

    rule: str
    action: str
    text: str


@dataclass(frozen=True)
class _Subject:
    """A manifest to judge; ``which`` names it where it is one of several."""

    manifest: ParsedManifest
    labels: Mapping[str, str]
    which: str = ""


def judge(
    rules: Iterable[Rule], reader: RepositoryReader, manifest: ParsedManifest, labels: Mapping[str, str], tag: str = ""
) -> Iterator[Finding]:
    """Yield what ``rules`` find at a manifest of the reader's repository, for ``tag`` if there is one."""
    concerned = [rule for rule in rules if _holds(rule, reader.name, tag)]
    if not concerned:
        return
    try:
        subjects = list(_subjects(reader, manifest, labels))
    except ContentMissing as error:
        for rule in concerned:
            yield _finding(rule, f"{error} of the index is not here, so nobody can tell what it is")
        return
    for rule in concerned:
        yield from (_finding(rule, text) for text in _against(rule, manifest, subjects, tag))


def _holds(rule: Rule, repository: str, tag: str) -> bool:
    return _matches(repository, rule.repositories) and (not rule.tags or _matches(tag, rule.tags))


def _finding(rule: Rule, text: str) -> Finding:
    return Finding(rule.name, rule.action, f"rule {rule.name}: {text}" if rule.name else text)


def _subjects(reader: RepositoryReader, manifest: ParsedManifest, labels: Mapping[str, str]) -> Iterator[_Subject]:
    """Yield the manifest, or each that an index offers; one that offers nothing is judged itself."""
    waiting = _offered(manifest)
    if not waiting:
        yield _Subject(manifest, labels)
    seen: set[Digest] = set()
    while waiting:
        child = waiting.pop(0)
        if child.digest in seen:
            continue
        seen.add(child.digest)
        if len(seen) > _MOST_IMAGES:
            raise ContentMissing(f"more than {_MOST_IMAGES} images: the rest")
        found = reader.manifest(child.digest)
        if offered := _offered(found):
            waiting += offered
        else:
            yield _Subject(found, reader.labels(child.digest), f"{child.digest}: ")


def _offered(manifest: ParsedManifest) -> list[Descriptor]:
    """Return what an index consists of but for what only tells about the others."""
    return [child for child in manifest.children if not child.auxiliary]


def _concerns(rule: Rule, manifest: ParsedManifest) -> bool:
    """Tell whether the rule is about such a manifest; every one is about an index that offers nothing."""
    return rule.subjects == "all" or bool(manifest.children) or manifest.is_image == (rule.subjects == "images")


def _against(rule: Rule, manifest: ParsedManifest, subjects: Iterable[_Subject], tag: str) -> Iterator[str]:
    judged = [one for one in subjects if _concerns(rule, one.manifest)]
    if not judged:
        return
    if rule.tag_names and not _matches(tag, rule.tag_names):
        yield f"a tag is named like {_list(rule.tag_names)}, not {tag}"
    if _offered(manifest):
        yield from _of_type(rule, manifest, "")
    for one in judged:
        yield from _of_type(rule, one.manifest, one.which)
        for kind, wanted, there in (
            ("annotation", rule.annotations, one.manifest.annotations),
            ("label", rule.labels, one.labels),
        ):
            yield from (one.which + text for text in _lacking(kind, wanted, there))
        yield from (one.which + text for text in _base(rule, one.labels))
        yield from (one.which + text for text in _limits(rule, one.manifest))


def _of_type(rule: Rule, manifest: ParsedManifest, which: str) -> Iterator[str]:
    for what, found, allowed in (
        ("media type", manifest.media_type, rule.media_types),
        ("artifact type", manifest.artifact_type, rule.artifact_types),
    ):
        if allowed and not _matches(found, allowed):
            yield f"{which}the {what} {found[:_SHOWN] or '(none)'} is not allowed here"


def _lacking(kind: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    for key, pattern in wanted.items():
        if key not in there:
            yield f"the {kind} {key} is missing"
        elif not fnmatchcase(there[key], pattern):
            yield f"the {kind} {key} is {there[key][:_SHOWN]!r}, and not like {pattern!r}"


def _base(rule: Rule, labels: Mapping[str, str]) -> Iterator[str]:
    if not (rule.base_digests or rule.base_names):
        return
    digest, name = labels.get(BASE_DIGEST, ""), labels.get(BASE_NAME, "")
    if not (digest or name):
        yield f"it does not say which image it is based on ({BASE_DIGEST} or {BASE_NAME})"
    elif not (digest in rule.base_digests or (name and _matches(name, rule.base_names))):
        yield f"the base image {(name or digest)[:_SHOWN]} is not allowed here"


def _limits(rule: Rule, manifest: ParsedManifest) -> Iterator[str]:
    layers = [blob.descriptor for blob in manifest.blobs if blob.descriptor != manifest.config]
    size = sum(max(layer.size, 0) for layer in layers)  # of schema 1 no sizes are known
    if rule.max_layers and len(layers) > rule.max_layers:
        yield f"it has {len(layers)} layers, and {rule.max_layers} are allowed"
    if rule.max_size and size > rule.max_size:
        yield f"its layers have {size} bytes, and {rule.max_size} are allowed"


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _list(patterns: Iterable[str]) -> str:
    return " or ".join(patterns)

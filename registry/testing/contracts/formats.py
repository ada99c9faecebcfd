"""What every manifest format must do.

::

    class TestRecipe(FormatContract):
        plugin = moorage_recipe
        good = (Manifest(b'{"title": "Pie"}', moorage_recipe.RECIPE),)
        bad = {"no title": Blob(b"{}", moorage_recipe.RECIPE)}
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pytest

from registry.digest import Digest
from registry.hooks import ContentReader, ContentTooLarge, ManifestInvalid, ParsedManifest
from registry.hooks.ports import MAX_READ
from registry.testing.client import Refused, RegistryClient
from registry.testing.content import DictContent, content_of
from registry.testing.contracts import hostile
from registry.testing.contracts.answers import REFUSALS, assert_answers, assert_typed, children_of
from registry.testing.hooks import Implementations
from registry.testing.images import Blob, Manifest

__all__ = ["FormatContract"]

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9][\w!#$&^.+-]{0,126}/[A-Za-z0-9][\w!#$&^.+-]{0,126}")  # RFC 6838, 4.2
_LONGEST_REASON = 1000
_REPOSITORY = "contract/format"


class _TooLarge(DictContent):
    """Content of which everything is longer than anybody reads."""

    def read(self, digest: Digest, limit: int = MAX_READ) -> bytes:
        raise ContentTooLarge(f"{digest} is longer than {limit}")


class FormatContract:
    """Subclass it, and name the ``plugin``, some ``good`` manifests and some ``bad`` ones."""

    plugin: object
    """The module, or object, that implements the format's hooks."""
    good: Sequence[Manifest]
    """Manifests that the format takes, each with the blobs and children that it needs."""
    bad: Mapping[str, Blob]
    """Manifests that it refuses, each under what is wrong with it."""

    @pytest.fixture
    def moorage_plugins(self) -> Sequence[object]:
        """Return what the registry of these tests has."""
        return [self.plugin]

    @pytest.fixture
    def hooks(self) -> Implementations:
        """Return the plugin's hooks."""
        return Implementations(self.plugin)

    def test_it_names_its_media_types(self, hooks: Implementations) -> None:
        """``manifest_media_types`` returns a list of media types (RFC 6838), none twice, and none that others own."""
        named = hooks.call("manifest_media_types")
        assert not isinstance(named, str), "return a list of media types, not one text"
        assert isinstance(named, Sequence | set | frozenset), f"return a list of media types, not {named!r}"
        assert named, "a format owns one media type at least"
        for media_type in named:
            assert isinstance(media_type, str), f"{media_type!r} is no text"
            assert _MEDIA_TYPE.fullmatch(media_type), f"{media_type!r} is no media type"
        assert len(set(named)) == len(list(named)), "a media type is named twice"

    def test_there_are_examples(self, hooks: Implementations) -> None:
        """``good`` and ``bad`` hold one manifest each at least, of media types that the plugin owns."""
        owned = hooks.call("manifest_media_types")
        assert self.good, "give good manifests, which the format takes"
        assert self.bad, "give bad manifests, which the format refuses"
        for manifest in (*self.good, *self.bad.values()):
            assert isinstance(owned, Sequence | set | frozenset)
            assert manifest.media_type in owned, f"the plugin does not own {manifest.media_type}"

    def test_a_good_manifest_is_parsed(self, hooks: Implementations) -> None:
        """``parse_manifest`` keeps the very bytes and the media type, and names digests and sizes of what it needs."""
        for manifest in self.good:
            parsed = _parse(hooks, manifest)
            assert isinstance(parsed, ParsedManifest), f"return a ParsedManifest, not {parsed!r}"
            assert parsed.payload == manifest.data, "payload is the very bytes that were pushed"
            assert parsed.media_type == manifest.media_type, "media_type is the one that was asked for"
            assert _parse(hooks, manifest) == parsed, "the same bytes are parsed the same way each time"
            named = {str(blob.descriptor.digest) for blob in parsed.blobs}
            named |= {str(child.digest) for child in children_of(hooks, parsed)}
            missing = [part.digest for part in manifest.walk() if part is not manifest and part.digest not in named]
            deeper = {part.digest for child in manifest.children for part in child.walk() if part is not child}
            assert not set(missing) - deeper, f"the example needs {missing}, which parse_manifest does not name"

    def test_what_is_parsed_is_made_of_values(self, hooks: Implementations) -> None:
        """``blobs`` are BlobReferences, ``children`` and ``subject`` Descriptors, ``annotations`` texts by text."""
        for manifest in self.good:
            assert_typed(_parse(hooks, manifest))

    def test_a_bad_manifest_is_refused_with_a_reason(self, hooks: Implementations) -> None:
        """``parse_manifest`` or ``validate_manifest`` raises ManifestInvalid, whose message says what is wrong."""
        for wrong, manifest in self.bad.items():
            try:
                hooks.call("validate_manifest", manifest=_parse(hooks, manifest), content=_content(self, manifest))
            except REFUSALS as refused:
                reason = refused.message
            else:
                pytest.fail(f"a manifest with {wrong} is taken")
            assert reason != ManifestInvalid.summary, f"say what is wrong with it: {wrong}"
            assert len(reason) < _LONGEST_REASON, f"a reason of {len(reason)} characters is read by nobody"

    def test_hostile_bytes_are_parsed_or_refused(self, hooks: Implementations) -> None:
        """Whatever bytes come, ``parse_manifest`` returns a ParsedManifest or raises ManifestInvalid, nothing else.

        (``Digest.parse`` raises the registry's own DigestInvalid, which is as good.)
        :func:`registry.hooks.decode_object` refuses most of it; check the type of each value that is read.
        """
        for media_type, what, payload in _hostile(hooks, self.good):
            try:
                parsed = hooks.call("parse_manifest", media_type=media_type, payload=payload)
            except REFUSALS:
                continue
            except Exception as error:  # noqa: BLE001 - whatever it is, it is told
                pytest.fail(f"{what}: raises {type(error).__name__}: {error}\n{payload[:300]!r}")
            if parsed is not None:
                assert isinstance(parsed, ParsedManifest), f"{what}: return a ParsedManifest, not {parsed!r}"
                assert parsed.payload == payload, f"{what}: payload is the very bytes that were pushed"
                assert_typed(parsed)

    def test_what_was_parsed_passes_the_other_hooks(self, hooks: Implementations) -> None:
        """A hook that is called on what the format itself took returns what the contract says; so do odd documents."""
        for manifest in self.good:
            assert_answers(hooks, _parse(hooks, manifest), _content(self, manifest))
        for media_type, what, payload in _hostile(hooks, self.good):
            try:
                parsed = hooks.call("parse_manifest", media_type=media_type, payload=payload)
            except REFUSALS:
                continue
            if isinstance(parsed, ParsedManifest):
                assert_answers(hooks, parsed, _content(self, *self.good), what)

    @pytest.mark.parametrize("content", [DictContent(), _TooLarge()], ids=["missing", "too-large"])
    def test_content_may_be_missing_or_too_large(self, hooks: Implementations, content: ContentReader) -> None:
        """A hook that reads content catches ContentMissing (sparse manifests) and ContentTooLarge (4 MiB at most)."""
        for manifest in self.good:
            assert_answers(hooks, _parse(hooks, manifest), content, "content that cannot be read")

    def test_a_registry_takes_it_and_gives_the_same_bytes_back(self, moorage_client: RegistryClient) -> None:
        """A good manifest is pushed by tag and by digest, and pulled as the very bytes under the same digest."""
        for number, manifest in enumerate(self.good):
            for part in manifest.walk():
                if part is not manifest:
                    _push_part(moorage_client, part)
            answer = moorage_client.http.put(
                f"/v2/{_REPOSITORY}/manifests/v{number}",
                content=manifest.data,
                headers={"Content-Type": manifest.media_type},
            )
            assert answer.status_code == 201, f"the push of a good manifest was answered {answer.text}"
            digest = answer.headers["Docker-Content-Digest"]
            for reference in (f"v{number}", digest):
                headers = {"Accept": manifest.media_type}
                pulled = moorage_client.http.get(f"/v2/{_REPOSITORY}/manifests/{reference}", headers=headers)
                assert pulled.content == manifest.data, "a pull returns the very bytes that were pushed"
                assert pulled.headers["Content-Type"] == manifest.media_type

    def test_a_registry_refuses_what_is_bad_with_400(self, moorage_client: RegistryClient) -> None:
        """A bad manifest, with all that it names pushed, is answered 400, never 500."""
        for wrong, manifest in self.bad.items():
            if isinstance(manifest, Manifest):
                for part in manifest.walk():
                    if part is not manifest:
                        _push_part(moorage_client, part)
            with pytest.raises(Refused) as refused:
                moorage_client.put_manifest(_REPOSITORY, manifest, "v1")
            assert refused.value.status == 400, f"{wrong}: {refused.value}"

    def test_a_registry_wants_all_that_is_named(self, moorage_client: RegistryClient) -> None:
        """A manifest whose blobs or children are not in the repository is answered 404 MANIFEST_BLOB_UNKNOWN.

        So ``parse_manifest`` names them all: what it does not name is collected as garbage.
        """
        for manifest in self.good:
            if len(list(manifest.walk())) > 1:
                with pytest.raises(Refused) as refused:
                    moorage_client.put_manifest(f"{_REPOSITORY}/empty", manifest, "v1")
                assert (refused.value.status, refused.value.code) == (404, "MANIFEST_BLOB_UNKNOWN"), str(refused.value)


def _parse(hooks: Implementations, manifest: Blob) -> ParsedManifest:
    parsed = hooks.call("parse_manifest", media_type=manifest.media_type, payload=manifest.data)
    assert isinstance(parsed, ParsedManifest), f"parse_manifest returned {parsed!r}, not a ParsedManifest"
    return parsed


def _content(contract: FormatContract, *manifests: Blob) -> DictContent:
    return content_of(*(one for one in manifests if isinstance(one, Manifest)), formats=[contract.plugin])


def _push_part(client: RegistryClient, part: Blob) -> None:
    if isinstance(part, Manifest):
        client.put_manifest(_REPOSITORY, part, part.digest)
    else:
        client.push_blob(_REPOSITORY, part)


def _hostile(hooks: Implementations, good: Sequence[Manifest]) -> Iterator[tuple[str, str, bytes]]:
    owned = hooks.call("manifest_media_types")
    assert isinstance(owned, Sequence | set | frozenset)
    for media_type in owned:
        yield from ((media_type, what, payload) for what, payload in hostile.payloads())
    for manifest in good:
        yield from ((manifest.media_type, what, payload) for what, payload in hostile.documents(manifest.data))

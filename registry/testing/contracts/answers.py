"""Whether what a format answers is what its hooks are declared to return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from registry import signing
from registry.digest import Digest
from registry.errors import DigestInvalid
from registry.hooks import (
    BlobReference,
    ContentReader,
    ConversionRequest,
    Descriptor,
    Layer,
    LegacyImage,
    ManifestInvalid,
    ParsedManifest,
    SignatureParts,
)
from registry.testing.hooks import Implementations
from registry.testing.images import OCI

__all__ = ["REFUSALS", "assert_answers", "assert_typed", "children_of"]

T = TypeVar("T")
REFUSALS = (ManifestInvalid, DigestInvalid)
"""What a format may raise: the client is answered 400 with the reason."""
_WANTED = (OCI.manifest, "application/vnd.example.nobody")


def assert_answers(
    hooks: Implementations, parsed: ParsedManifest, content: ContentReader, what: str = "a good manifest"
) -> None:
    """Call every other hook on what the format parsed, as a push and a pull do.

    A hook may refuse it as invalid; raises AssertionError for anything else, telling that it happened with ``what``.
    """
    arguments = {"manifest": parsed, "content": content}
    hook = "validate_manifest"
    try:
        hooks.call(hook, **arguments)
        for hook in ("manifest_layers", "manifest_labels", "needs_empty_layer"):
            _assert_one(hook, hooks.call(hook, **arguments))
        hook = "manifest_children"
        for child in children_of(hooks, parsed):
            _assert_descriptor(child)
        hook = "legacy_image_ids"
        ids = _sequence(hooks.call(hook, **arguments) or (), str, hook)
        hook = "legacy_images"
        images = _sequence(hooks.call(hook, **arguments, taken={}) or (), LegacyImage, hook)
        assert [one.image_id for one in images] == list(ids), "with no id taken, legacy_images are those asked for"
        hook = "convert_manifest"
        for wanted in _WANTED:
            request = ConversionRequest(wanted, "contract/format", "v1", _signer())
            _assert_one(hook, hooks.call(hook, **arguments, request=request))
    except REFUSALS:
        return
    except AssertionError as error:
        raise AssertionError(f"{what}: {error}") from None
    except Exception as error:
        raise AssertionError(f"{hook} raises {type(error).__name__} for {what}: {error}") from error


def _assert_one(hook: str, answer: object) -> None:
    if answer is None:
        return
    if hook == "manifest_layers":
        _sequence(answer, Layer, hook)
    elif hook == "manifest_labels":
        _assert_texts(answer, hook)
    elif hook == "needs_empty_layer":
        assert isinstance(answer, bool), f"{hook} returns a boolean, not {answer!r}"
    else:
        assert isinstance(answer, ParsedManifest), f"{hook} returns a ParsedManifest or None, not {answer!r}"
        assert_typed(answer)


def _signer() -> Callable[[bytes], SignatureParts]:
    key = signing.generate_private_key_pem()
    return lambda payload: signing.sign_schema1(key, payload)


def assert_typed(parsed: ParsedManifest) -> None:
    """Check what a ParsedManifest holds."""
    assert isinstance(parsed.digest_bytes, bytes), "digest_bytes are the bytes that the digest is of"
    for blob in parsed.blobs:
        assert isinstance(blob, BlobReference), f"blobs are BlobReferences, not {blob!r}"
        _assert_descriptor(blob.descriptor, least=-1)
    for child in parsed.children:
        _assert_descriptor(child)
    if parsed.subject is not None:
        _assert_descriptor(parsed.subject)
    if parsed.config is not None:
        _assert_descriptor(parsed.config)
        digests = [blob.descriptor.digest for blob in parsed.blobs]
        assert parsed.config.digest in digests, "config is also among blobs"
    _assert_texts(parsed.annotations, "annotations")
    assert isinstance(parsed.artifact_type, str), f"artifact_type is a text, not {parsed.artifact_type!r}"
    assert isinstance(parsed.is_image, bool), f"is_image is a boolean, not {parsed.is_image!r}"


def _assert_descriptor(value: object, least: int = 0) -> None:
    assert isinstance(value, Descriptor), f"{value!r} is no Descriptor"
    assert isinstance(value.digest, Digest), f"{value.digest!r} is no Digest: Digest.parse(text) makes one"
    assert isinstance(value.media_type, str), f"{value.media_type!r} is no text"
    assert isinstance(value.size, int), f"size is a number of bytes, not {value.size!r}"
    assert not isinstance(value.size, bool), f"size is a number of bytes, not {value.size!r}"
    assert value.size >= least, f"a size of {value.size} bytes means nothing"


def _assert_texts(value: object, what: str) -> None:
    assert isinstance(value, Mapping), f"{what} are texts by text, not {value!r}"
    for pair in value.items():
        assert all(isinstance(text, str) for text in pair), f"{what} are texts by text, not {pair!r}"


def children_of(hooks: Implementations, parsed: ParsedManifest) -> Sequence[Descriptor]:
    """Return the manifests that this one consists of, as the registry asks for them."""
    answer = hooks.call("manifest_children", manifest=parsed)
    return parsed.children if answer is None else _sequence(answer, Descriptor, "manifest_children")


def _sequence(answer: object, kind: type[T], hook: str) -> Sequence[T]:
    assert isinstance(answer, Sequence), f"{hook} returns a list, not {answer!r}"
    assert not isinstance(answer, str), f"{hook} returns a list, not one text"
    for item in answer:
        assert isinstance(item, kind), f"{hook} returns a list of {kind.__name__}, not of {item!r}"
    return answer

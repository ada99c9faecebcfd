"""What cosign stores beside an image, read as strictly as it can be: pure functions from bytes to a verdict.

Each checker returns where the bytes are what is wanted, and raises :class:`Unfit` with the reason otherwise. A
signature is verified before what it covers is read. Sources: cosign's SIGNATURE_SPEC and ATTESTATION_SPEC, DSSE 1.0
(protocol), in-toto Attestation Framework (statement v0.1 and v1), the Sigstore bundle format v0.3.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moorage_signed.keys import PublicKey
from registry.hooks import Descriptor, Digest, ManifestInvalid, decode_object

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SIGNATURE_ANNOTATION = "dev.cosignproject.cosign/signature"
SIMPLE_SIGNING_TYPE = "cosign container image signature"
IN_TOTO = "application/vnd.in-toto+json"
STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SIGNED_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
"""The predicate type of the statement that is a signature and nothing more."""
MAX_SIGNATURES = 8
"""The most signatures that are tried of one envelope."""
_HASHES = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}
_SHOWN = 80


class Unfit(Exception):
    """Not what is wanted; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for: the word of one of ``keys`` about ``digest``, which is the digest of ``content``.

    ``predicate_type`` is that of the attestation, :data:`SIGNED_PREDICATE` for a plain signature.
    """

    digest: Digest
    content: bytes
    keys: Sequence[PublicKey]
    predicate_type: str = SIGNED_PREDICATE


def check_simple_signing(payload: bytes, layer: Descriptor, wanted: Wanted) -> None:
    """Check a payload of simple signing, whose signature is an annotation of its layer."""
    _check_kind(SIGNED_PREDICATE, wanted)
    _check_signature(layer.annotations.get(SIGNATURE_ANNOTATION), payload, wanted)
    critical = _decoded(payload, "the payload").get("critical")
    image = critical.get("image") if isinstance(critical, dict) else None
    if not isinstance(critical, dict) or not isinstance(image, dict) or critical.get("type") != SIMPLE_SIGNING_TYPE:
        raise Unfit("its payload is no claim about an image")
    _check_digest([image.get("docker-manifest-digest")], wanted)


def check_envelope(payload: bytes, layer: Descriptor, wanted: Wanted) -> None:
    """Check an attestation: a DSSE envelope around an in-toto statement."""
    del layer  # its annotations repeat what the envelope says, and nobody signed them
    _check_dsse(_decoded(payload, "the envelope"), wanted)


def check_bundle(payload: bytes, layer: Descriptor, wanted: Wanted) -> None:
    """Check a Sigstore bundle with an envelope, or with a signature of the manifest's bytes."""
    del layer  # as above
    bundle = _decoded(payload, "the bundle")
    if bundle.get("mediaType") != BUNDLE:
        raise Unfit(f"its mediaType is {_short(bundle.get('mediaType'))}")
    envelope, message = bundle.get("dsseEnvelope"), bundle.get("messageSignature")
    if isinstance(envelope, dict) and message is None:
        _check_dsse(envelope, wanted)
    elif isinstance(message, dict) and envelope is None:
        _check_message(message, wanted)
    else:
        raise Unfit("it holds neither an envelope nor a signature")


Checker = Callable[[bytes, Descriptor, Wanted], None]
CHECKERS: Mapping[str, Checker] = {
    SIMPLE_SIGNING: check_simple_signing,
    ENVELOPE: check_envelope,
    BUNDLE: check_bundle,
}
"""What checks a layer, by its media type."""


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Return what a DSSE signature covers (DSSE protocol, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _check_dsse(envelope: Mapping[str, Any], wanted: Wanted) -> None:
    if envelope.get("payloadType") != IN_TOTO:
        raise Unfit(f"its payloadType is {_short(envelope.get('payloadType'))}")
    payload = _decoded_base64(envelope.get("payload"), "the payload")
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or not 1 <= len(signatures) <= MAX_SIGNATURES:
        raise Unfit(f"it has not 1 to {MAX_SIGNATURES} signatures")
    covered = pre_authentication_encoding(IN_TOTO, payload)
    for position, one in enumerate(signatures, start=1):
        try:
            _check_signature(one.get("sig") if isinstance(one, dict) else None, covered, wanted)
            break
        except Unfit:
            if position == len(signatures):
                raise
    _check_statement(_decoded(payload, "the statement"), wanted)


def _check_statement(statement: Mapping[str, Any], wanted: Wanted) -> None:
    if statement.get("_type") not in STATEMENTS:
        raise Unfit(f"its statement is of type {_short(statement.get('_type'))}")
    _check_kind(statement.get("predicateType"), wanted)
    subjects = statement.get("subject")
    named = [one.get("digest") for one in subjects if isinstance(one, dict)] if isinstance(subjects, list) else []
    digests = [digest for digest in named if isinstance(digest, dict)]
    _check_digest([f"{kind}:{encoded}" for digest in digests for kind, encoded in digest.items()], wanted)


def _check_message(message: Mapping[str, Any], wanted: Wanted) -> None:
    _check_kind(SIGNED_PREDICATE, wanted)
    stated = message.get("messageDigest")
    algorithm = _HASHES.get(str(stated.get("algorithm"))) if isinstance(stated, dict) else None
    if not isinstance(stated, dict) or algorithm is None:
        raise Unfit("its messageDigest is by no known algorithm")
    digest = _decoded_base64(stated.get("digest"), "the messageDigest")
    # The bundle's digest only tells what the signature is of: the signature itself is checked over the content.
    if digest != hashlib.new(algorithm, wanted.content).digest():
        raise Unfit(f"it is of {algorithm}:{digest.hex()[:12]}, not of this manifest")
    _check_signature(message.get("signature"), wanted.content, wanted)


def _check_signature(encoded: object, covered: bytes, wanted: Wanted) -> None:
    signature = _decoded_base64(encoded, "the signature")
    if not any(key.verifies(signature, covered) for key in wanted.keys):
        other = ", or in a way not checked here (Ed25519ph)" if any(key.is_ed25519 for key in wanted.keys) else ""
        raise Unfit(f"it was changed, or made by another key{other}")


def _check_kind(predicate_type: object, wanted: Wanted) -> None:
    if predicate_type == wanted.predicate_type:
        return
    if predicate_type == SIGNED_PREDICATE:
        raise Unfit("it is a signature, no attestation")
    raise Unfit(f"it is an attestation of type {_short(predicate_type)}")


def _check_digest(stated: Sequence[object], wanted: Wanted) -> None:
    if str(wanted.digest) not in stated:
        of = ", ".join(_short(one)[:19] for one in stated[:2]) or "nothing"
        raise Unfit(f"it is of {of}, not of this manifest")


def _decoded(payload: bytes, name: str) -> dict[str, Any]:
    try:
        return decode_object(payload)
    except ManifestInvalid as error:
        raise Unfit(f"{name} is {error.message}") from None


def _decoded_base64(text: object, name: str) -> bytes:
    """Decode base64 that is spelled in the one canonical way (RFC 4648, section 3.5)."""
    try:
        decoded = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        decoded = b""
    if not decoded or base64.b64encode(decoded).decode() != text:
        raise Unfit(f"{name} is no base64")
    return decoded


def _short(value: object) -> str:
    """Show a refused value on one line, without echoing unbounded input."""
    return (value if isinstance(value, str) and value.isprintable() else ascii(value))[:_SHOWN]

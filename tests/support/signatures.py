"""Signatures and attestations as cosign makes them, made here, so that a test can spoil any part of one."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from registry.digest import Digest
from registry.formats import oci_manifest
from registry.hooks import ContentMissing, ContentTooLarge, Descriptor, ParsedManifest
from registry.testing.images import OCI, Blob, Manifest, artifact, to_json

SIMPLE = "application/vnd.dev.cosign.simplesigning.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
SIGNED = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"

Private = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey


def encoded(data: bytes) -> str:
    """Return base64."""
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Signer:
    """A private key with the algorithm that it signs by."""

    key: Private
    sign: Callable[[bytes], bytes]

    @property
    def pem(self) -> str:
        """The public half, as a cosign.pub holds it."""
        return self.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def ecdsa_signer(curve: ec.EllipticCurve | None = None, algorithm: hashes.HashAlgorithm | None = None) -> Signer:
    """Make an ECDSA key; P-256 with SHA-256 is what `cosign generate-key-pair` makes."""
    key = ec.generate_private_key(curve or ec.SECP256R1())
    return Signer(key, lambda message: key.sign(message, ec.ECDSA(algorithm or hashes.SHA256())))


def rsa_signer(bits: int = 2048) -> Signer:
    """Make an RSA key that signs by PKCS #1 v1.5."""
    key = rsa.generate_private_key(65537, bits)
    return Signer(key, lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256()))


def with_pss(signer: Signer) -> Signer:
    """Let an RSA key sign by PSS."""
    assert isinstance(signer.key, rsa.RSAPrivateKey)
    key, padded = signer.key, padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
    return Signer(key, lambda message: key.sign(message, padded, hashes.SHA256()))


def ed25519_signer() -> Signer:
    """Make an Ed25519 key."""
    key = ed25519.Ed25519PrivateKey.generate()
    return Signer(key, key.sign)


def simple_payload(digest: str, **critical: Any) -> bytes:
    """Return a payload of simple signing about a digest; `critical` replaces parts of it."""
    claim: dict[str, Any] = {
        "identity": {"docker-reference": "registry.example/prod/app"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    return to_json({"critical": {**claim, **critical}, "optional": None})


def statement(digest: str, predicate_type: str = SIGNED, **changed: Any) -> bytes:
    """Return an in-toto statement about a digest; `changed` replaces parts of it."""
    algorithm, _, value = digest.partition(":")
    whole = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "", "digest": {algorithm: value}}],
        "predicateType": predicate_type,
        "predicate": {},
    }
    return to_json({**whole, **changed})


def covered(payload: bytes, kind: str = IN_TOTO) -> bytes:
    """Return what the signature of a DSSE envelope covers."""
    return b" ".join((b"DSSEv1", str(len(kind)).encode(), kind.encode(), str(len(payload)).encode(), payload))


def envelope(signer: Signer, payload: bytes, kind: str = IN_TOTO) -> dict[str, Any]:
    """Return a DSSE envelope."""
    signature = encoded(signer.sign(covered(payload, kind)))
    return {"payloadType": kind, "payload": encoded(payload), "signatures": [{"sig": signature, "keyid": ""}]}


def bundle(content: Mapping[str, Any]) -> bytes:
    """Return a Sigstore bundle of a `dsseEnvelope` or a `messageSignature`."""
    material: dict[str, Any] = {
        "publicKey": {"hint": encoded(b"a hint")},
        "tlogEntries": [],
        "timestampVerificationData": None,
    }
    return to_json({"mediaType": BUNDLE, "verificationMaterial": material, **content})


def message_signature(signer: Signer, message: bytes) -> dict[str, Any]:
    """Return a signature of bytes as a bundle holds it."""
    digest = bytes.fromhex(Digest.of(message).encoded)
    stated = {"algorithm": "SHA2_256", "digest": encoded(digest)}
    return {"messageSignature": {"messageDigest": stated, "signature": encoded(signer.sign(message))}}


def simple_layer(payload: bytes, signature: str) -> Blob:
    """Return a layer of simple signing."""
    return Blob(payload, SIMPLE, {"dev.cosignproject.cosign/signature": signature})


def tagged(*layers: Blob) -> Manifest:
    """Return the manifest that cosign puts under a tag for its signatures or attestations."""
    config = Blob(to_json({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}), OCI.config)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [one.descriptor() for one in layers],
    }
    return Manifest(to_json(body), OCI.manifest, blobs=(config, *layers))


def referrer(subject: Manifest, layer: Blob, kind: str = BUNDLE, predicate_type: str = SIGNED) -> Manifest:
    """Return the artifact that cosign stores as a referrer."""
    annotations = {"dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate_type}
    return artifact(kind, layer, annotations=annotations, subject=subject)


@dataclass
class Shelf:
    """A repository in memory, as plugins read one."""

    name: str = "prod/app"
    blobs: dict[str, bytes] = field(default_factory=dict)
    by_tag: dict[str, str] = field(default_factory=dict)
    parsed: dict[str, ParsedManifest] = field(default_factory=dict)
    reads: int = 0

    def add(self, manifest: Manifest, tag: str = "") -> ParsedManifest:
        """Store a manifest of the OCI kind with its blobs, and return it as hooks see it."""
        self.blobs.update(manifest.everything())
        self.parsed[manifest.digest] = oci_manifest.parse_manifest(manifest.media_type, manifest.data)
        if tag:
            self.by_tag[tag] = manifest.digest
        return self.parsed[manifest.digest]

    def read(self, digest: Digest, limit: int = 4 * 1024 * 1024) -> bytes:
        """Return what is stored under a digest."""
        self.reads += 1
        payload = self.blobs.get(str(digest))
        if payload is None:
            raise ContentMissing(str(digest))
        if len(payload) > limit:
            raise ContentTooLarge(str(digest))
        return payload

    def manifest(self, digest: Digest) -> ParsedManifest:
        """Return a parsed manifest."""
        if str(digest) not in self.parsed:
            raise ContentMissing(str(digest))
        return self.parsed[str(digest)]

    def tag(self, name: str) -> Digest | None:
        """Return what a tag stands for."""
        return Digest.parse(self.by_tag[name]) if name in self.by_tag else None

    def referrers(self, digest: Digest, artifact_type: str = "") -> Sequence[Descriptor]:
        """Return the referrers of a digest by the bytes of their own digests."""
        return sorted(self._referrers(digest, artifact_type), key=lambda one: str(one.digest))

    def _referrers(self, digest: Digest, artifact_type: str) -> Iterator[Descriptor]:
        for text, one in self.parsed.items():
            if one.subject and one.subject.digest == digest and artifact_type in ("", one.artifact_type):
                yield Descriptor(
                    one.media_type, Digest.parse(text), len(one.payload), one.annotations, one.artifact_type
                )

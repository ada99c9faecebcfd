"""A plugin as it was written for plugin API 1.0, with every hook and argument. Recorded: it is not to be changed."""

import hashlib
from datetime import timedelta

from registry.hooks import (
    BlobReference,
    ConversionRequest,
    Descriptor,
    Digest,
    ExpireTag,
    LabelAction,
    LabelValueRefused,
    Layer,
    LegacyImage,
    ManifestInvalid,
    ParsedManifest,
    Platform,
    decode_object,
    hookimpl,
)

NOTE = "application/vnd.example.note10.v1+json"
PLAIN = "text/plain"
CALLED = set()


@hookimpl
def manifest_media_types():
    CALLED.add("manifest_media_types")
    return [NOTE]


@hookimpl
def parse_manifest(media_type, payload):
    CALLED.add("parse_manifest")
    note = decode_object(payload)
    if not isinstance(note.get("text"), str):
        raise ManifestInvalid("a note needs a text", detail={"field": "text"})
    page = Descriptor(PLAIN, Digest.parse(note["page"]), note["size"], {}, "", Platform("linux", "amd64", ""), False)
    return ParsedManifest(
        payload, media_type, payload, page, [BlobReference(page, True)], (), None, "", {"a": "b"}, False, note
    )


@hookimpl
def validate_manifest(manifest, content):
    CALLED.add("validate_manifest")
    if content.read(manifest.config.digest, 1024) != b"a page":
        raise ManifestInvalid("this is another page")


@hookimpl
def manifest_layers(manifest, content):
    CALLED.add("manifest_layers")
    pages = [blob.descriptor for blob in manifest.blobs]
    return [Layer(page.digest, page.size, page.media_type, False, "", "", "", "", ()) for page in pages]


@hookimpl
def manifest_children(manifest):
    CALLED.add("manifest_children")
    return []


@hookimpl
def manifest_labels(manifest, content):
    CALLED.add("manifest_labels")
    return {"org.example.ten": manifest.document.get("stage", "normal")}


@hookimpl
def needs_empty_layer(manifest, content):
    CALLED.add("needs_empty_layer")
    return False


@hookimpl
def legacy_image_ids(manifest, content):
    CALLED.add("legacy_image_ids")
    return [hashlib.sha256(manifest.payload).hexdigest()]


@hookimpl
def legacy_images(manifest, content, taken):
    CALLED.add("legacy_images")
    (image_id,) = legacy_image_ids(manifest, content)
    return [LegacyImage(image_id, None, manifest.config.digest, "", "", "", "{}")]


@hookimpl
def convert_manifest(manifest, content, request: ConversionRequest):
    CALLED.add("convert_manifest")
    if request.wanted != PLAIN:
        return None
    text = f"{request.repository}:{request.tag} {manifest.document['text']}".encode()
    assert request.sign(b'{\n   "a": 1\n}').signature
    return ParsedManifest(payload=text, media_type=PLAIN, digest_bytes=text)


def by_stage(value):
    if value == "nightly":
        return [ExpireTag(timedelta(days=1))]
    raise LabelValueRefused("org.example.ten takes only: nightly")


@hookimpl
def label_actions():
    CALLED.add("label_actions")
    return [LabelAction("org.example.ten", by_stage)]


@hookimpl
def storage_drivers():
    CALLED.add("storage_drivers")
    return {}

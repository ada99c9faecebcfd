"""Recipes: photos are the layers, recipes that go into a recipe are its children."""

from datetime import timedelta

from registry.hooks import (
    BlobReference,
    Descriptor,
    Digest,
    ExpireTag,
    LabelAction,
    LabelValueRefused,
    Layer,
    ManifestInvalid,
    ParsedManifest,
    decode_object,
    hookimpl,
)

MOORAGE_API = "1.1"
RECIPE = "application/vnd.example.recipe.v1+json"


@hookimpl
def manifest_media_types():
    return [RECIPE]


@hookimpl
def parse_manifest(media_type, payload):
    recipe = decode_object(payload)
    if not recipe.get("title"):
        raise ManifestInvalid("a recipe needs a title", detail={"field": "title"})
    photos = [BlobReference(_descriptor(photo, "image/jpeg")) for photo in recipe.get("photos", [])]
    parts = [_descriptor(part, RECIPE) for part in recipe.get("parts", [])]
    return ParsedManifest(
        payload=payload,
        media_type=media_type,
        digest_bytes=payload,
        blobs=photos,
        children=parts,
        document=recipe,
    )


@hookimpl
def validate_manifest(manifest, content):
    for photo in manifest.blobs:
        if not content.read(photo.descriptor.digest, 4096).startswith(b"\xff\xd8"):
            raise ManifestInvalid("a photo must be a JPEG", detail={"digest": str(photo.descriptor.digest)})


@hookimpl
def manifest_layers(manifest, content):
    return [Layer(photo.descriptor.digest, photo.descriptor.size, "image/jpeg") for photo in manifest.blobs]


@hookimpl
def manifest_labels(manifest, content):
    return {"org.example.best-before-days": str(manifest.document.get("days", ""))}


@hookimpl
def label_actions():
    return [LabelAction("org.example.best-before-days", _best_before)]


def _best_before(value):
    if not value.isdigit() or not int(value):
        raise LabelValueRefused("the days must be a whole number above zero")
    return [ExpireTag(timedelta(days=min(int(value), 3650)))]


def _descriptor(entry, media_type):
    try:
        return Descriptor(media_type, Digest.parse(entry["digest"]), int(entry["size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestInvalid("a part or photo needs digest and size", detail={"entry": str(entry)[:200]}) from error

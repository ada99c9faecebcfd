"""Each hook does through a whole app what its specification says."""

import hashlib
from datetime import timedelta

import pytest

from registry.errors import ManifestBlobUnknown, ManifestInvalid
from registry.hooks import (
    BlobReference,
    Descriptor,
    Digest,
    ExpireTag,
    LabelAction,
    LabelValueRefused,
    Layer,
    LegacyImage,
    ParsedManifest,
    decode_object,
)
from registry.hooks.manager import PluginError
from registry.manifests.creator import EMPTY_LAYER, EMPTY_LAYER_DIGEST
from registry.manifests.reader import Accepted
from registry.testing.content import DictContent
from registry.testing.images import OCI, Blob, simple_image, to_json

NOTE = "application/vnd.example.note.v1+json"
PAGE = Blob(b"a page", "text/plain")
TEXT = Blob(to_json({"page": PAGE.digest, "size": len(PAGE.data)}), NOTE)


def parse(media_type, payload):
    note = decode_object(payload)
    pages = [BlobReference(Descriptor("text/plain", Digest.parse(note["page"]), note["size"]))] if note else []
    return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload, blobs=pages, document=note)


@pytest.fixture
def start(with_plugins, make_plugin):
    """Give the function that makes an app whose notes have these hooks."""

    def make(**functions):
        return with_plugins(
            make_plugin("note", **{"manifest_media_types": lambda: [NOTE], "parse_manifest": parse, **functions})
        )

    return make


def test_parse_manifest_s_blobs_must_be_there(start):
    direct = start()
    with pytest.raises(ManifestBlobUnknown):
        direct.put(TEXT, "v1")
    direct.upload(PAGE)
    direct.put(TEXT, "v1")
    assert direct.column("SELECT digest FROM manifest_blob") == [PAGE.digest]


def test_validate_manifest_sees_content_and_refuses(start):
    def check(manifest, content):
        if b"secret" in content.read(manifest.blobs[0].descriptor.digest):
            raise ManifestInvalid("a note must not be secret")

    direct = start(validate_manifest=check)
    direct.upload(PAGE)
    direct.put(TEXT, "v1")
    secret = Blob(b"secret")
    direct.upload(secret)
    with pytest.raises(ManifestInvalid, match="must not be secret"):
        direct.put(Blob(to_json({"page": secret.digest, "size": 6}), NOTE), "v2")
    assert direct.tags() == ["v1"]


def test_manifest_layers_are_the_owner_s(start):
    def layers(manifest):
        return [Layer(blob.descriptor.digest, blob.descriptor.size) for blob in manifest.blobs]

    hooks = start(manifest_layers=layers).services.hooks
    (layer,) = hooks.layers(hooks.parse(NOTE, TEXT.data), DictContent())
    assert (str(layer.digest), layer.size) == (PAGE.digest, len(PAGE.data))


def test_manifest_children_are_required_and_linked(start):
    child = simple_image("a")
    direct = start(
        manifest_children=lambda manifest: [
            Descriptor(OCI.manifest, Digest.parse(child.digest), len(child.data)),
        ]
    )
    with pytest.raises(ManifestBlobUnknown):
        direct.put(Blob(b"{}", NOTE), "v1")
    direct.push(child)
    direct.put(Blob(b"{}", NOTE), "v1")
    assert direct.column("SELECT digest FROM manifest_child") == [child.digest]


def test_manifest_labels_are_stored_and_take_effect(start):
    direct = start(manifest_labels=lambda manifest: {"org.moorage.expires-after": "1h", "author": "x", "": "y"})
    created = direct.put(Blob(b"{}", NOTE), "v1")
    assert created.labels_to_apply == {"org.moorage.expires-after": "1h", "author": "x"}
    assert set(direct.labels(Blob(b"{}", NOTE))) == {"org.moorage.expires-after", "author"}
    assert direct.periods("v1")[0].ending == direct.clock.now + 3_600_000


def test_needs_empty_layer_links_nothing_where_it_says_no(start):
    direct = start(needs_empty_layer=lambda: False)
    created = direct.put(Blob(b"{}", NOTE))
    assert direct.rows("SELECT * FROM manifest_blob WHERE manifest_id = :id", id=created.manifest.manifest_id) == []


def test_needs_empty_layer_makes_it_readable(start):
    direct = start(needs_empty_layer=lambda: True)
    direct.put(Blob(b"{}", NOTE), "v1")
    assert direct.blob_bytes(str(EMPTY_LAYER_DIGEST)) == EMPTY_LAYER


def wanted_ids(manifest):
    return [hashlib.sha256(manifest.payload).hexdigest()]


def test_legacy_image_ids_that_are_taken_are_told_to_legacy_images(start):
    told = []

    def images(manifest, taken):
        told.append(dict(taken))
        (image_id,) = wanted_ids(manifest)
        if image_id in taken:
            image_id = hashlib.sha256(image_id.encode()).hexdigest()
        return [LegacyImage(image_id, None, Digest.parse(PAGE.digest), "", "", "", "{}")]

    direct = start(legacy_image_ids=wanted_ids, legacy_images=images)
    direct.upload(PAGE)
    other = Digest.of(b"other")
    (repository,) = direct.column("SELECT id FROM repository")
    (image_id,) = wanted_ids(direct.services.hooks.parse(NOTE, TEXT.data))
    direct.change(
        "INSERT INTO legacy_image (repository_id, image_id, blob_digest, created, comment, command, compatibility)"
        " VALUES (:repository, :id, :blob, '', '', '', '{}')",
        repository=repository,
        id=image_id,
        blob=str(other),
    )
    direct.put(TEXT, "v1")
    assert told[0] == {image_id: other}
    rewritten = hashlib.sha256(image_id.encode()).hexdigest()
    chain = "SELECT image_id FROM manifest_legacy_image JOIN legacy_image ON legacy_image.id = legacy_image_id"
    assert direct.column(chain) == [rewritten]


def test_legacy_images_are_not_asked_for_where_no_id_is_wanted(start):
    direct = start(legacy_image_ids=lambda: None, legacy_images=lambda: 1 / 0)
    direct.put(Blob(b"{}", NOTE), "v1")
    assert direct.rows("SELECT * FROM legacy_image") == []


def test_convert_manifest_is_asked_only_where_a_tag_s_client_wants_another_type(start):
    asked = []

    def convert(manifest, request):
        asked.append((request.wanted, request.repository, request.tag))
        if request.wanted != "text/plain":
            return None
        return ParsedManifest(payload=b"plain", media_type="text/plain", digest_bytes=b"plain")

    direct = start(convert_manifest=convert)
    created = direct.put(Blob(b"{}", NOTE), "v1")
    plain = Accepted(("text/x-rich", "text/plain"), anything=False)
    for accepted in (Accepted((), anything=True), Accepted((NOTE,), anything=False)):
        assert direct.get("v1", accepted).media_type == NOTE
    assert direct.get(str(created.manifest.digest), plain).payload == b"{}"
    assert asked == []
    served = direct.get("v1", plain)
    assert (served.payload, served.media_type, served.digest) == (b"plain", "text/plain", str(Digest.of(b"plain")))
    assert asked == [("text/x-rich", "team/app", "v1"), ("text/plain", "team/app", "v1")]
    assert direct.get("v1", Accepted(("text/x-rich",), anything=False)).payload == b"{}"


READING = ("validate_manifest", "manifest_labels", "needs_empty_layer", "legacy_image_ids")


@pytest.mark.parametrize("hook", READING)
def test_a_format_that_cannot_do_without_content_refuses_the_manifest_by_its_name(start, hook):
    functions = {hook: lambda manifest, content: content.read(Digest.parse(PAGE.digest))}
    with pytest.raises(ManifestInvalid) as refused:
        start(**functions).put(Blob(b"{}", NOTE), "v1")
    assert refused.value.message == f"plugin note needs {PAGE.digest} in {hook}, which is not here"
    assert refused.value.detail == {"plugin": "note", "hook": hook}


def test_a_format_that_reads_more_than_there_is_to_read_refuses_the_manifest_by_its_name(start):
    def check(manifest, content):
        content.read(manifest.blobs[0].descriptor.digest, limit=3)

    direct = start(validate_manifest=check)
    direct.upload(PAGE)
    with pytest.raises(ManifestInvalid) as refused:
        direct.put(TEXT, "v1")
    assert (
        refused.value.message == f"plugin note cannot go on in validate_manifest: {PAGE.digest} is longer than 3 bytes"
    )


def test_what_its_format_cannot_convert_for_want_of_content_is_served_as_it_is_stored(start):
    direct = start(convert_manifest=lambda manifest, content, request: content.manifest(Digest.parse(PAGE.digest)))
    direct.put(Blob(b"{}", NOTE), "v1")
    assert direct.get("v1", Accepted(("text/plain",), anything=False)).payload == b"{}"


def test_label_actions_decide_about_every_tag(with_plugins, make_plugin):
    def nightly(value):
        if value != "true":
            raise LabelValueRefused("org.example.nightly takes only: true")
        return [ExpireTag(timedelta(days=1))]

    plugin = make_plugin("nightly", label_actions=lambda: [LabelAction("text", nightly)])
    direct = with_plugins(plugin)
    direct.push(simple_image("true"), "v1", "v2")
    assert [direct.periods(tag)[0].ending for tag in ("v1", "v2")] == [direct.clock.now + 86_400_000] * 2
    direct.push(simple_image("false"), "v3")
    assert direct.periods("v3")[0].ending is None
    assert direct.labels(simple_image("false"))["text"].warning == "org.example.nightly takes only: true"


def test_storage_drivers_are_chosen_by_scheme(with_plugins, make_plugin):
    from registry.storage.memory import MemoryStorage

    opened = []

    def open_tape(url, options):
        opened.append((url, dict(options)))
        return MemoryStorage()

    plugin = make_plugin("tape", storage_drivers=lambda: {"tape": open_tape})
    direct = with_plugins(plugin, storage_url="tape://drive/1", storage_options={"speed": "2"})
    assert opened == [("tape://drive/1", {"speed": "2"})]
    direct.push(simple_image("a"), "v1")
    assert direct.get("v1").payload == simple_image("a").data


def test_storage_drivers_that_nobody_offers_stop_the_start(with_plugins):
    with pytest.raises(PluginError, match=r"no plugin offers storage for tape: URLs \(offered: file, memory, s3\)"):
        with_plugins(storage_url="tape://drive/1")


def test_manifest_media_types_make_a_format_pushable(start):
    direct = start()
    assert direct.put(Blob(b"{}", NOTE), "v1").newly_created
    assert direct.get("v1").media_type == NOTE

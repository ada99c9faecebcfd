"""Docker v1 images: ids, their chain, and what happens where one is taken."""

import hashlib
import json

import pytest

from registry.digest import Digest
from registry.formats import oci_manifest, schema1, schema2
from registry.formats._legacy import MAX_STEPS
from registry.formats._steps import EMPTY_LAYER
from registry.testing.content import DictContent, content_of
from registry.testing.images import DOCKER, OCI, Blob, artifact, image, layer, simple_image, to_json
from tests.formats import corpus

GOLDEN_IDS = [
    "28a3a8f30ed72bbb5b8cb8fb5c69d6c50d4ee298fa6a63d6dc04c13030bd4dfd",
    "4fa143dec08c5de6e715c301e69808d7577cbebc564b9970e98e6687a96751af",
]
OTHER = Digest.of(b"other content")


def chain(whole, taken=None):
    format_ = oci_manifest if whole.media_type == OCI.manifest else schema2
    parsed, content = format_.parse_manifest(whole.media_type, whole.data), content_of(whole)
    return format_.legacy_image_ids(parsed, content), format_.legacy_images(parsed, content, taken or {})


def old_chain(taken=None):
    parsed = schema1.parse_manifest(corpus.UNSIGNED, corpus.encode(corpus.good(corpus.UNSIGNED)))
    return schema1.legacy_image_ids(parsed), schema1.legacy_images(parsed, taken or {})


def test_the_empty_layer_is_docker_s():
    data = bytes.fromhex("1f8b080000096e8800ff621805a360148c5800080000ffff2eafb5ef00040000")
    assert Digest.of(data) == EMPTY_LAYER


def test_ids_never_change():
    """Golden: a registry that computes other ids breaks every v1 client's cache, and rewrites what is stored."""
    config = {"architecture": "amd64", "history": [{"created_by": "a"}, {"created_by": "b", "empty_layer": True}]}
    blob, part = Blob(to_json(config), OCI.config), Blob(b"layer", OCI.gzip_layer)
    body = {"schemaVersion": 2, "config": blob.descriptor(), "layers": [part.descriptor()]}
    parsed = oci_manifest.parse_manifest(OCI.manifest, to_json(body))
    content = DictContent({blob.digest: blob.data})
    assert oci_manifest.legacy_image_ids(parsed, content) == GOLDEN_IDS
    first = f'0\n{part.digest}\n{{"created_by":"a"}}\n'
    last = f'1\n{EMPTY_LAYER}\n{{"created_by":"b","empty_layer":true}}\n{blob.digest}\n'
    assert [hashlib.sha256(text.encode()).hexdigest() for text in (first, first + last)] == GOLDEN_IDS
    images = oci_manifest.legacy_images(parsed, content, {})
    assert [json.loads(one.compatibility) for one in images] == [
        {"id": GOLDEN_IDS[0], "created": "0001-01-01T00:00:00Z", "container_config": {"Cmd": ["a"]}},
        {"id": GOLDEN_IDS[1], "parent": GOLDEN_IDS[0], "architecture": "amd64", "throwaway": True},
    ]


@pytest.mark.parametrize("flavour", [DOCKER, OCI], ids=lambda flavour: flavour.name)
def test_images_form_a_chain_over_blobs(flavour):
    whole = simple_image("x", flavour)
    ids, images = chain(whole)
    assert [one.image_id for one in images] == ids
    assert [one.parent_id for one in images] == [None, *ids[:-1]]
    assert [str(one.blob) for one in images] == [*(part.digest for part in whole.layers), str(EMPTY_LAYER)]
    assert [one.command for one in images] == ["COPY layer-0 /", "COPY layer-1 /", "ENV STEP=0"]
    assert json.loads(images[-1].compatibility)["config"]["Labels"] == {"text": "x"}
    assert all(len(one) == 64 for one in ids)


def test_images_that_differ_in_their_config_alone_share_all_but_the_last():
    base = layer({"a": b"1"}), layer({"b": b"2"})
    one, other = (chain(image(*base, labels={"a": label}))[0] for label in "xy")
    assert one[:-1] == other[:-1]
    assert one[-1] != other[-1]


def test_the_same_layer_twice_gives_two_ids():
    part = layer({"a": b"1"})
    assert len(set(chain(image(part, part, part))[0])) == 3


@pytest.mark.parametrize("make", [lambda taken=None: chain(simple_image("x"), taken), old_chain], ids=["new", "old"])
def test_an_id_of_other_content_is_rewritten_with_all_that_follow(make):
    ids, images = make()
    at = len(ids) - 2
    _, rewritten = make({ids[at]: OTHER})
    assert [one.image_id for one in rewritten[:at]] == ids[:at]
    assert not {one.image_id for one in rewritten[at:]} & set(ids)
    assert [one.parent_id for one in rewritten] == [None, *(one.image_id for one in rewritten[:-1])]
    assert [one.blob for one in rewritten] == [one.blob for one in images]
    for one in rewritten:
        assert json.loads(one.compatibility)["id"] == one.image_id
        assert json.loads(one.compatibility).get("parent") == one.parent_id
    assert make({ids[at]: OTHER})[1] == rewritten
    again = make({ids[at]: OTHER, rewritten[at].image_id: OTHER})[1]
    assert again[at].image_id not in {ids[at], rewritten[at].image_id}


@pytest.mark.parametrize("make", [lambda taken=None: chain(simple_image("x"), taken), old_chain], ids=["new", "old"])
def test_an_id_of_the_same_content_is_kept(make):
    images = make()[1]
    assert make({one.image_id: one.blob for one in images})[1] == images


def test_schema_1_keeps_its_own_ids_and_text():
    ids, images = old_chain()
    history = corpus.good(corpus.UNSIGNED)["history"]
    assert ids == ["1" * 64, "2" * 64]
    assert [one.compatibility for one in images] == [entry["v1Compatibility"] for entry in reversed(history)]
    assert (images[0].command, images[0].comment, images[0].created) == (
        "/bin/sh -c ADD rootfs /",
        "base",
        "2015-05-01T00:00:00Z",
    )


def test_what_cannot_run_from_here_has_none():
    foreign = Blob(b"x", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip")
    part = layer({"a": b"1"})
    remote = image(part)
    body = to_json(remote.body | {"layers": [part.descriptor(), foreign.descriptor()]})
    parsed = oci_manifest.parse_manifest(OCI.manifest, body)
    assert oci_manifest.legacy_image_ids(parsed, content_of(remote)) == []
    assert chain(image(empty_steps=2)) == ([], [])
    assert chain(artifact("application/vnd.example")) == ([], [])


def test_an_image_of_absurdly_many_steps_has_none():
    part = layer({"a": b"1"})
    assert len(chain(image(part, empty_steps=MAX_STEPS - 1))[1]) == MAX_STEPS
    assert chain(image(part, empty_steps=MAX_STEPS)) == ([], [])

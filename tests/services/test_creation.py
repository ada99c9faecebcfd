"""Writing manifests: what is refused, what is linked, and what a push means for what is there already."""

import pytest

from registry.errors import (
    DeletionRefused,
    DigestInvalid,
    InsufficientStorage,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    UnsupportedMediaType,
)
from registry.hooks import StorageFull
from registry.manifests.creator import EMPTY_LAYER, EMPTY_LAYER_DIGEST, MAX_MANIFEST
from registry.testing.images import (
    OCI,
    Blob,
    Manifest,
    artifact,
    digest_of,
    image,
    index,
    layer,
    simple_image,
    simple_index,
    to_json,
)
from tests.support.images import CACHE_CONFIG_TYPE

NONDISTRIBUTABLE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"


def expiring(text: str, value: str = "1h") -> Manifest:
    return image(layer({"f": text.encode()}), labels={"quay.expires-after": value})


def pins(direct, manifest) -> bool:
    return bool(direct.column("SELECT untagged_pin FROM manifest WHERE digest = :digest", digest=manifest.digest)[0])


# What is there already


def test_an_existing_manifest_with_only_dead_tags_comes_back(direct):
    made = simple_image("a")
    first = direct.push(made, "v1")
    direct.delete_tag("v1")
    again = direct.put(made, "v2")
    assert (again.newly_created, again.manifest.manifest_id) == (False, first.manifest.manifest_id)
    assert direct.lookup(made) == first.manifest.manifest_id


def test_pushing_a_deleted_manifest_again_wakes_it(direct):
    made = simple_image("a")
    first = direct.push(made, "v1")
    direct.delete_manifest(made)
    with pytest.raises(ManifestUnknown):
        direct.get(made.digest)
    again = direct.put(made, digest=True)
    assert (again.newly_created, again.manifest.manifest_id) == (False, first.manifest.manifest_id)
    assert direct.column("SELECT deleted_at FROM manifest") == [None]
    assert direct.get(made.digest).payload == made.data
    assert direct.tags() == []


def test_label_actions_reach_a_new_tag_of_an_existing_manifest(direct):
    made = expiring("a")
    direct.push(made, "v1")
    direct.clock.turn(seconds=600)
    assert direct.put(made, "v2").newly_created is False
    assert direct.periods("v2")[0].ending == direct.clock.now + 3_600_000
    assert direct.periods("v1")[0].ending == direct.clock.now + 3_000_000


def test_several_tags_are_set_together(direct):
    direct.push(simple_image("a"), "v1", "v2", "latest")
    assert direct.tags() == ["latest", "v1", "v2"]
    assert {direct.get(tag).digest for tag in direct.tags()} == {simple_image("a").digest}


def test_the_same_bytes_under_two_algorithms_are_two_rows(direct):
    made = simple_image("a")
    longer = Manifest(made.data, made.media_type, algorithm="sha512", blobs=made.blobs)
    direct.push(made, "v1")
    assert direct.put(longer, digest=True).newly_created
    assert direct.get(longer.digest).payload == direct.get(made.digest).payload


def test_a_digest_that_is_not_the_manifest_s_is_refused(direct):
    made = simple_image("a")
    direct.push(simple_image("b"))
    wrong = Manifest(made.data, made.media_type, blobs=made.blobs)
    vars(wrong)["digest"] = digest_of(b"other")
    with pytest.raises(DigestInvalid):
        direct.put(wrong, digest=True)


# What is refused


def test_an_unknown_type_is_refused_and_names_what_is_accepted(direct):
    with pytest.raises(UnsupportedMediaType) as refused:
        direct.put(Blob(b"{}", "text/plain"), "v1")
    assert OCI.manifest in refused.value.detail["accepted"]


def test_what_is_too_large_is_refused_before_it_is_parsed(direct):
    with pytest.raises(ManifestTooLarge) as refused:
        direct.put(Blob(b"x" * (MAX_MANIFEST + 1), OCI.manifest), "v1")
    assert refused.value.detail == {"limit": MAX_MANIFEST}
    with pytest.raises(ManifestInvalid, match="not JSON"):
        direct.put(Blob(b"x" * MAX_MANIFEST, OCI.manifest), "v1")


def test_nesting_of_32_is_taken_and_of_33_refused_with_its_depth(direct):
    made = index(simple_image("a"))
    direct.push(made)
    for _ in range(30):
        made = index(made)
        direct.put(made)
    with pytest.raises(ManifestInvalid, match="deeper than 32") as refused:
        direct.put(index(made), "v1")
    assert refused.value.detail == {"depth": 33}
    assert direct.lookup(simple_image("a")) is not None


@pytest.mark.parametrize("wrong", [-1, 1])
@pytest.mark.parametrize("part", ["config", "layer", "child"])
def test_a_size_that_is_not_the_content_s_is_refused(direct, part, wrong):
    made = simple_index("a") if part == "child" else simple_image("a")
    direct.push(made)
    body = made.body
    entry = {
        "child": lambda: body["manifests"][0],
        "config": lambda: body["config"],
        "layer": lambda: body["layers"][0],
    }[part]()
    entry["size"] += wrong
    with pytest.raises(ManifestInvalid) as refused:
        direct.put(Blob(to_json(body), made.media_type), "v1")
    assert (refused.value.detail["digest"], refused.value.detail["size"]) == (entry["digest"], entry["size"])


@pytest.mark.parametrize(
    "data", [b"\xff", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[]", b"{" * 40, b'{"a": 9999999999999999999999}']
)
def test_loose_json_is_refused(direct, data):
    with pytest.raises(ManifestInvalid):
        direct.put(Blob(data, OCI.manifest), "v1")


def test_a_body_of_another_type_is_refused(direct):
    made = simple_image("a")
    direct.push(made)
    with pytest.raises(ManifestInvalid, match="Content-Type"):
        direct.put(Blob(made.data, "application/vnd.docker.distribution.manifest.v2+json"), "v1")


def test_a_refused_push_leaves_nothing(direct):
    direct.upload(Blob(b"x"))
    with pytest.raises(ManifestBlobUnknown):
        direct.put(simple_index("a"), "v1")
    assert direct.rows("SELECT * FROM manifest") == direct.rows("SELECT * FROM tag") == []


# Sparse, foreign and odd content


def test_sparse_edges_connect_when_the_content_comes(sparse):
    made = simple_index("a")
    sparse.put(made, "v1")
    child = made.children[0]
    assert sparse.lookup(child) is None
    sparse.put(child)
    assert sparse.lookup(child) is not None
    assert not pins(sparse, child)
    for blob in child.blobs:
        with pytest.raises(Exception, match="blob unknown"):
            sparse.blob_bytes(blob.digest)
        sparse.upload(blob)
        assert sparse.blob_bytes(blob.digest) == blob.data
    sparse.delete_tag("v1")
    assert sparse.lookup(child) is None


def test_naming_a_digest_grants_nothing(sparse):
    made = simple_image("a")
    sparse.push(made, repository=type(sparse.repository).parse("secret/app"))
    sparse.put(made, "v1")
    for blob in made.blobs:
        with pytest.raises(Exception, match="blob unknown"):
            sparse.blob_bytes(blob.digest)


def test_a_repository_s_own_rule_wins_over_the_setting(direct):
    direct.upload(Blob(b"x"))
    direct.change("UPDATE repository SET allow_sparse = (1 = 1)")
    assert direct.put(simple_index("a"), "v1").newly_created
    direct.change("UPDATE repository SET allow_sparse = (1 = 0)")
    with pytest.raises(ManifestBlobUnknown):
        direct.put(simple_index("b"), "v1")


def test_a_missing_child_counts_as_one_without_labels(sparse):
    one = expiring("a")
    sparse.push(one)
    assert sparse.put(index(one, simple_image("missing")), "v1").labels_to_apply == {}


def test_buildkit_s_cache_in_an_index_is_kept_as_blobs(direct):
    one, config = layer({"f": b"1"}), Blob(b'{"layers": []}', CACHE_CONFIG_TYPE)
    body = {"schemaVersion": 2, "mediaType": OCI.index, "manifests": [one.descriptor(), config.descriptor()]}
    cache = Blob(to_json(body), OCI.index)
    with pytest.raises(ManifestBlobUnknown):
        direct.put(cache, "cache")
    direct.upload(one)
    direct.upload(config)
    created = direct.put(cache, "cache")
    values = {"id": created.manifest.manifest_id}
    linked = direct.column("SELECT digest FROM manifest_blob WHERE manifest_id = :id", **values)
    assert sorted(linked) == sorted([one.digest, config.digest])
    assert direct.rows("SELECT * FROM manifest_child WHERE manifest_id = :id", **values) == []


def test_a_layer_that_is_not_distributable_is_linked_and_not_required(direct):
    foreign = Blob(b"licensed", NONDISTRIBUTABLE)
    config = Blob(to_json({"architecture": "amd64", "os": "linux"}), OCI.config)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [foreign.descriptor()],
    }
    direct.upload(config)
    direct.put(Blob(to_json(body), OCI.manifest), "v1")
    assert set(direct.column("SELECT digest FROM manifest_blob")) == {config.digest, foreign.digest}
    assert direct.rows("SELECT * FROM legacy_image") == []


# Pins


def test_a_manifest_pushed_by_digest_is_pinned_until_a_tag_takes_it_over(direct):
    made = simple_image("a")
    direct.push(made)
    assert pins(direct, made)
    direct.put(made, "v1")
    assert not pins(direct, made)
    direct.delete_tag("v1")
    assert direct.lookup(made) is None


def test_a_parent_takes_its_children_over(direct):
    made = simple_index("a")
    direct.push(made)
    assert [pins(direct, part) for part in (*made.children, made)] == [False, False, True]
    direct.put(made.children[0])
    assert not pins(direct, made.children[0])


@pytest.mark.parametrize("first", ["subject", "referrer"])
def test_a_subject_takes_its_referrers_over(direct, first):
    subject = simple_image("a")
    signature = artifact("text/x-signature", Blob(b"signed", "text/plain"), subject=subject)
    for made in (subject, signature) if first == "subject" else (signature, subject):
        direct.push(made)
    assert (pins(direct, subject), pins(direct, signature)) == (True, False)


def test_a_deleted_parent_or_subject_holds_nothing(direct):
    made = simple_index("a")
    child = made.children[0]
    signature = artifact("text/x-signature", Blob(b"signed", "text/plain"), subject=made)
    direct.push(made)
    direct.push(signature)
    direct.delete_manifest(made)
    for part in (child, signature):
        direct.put(part)
        assert pins(direct, part)
        assert direct.lookup(part) is not None


def test_the_empty_layer_comes_back_with_a_deleted_manifest(direct):
    made = image(layer({"a": b"a"}), empty_steps=1)
    direct.push(made, "v1")
    direct.delete_manifest(made)
    direct.services.blobs.delete(direct.actor, direct.repository, EMPTY_LAYER_DIGEST)
    direct.put(made, "v1")
    assert direct.blob_bytes(str(EMPTY_LAYER_DIGEST)) == EMPTY_LAYER


def test_an_empty_layer_that_cannot_be_written_is_given_up(direct, monkeypatch):
    given_up = []

    class Full:
        def write(self, data):
            raise StorageFull("no room")

        def discard(self):
            given_up.append(True)

    made = image(layer({"a": b"a"}), empty_steps=1)
    for blob in made.blobs:
        direct.upload(blob)
    monkeypatch.setattr(direct.services.storage, "open_upload", lambda *_: Full())
    with pytest.raises(InsufficientStorage):
        direct.put(made, "v1")
    assert given_up == [True]


# Deleting


def test_a_blob_that_a_manifest_names_cannot_be_deleted(direct):
    from registry.digest import Digest

    made = simple_image("a")
    direct.push(made, "v1")
    digest = Digest.parse(made.config.digest)
    with pytest.raises(DeletionRefused) as refused:
        direct.services.blobs.delete(direct.actor, direct.repository, digest)
    assert refused.value.detail["manifests"] == [made.digest]
    assert direct.blob_bytes(made.config.digest) == made.config.data
    direct.delete_manifest(made)
    direct.services.blobs.delete(direct.actor, direct.repository, digest)
    with pytest.raises(Exception, match="blob unknown"):
        direct.blob_bytes(made.config.digest)
    with pytest.raises(ManifestBlobUnknown):
        direct.put(made, "v1")
    direct.upload(made.config)
    direct.put(made, "v1")
    assert direct.blob_bytes(made.config.digest) == made.config.data


def test_a_blob_that_goes_between_look_and_lock_is_looked_for_again(direct, monkeypatch):
    from registry.digest import Digest
    from registry.manifests.rows import ManifestRows

    made, lease, gone = simple_image("a"), ManifestRows.lease, []
    for blob in made.blobs:
        direct.upload(blob)

    def late(self, connection, repository_id, found):
        if not gone:
            gone.append(made.config.digest)
            connection.exec_driver_sql("UPDATE repository_blob SET hidden_at = 1")
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("BEGIN")
        return lease(self, connection, repository_id, found)

    monkeypatch.setattr(ManifestRows, "lease", late)
    with pytest.raises(ManifestBlobUnknown) as refused:
        direct.put(made, "v1")
    assert {entry["digest"] for entry in refused.value.detail} == {blob.digest for blob in made.blobs}
    assert Digest.parse(gone[0])

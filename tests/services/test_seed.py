"""What the seed does, a test a behaviour, in its order (S1 to S11).

The seed is Quay's manifest module of November 2018. Each docstring names the change of the code that the test was
seen to fail with.
"""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy.exc import IntegrityError

from registry.errors import ManifestBlobUnknown, ManifestInvalid
from registry.hooks import ContentMissing, ContentTooLarge, Digest
from registry.manifests.content import RepositoryContent
from registry.manifests.creator import EMPTY_LAYER, EMPTY_LAYER_DIGEST
from registry.manifests.rows import ManifestRows
from registry.testing.images import (
    DOCKER,
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
from tests.support.direct import Direct

CLIENTS = 32
EMPTY = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"


# S1 - lookup: alive


def test_s1_lookup_finds_what_a_living_tag_points_at(direct):
    """Fails without: the tag join in `_alive_statement`."""
    pushed = direct.push(simple_image("a"), "v1")
    assert direct.lookup(simple_image("a")) == pushed.manifest.manifest_id


def test_s1_lookup_is_of_one_repository(direct):
    """Fails without: the repository conditions of `_alive_statement` and `_ANY`."""
    direct.push(simple_image("a"), "v1")
    other = Direct(direct.app, direct.clock, type(direct.repository).parse("other/app"))
    other.push(simple_image("b"), "v1")
    assert other.lookup(simple_image("a")) is None
    assert other.lookup(simple_image("a"), allow_dead=True) is None


# S2 - lookup: as a child of what is alive


def test_s2_lookup_finds_a_child_at_any_depth(direct):
    """Fails without: the recursion in `_alive_statement` (`up` unioned with its parents)."""
    nested = index(index(simple_index("a")))
    direct.push(nested, "v1")
    deepest = nested.children[0].children[0].children[0]
    for part in (nested.children[0], nested.children[0].children[0], deepest):
        assert direct.lookup(part) is not None
    direct.delete_tag("v1")
    for part in (nested, nested.children[0], deepest):
        assert direct.lookup(part) is None


def test_s2_a_child_of_a_dead_parent_is_alive_by_another_parent(direct):
    """Fails without: walking up every parent (a walk cut to the first one loses the child)."""
    child = simple_image("a")
    first, second = index(child, annotations={"n": "1"}), index(child, annotations={"n": "2"})
    direct.push(first, "one")
    direct.push(second, "two")
    direct.delete_tag("one")
    assert direct.lookup(child) is not None
    direct.delete_tag("two")
    assert direct.lookup(child) is None


# S3 - lookup: dead


def test_s3_only_allow_dead_finds_what_dead_tags_point_at(direct):
    """Fails without: `alive(...)` in `_alive_statement`, and without the choice of `_ANY`."""
    pushed = direct.push(simple_image("a"), "v1")
    direct.delete_tag("v1")
    assert direct.lookup(simple_image("a")) is None
    assert direct.lookup(simple_image("a"), allow_dead=True) == pushed.manifest.manifest_id


def test_s3_a_lapsed_tag_is_dead_at_once(direct):
    """Fails without: the comparison of the end with now in `alive`."""
    short = image(layer({"f": b"1"}), labels={"quay.expires-after": "1h"})
    direct.push(short, "v1")
    direct.clock.turn(seconds=3599)
    assert direct.lookup(short) is not None
    direct.clock.turn(seconds=1)
    assert direct.lookup(short) is None
    assert direct.lookup(short, allow_dead=True) is not None


# S4 - created or existing


def test_s4_a_new_manifest_is_newly_created_and_kept_byte_for_byte(direct):
    """Fails without: returning True from `upsert`, and without storing the payload as received."""
    made = simple_image("a")
    spaced = Manifest(json.dumps(made.body, indent=2).encode(), made.media_type, blobs=made.blobs)
    created = direct.push(spaced, "v1")
    assert created.newly_created
    assert (str(created.manifest.digest), created.manifest.media_type) == (spaced.digest, spaced.media_type)
    assert direct.get("v1").payload == spaced.data


def test_s4_an_existing_manifest_comes_back_as_existing(direct):
    """Fails without: `_EXISTING` in `upsert` (the insert then conflicts for ever)."""
    first = direct.push(simple_image("a"), "v1")
    second = direct.put(simple_image("a"), "v2")
    assert (first.newly_created, second.newly_created) == (True, False)
    assert second.manifest == first.manifest
    assert direct.column("SELECT count(*) FROM manifest") == [1]


# S5 - children


def test_s5_children_are_linked_once_each_in_order(direct):
    """Fails without: `rows.edges` for children."""
    parts = [simple_image(name) for name in "cab"]
    created = direct.push(index(*parts, parts[0]), "v1")
    rows = direct.column("SELECT digest FROM manifest_child WHERE manifest_id = :id", id=created.manifest.manifest_id)
    assert sorted(rows) == sorted(part.digest for part in parts)


def test_s5_a_missing_child_refuses_and_all_missing_ones_are_named(direct):
    """Fails without: `require_complete`, and with a stop at the first missing digest."""
    parts = [simple_image(name) for name in "abc"]
    direct.push(parts[1])
    with pytest.raises(ManifestBlobUnknown) as refused:
        direct.put(index(*parts), "v1")
    assert refused.value.detail == [{"digest": parts[0].digest}, {"digest": parts[2].digest}]
    assert direct.tags() == []


def test_s5_a_child_of_another_repository_is_missing(direct):
    """Fails without: the repository condition of `_CHILDREN`."""
    direct.push(simple_image("a"), repository=type(direct.repository).parse("other/app"))
    direct.push(simple_image("b"))
    with pytest.raises(ManifestBlobUnknown):
        direct.put(index(simple_image("a")), "v1")


# S6 - blobs


def test_s6_every_blob_is_linked(direct):
    """Fails without: `rows.edges` for blobs."""
    made = simple_image("a")
    created = direct.push(made, "v1")
    linked = direct.column("SELECT digest FROM manifest_blob WHERE manifest_id = :id", id=created.manifest.manifest_id)
    assert set(linked) == {blob.digest for blob in made.blobs} | {EMPTY}


def test_s6_all_missing_blobs_are_named_in_one_error(direct):
    """Fails without: `found.missing` collecting over config and layers."""
    made = simple_image("a")
    with pytest.raises(ManifestBlobUnknown) as refused:
        direct.put(made, "v1")
    assert refused.value.detail == [{"digest": blob.digest} for blob in made.blobs]
    assert direct.rows("SELECT * FROM manifest") == []


def test_s6_a_blob_of_another_repository_is_missing(direct):
    """Fails without: the repository condition of `_MEMBERS`."""
    made = simple_image("a")
    direct.push(made, repository=type(direct.repository).parse("other/app"))
    direct.upload(Blob(b"something else"))
    with pytest.raises(ManifestBlobUnknown) as refused:
        direct.put(made, "v1")
    assert len(refused.value.detail) == len(made.blobs)


# S7 - the empty layer


def test_s7_the_empty_layer_is_docker_s(direct):
    """Fails without: the very bytes (any change of EMPTY_LAYER)."""
    assert (str(EMPTY_LAYER_DIGEST), len(EMPTY_LAYER)) == (EMPTY, 32)
    assert gzip.decompress(EMPTY_LAYER) == bytes(1024)
    assert str(Digest.of(EMPTY_LAYER)) == EMPTY


@pytest.mark.parametrize("flavour", [DOCKER, OCI], ids=["docker", "oci"])
def test_s7_an_image_with_empty_steps_gets_the_empty_layer(direct, flavour):
    """Fails without: `ensure_shared` in `_prepare`, and without the `join` and the edge in `_store`."""
    created = direct.push(image(layer({"f": b"1"}, flavour), flavour=flavour, empty_steps=2), "v1")
    assert direct.blob_bytes(EMPTY) == EMPTY_LAYER
    linked = direct.column("SELECT digest FROM manifest_blob WHERE manifest_id = :id", id=created.manifest.manifest_id)
    assert EMPTY in linked


def test_s7_an_image_without_empty_steps_gets_none(direct):
    """Fails without: asking `needs_empty_layer`."""
    direct.push(image(layer({"f": b"1"})), "v1")
    assert direct.rows("SELECT * FROM blob WHERE digest = :digest", digest=EMPTY) == []


def test_s7_under_32_concurrent_pushers_there_is_one_empty_layer(start, files, monkeypatch):
    """Fails without: `remove_now` of the losers' keys, `queue` in `adopt`, or the retry that meets the winner's row."""
    direct = start(storage_url=f"file://{files}")
    images = [image(layer({"f": str(number).encode()}), empty_steps=1) for number in range(CLIENTS)]
    for made in images:
        for blob in made.blobs:
            direct.upload(blob)
    together, write = threading.Barrier(CLIENTS), direct.services.storage.open_upload

    def open_upload(state, length):
        together.wait()  # nobody goes on before all have seen that there is none
        return write(state, length)

    monkeypatch.setattr(direct.services.storage, "open_upload", open_upload)

    def push(number: int) -> bool:
        return direct.put(images[number], f"v{number}").newly_created

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert all(pool.map(push, range(CLIENTS)))
    assert direct.column("SELECT count(*) FROM blob WHERE digest = :digest", digest=EMPTY) == [1]
    assert direct.column("SELECT count(*) FROM manifest_blob WHERE digest = :digest", digest=EMPTY) == [CLIENTS]
    assert direct.blob_bytes(EMPTY) == EMPTY_LAYER
    assert direct.rows("SELECT * FROM storage_deletion") == []
    stored = {path.name for path in (files / "blobs").rglob("*") if path.is_file()}
    assert stored == set(direct.column("SELECT storage_key FROM blob"))


# S8 - the chain of v1 images


CHAIN = """
    SELECT image_id, parent_id, blob_digest, command, compatibility, position FROM manifest_legacy_image
    JOIN legacy_image ON legacy_image.id = legacy_image_id
    JOIN manifest ON manifest.id = manifest_id WHERE digest = :digest ORDER BY position
"""


def test_s8_v1_images_go_from_base_to_leaf(direct):
    """Fails without: `legacy.store`, and with positions reversed."""
    made = image(layer({"a": b"1"}), layer({"b": b"2"}), empty_steps=1)
    direct.push(made, "v1")
    chain = direct.rows(CHAIN, digest=made.digest)
    assert [row.blob_digest for row in chain] == [*(one.digest for one in made.layers), EMPTY]
    assert [row.parent_id for row in chain] == [None, *(row.image_id for row in chain[:-1])]
    assert [row.command for row in chain] == ["COPY layer-0 /", "COPY layer-1 /", "ENV STEP=0"]
    for row in chain:
        document = json.loads(row.compatibility)
        assert (document["id"], document.get("parent")) == (row.image_id, row.parent_id)


def test_s8_images_share_the_rows_of_a_common_base(direct):
    """Fails without: ids by content (a random id) or without the insert that ignores what is there."""
    base = layer({"base": b"1"})
    one, two = (image(base, layer({"top": name})) for name in (b"one", b"two"))
    direct.push(one, "one")
    direct.push(two, "two")
    first, second = (direct.rows(CHAIN, digest=made.digest) for made in (one, two))
    assert first[0].image_id == second[0].image_id
    assert first[1].image_id != second[1].image_id
    assert direct.column("SELECT count(*) FROM legacy_image") == [3]


def test_s8_an_id_that_stands_for_other_content_is_rewritten_with_all_that_follow(direct):
    """Fails without: passing `taken` to the format (the push then never ends well)."""
    made = image(layer({"a": b"1"}), layer({"b": b"2"}), layer({"c": b"3"}))
    direct.push(made, "v1")
    wanted = [row.image_id for row in direct.rows(CHAIN, digest=made.digest)]
    other = direct.push(made, "v1", repository=type(direct.repository).parse("other/app"))
    # In a third repository the middle id stands for something else already.
    third = Direct(direct.app, direct.clock, type(direct.repository).parse("third/app"))
    third.upload(Blob(b"x"))
    repository = third.column("SELECT id FROM repository WHERE name = 'third/app'")[0]
    third.change(
        "INSERT INTO legacy_image (repository_id, image_id, blob_digest, created, comment, command, compatibility)"
        " VALUES (:repository, :id, :blob, '', '', '', '{}')",
        repository=repository,
        id=wanted[1],
        blob=digest_of(b"other content"),
    )
    pushed = third.push(made, "v1")
    assert pushed.manifest.manifest_id != other.manifest.manifest_id
    rows = third.rows(
        CHAIN.replace("WHERE", "WHERE manifest.id = :id AND"), digest=made.digest, id=pushed.manifest.manifest_id
    )
    ids = [row.image_id for row in rows]
    assert ids[0] == wanted[0]
    assert not set(ids[1:]) & set(wanted)
    assert [row.parent_id for row in rows] == [None, *ids[:-1]]
    assert [row.blob_digest for row in rows] == [one.digest for one in made.layers]


@pytest.mark.parametrize(
    "made",
    [index(simple_image("a")), artifact("text/x-note", Blob(b"note", "text/plain")), image()],
    ids=["index", "artifact", "no layers"],
)
def test_s8_what_is_no_image_of_layers_has_none(direct, made):
    """Fails without: the formats answering no ids for these."""
    for child in made.children:
        direct.push(child)
    before = direct.column("SELECT count(*) FROM legacy_image")
    created = direct.push(made, "v1")
    assert direct.rows(CHAIN, digest=str(created.manifest.digest)) == []
    assert direct.column("SELECT count(*) FROM legacy_image") == before


# S9 - the lost race


def test_s9_who_loses_the_race_gets_the_winner_s_row(start, monkeypatch):
    """Fails without: `Database.write` running the work again after an IntegrityError."""
    loser = start()
    winner = start(clock=loser.clock)
    winner.services.storage._blobs = loser.services.storage._blobs
    made = simple_image("a")
    for blob in made.blobs:
        loser.upload(blob)
    original, lagged, won = ManifestRows.upsert, [], []

    def lag(self, connection, *arguments):
        if not lagged:
            lagged.append(self)
            # Another process commits the same manifest first, and this one's insert meets its key.
            connection.exec_driver_sql("ROLLBACK")
            won.append(winner.put(made, "won"))
            connection.exec_driver_sql("BEGIN")
            raise IntegrityError("INSERT INTO manifest ...", {}, Exception("duplicate"))
        return original(self, connection, *arguments)

    monkeypatch.setattr(ManifestRows, "upsert", lag)
    outcome = loser.put(made, "lost")
    assert won[0].newly_created
    assert not outcome.newly_created
    assert outcome.manifest == won[0].manifest
    assert outcome.labels_to_apply == won[0].labels_to_apply
    assert loser.tags() == ["lost", "won"]
    assert loser.column("SELECT count(*) FROM manifest") == [1]


def test_s9_of_32_concurrent_pushers_one_creates(direct):
    """Fails without: the unique key on (repository, digest) being met by `write`'s retry."""
    made = simple_image("a")
    for blob in made.blobs:
        direct.upload(blob)
    together = threading.Barrier(CLIENTS)

    def push(number: int) -> tuple[bool, int]:
        together.wait()
        created = direct.put(made, f"v{number}")
        return created.newly_created, created.manifest.manifest_id

    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = list(pool.map(push, range(CLIENTS)))
    assert sorted(created for created, _ in outcomes) == [False] * (CLIENTS - 1) + [True]
    assert len({row for _, row in outcomes}) == 1
    assert len(direct.tags()) == CLIENTS


# S10 - rows, labels, and labels to apply


def test_s10_a_push_that_fails_late_leaves_no_row(direct, monkeypatch):
    """Fails without: one transaction (a commit between manifest and labels leaves rows)."""
    made = image(layer({"f": b"1"}), labels={"a": "b"}, empty_steps=1)
    for blob in made.blobs:
        direct.upload(blob)
    tables = ("manifest", "manifest_blob", "manifest_child", "label", "legacy_image", "manifest_legacy_image", "tag")
    with monkeypatch.context() as patch:
        patch.setattr(ManifestRows, "settle_pins", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            direct.put(made, "v1")
    assert {name: direct.column(f"SELECT count(*) FROM {name}") for name in tables} == {name: [0] for name in tables}
    direct.put(made, "v1")
    counted = {name: direct.column(f"SELECT count(*) FROM {name}")[0] for name in tables}
    assert counted == {
        "manifest": 1,
        "manifest_blob": 3,
        "manifest_child": 0,
        "label": 1,
        "legacy_image": 2,
        "manifest_legacy_image": 2,
        "tag": 1,
    }


def test_s10_the_row_says_what_is_queried(direct):
    """Fails without: each of the columns being filled in `upsert`."""
    subject = simple_image("a")
    direct.push(subject, "v1")
    made = artifact("text/x-note", Blob(b"12345", "text/plain"), annotations={"k": "v"}, subject=subject)
    direct.push(made)
    (row,) = direct.rows("SELECT * FROM manifest WHERE digest = :digest", digest=made.digest)
    assert (
        row.media_type,
        row.artifact_type,
        row.config_media_type,
        row.subject_digest,
        row.size,
        row.layers_size,
    ) == (
        OCI.manifest,
        "text/x-note",
        "application/vnd.oci.empty.v1+json",
        subject.digest,
        len(made.data),
        5,
    )
    assert (bytes(row.payload), json.loads(row.annotations)) == (made.data, {"k": "v"})


def test_s10_labels_are_stored_with_their_source_and_media_type(direct):
    """Fails without: `rows.labels`; with `_media_type` calling every JSON value JSON, or none."""
    values = {
        "plain": "text",
        "object": '{"a": 1}',
        "array": " [1, 2]",
        "number": "1",
        "true": "true",
        "string": '"quoted"',
        "broken": '{"a": ',
        "bracket": "[not json]",
        "empty": "",
    }
    made = image(layer({"f": b"1"}), labels=values, annotations={"plain": "overlaid"})
    direct.push(made, "v1")
    stored = direct.labels(made)
    assert {key: row.value for key, row in stored.items()} == {**values, "plain": "overlaid"}
    assert {row.source for row in stored.values()} == {"manifest"}
    assert {key for key, row in stored.items() if row.media_type == "application/json"} == {"object", "array"}
    assert {row.media_type for row in stored.values()} == {"application/json", "text/plain"}


def test_s10_labels_to_apply_are_the_manifest_s_own(direct):
    """Fails without: returning `prepared.applied` from `_store`."""
    made = image(layer({"f": b"1"}), labels={"a": "1", "b": "2"}, annotations={"b": "3"})
    assert direct.push(made, "v1").labels_to_apply == {"a": "1", "b": "3"}
    assert direct.put(made, "v2").labels_to_apply == {"a": "1", "b": "3"}


def test_s10_labels_to_apply_of_an_index_are_shared_by_all_children(direct):
    """Fails without: the intersection of key and value (a union, or one of keys alone)."""
    one = image(layer({"f": b"1"}), labels={"same": "1", "differs": "x", "only": "1"})
    two = image(layer({"f": b"2"}), labels={"same": "1", "differs": "y"})
    assert direct.push(index(one, two), "v1").labels_to_apply == {"same": "1"}
    overlaid = index(one, two, annotations={"same": "2", "own": "3"})
    assert direct.push(overlaid, "v2").labels_to_apply == {"same": "2", "own": "3"}


# S11 - the retriever


def content_of(direct: Direct, repository: str = "team/app") -> RepositoryContent:
    found = direct.column("SELECT id FROM repository WHERE name = :name", name=repository)
    services = direct.services
    return RepositoryContent(services.database, services.storage, services.hooks, found[0] if found else None)


def test_s11_the_retriever_reads_blobs_and_manifests_of_its_repository(direct):
    """Fails without: either half of `_fetch`, or `_parse`."""
    made = simple_image("a")
    direct.push(made, "v1")
    content = content_of(direct)
    assert content.read(Digest.parse(made.config.digest)) == made.config.data
    assert content.read(Digest.parse(made.digest)) == made.data
    assert content.manifest(Digest.parse(made.digest)).config.digest == Digest.parse(made.config.digest)


def test_s11_the_retriever_sees_no_other_repository(direct):
    """Fails without: the repository in `members` and in `_STORED`."""
    made = simple_image("a")
    direct.push(made, "v1", repository=type(direct.repository).parse("other/app"))
    direct.upload(Blob(b"x"))
    for content in (content_of(direct), content_of(direct, "nowhere")):
        for digest in (made.config.digest, made.digest):
            with pytest.raises(ContentMissing):
                content.read(Digest.parse(digest))
        with pytest.raises(ContentMissing):
            content.manifest(Digest.parse(made.digest))


def test_s11_the_retriever_keeps_its_limit(direct, monkeypatch):
    """Fails without: the comparison with `limit`, before the read and after it."""
    direct.upload(blob := Blob(bytes(1000)))
    digest = Digest.parse(blob.digest)
    with monkeypatch.context() as patch, pytest.raises(ContentTooLarge):
        patch.setattr(direct.services.storage, "read", lambda *_: pytest.fail("read what is too long"))
        content_of(direct).read(digest, 999)
    content = content_of(direct)
    assert content.read(digest, 1000) == blob.data
    with pytest.raises(ContentTooLarge):
        content.read(digest, 999)


def test_s11_a_config_that_is_none_refuses_the_push(direct):
    """Fails without: the formats reading the config (`load_config` answering None)."""
    config, one = Blob(b'{"history": 7}', OCI.config), layer({"f": b"1"})
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": config.descriptor(),
        "layers": [one.descriptor()],
    }
    with pytest.raises(ManifestInvalid, match="history"):
        direct.push(Manifest(to_json(body), OCI.manifest, blobs=(config, one)), "v1")

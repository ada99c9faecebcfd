"""What fsck and scrub find, what they mend, and what they leave alone."""

import pytest

from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.fsck.findings import Severity
from registry.names import RepositoryName
from tests.support.direct import body
from tests.support.images import DOCKER, Blob, artifact, image, index, layer, simple_image
from tests.support.scale import scaled

DAY = 86_400
IMAGE = image(layer({"f": b"image"}))
LIST = index(IMAGE)
OTHER = RepositoryName.parse("team/other")


def fsck(direct, **how):
    return direct.services.fsck.run(direct.actor, **how)


def errors(direct, **how):
    return {one.kind for one in fsck(direct, **how).findings if one.severity is Severity.ERROR}


def notes(direct):
    return {one.kind for one in fsck(direct).findings if one.severity is Severity.NOTE}


@pytest.fixture
def full(direct):
    """Give a registry with one of everything."""
    direct.push(index(simple_image("a"), simple_image("b", DOCKER)), "v1")
    direct.push(IMAGE, "v1", "v2", repository=OTHER)
    direct.push(artifact("application/x-sig", Blob(b"signed"), subject=IMAGE), repository=OTHER)
    direct.push(simple_image("untagged"))
    direct.push(image(layer({"e": b"e"}), labels={"quay.expires-after": "1h"}), "ends")
    direct.upload(Blob(b"alone"))
    uuid = direct.services.uploads.start(direct.actor, direct.repository, None).uuid
    direct.services.uploads.append(direct.actor, direct.repository, uuid, body(b"half"), 0)
    direct.delete_tag("v1")
    direct.push(simple_image("c"), "v1")
    direct.delete_manifest(simple_image("c"))
    return direct


def test_a_sound_registry_has_no_errors(full):
    assert errors(full, deep=True) == set()
    report = fsck(full)
    assert report.checked["manifests"] == 8
    assert report.checked["blobs"] > 8
    assert report.errors == 0


def test_it_stays_sound_through_collection(full):
    for _ in range(4):
        full.clock.turn(seconds=7 * DAY)
        full.collect()
        full.assert_sound(deep=True)
    assert full.column("SELECT count(*) FROM upload") == [0]


def flip(direct, digest):
    """Change one bit of a blob's bytes."""
    (key,) = direct.column("SELECT storage_key FROM blob WHERE digest = :d", d=digest)
    blobs = direct.services.storage._blobs
    blobs[key] = bytes([blobs[key][0] ^ 1]) + blobs[key][1:]


def drop(direct, digest):
    (key,) = direct.column("SELECT storage_key FROM blob WHERE digest = :d", d=digest)
    direct.services.storage.delete(key)


TAG = "UPDATE tag SET"
BREACHES = {
    "tag periods overlap": "UPDATE tag SET lifetime_end_ms = lifetime_start_ms + 99999999 WHERE current IS NULL",
    "tag period without an end": "UPDATE tag SET current = NULL WHERE name = 'v2'",
    "tag of another manifest": f"{TAG} digest = 'sha256:{'0' * 64}' WHERE name = 'v2'",
    "tag of no manifest": f"{TAG} manifest_id = NULL WHERE name = 'v2'",
    "immutable tag with an end": f"{TAG} immutable = true WHERE name = 'ends'",
    "manifest damaged": "UPDATE manifest SET size = size + 1 WHERE id = 1",
    "wrong edge": "UPDATE manifest SET subject_digest = 'sha256:1' WHERE id = 1",
    "missing edge": "DELETE FROM manifest_blob WHERE manifest_id = 1",
    "manifest without a review": "DELETE FROM gc_review WHERE kind = 'manifest'",
    "blob without a review": "DELETE FROM gc_review WHERE kind = 'blob'",
    "blob of no repository": "DELETE FROM repository_blob WHERE blob_id = 1",
    "manifest lacks a blob": "DELETE FROM repository_blob WHERE blob_id = 1",
    "storage key used twice": "UPDATE blob SET storage_key = (SELECT storage_key FROM blob WHERE id = 1) WHERE id = 2",
    "deletion without a queue": "UPDATE blob SET state = 'DELETING' WHERE id = 1",
    "repository without a review": "UPDATE repository SET deleted_at = 1, current = NULL WHERE name = 'team/other'",
}


@pytest.mark.parametrize("kind", BREACHES)
def test_each_breach_is_found_by_its_name(full, kind):
    full.clock.turn(seconds=60)
    full.change(BREACHES[kind])
    assert kind in errors(full)


def test_bytes_that_are_gone_or_wrong_are_found_mended_and_healed(full):
    gone, wrong = simple_image("a").blobs[1], simple_image("a").blobs[2]
    drop(full, gone.digest)
    flip(full, wrong.digest)
    assert errors(full) == {"blob damaged"}
    assert len([one for one in fsck(full, deep=True).findings if one.kind == "blob damaged"]) == 2
    report = fsck(full, deep=True, repair=True)
    assert [one.severity for one in report.findings if one.kind == "blob damaged"] == [Severity.REPAIRED] * 2
    for blob in (gone, wrong):
        with pytest.raises(BlobUnknown):
            full.blob_bytes(blob.digest)
    assert errors(full) == {"blob damaged", "manifest lacks a blob"}
    for blob in (gone, wrong):
        full.upload(blob)
        assert full.blob_bytes(blob.digest) == blob.data
    assert errors(full, deep=True) == set()
    full.services.deletions.drain()
    assert full.content()["keys"] == full.content()["blob"]


@pytest.mark.parametrize(
    "kind",
    [
        "manifest without a review",
        "blob without a review",
        "deletion without a queue",
        "repository without a review",
    ],
)
def test_what_collection_was_never_told_of_is_queued(full, kind):
    full.change(BREACHES[kind])
    fsck(full, repair=True)
    assert kind not in errors(full)


def test_bytes_that_no_row_knows_are_found_and_removed(full):
    full.services.storage._blobs["0" * 32] = b"orphan"
    assert errors(full) == {"orphan bytes"}
    fsck(full, repair=True)
    full.services.deletions.drain()
    assert "0" * 32 not in full.services.storage._blobs
    assert errors(full) == set()


def test_a_manifest_whose_bytes_changed_is_found(full):
    full.change("UPDATE manifest SET payload = :payload WHERE id = 1", payload=LIST.data)
    assert "manifest damaged" in errors(full)


def test_what_a_client_deleted_or_never_pushed_is_a_note(start):
    direct = start(allow_sparse=True)
    direct.put(LIST, "sparse")
    assert errors(direct) == set()
    assert notes(direct) == {"manifest lacks a child"}


def test_a_purged_blob_is_a_note(direct):
    direct.push(IMAGE, "v1")
    direct.services.purges.purge(direct.actor, Digest.parse(IMAGE.blobs[1].digest), "leaked")
    assert errors(direct) == set()
    assert notes(direct) == {"manifest lacks a blob"}


def test_a_finding_that_is_gone_at_the_second_look_is_none(full, monkeypatch):
    full.change(BREACHES["manifest damaged"])
    check = type(full.services.fsck._manifests).check
    mended = []

    def once(self, manifest_id):
        found = check(self, manifest_id)
        if found and not mended:
            mended.append(manifest_id)
            full.change("UPDATE manifest SET size = size - 1 WHERE id = 1")
        return found

    monkeypatch.setattr(type(full.services.fsck._manifests), "check", once)
    assert errors(full) == set()
    assert mended == [1]


def job(direct, name):
    (found,) = [one.job for one in direct.services.runs.schedules(direct.actor) if one.job.name == name]
    return found


class Context:
    def __init__(self, **arguments):
        self.arguments = arguments

    def progress(self, done, total=0):
        pass

    def stopping(self):
        return False


def test_scrub_reads_each_blob_once_a_cycle(full):
    scrub = job(full, "scrub")
    assert not scrub.wanted()
    count = full.content()["blob"]
    full.clock.turn(seconds=31 * DAY)
    assert scrub.wanted()
    done = scrub.run(Context())
    assert (done["blobs"], done["damaged"]) == (count, 0)
    assert not scrub.wanted()
    full.clock.turn(ms=1)
    assert scrub.run(Context(everything=True))["blobs"] == count


@pytest.mark.parametrize("finder", ["fsck --deep", "scrub"])
def test_every_flipped_bit_is_found_and_healed_by_a_push(direct, finder, figure):
    blobs = [Blob(f"blob {number}".encode()) for number in range(scaled(100, 5))]
    for blob in blobs:
        direct.upload(blob)
        flip(direct, blob.digest)
    direct.clock.turn(ms=1)
    if finder == "scrub":
        found = job(direct, "scrub").run(Context(everything=True))["damaged"]
    else:
        report = fsck(direct, deep=True, repair=True)
        found = sum(one.kind == "blob damaged" for one in report.findings)
    assert found == len(blobs)
    for blob in blobs:
        with pytest.raises(BlobUnknown):
            direct.blob_bytes(blob.digest)
        direct.upload(blob)
        assert direct.blob_bytes(blob.digest) == blob.data
    assert errors(direct, deep=True) == set()
    figure(f"{found} of {len(blobs)} flipped bits found, all healed by a push")

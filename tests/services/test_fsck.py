"""What fsck and scrub find, what they mend, and what they leave alone."""

import shutil
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from registry.digest import Digest
from registry.errors import BlobUnknown, ManifestBlobUnknown, NameUnknown, RegistryError, Unavailable
from registry.fsck.content import BlobReader
from registry.fsck.findings import Kind, Severity
from registry.fsck.manifests import ManifestChecks
from registry.fsck.scanning import Scanner
from registry.fsck.throttle import Throttle
from registry.hooks import KeyMissing, ParsedManifest, StorageError, StoredKey, hookimpl
from registry.names import RepositoryName
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.testing.images import (
    DOCKER,
    MANIFEST_TYPES,
    OCI,
    SIGNED_SCHEMA1,
    Blob,
    artifact,
    digest_of,
    image,
    index,
    layer,
    simple_image,
    to_json,
)
from tests.support.direct import body

DAY = 86_400
IMAGE = image(layer({"f": b"image"}))
LIST = index(IMAGE)
UNSIGNED_SCHEMA1 = MANIFEST_TYPES[-1]
OTHER = RepositoryName.parse("team/other")


def fsck(direct, **how):
    return direct.services.fsck.run(direct.actor, **how)


def errors(direct, **how):
    return {one.kind for one in fsck(direct, **how).findings if one.severity is Severity.ERROR}


def notes(direct):
    return {one.kind for one in fsck(direct).findings if one.severity is Severity.NOTE}


@pytest.fixture(scope="module")
def kept():
    """Keep what was pushed once."""
    return {}


@pytest.fixture
def full(direct, kept):
    """Give a registry with one of everything; with SQLite each test has a copy of the first."""
    if direct.services.database.dialect != "sqlite":
        fill(direct)
    elif kept:
        direct.put_back(**kept)
    else:
        fill(direct)
        kept.update(direct.copied())
    return direct


def fill(direct):
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
NOBODY = f"sha256:{'0' * 64}"
BREACHES = {
    "repository half deleted": "UPDATE repository SET deleted_at = 1 WHERE name = 'team/other'",
    "tag periods overlap": "UPDATE tag SET lifetime_end_ms = lifetime_start_ms + 99999999 WHERE current IS NULL",
    "tag period that ends before it starts": f"{TAG} lifetime_end_ms = 1 WHERE name = 'ends'",
    "deleted manifest with a pin": "UPDATE manifest SET label_pin = true WHERE deleted_at IS NOT NULL",
    "manifest described wrongly": "UPDATE manifest SET artifact_type = 'x' WHERE id = 1",
    "purged digest that is here": "INSERT INTO purged_digest SELECT digest, 'r', 'a', 1 FROM manifest WHERE id = 1",
    "manifest lacks a child": f"UPDATE manifest_child SET digest = '{NOBODY}' WHERE digest = (SELECT min(digest) FROM manifest_child)",
    "blob row damaged": "UPDATE blob SET state = 'ODD' WHERE id = 1",
    "blob of another store": "UPDATE blob SET storage_id = 's3' WHERE id = 1",
    "blob whose bytes are to be removed": "INSERT INTO storage_deletion (storage_id, storage_key, handle, tail_etag, due_ms, attempts) SELECT storage_id, storage_key, '', '', 1, 0 FROM blob WHERE id = 1",
    "blob given up that is needed": "UPDATE blob SET state = 'DELETING' WHERE id = 1",
    "upload row damaged": "UPDATE upload SET state = 'ODD'",
    "upload whose parts do not add up": "UPDATE upload SET handle = 'session'",
    "upload whose bytes are to be removed": "INSERT INTO storage_deletion (storage_id, storage_key, handle, tail_etag, due_ms, attempts) SELECT storage_id, storage_key, '', '', 1, 0 FROM upload",
    "upload that lost its bytes": 'UPDATE upload SET "offset" = "offset" + 1',
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


def test_every_kind_of_finding_is_looked_for_here():
    elsewhere = {
        Kind.MANIFEST_UNREADABLE,
        Kind.BLOB_DAMAGED,
        Kind.BLOB_SOUND,
        Kind.MEMBER_OF_NOTHING,
        Kind.LACKS_SUBJECT,
        Kind.LEASE_AHEAD,
        Kind.ORPHAN,
        Kind.ORPHANS_UNKNOWN,
        Kind.DELETION_FAILING,
    }
    assert set(BREACHES) == {str(kind) for kind in Kind} - {str(kind) for kind in elsewhere}


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
        "blob whose bytes are to be removed",
        "upload whose bytes are to be removed",
        "blob of no repository",
    ],
)
def test_what_can_be_mended_without_loss_is_mended(full, kind):
    full.change(BREACHES[kind])
    before = full.rows("SELECT id, digest, deleted_at FROM manifest ORDER BY id")
    tags = full.rows("SELECT * FROM tag ORDER BY id")
    report = fsck(full, repair=True)
    assert Severity.REPAIRED in {one.severity for one in report.findings if one.kind == kind}
    assert kind not in errors(full)
    assert full.rows("SELECT id, digest, deleted_at FROM manifest ORDER BY id") == before
    assert full.rows("SELECT * FROM tag ORDER BY id") == tags


def test_a_membership_of_nothing_is_removed(full):
    unchecked = {
        "sqlite": ("PRAGMA foreign_keys=OFF", "PRAGMA foreign_keys=ON"),
        "postgresql": ("SET session_replication_role = replica", "RESET session_replication_role"),
    }
    with full.services.database.read() as connection:
        begin, end = unchecked[connection.dialect.name]
        for statement in (begin, "INSERT INTO repository_blob VALUES (1, 9999, 0, NULL)", end):
            connection.exec_driver_sql(statement)
    assert "membership of nothing" in errors(full)
    fsck(full, repair=True)
    assert errors(full) == set()


def test_bytes_that_no_row_knows_are_found_and_removed(full):
    full.services.storage._blobs["0" * 32] = b"orphan"
    assert errors(full) == {"orphan bytes"}
    fsck(full, repair=True)
    # The database may be one from a backup, and the bytes what was pushed after it.
    full.clock.turn(seconds=14 * DAY - 1)
    full.services.deletions.drain()
    assert "0" * 32 in full.services.storage._blobs
    assert errors(full) == set()
    full.clock.turn(seconds=1)
    full.services.deletions.drain()
    assert "0" * 32 not in full.services.storage._blobs
    assert errors(full) == set()


def test_young_bytes_are_no_orphans(full, monkeypatch):
    for age, found in ((30, set()), (61, {"orphan bytes"})):
        held = [StoredKey("0" * 32, 3, round((time.time() - age) * 1000), complete=True)]
        monkeypatch.setattr(full.services.storage, "list_keys", lambda held=held: iter(held))
        assert errors(full) - {"upload that lost its bytes"} == found


def test_a_store_that_lists_nothing_is_told_of(full, monkeypatch):
    monkeypatch.setattr(full.services.fsck._orphans, "_storage", SimpleNamespace(storage_id="plain"))
    assert errors(full) == set()
    assert "orphans not looked for" in notes(full)


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


def mended_between(monkeypatch, owner, method, found, mend):
    """Let ``mend`` run once, after the first look of a method that ``found`` something."""
    look, done = getattr(owner, method), []

    def once(self, *arguments, **named):
        seen = look(self, *arguments, **named)
        if not done and found(seen, *arguments):
            done.append(True)
            mend()
        return seen

    monkeypatch.setattr(owner, method, once)
    return done


LOOKS = {
    "manifest damaged": (ManifestChecks, "_look", "UPDATE manifest SET size = size - 1 WHERE id = 1"),
    "immutable tag with an end": (Scanner, "_fetch", f"{TAG} immutable = false"),
    "blob of another store": (Scanner, "_fetch", "UPDATE blob SET storage_id = 'memory'"),
    "manifest without a review": (
        Scanner,
        "_fetch",
        "INSERT INTO gc_review (kind, repository_id, target, due_ms) SELECT 'manifest', repository_id, id, 1 FROM manifest",
    ),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_a_finding_that_is_gone_at_the_second_look_is_none(full, monkeypatch, kind):
    owner, method, statement = LOOKS[kind]
    full.change(BREACHES[kind])
    assert kind in errors(full)

    def found(seen, *arguments):
        return seen and (owner is ManifestChecks or arguments[1].kind == kind)

    done = mended_between(monkeypatch, owner, method, found, lambda: full.change(statement))
    assert kind not in errors(full)
    assert done


def test_an_upload_that_went_on_since_the_list_lost_nothing(full, monkeypatch):
    full.change(BREACHES["upload that lost its bytes"])

    def found(*_):
        return True

    mended_between(
        monkeypatch, MemoryStorage, "list_keys", found, lambda: full.change('UPDATE upload SET "offset" = "offset" - 1')
    )
    assert errors(full) == set()


@pytest.mark.parametrize("finder", ["fsck", "scrub"])
def test_a_blob_that_was_replaced_or_collected_while_it_was_read_is_not_damaged(full, monkeypatch, finder, caplog):
    gone = simple_image("a").blobs[1]
    drop(full, gone.digest)

    def mend():
        full.change("UPDATE blob SET state = 'DAMAGED' WHERE digest = :d", d=gone.digest)
        full.upload(gone)

    done = mended_between(monkeypatch, BlobReader, "damage", lambda seen, *_: seen is not None, mend)
    full.clock.turn(ms=1)
    if finder == "scrub":
        assert job(full, "scrub").run(Context(everything=True))["damaged"] == 0
        assert caplog.text == ""
    else:
        assert errors(full, deep=True, repair=True) == set()
    assert done
    assert full.blob_bytes(gone.digest) == gone.data


def unreadable(monkeypatch, direct, digest, times):
    """Let the store fail to read one blob this often; all else works."""
    (bad,) = direct.column("SELECT storage_key FROM blob WHERE digest = :d", d=digest)
    read, left = MemoryStorage.read, [times]

    def failing(self, key, *arguments):
        if key == bad and left[0]:
            left[0] -= 1
            raise StorageError("input/output error")
        return read(self, key, *arguments)

    monkeypatch.setattr(MemoryStorage, "read", failing)


@pytest.mark.parametrize("finder", ["fsck --deep", "scrub"])
@pytest.mark.parametrize("times", [1, 100])
def test_bytes_that_cannot_be_read_are_damaged_and_stop_nothing(full, monkeypatch, finder, times):
    unreadable(monkeypatch, full, IMAGE.blobs[1].digest, times)
    full.clock.turn(ms=1)
    if finder == "scrub":
        damaged = job(full, "scrub").run(Context(everything=True))["damaged"]
    else:
        found = fsck(full, deep=True, repair=True).findings
        damaged = sum("cannot be read: input/output error" in one.detail for one in found)
    assert damaged == (times > 1)
    full.upload(IMAGE.blobs[1], OTHER)
    monkeypatch.undo()
    assert errors(full, deep=True) == set()


def test_a_store_that_does_not_work_ends_the_check(full, monkeypatch):
    def broken(*_):
        raise StorageError("not mounted")

    for name in ("size", "check"):
        monkeypatch.setattr(MemoryStorage, name, broken)
    with pytest.raises(StorageError, match="not mounted"):
        fsck(full)
    full.clock.turn(ms=1)
    with pytest.raises(StorageError, match="not mounted"):
        job(full, "scrub").run(Context(everything=True))
    monkeypatch.undo()
    assert errors(full) == set()


def test_a_sound_blob_is_let_out_of_quarantine(full):
    full.change("UPDATE blob SET state = 'DAMAGED' WHERE digest = :d", d=IMAGE.blobs[1].digest)
    assert errors(full) == {"blob damaged", "manifest lacks a blob"}
    assert "sound blob in quarantine" in errors(full, deep=True)
    fsck(full, deep=True, repair=True)
    assert errors(full) == set()


def test_only_some_repositories_are_checked(full):
    full.change("DELETE FROM manifest_blob WHERE manifest_id = 1")
    full.change("UPDATE tag SET digest = :d WHERE name = 'v2'", d=NOBODY)
    drop(full, IMAGE.blobs[1].digest)
    whole = errors(full)
    assert {"missing edge", "tag of another manifest", "blob damaged"} <= whole

    def only(name):
        report = full.services.fsck.run(full.actor, [name])
        return {one.kind for one in report.findings if one.severity is Severity.ERROR}

    assert only(OTHER) == {"tag of another manifest", "blob damaged"}
    assert only(full.repository) >= {"missing edge"}
    assert not only(full.repository) & {"tag of another manifest", "blob damaged"}
    with pytest.raises(NameUnknown):
        only(RepositoryName.parse("no/such"))


def test_findings_are_told_as_they_come_and_only_some_are_kept(full, monkeypatch):
    monkeypatch.setattr("registry.fsck.findings.LISTED", 3)
    full.change("UPDATE manifest SET size = size + 1")
    told = []
    report = full.services.fsck.run(full.actor, tell=told.append)
    assert len(report.findings) == 3
    assert report.errors == len([one for one in told if one.severity is Severity.ERROR]) == 8


def test_a_child_that_a_client_deleted_is_a_note_also_once_it_is_collected(direct):
    direct.push(LIST, "v1")
    direct.delete_manifest(IMAGE)
    for _ in range(2):
        assert errors(direct) == set()
        assert "manifest lacks a child" in notes(direct)
        direct.clock.turn(seconds=15 * DAY)
        direct.collect()
    assert direct.column("SELECT digest FROM manifest") == [LIST.digest]


def test_what_is_lacking_without_a_reason_is_an_error(start):
    start(allow_sparse=True).put(index(simple_image("x")), "v1")
    start(allow_sparse=True).put(IMAGE, "v2")
    assert errors(start(allow_sparse=False)) >= {"manifest lacks a child", "manifest lacks a blob"}


def test_a_layer_from_elsewhere_and_a_subject_to_come_are_notes(direct):
    body_of = {**IMAGE.body, "subject": {"mediaType": OCI.manifest, "digest": NOBODY, "size": 3}}
    body_of["layers"] = [
        {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar", "digest": NOBODY, "size": 5}
    ]
    direct.upload(IMAGE.blobs[0])
    direct.put(Blob(to_json(body_of), OCI.manifest), "v1")
    assert errors(direct) == set()
    assert notes(direct) == {"manifest lacks a blob", "manifest lacks its subject"}


def test_a_blob_that_a_client_deleted_is_a_note(full):
    full.change("UPDATE repository_blob SET hidden_at = 1")
    assert errors(full) == set()
    assert "manifest lacks a blob" in notes(full)


def test_leases_far_ahead_and_failing_deletions_are_notes(full):
    full.change("UPDATE repository_blob SET lease_until = :ms", ms=full.clock.now + 400 * DAY * 1000)
    full.change(BREACHES["deletion without a queue"])
    fsck(full, repair=True)
    full.change("UPDATE storage_deletion SET attempts = 9")
    assert {"lease far ahead", "deletion that fails"} <= notes(full)


def test_a_manifest_whose_plugin_is_gone_is_a_note(start):
    class Note:
        @hookimpl
        def manifest_media_types(self):
            return ["application/x-note"]

        @hookimpl
        def parse_manifest(self, media_type, payload):
            return ParsedManifest(payload, media_type, payload)

    start(plugins=[Note()]).put(Blob(b"a note", "application/x-note"), "v1")
    later = start(plugins=[object()])
    assert errors(later) == set()
    assert notes(later) == {"manifest of an unknown format"}
    later.change("UPDATE manifest SET size = 7, payload = :p", p=b"another")
    assert errors(later) == set()


@pytest.mark.parametrize("name", ["signed-rsa", "signed-p256", "unsigned"])
def test_a_signed_schema_1_manifest_has_the_digest_of_its_signed_payload(sparse, name):
    payload = (Path(__file__).parents[1] / "formats" / "golden" / f"{name}.json").read_bytes()
    made = sparse.put(Blob(payload, SIGNED_SCHEMA1 if name != "unsigned" else UNSIGNED_SCHEMA1), "v1").manifest
    assert (str(made.digest) == digest_of(payload)) == (name == "unsigned")
    assert errors(sparse) == set()
    sparse.change("UPDATE manifest SET payload = :p", p=payload.replace(b"amd64", b"amd65"))
    assert errors(sparse) == {"manifest damaged"}


def test_it_finds_nothing_beside_pushes_deletions_and_collection(start):
    direct = start(lease_seconds=5, grace_seconds=10, recovery_window=0)
    images = [image(layer({"n": str(number).encode()})) for number in range(6)]
    failed = []

    def push(number):
        try:
            for turn in range(15):
                made = images[(number + turn) % len(images)]
                direct.push(index(made), f"t{number}", "shared")
                direct.delete_tag(f"t{number}")
                direct.clock.turn(seconds=4)
                direct.collect()
        except (RegistryError, ValueError) as problem:
            # the clock runs faster than any lease, and than the time for which bytes outlive their rows
            gone = isinstance(problem, ManifestBlobUnknown) or isinstance(problem.__cause__, KeyMissing)
            if not gone:
                failed.append(problem)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    looks = 0
    while any(thread.is_alive() for thread in threads):
        direct.assert_sound(deep=True)
        looks += 1
    for thread in threads:
        thread.join()
    assert not failed
    assert looks
    direct.assert_sound(deep=True)


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
    blobs = [Blob(f"blob {number}".encode()) for number in range(100)]
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


def test_a_pull_that_misses_bytes_says_so_and_scrub_looks_there_first(full, caplog):
    gone = IMAGE.blobs[1]
    drop(full, gone.digest)
    with pytest.raises(Unavailable):
        full.services.blobs.read(full.services.blobs.find(full.actor, OTHER, Digest.parse(gone.digest)))
    assert f"the bytes of blob {gone.digest} are gone" in caplog.text
    scrub = job(full, "scrub")
    assert scrub.wanted()
    assert (scrub.run(Context())["blobs"], errors(full)) == (1, {"blob damaged", "manifest lacks a blob"})
    full.upload(gone, OTHER)
    assert errors(full) == set()


def test_scrub_does_not_believe_a_store_that_has_nothing(start, files):
    direct = start(storage_url=f"file://{files}")
    direct.push(IMAGE, "v1")
    direct.push(simple_image("a"), "v2")
    away = files.rename(files.with_name("away"))
    FilesystemStorage(files)  # a start on the place of a volume that is not mounted makes the folders
    direct.clock.turn(seconds=31 * DAY)
    with pytest.raises(StorageError, match="volume mounted"):
        job(direct, "scrub").run(Context())
    assert set(direct.column("SELECT state FROM blob")) == {"LIVE"}
    shutil.rmtree(files)
    away.rename(files)
    assert job(direct, "scrub").run(Context())["damaged"] == 0
    gone = direct.column("SELECT storage_key FROM blob WHERE digest = :digest", digest=IMAGE.blobs[1].digest)[0]
    direct.services.storage.delete(gone)
    direct.clock.turn(ms=1)
    assert job(direct, "scrub").run(Context(everything=True))["damaged"] == 1


def test_scrub_goes_on_where_it_was_stopped_the_longest_unread_first(full):
    count = full.content()["blob"]
    full.clock.turn(seconds=31 * DAY)
    scrub, read = job(full, "scrub"), 0
    while scrub.wanted():
        context = Context()
        context.stopping = iter([False] * 9 + [True] * 99).__next__
        read += scrub.run(context)["blobs"]
        full.clock.turn(ms=1)
    assert read == count
    full.change("UPDATE blob SET checked_ms = 5 WHERE id = 4")
    context = Context()
    context.stopping = iter([False] * 2 + [True] * 99).__next__
    scrub.run(context)
    assert full.column("SELECT count(*) FROM blob WHERE checked_ms = 5") == [0]


def test_reading_is_throttled_over_all_threads():
    naps = []
    throttle = Throttle(1 << 20, naps.append)
    for _ in range(8):
        throttle.take(1 << 19)
    assert 12 < sum(naps) <= 14.1
    assert max(naps) <= 1
    throttle.take(1 << 30, lambda: True)
    assert sum(naps) <= 14.1


def test_what_the_registry_provides_leaves_no_bytes_behind_when_it_crashes(full, monkeypatch):
    full.services.storage._blobs.clear()
    full.change("DELETE FROM storage_deletion")

    class Crash(BaseException):
        pass

    def crash(*_):
        raise Crash

    monkeypatch.setattr("registry.content.blobs.BlobService.adopt", crash)
    with pytest.raises(Crash):
        full.services.blobs.ensure_shared(full.actor, full.repository, Digest.of(b"provided"), b"provided")
    assert list(full.services.storage._blobs) == full.column("SELECT storage_key FROM storage_deletion")
    full.clock.turn(seconds=2 * DAY)
    full.services.deletions.drain()
    assert not full.services.storage._blobs


def test_a_blob_in_quarantine_is_missing_for_all_until_it_is_pushed(full):
    made, blobs = image(layer({"q": b"q"})), full.services.blobs
    full.push(made, "quarantined")
    layer_of, where = made.blobs[1], (full.actor, full.repository, Digest.parse(made.blobs[1].digest))
    (old,) = full.column("SELECT storage_key FROM blob WHERE digest = :d", d=layer_of.digest)
    flip(full, layer_of.digest)
    fsck(full, deep=True, repair=True)
    for ask in (blobs.find, blobs.check):
        with pytest.raises(BlobUnknown):
            ask(*where)
    assert not full.services.mounts.mount(full.actor, where[2], OTHER, full.repository)
    assert not full.services.mounts.mount(full.actor, where[2], OTHER, None)
    full.upload(made.blobs[0], OTHER)
    with pytest.raises(ManifestBlobUnknown):
        full.put(made, "again", repository=OTHER)
    with pytest.raises(ManifestBlobUnknown):
        full.put(made, "again")
    full.clock.turn(seconds=5)
    full.upload(layer_of)
    row = full.rows("SELECT state, storage_key, checked_ms FROM blob WHERE digest = :d", d=layer_of.digest)[0]
    assert (row.state, row.checked_ms) == ("LIVE", full.clock.now)
    assert row.storage_key != old
    assert old not in full.services.storage._blobs  # queued with the commit, and removed after it
    full.put(made, "again")
    full.assert_sound(deep=True)

"""Uploads: fencing, resuming, digests, and the order of durable bytes and rows."""

import pytest

from registry.digest import Digest
from registry.errors import (
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    RangeInvalid,
    Unavailable,
    UploadBusy,
)
from registry.hooks import StorageError
from registry.testing.images import Blob, digest_of
from tests.support.direct import Pieces, body

DEADLINE = 60


def begin(direct, algorithm=None):
    return direct.services.uploads.start(direct.actor, direct.repository, algorithm).uuid


def append(direct, uuid, data, start=None):
    content = data if isinstance(data, Pieces) else body(data)
    return direct.services.uploads.append(direct.actor, direct.repository, uuid, content, start)


def finish(direct, uuid, data, rest=b"", start=None, digest=None):
    wanted = Digest.parse(digest or digest_of(data))
    content = rest if isinstance(rest, Pieces) else body(rest)
    return direct.services.uploads.finish(direct.actor, direct.repository, uuid, wanted, content, start)


def status(direct, uuid):
    return direct.services.uploads.status(direct.actor, direct.repository, uuid).offset


def row(direct, uuid):
    return direct.rows("SELECT * FROM upload WHERE uuid = :uuid", uuid=uuid)[0]


@pytest.fixture
def reads(on_storage, monkeypatch):
    """Count the reads of stored bytes."""
    counted, read = [], on_storage.services.storage.read

    def count(key, *arguments):
        counted.append(key)
        return read(key, *arguments)

    monkeypatch.setattr(on_storage.services.storage, "read", count)
    return counted


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("way", ["one PUT", "one PATCH"])
def test_bytes_of_one_request_are_not_read_again(on_storage, reads, algorithm, way):
    data = b"x" * 1000
    uuid = begin(on_storage, algorithm)
    if way == "one PATCH":
        append(on_storage, uuid, data)
    finish(on_storage, uuid, data, b"" if way == "one PATCH" else data, digest=digest_of(data, algorithm))
    assert reads == []
    assert on_storage.blob_bytes(digest_of(data, algorithm)) == data


@pytest.mark.parametrize("hint", ["two chunks", "another algorithm"])
def test_other_bytes_are_read_once_before_they_are_believed(on_storage, reads, hint):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"one")
    algorithm = "sha512" if hint == "another algorithm" else "sha256"
    if hint == "two chunks":
        append(on_storage, uuid, b"two")
    data = b"onetwo" if hint == "two chunks" else b"one"
    finish(on_storage, uuid, data, digest=digest_of(data, algorithm))
    assert len(reads) == 1


def test_an_upload_is_resumed_where_it_stands(on_storage):
    uuid = begin(on_storage)
    assert append(on_storage, uuid, b"abc", 0).range == "0-2"
    for wrong in (0, 2, 4):
        with pytest.raises(RangeInvalid) as refused:
            append(on_storage, uuid, b"d", wrong)
        assert refused.value.headers["Range"] == "0-2"
    append(on_storage, uuid, b"def", 3)
    assert status(on_storage, uuid) == 6
    finish(on_storage, uuid, b"abcdefghi", b"ghi", 6)
    assert on_storage.blob_bytes(digest_of(b"abcdefghi")) == b"abcdefghi"
    with pytest.raises(BlobUploadUnknown):
        status(on_storage, uuid)


def test_another_process_can_go_on(start, files):
    first, second = (start(storage_url=f"file://{files}") for _ in range(2))
    uuid = begin(first)
    append(first, uuid, b"abc")
    append(second, uuid, b"def", 3)
    finish(first, uuid, b"abcdef")
    assert second.blob_bytes(digest_of(b"abcdef")) == b"abcdef"


def test_a_session_belongs_to_its_repository(direct):
    uuid = begin(direct)
    other = type(direct.repository).parse("other/app")
    direct.upload(Blob(b"x"), other)
    with pytest.raises(BlobUploadUnknown):
        direct.services.uploads.append(direct.actor, other, uuid, body(b"x"), None)


@pytest.mark.parametrize("chunks", [1, 2])
def test_a_wrong_digest_ends_the_session_and_leaves_nothing(on_storage, chunks):
    uuid = begin(on_storage)
    for _ in range(chunks):
        append(on_storage, uuid, b"abc")
    with pytest.raises(DigestInvalid):
        finish(on_storage, uuid, b"something else")
    with pytest.raises(BlobUploadUnknown):
        status(on_storage, uuid)
    assert on_storage.rows("SELECT * FROM blob") == []
    assert on_storage.rows("SELECT * FROM storage_deletion") == []


def test_a_body_that_breaks_leaves_what_was_acknowledged(on_storage):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")

    def cut():
        raise BlobUploadInvalid("the request's body ended early")

    with pytest.raises(BlobUploadInvalid):
        append(on_storage, uuid, Pieces([b"def", cut]))
    assert (status(on_storage, uuid), row(on_storage, uuid).state) == (3, "OPEN")
    append(on_storage, uuid, b"DEF", 3)
    finish(on_storage, uuid, b"abcDEF")


def test_a_second_writer_is_told_while_the_first_one_lives(on_storage):
    uuid = begin(on_storage)

    def intrude():
        for attempt in (lambda: append(on_storage, uuid, b"x"), lambda: finish(on_storage, uuid, b"x")):
            with pytest.raises(UploadBusy):
                attempt()

    append(on_storage, uuid, Pieces([b"abc", intrude, b"def"]))
    finish(on_storage, uuid, b"abcdef")


@pytest.mark.parametrize("prefix", [b"", b"abc"])
@pytest.mark.parametrize("way", ["PATCH", "PUT"])
def test_a_writer_past_its_deadline_is_overtaken_and_changes_nothing_when_it_wakes(on_storage, prefix, way):
    uuid = begin(on_storage)
    if prefix:
        append(on_storage, uuid, prefix)
    frozen_key = row(on_storage, uuid).storage_key

    def freeze():
        on_storage.clock.turn(seconds=DEADLINE + 1)
        append(on_storage, uuid, b"new", len(prefix))
        assert row(on_storage, uuid).storage_key != frozen_key

    late = Pieces([b"old", freeze, b"older"])
    with pytest.raises(UploadBusy):
        append(on_storage, uuid, late) if way == "PATCH" else finish(on_storage, uuid, prefix + b"oldolder", late)
    assert (status(on_storage, uuid), row(on_storage, uuid).state) == (len(prefix) + 3, "OPEN")
    finish(on_storage, uuid, prefix + b"new")
    assert on_storage.blob_bytes(digest_of(prefix + b"new")) == prefix + b"new"


def test_a_writer_that_wakes_after_the_commit_does_not_touch_the_blob(on_storage):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")

    def freeze():
        on_storage.clock.turn(seconds=DEADLINE + 1)
        finish(on_storage, uuid, b"abc")

    with pytest.raises(UploadBusy):
        append(on_storage, uuid, Pieces([b"old", freeze, b"older"]))
    (key,) = on_storage.column("SELECT storage_key FROM blob")
    assert on_storage.services.storage.size(key) == 3
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"


@pytest.mark.parametrize("way", ["PATCH", "PUT"])
def test_a_takeover_that_fails_does_not_open_the_frozen_writer_s_bytes(on_storage, monkeypatch, way):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")
    frozen_key = row(on_storage, uuid).storage_key

    def freeze():
        on_storage.clock.turn(seconds=DEADLINE + 1)
        with monkeypatch.context() as patch:

            def fail(*_):
                raise StorageError("no")

            patch.setattr(on_storage.services.storage, "take_over", fail)
            with pytest.raises(Exception, match="storage does not answer"):
                append(on_storage, uuid, b"new", 3) if way == "PATCH" else finish(on_storage, uuid, b"abc")
        assert row(on_storage, uuid).state == "WRITING"
        append(on_storage, uuid, b"new", 3)
        assert row(on_storage, uuid).storage_key != frozen_key

    with pytest.raises(UploadBusy):
        append(on_storage, uuid, Pieces([b"old", freeze]))
    finish(on_storage, uuid, b"abcnew")


def test_the_row_says_that_bytes_are_in_reach_until_they_are_copied(on_storage, monkeypatch):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")
    on_storage.change("UPDATE upload SET state = 'WRITING', token = token + 1, deadline_ms = 0")
    take_over = on_storage.services.storage.take_over
    seen = []

    def look(*arguments):
        seen.append(row(on_storage, uuid).state)
        return take_over(*arguments)

    monkeypatch.setattr(on_storage.services.storage, "take_over", look)
    finish(on_storage, uuid, b"abc")
    assert seen == ["WRITING"]


def test_nothing_is_appended_while_the_commit_runs(on_storage, monkeypatch):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")
    complete = on_storage.services.storage.complete_upload

    def intrude(state):
        assert row(on_storage, uuid).state == "CLOSING"
        with pytest.raises(UploadBusy):
            append(on_storage, uuid, b"x")
        on_storage.clock.turn(seconds=DEADLINE + 1)
        with pytest.raises(RangeInvalid, match="being closed") as refused:
            append(on_storage, uuid, b"x")
        assert refused.value.headers == {"Range": "0-2"}
        complete(state)

    monkeypatch.setattr(on_storage.services.storage, "complete_upload", intrude)
    finish(on_storage, uuid, b"abc")
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"


def test_a_commit_that_failed_can_be_repeated_at_once(on_storage, monkeypatch):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")

    def fail(state):
        raise StorageError("no")

    with monkeypatch.context() as patch:
        patch.setattr(on_storage.services.storage, "complete_upload", fail)
        with pytest.raises(Exception, match="storage does not answer"):
            finish(on_storage, uuid, b"abc")
    finish(on_storage, uuid, b"abc")
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"


def test_a_cancelled_session_is_gone_also_under_a_writer(on_storage):
    uuid = begin(on_storage)

    def cancel():
        on_storage.services.uploads.cancel(on_storage.actor, on_storage.repository, uuid)

    with pytest.raises(UploadBusy):
        append(on_storage, uuid, Pieces([b"abc", cancel, b"def"]))
    with pytest.raises(BlobUploadUnknown):
        status(on_storage, uuid)


def test_the_second_upload_of_a_digest_gives_its_key_up(on_storage):
    first = on_storage.upload(Blob(b"abc"))
    second = on_storage.upload(Blob(b"abc"))
    assert on_storage.column("SELECT storage_key FROM blob") == [first.storage_key]
    assert on_storage.rows("SELECT * FROM storage_deletion") == []
    with pytest.raises(StorageError):
        on_storage.services.storage.size(second.storage_key)
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"


def test_a_key_that_cannot_be_removed_stays_queued_until_it_can(on_storage, monkeypatch):
    on_storage.upload(Blob(b"abc"))

    def fail(key):
        raise StorageError("no")

    with monkeypatch.context() as patch:
        patch.setattr(on_storage.services.storage, "delete", fail)
        patch.setattr(on_storage.services.storage, "remove_many", fail, raising=False)
        loser = on_storage.upload(Blob(b"abc"))
        assert on_storage.column("SELECT storage_key FROM storage_deletion") == [loser.storage_key]
        assert on_storage.services.deletions.drain() == 0
        assert on_storage.column("SELECT attempts FROM storage_deletion") == [1]
    on_storage.clock.turn(seconds=60)
    assert on_storage.services.deletions.drain() == 1
    assert on_storage.rows("SELECT * FROM storage_deletion") == []
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"


def test_a_claim_that_lost_the_row_meanwhile_is_tried_again(direct, monkeypatch):
    from registry.content.sessions import UploadSessions

    uuid = begin(direct)
    require, stolen = UploadSessions._require, []

    def late(self, connection, repository, text):
        found = require(self, connection, repository, text)
        stolen.append(found.token)
        if len(stolen) == 1:
            connection.exec_driver_sql("UPDATE upload SET token = token + 1, state = 'WRITING', deadline_ms = 9e15")
        return found

    monkeypatch.setattr(UploadSessions, "_require", late)
    append(direct, uuid, b"abc")
    assert stolen == [0, 0]  # what the first look found was no longer so when it claimed
    assert row(direct, uuid).token == 1


def test_a_push_replaces_bytes_that_lie_in_another_store(on_storage):
    stored = on_storage.upload(Blob(b"abc", "x"))
    on_storage.change("UPDATE blob SET storage_id = 'gone'")
    on_storage.services.storage.delete(stored.storage_key)
    on_storage.upload(Blob(b"abc", "x"))
    assert on_storage.blob_bytes(digest_of(b"abc")) == b"abc"
    assert on_storage.column("SELECT storage_key FROM storage_deletion") == [stored.storage_key]


def test_sealed_bytes_of_another_length_are_no_blob(on_storage, monkeypatch):
    uuid = begin(on_storage)
    append(on_storage, uuid, b"one")
    append(on_storage, uuid, b"two")
    with monkeypatch.context() as patch:
        patch.setattr(on_storage.services.storage, "read", lambda key: (piece for piece in (b"one", b"two", b"!")))
        with pytest.raises(Unavailable):
            finish(on_storage, uuid, b"onetwo!")
    finish(on_storage, uuid, b"onetwo")
    assert on_storage.blob_bytes(digest_of(b"onetwo")) == b"onetwo"


def test_claims_and_takeovers_outlive_a_database_that_crashes_alone(on_storage, monkeypatch):
    database, flushed = on_storage.services.database, []
    uuid = begin(on_storage)
    append(on_storage, uuid, b"abc")
    on_storage.change("UPDATE upload SET state = 'WRITING', deadline_ms = 0")
    write = database.write

    def watch(work, *, durable=True):
        before = on_storage.rows("SELECT token, storage_key FROM upload")
        result = write(work, durable=durable)
        if on_storage.rows("SELECT token, storage_key FROM upload") != before:
            flushed.append(durable)
        return result

    monkeypatch.setattr(database, "write", watch)
    append(on_storage, uuid, b"def")
    assert flushed == [database.dialect == "postgresql"] * 2


def test_a_failed_push_tells_its_own_reason_also_where_tidying_fails(on_storage):
    def cut():
        on_storage.change("DELETE FROM upload")
        raise BlobUploadInvalid("the request's body ended early")

    with pytest.raises(BlobUploadInvalid, match="ended early"):
        on_storage.services.uploads.push(
            on_storage.actor, on_storage.repository, Digest.parse(digest_of(b"abc")), Pieces([b"a", cut], 3)
        )


@pytest.mark.parametrize("after", ["a commit", "a takeover"])
def test_the_collector_waits_for_an_upload_that_the_store_interrupted(on_storage, monkeypatch, after):
    uuid, calls = begin(on_storage), {"a commit": "complete_upload", "a takeover": "take_over"}
    append(on_storage, uuid, b"abc")
    if after == "a takeover":
        on_storage.change("UPDATE upload SET state = 'WRITING', deadline_ms = :now", now=on_storage.clock.now)

    def fail(*_):
        raise StorageError("the store is away")

    monkeypatch.setattr(on_storage.services.storage, calls[after], fail)
    with pytest.raises(Unavailable):
        finish(on_storage, uuid, b"abc")
    monkeypatch.undo()
    on_storage.collect()
    assert finish(on_storage, uuid, b"abc").size == 3

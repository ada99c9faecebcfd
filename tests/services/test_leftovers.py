"""What crashes left of uploads is removed by a job, and nothing else is: on files, and on a real S3 service."""

import itertools
import time
from types import SimpleNamespace

import pytest

from registry.digest import Digest
from registry.hooks import StorageError, UploadState
from registry.storage.filesystem import FilesystemStorage
from registry.testing.contracts.pieces import append, new_key, pattern
from registry.testing.images import Blob
from tests.support.direct import Pieces, body

MIB = 1 << 20
WEEK = 7 * 86_400
_numbers = itertools.count()


def on_time(direct):
    """Set the registry's clock by the one that the store goes by."""
    direct.clock.now = time.time_ns() // 1_000_000
    return direct


@pytest.fixture
def on_s3(start, s3_gateway):
    options = {
        "endpoint_url": s3_gateway.endpoint_url,
        "region": s3_gateway.region,
        "access_key_id": s3_gateway.access_key,
        "secret_access_key": s3_gateway.secret_key,
    }
    bucket = s3_gateway.create_bucket(f"leftovers-{next(_numbers)}")
    return on_time(start(storage_url=f"s3://{bucket}/some/prefix", storage_options=options))


@pytest.fixture
def on_files(start, tmp_path):
    return on_time(start(storage_url=f"file://{tmp_path / 'storage'}"))


def sweep(direct):
    (job,) = [one.job for one in direct.services.runs.schedules(direct.actor) if one.job.name == "leftovers"]
    assert job.wanted()
    return job.run(SimpleNamespace(arguments={}, progress=lambda *_: None, stopping=lambda: False))


def pieces(direct):
    return list(direct.services.storage.list_uploads())


def cut(data):
    return [data[at : at + MIB] for at in range(0, len(data), MIB)]


def begin(direct, *lengths):
    """Return an upload that got chunks of these lengths."""
    uploads = direct.services.uploads
    uuid, offset = uploads.start(direct.actor, direct.repository, None).uuid, 0
    for length in lengths:
        uploads.append(direct.actor, direct.repository, uuid, Pieces(cut(pattern(length, offset)), length), offset)
        offset += length
    return uuid


def finish(direct, uuid, data):
    digest = Digest.parse(Blob(data).digest)
    direct.services.uploads.finish(direct.actor, direct.repository, uuid, digest, body(b""), None)
    return str(digest)


def crash(direct, *, known=None):
    """Leave in the store what a writer leaves that dies after the store's answer: of a known upload, or of none."""
    state = UploadState(known or new_key())
    append(direct.services.storage, state, pattern(9 * MIB))
    writer = direct.services.storage.open_upload(state)
    writer.write(pattern(9 * MIB))


def key_of(direct, uuid):
    (key,) = direct.column("SELECT storage_key FROM upload WHERE uuid = :u", u=uuid)
    return key


def test_files_that_no_row_knows_go_once_they_are_old(on_files):
    uuid = begin(on_files, 5, 7)
    crash(on_files)
    assert len(pieces(on_files)) == 2
    on_files.clock.turn(seconds=WEEK - 600)
    assert sweep(on_files) == {"removed": 0, "failed": 0}
    on_files.clock.turn(seconds=1200)
    assert sweep(on_files) == {"removed": 1, "failed": 0}
    (left,) = pieces(on_files)
    assert left.state.key == key_of(on_files, uuid)
    whole = pattern(5) + pattern(7, 5)
    assert on_files.blob_bytes(finish(on_files, uuid, whole)) == whole


@pytest.mark.needs_tools
def test_objects_and_parts_that_no_row_knows_go_once_they_are_old(on_s3):
    uuid = begin(on_s3, 9 * MIB, MIB)
    crash(on_s3)
    crash(on_s3, known=key_of(on_s3, uuid))
    assert len({one.state.key for one in pieces(on_s3)}) == 2
    on_s3.clock.turn(seconds=WEEK - 600)
    assert sweep(on_s3) == {"removed": 0, "failed": 0}
    on_s3.clock.turn(seconds=1200)
    assert sweep(on_s3) == {"removed": 3, "failed": 0}  # a tail, and the parts of two writers
    assert {one.state.key for one in pieces(on_s3)} == {key_of(on_s3, uuid)}
    whole = pattern(9 * MIB) + pattern(MIB, 9 * MIB)
    digest = finish(on_s3, uuid, whole)
    assert pieces(on_s3)  # what crashed beside it
    assert sweep(on_s3)["removed"] == 3
    assert pieces(on_s3) == []
    assert on_s3.blob_bytes(digest) == whole
    on_s3.assert_sound(deep=True)


@pytest.mark.needs_tools
def test_what_is_queued_for_deletion_is_left_to_that(on_s3):
    key = new_key()
    on_s3.change(
        "INSERT INTO storage_deletion (storage_id, storage_key, handle, tail_etag, due_ms, attempts)"
        " VALUES ('s3', :k, '', '', :d, 0)",
        k=key,
        d=on_s3.clock() + 30 * 86_400_000,
    )
    crash(on_s3, known=key)
    on_s3.clock.turn(seconds=8 * 86_400)
    assert sweep(on_s3) == {"removed": 0, "failed": 0}
    on_s3.clock.turn(seconds=30 * 86_400)
    on_s3.services.deletions.drain()
    assert pieces(on_s3) == []


def test_what_cannot_be_removed_is_counted_and_the_rest_goes(on_files, monkeypatch):
    for _ in range(3):
        crash(on_files)
    real, calls = FilesystemStorage.abort_upload, itertools.count()

    def fail(self, state):
        if next(calls) == 1:
            raise StorageError("planned")
        real(self, state)

    monkeypatch.setattr(FilesystemStorage, "abort_upload", fail)
    on_files.clock.turn(seconds=WEEK + 600)
    assert sweep(on_files) == {"removed": 2, "failed": 1}
    assert sweep(on_files) == {"removed": 1, "failed": 0}


def test_a_store_without_a_list_has_nothing_to_do(start):
    (job,) = [one.job for one in start().services.runs.schedules(start().actor) if one.job.name == "leftovers"]
    assert not job.wanted()
    assert job.run(SimpleNamespace(arguments={}, progress=int, stopping=bool)) == {"removed": 0, "failed": 0}

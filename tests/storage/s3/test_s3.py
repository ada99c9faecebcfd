import os
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError

from registry.hooks import ListsKeys, PrefersChunks, StorageError, UploadState
from registry.storage.keys import blob_path, upload_path
from registry.storage.s3_driver import S3Storage
from registry.storage.s3_writer import part_size
from registry.testing.contracts.pieces import append, fetch, new_key, pattern, store, through_database
from registry.testing.contracts.storage import StorageDriverContract
from tests.storage.s3.service import LONG, MIB, left, names


class TestS3Storage(StorageDriverContract):
    mib = MIB

    @pytest.fixture
    def driver(self, bucket):
        return S3Storage(bucket)

    @pytest.fixture
    def reopen(self, bucket):
        return lambda: S3Storage(bucket)


def test_it_lists_its_keys(driver):
    assert isinstance(driver, ListsKeys)


def test_a_small_blob_takes_few_calls(driver, bucket, calls):
    state = append(driver, UploadState(new_key()), b"small")
    assert calls == {"PutObject": 1}
    calls.clear()
    driver.complete_upload(state)
    assert calls == {"CopyObject": 1, "HeadObject": 1, "DeleteObject": 1}
    assert left(bucket) == ([blob_path(state.key)], [])


def test_a_long_blob_is_sent_in_parts(driver, bucket, calls):
    state = append(driver, UploadState(new_key()), *[bytes(MIB)] * 20)
    assert [part.size for part in state.parts] == [8 * MIB, 8 * MIB]
    assert state.tail.size == 4 * MIB
    assert calls == {"CreateMultipartUpload": 1, "UploadPart": 2, "PutObject": 1}
    driver.complete_upload(state)
    assert left(bucket) == ([blob_path(state.key)], [])


def test_a_plain_read_is_one_call(driver, calls):
    key = store(driver, pattern(3 * MIB))
    calls.clear()
    assert fetch(driver, key) == pattern(3 * MIB)
    assert fetch(driver, key, 0, 10) == pattern(10)
    assert calls == {"GetObject": 2}


def test_tails_are_kept_until_their_successor_is_committed(driver, bucket):
    state, tails = UploadState(new_key()), []
    for _ in range(4):
        state = append(driver, state, b"chunk")
        tails.append(f"{upload_path(state.key)}.{state.tail.etag.partition(',')[0]}")
        assert sorted(names(bucket)) == sorted(tails[-2:])
    assert len(state.tail.etag) <= 100
    driver.complete_upload(state)
    assert names(bucket) == [blob_path(state.key)]


def crashed(driver, length):
    """Return an upload that several writers died at, and what a takeover of it copied."""
    state = append(driver, UploadState(new_key()), pattern(length))
    append(driver, state, pattern(LONG))
    driver.open_upload(UploadState(state.key)).write(pattern(LONG))
    return state, driver.take_over(state, new_key())


@pytest.mark.parametrize("length", [5, LONG])
def test_many_are_removed_with_what_no_state_names(driver, bucket, calls, length):
    kept, states = crashed(driver, length)[1], [UploadState(one.key) for one in crashed(driver, length)]
    calls.clear()
    driver.remove_many(states)
    assert calls["DeleteObjects"] == 1
    assert calls["ListObjectsV2"] + calls["ListMultipartUploads"] == 2
    driver.complete_upload(kept)
    assert fetch(driver, kept.key) == pattern(length)


@pytest.mark.parametrize("length", [5, LONG])
def test_all_that_is_left_of_uploads_is_listed_and_goes_piece_by_piece(driver, bucket, length):
    done = store(driver, pattern(LONG))
    crashed(driver, length)
    for piece in list(driver.list_uploads()):
        driver.abort_upload(piece.state)
    assert left(bucket) == ([blob_path(done)], [])


@pytest.mark.parametrize("length", [0, 5, LONG])
def test_no_request_waits_for_a_list(driver, calls, length):
    state = append(driver, UploadState(new_key()), pattern(length))
    state = driver.take_over(append(driver, state, pattern(LONG)), new_key())
    driver.complete_upload(append(driver, state, b"end"))
    fetch(driver, state.key, 1, 2)
    driver.abort_upload(append(driver, UploadState(new_key()), pattern(length)))
    driver.delete(state.key)
    assert not [call for call in calls if call.startswith("List")]


def test_a_tail_that_went_into_a_part_is_removed(driver, bucket):
    state = append(driver, append(driver, UploadState(new_key()), pattern(MIB)), pattern(7 * MIB))
    assert (len(state.parts), state.tail.size) == (1, 0)
    again = append(driver, through_database(state), pattern(8 * MIB))
    assert again.tail is None
    assert names(bucket) == []
    driver.complete_upload(again)
    assert fetch(driver, state.key) == pattern(MIB) + pattern(7 * MIB) + pattern(8 * MIB)


def test_a_tail_that_went_into_the_last_part_goes_with_the_completion(driver, bucket):
    state = append(driver, append(driver, UploadState(new_key()), pattern(MIB)), pattern(7 * MIB))
    driver.complete_upload(through_database(state))
    assert names(bucket) == [blob_path(state.key)]


@pytest.mark.parametrize(("code", "status"), [("NotImplemented", 501), ("", 501), ("MissingContentMD5", 400)])
def test_a_store_that_removes_one_at_a_time_is_asked_once(driver, bucket, calls, fail, code, status):
    refused = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    fail("delete_objects", ClientError(refused, "DeleteObjects"))
    for _ in range(2):
        driver.remove_many([UploadState(store(driver, b"data")), UploadState(store(driver, b"data"))])
    assert left(bucket) == ([], [])
    assert calls["DeleteObjects"] == 0


def test_an_object_that_stays_is_told(driver, client, monkeypatch):
    answer = {"Errors": [{"Key": "k", "Code": "AccessDenied", "Message": "no"}]}
    monkeypatch.setattr(client, "delete_objects", lambda **_: answer)
    monkeypatch.setattr(client, "delete_object", lambda **_: (_ for _ in ()).throw(ConnectionResetError))
    with pytest.raises(StorageError):
        driver.remove_many([UploadState(store(driver, b"data"))])


def test_a_discarded_writer_leaves_nothing(driver, bucket):
    writer = driver.open_upload(UploadState(new_key()))
    writer.write(pattern(LONG))
    writer.discard()
    assert left(bucket) == ([], [])
    with pytest.raises(StorageError, match="failed before"):
        writer.finish()


def test_a_long_takeover_is_copied_in_pieces(driver, monkeypatch):
    monkeypatch.setattr("registry.storage.s3_driver._COPY", 10 * MIB)
    old = append(driver, UploadState(new_key()), pattern(17 * MIB))
    new = driver.take_over(old, new_key())
    assert [part.size for part in new.parts] == [8 * MIB, 8 * MIB]
    driver.complete_upload(append(driver, new, b"end"))
    assert fetch(driver, new.key) == pattern(17 * MIB) + b"end"


def test_a_forked_child_uses_no_connection_of_its_parent(driver, client, monkeypatch):
    key, closed, pid = store(driver, b"data"), [], os.getpid()
    monkeypatch.setattr(client, "close", lambda: closed.append(os.getpid()))
    monkeypatch.setattr(os, "getpid", lambda: pid + 1)
    for _ in range(2):
        assert fetch(driver, key) == b"data"
    assert closed == [pid + 1]


def test_parts_reach_far_within_bounded_memory():
    sizes = [part_size(number) for number in range(1, 10_001)]
    assert sum(sizes) > 289 << 30
    assert sizes == sorted(sizes)
    assert sum(size for size in sizes if size <= 16 << 20) > 100 << 30


def test_it_prefers_chunks_that_make_parts(driver):
    assert isinstance(driver, PrefersChunks)
    assert driver.min_chunk == 5 << 20


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("s3:///prefix", {}, "s3://bucket"),
        ("s3://bucket?x=1", {}, "s3://bucket"),
        ("s3://bucket", {"acess_key_id": "x"}, "acess_key_id"),
        ("s3://bucket", {"addressing_style": "dns"}, "auto, path or virtual"),
        ("s3://bucket", {"access_key_id": "a", "secret_access_key": "b", "endpoint_url": "no url"}, "endpoint"),
        ("s3://bucket", {"access_key_id": "a"}, "cannot be set up"),
    ],
)
def test_settings_that_are_refused(url, options, message):
    with pytest.raises(ValueError, match=message):
        S3Storage.from_url(url, options)


def test_boto3_is_loaded_only_for_s3():
    program = (
        "import sys, registry.storage.builtin as builtin; drivers = builtin.storage_drivers();"
        "drivers['memory']('memory:', {}); assert 'boto3' not in sys.modules;"
        "drivers['s3']('s3://bucket', {'access_key_id': 'a', 'secret_access_key': 'b', 'region': 'us-east-1'}); assert 'boto3' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

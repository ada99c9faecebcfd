import os
import subprocess
import sys

import pytest

from registry.hooks import ListsKeys, PrefersChunks, StorageError, UploadState
from registry.storage.keys import blob_path, upload_path
from registry.storage.s3_driver import S3Storage
from registry.storage.s3_writer import part_size
from registry.testing.contracts.pieces import append, fetch, new_key, pattern, store
from registry.testing.contracts.storage import StorageDriverContract
from tests.storage.s3.service import LONG, MIB, left


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
    state, names = UploadState(new_key()), []
    for _ in range(4):
        state = append(driver, state, b"chunk")
        names.append(f"{upload_path(state.key)}.{state.tail.etag.partition(',')[0]}")
        assert sorted(bucket.names("")) == sorted(names[-2:])
    assert len(state.tail.etag) <= 100
    driver.complete_upload(state)
    assert bucket.names("") == [blob_path(state.key)]


@pytest.mark.parametrize("length", [5, LONG])
def test_an_abort_leaves_nothing(driver, bucket, length):
    state = append(driver, UploadState(new_key()), pattern(length))
    append(driver, state, pattern(LONG))
    driver.open_upload(UploadState(state.key)).write(pattern(LONG))
    driver.take_over(state, taken := new_key())
    driver.abort_upload(UploadState(state.key))
    driver.abort_upload(UploadState(taken))
    assert left(bucket) == ([], [])


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

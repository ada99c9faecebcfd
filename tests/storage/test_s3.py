import contextlib
import os
import subprocess
import sys
from collections import Counter

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto.server import ThreadedMotoServer

from registry.hooks import KeyMissing, PrefersChunks, StorageError, StorageFull, UploadState
from registry.storage.keys import blob_path, upload_path
from registry.storage.s3 import Bucket, open_bucket
from registry.storage.s3_driver import S3Storage
from registry.storage.s3_writer import part_size
from tests.storage.contract import StorageContract, append, fetch, new_key, pattern, store

BUCKET = "blobs"
# The service here takes parts of any size, and quick tests want small ones.
MIB = 16 * 1024
LONG = 9 * MIB


@pytest.fixture(scope="module")
def options():
    """Give the settings of an S3 service in this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield {
        "endpoint_url": f"http://{host}:{port}",
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "testtest",
    }
    server.stop()


@pytest.fixture(scope="module")
def client(options):
    """Give one client to all, because making one takes long."""
    bucket = open_bucket(f"s3://{BUCKET}", options)
    with contextlib.closing(bucket._client) as client:
        client.create_bucket(Bucket=BUCKET)
        yield client


@pytest.fixture
def bucket(client):
    return Bucket(client, BUCKET, f"{new_key()}/")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr("registry.storage.s3_writer.part_size", lambda number: 8 * MIB)
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 5 * MIB)


class TestS3Storage(StorageContract):
    mib = MIB

    @pytest.fixture
    def driver(self, bucket):
        return S3Storage(bucket)

    @pytest.fixture
    def reopen(self, bucket):
        return lambda: S3Storage(bucket)


@pytest.fixture
def driver(bucket):
    return S3Storage(bucket)


@pytest.fixture
def calls(client):
    """Count the calls that go out, by operation."""
    counted = Counter()

    def count(model, **named):
        counted[model.name] += 1

    client.meta.events.register("before-call.s3", count)
    yield counted
    client.meta.events.unregister("before-call.s3", count)


@pytest.fixture
def fail(client, monkeypatch):
    """Let the nth call of an operation fail, before or after the service did it."""

    def fail(operation, error, nth=1, after=False):
        real, count = getattr(client, operation), 0

        def failing(**named):
            nonlocal count
            count += 1
            if count != nth:
                return real(**named)
            if after:
                real(**named)
            raise error

        monkeypatch.setattr(client, operation, failing)

    return fail


LOST = EndpointConnectionError(endpoint_url="http://s3.test")


def refusal(code, status=400):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Any")


def left(bucket):
    """Return what the bucket holds of this test: objects and open multipart uploads."""
    return bucket.names(""), bucket.multiparts("")


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


@pytest.mark.parametrize(
    ("length", "operation"),
    [
        (0, "put_object"),
        (5, "copy_object"),
        (5, "head_object"),
        (LONG, "upload_part_copy"),
        (LONG, "complete_multipart_upload"),
        (LONG, "head_object"),
        (LONG, "list_objects_v2"),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_completion_whose_answer_is_lost(driver, fail, operation, length, after):
    state = append(driver, UploadState(new_key()), pattern(length))
    fail(operation, LOST, after=after)
    with contextlib.suppress(StorageError):
        driver.complete_upload(state)
    driver.complete_upload(state)
    assert fetch(driver, state.key) == pattern(length)


@pytest.mark.parametrize(
    "operation",
    ["put_object", "complete_multipart_upload", "create_multipart_upload", "upload_part_copy", "copy_object"],
)
@pytest.mark.parametrize("after", [False, True])
def test_a_takeover_that_fails_may_be_repeated(driver, bucket, fail, operation, after):
    old = append(driver, UploadState(new_key()), pattern(LONG))
    fail(operation, LOST, after=after)
    lost = new_key()
    if after and operation == "complete_multipart_upload":
        # Looking whether the object is there replaces the answer that got lost.
        driver.take_over(old, lost)
    else:
        with pytest.raises(StorageError):
            driver.take_over(old, lost)
    new = driver.take_over(old, new_key())
    driver.abort_upload(UploadState(lost))
    driver.abort_upload(old)
    driver.complete_upload(new)
    assert fetch(driver, new.key) == pattern(LONG)
    assert left(bucket) == ([blob_path(new.key)], [])


def test_a_long_takeover_is_copied_in_pieces(driver, monkeypatch):
    monkeypatch.setattr("registry.storage.s3_driver._COPY", 10 * MIB)
    old = append(driver, UploadState(new_key()), pattern(17 * MIB))
    new = driver.take_over(old, new_key())
    assert [part.size for part in new.parts] == [8 * MIB, 8 * MIB]
    driver.complete_upload(append(driver, new, b"end"))
    assert fetch(driver, new.key) == pattern(17 * MIB) + b"end"


@pytest.mark.parametrize("operation", ["create_multipart_upload", "upload_part", "put_object"])
def test_a_failed_call_while_writing(driver, fail, operation):
    state = append(driver, UploadState(new_key()), b"before")
    fail(operation, LOST)
    writer = driver.open_upload(state)
    with pytest.raises(StorageError):
        writer.write(pattern(LONG))
        writer.finish()
    with pytest.raises(StorageError, match="failed before"):
        writer.finish()
    writer.discard()
    driver.complete_upload(append(driver, state, b" and after"))
    assert fetch(driver, state.key) == b"before and after"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refusal("InsufficientStorage", 507), StorageFull),
        (refusal("", 507), StorageFull),
        (refusal("QuotaExceeded", 403), StorageFull),
        (refusal("NoSuchUpload", 404), KeyMissing),
        (refusal("NoSuchBucket", 404), StorageError),
        (refusal("AccessDenied", 403), StorageError),
        (LOST, StorageError),
        (ConnectionResetError(), StorageError),
    ],
)
def test_what_errors_become(driver, fail, error, raised):
    fail("put_object", error)
    with pytest.raises(StorageError) as failure:
        append(driver, UploadState(new_key()), b"data")
    assert type(failure.value) is raised


def test_a_tail_that_is_gone_is_noticed_at_once(driver, bucket):
    state = append(driver, UploadState(new_key()), b"tail")
    bucket.put(bucket.names("")[0], b"other")
    with pytest.raises(KeyMissing):
        driver.open_upload(state)
    bucket.delete(bucket.names("")[0])
    with pytest.raises(KeyMissing):
        driver.open_upload(state)


def test_an_object_of_another_length_is_no_completion(driver, bucket):
    state = append(driver, UploadState(new_key()), pattern(LONG))
    driver.abort_upload(state)
    bucket.put(blob_path(state.key), b"other")
    with pytest.raises(KeyMissing):
        driver.complete_upload(state)


def test_a_state_that_does_not_add_up_is_refused(driver):
    with pytest.raises(StorageError, match="add up"):
        driver.complete_upload(UploadState(new_key(), 5))


def test_a_missing_bucket_is_not_a_missing_key(client):
    driver = S3Storage(Bucket(client, "no-such-bucket", ""))
    for call in (driver.size, driver.read, driver.delete, lambda _: driver.check()):
        with pytest.raises(StorageError) as failure:
            call(new_key())
        assert not isinstance(failure.value, KeyMissing)


def test_a_body_that_is_cut_short(driver, bucket, monkeypatch):
    key = store(driver, pattern(3 << 20))
    real, count = Bucket.read_piece, iter(range(10))
    monkeypatch.setattr(Bucket, "read_piece", lambda *args: real(*args) if next(count) < 1 else b"")
    with pytest.raises(StorageError, match="ended 2097152 bytes early"):
        fetch(driver, key)


def test_a_forked_child_uses_no_connection_of_its_parent(driver):
    key = store(driver, b"data")
    child = os.fork()
    if child == 0:
        os._exit(0 if fetch(driver, key) == b"data" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert fetch(driver, key) == b"data"


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

import contextlib

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from registry.hooks import KeyMissing, StorageError, StorageFull, UploadState
from registry.storage.keys import blob_path
from registry.storage.s3 import Bucket
from registry.storage.s3_driver import S3Storage
from registry.testing.contracts.pieces import append, fetch, new_key, pattern, store
from tests.storage.s3.service import LONG, left, names

LOST = EndpointConnectionError(endpoint_url="http://s3.test")


def refusal(code, status=400):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Any")


@pytest.mark.parametrize(
    ("length", "operation"),
    [
        (0, "put_object"),
        (5, "copy_object"),
        (5, "head_object"),
        (LONG, "upload_part_copy"),
        (LONG, "complete_multipart_upload"),
        (LONG, "head_object"),
        (LONG, "delete_object"),
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
    driver.remove_many([UploadState(lost), old])
    driver.complete_upload(new)
    assert fetch(driver, new.key) == pattern(LONG)
    assert left(bucket) == ([blob_path(new.key)], [])


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
    bucket.put(names(bucket)[0], b"other")
    with pytest.raises(KeyMissing):
        driver.open_upload(state)
    bucket.delete(names(bucket)[0])
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

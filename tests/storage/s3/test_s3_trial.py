import pytest
from botocore.exceptions import ClientError

from registry.hooks import Outcome
from registry.storage.s3 import Bucket
from registry.storage.s3_driver import S3Storage
from registry.storage.trials import try_driver
from tests.storage.s3.service import left

# The service in this process compares no checksums.
UNKNOWN_HERE = {"checksums"}


def answered(code, status, operation="Any"):
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, operation)


def test_a_service_does_all_and_keeps_nothing(driver, bucket):
    found = list(try_driver(driver))
    assert {one.call: one.answer for one in found if one.outcome is not Outcome.OK}.keys() == UNKNOWN_HERE
    assert left(bucket) == ([], [])


@pytest.mark.parametrize(
    ("operation", "call", "needed"),
    [
        ("copy_object", "CopyObject", True),
        ("upload_part_copy", "UploadPartCopy", True),
        ("delete_objects", "DeleteObjects", False),
        ("create_multipart_upload", "CreateMultipartUpload", True),
    ],
)
@pytest.mark.parametrize(("code", "outcome"), [("NotImplemented", Outcome.MISSING), ("AccessDenied", Outcome.FAILED)])
def test_a_call_that_is_refused_is_named(driver, bucket, client, monkeypatch, operation, call, needed, code, outcome):
    def refuse(**_):
        raise answered(code, 501 if code == "NotImplemented" else 403)

    monkeypatch.setattr(client, operation, refuse)
    (found,) = [one for one in try_driver(driver) if one.call == call]
    assert (found.outcome, found.needed) == (outcome, needed)
    assert code in found.answer
    monkeypatch.undo()
    assert left(bucket) == ([], [])


def test_nothing_is_left_by_a_trial_that_is_given_up(driver, bucket):
    calls = driver.try_calls()
    for one in calls:
        if one.call == "UploadPart":
            break
    calls.close()
    assert left(bucket) == ([], [])


def test_what_a_killed_trial_leaves_is_of_uploads(driver, bucket, monkeypatch):
    monkeypatch.setattr("registry.storage.s3_trial.S3Trial._removals", lambda _: [])
    monkeypatch.setattr("registry.storage.s3_trial.S3Trial._tidy", lambda _: None)
    list(driver.try_calls())
    for piece in list(driver.list_uploads()):
        driver.abort_upload(piece.state)
    assert left(bucket) == ([], [])


def test_a_service_that_is_not_there_is_asked_once():
    options = {"endpoint_url": "http://127.0.0.1:1", "region": "r", "access_key_id": "a", "secret_access_key": "hush"}
    (found,) = try_driver(S3Storage.from_url("s3://bucket", options))
    assert (found.call, found.outcome) == ("HeadBucket", Outcome.FAILED)
    assert "hush" not in found.answer


def test_a_bucket_that_is_not_there_is_an_answer(client):
    found = {one.call: one for one in try_driver(S3Storage(Bucket(client, "no-such-bucket", "")))}
    assert found["HeadBucket"].answer == "bucket no-such-bucket does not exist"
    assert found["PutObject"].outcome is Outcome.FAILED

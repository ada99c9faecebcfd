import pytest

from registry.hooks import Outcome
from registry.storage.s3 import Bucket, open_bucket
from registry.storage.s3_driver import S3Storage
from registry.storage.trials import try_driver
from registry.testing.contracts.pieces import MIB, new_key
from registry.testing.contracts.storage import StorageDriverContract
from tests.storage.s3.service import left

pytestmark = pytest.mark.needs_tools


@pytest.fixture(scope="module")
def options(s3_gateway):
    return {
        "endpoint_url": s3_gateway.endpoint_url,
        "region": s3_gateway.region,
        "access_key_id": s3_gateway.access_key,
        "secret_access_key": s3_gateway.secret_key,
    }


@pytest.fixture(scope="module")
def shared(s3_gateway, options):
    return open_bucket(f"s3://{s3_gateway.create_bucket('storage-contract')}", options)


class TestS3StorageOnAGateway(StorageDriverContract):
    memory_bound = 32 * MIB

    @pytest.fixture
    def bucket(self, shared):
        return Bucket(shared._client, shared.name, f"{new_key()}/")

    @pytest.fixture
    def driver(self, bucket):
        return S3Storage(bucket)

    @pytest.fixture
    def reopen(self, bucket):
        return lambda: S3Storage(bucket)


def test_a_service_is_tried_call_by_call(shared):
    bucket = Bucket(shared._client, shared.name, f"{new_key()}/")
    found = list(try_driver(S3Storage(bucket)))
    assert {one.call: one.answer for one in found if one.outcome is not Outcome.OK} == {}
    assert left(bucket) == ([], [])

"""An S3 service in this process, for quick tests, and a client that counts its calls and fails as told."""

import contextlib
from collections import Counter

import pytest
from moto.server import ThreadedMotoServer

from registry.storage.s3 import Bucket, open_bucket
from registry.storage.s3_driver import S3Storage
from registry.testing.contracts.pieces import new_key
from tests.storage.s3.service import BUCKET, MIB


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

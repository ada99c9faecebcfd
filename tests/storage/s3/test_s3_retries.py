"""Calls that fail are tried again: a few times, within a time, and all together within a budget."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from registry.app import create_app
from registry.hooks import StorageError, UploadState
from registry.settings import Settings
from registry.storage.keys import blob_path
from registry.storage.s3 import Bucket
from registry.storage.s3_client import make_client
from registry.storage.s3_driver import S3Storage
from registry.testing.contracts.pieces import append, fetch, new_key, pattern, store
from tests.storage.s3.service import BUCKET, LONG, left
from tests.support.s3_proxy import s3_proxy

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

ONCE = ["500", "503", "reset", "lost"]


@pytest.fixture
def proxy(options):
    with s3_proxy(urlsplit(options["endpoint_url"]).port) as proxy:
        yield proxy


@pytest.fixture
def waits(monkeypatch):
    """Note how long the SDK would wait before an attempt, and do not wait."""
    waits = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waits.append))
    return waits


@pytest.fixture
def connect(client, options, proxy, waits):
    """Give the function that makes a bucket behind the proxy."""
    made = []

    def connect(**more):
        made.append(make_client({**options, "endpoint_url": proxy.endpoint_url, **more}))
        return Bucket(made[-1], BUCKET, f"{new_key()}/")

    yield connect
    for one in made:
        one.close()


@pytest.fixture
def bucket(connect):
    return connect()


@pytest.mark.parametrize("kind", ONCE)
@pytest.mark.parametrize("length", [5, LONG], ids=["short", "long"])
def test_no_single_fault_is_noticed(driver, bucket, proxy, waits, kind, length):
    for call in ("PutObject", "UploadPart", "CreateMultipartUpload", "UploadPartCopy", "CopyObject", "HeadObject"):
        proxy.fail(call, kind)
    proxy.fail("CompleteMultipartUpload", "500" if kind == "lost" else kind)
    proxy.fail("GetObject", kind)
    state = append(driver, append(driver, UploadState(new_key()), pattern(length)), b"end")
    driver.complete_upload(state)
    assert fetch(driver, state.key) == pattern(length) + b"end"
    assert sum(proxy.struck.values()) == len(waits) >= 4
    driver.remove_many([UploadState(state.key)])
    assert left(bucket) == ([], [])


@pytest.mark.parametrize("length", [5, LONG], ids=["short", "long"])
def test_a_completion_whose_answer_is_lost_is_looked_up(driver, bucket, proxy, length):
    state = append(driver, UploadState(new_key()), pattern(length))
    proxy.fail("CompleteMultipartUpload", "lost")
    proxy.fail("CopyObject", "lost")
    driver.complete_upload(state)
    assert fetch(driver, state.key) == pattern(length)
    assert left(bucket) == ([blob_path(state.key)], [])


def test_a_body_that_is_cut_is_gone_on_with(driver, proxy):
    key = store(driver, pattern(LONG))
    proxy.fail("GetObject", "cut", times=2)
    assert fetch(driver, key) == pattern(LONG)
    assert proxy.calls["GetObject"] == 3
    proxy.fail("GetObject", "cut", times=1)
    assert fetch(driver, key, 7, LONG - 9) == pattern(LONG)[7 : LONG - 2]


def test_a_body_that_is_cut_each_time_is_given_up(driver, proxy):
    key = store(driver, pattern(LONG))
    proxy.fail("GetObject", "cut", times=100)
    with pytest.raises(StorageError):
        fetch(driver, key)
    assert proxy.calls["GetObject"] < 10


def test_a_call_is_tried_four_times_at_most(bucket, proxy, waits):
    proxy.fail("HeadBucket", "503", times=100)
    with pytest.raises(StorageError, match="503"):
        bucket.check()
    assert proxy.calls["HeadBucket"] == 4
    assert all(wait <= 20 for wait in waits)


def test_what_is_refused_is_not_tried_again(bucket, proxy):
    bucket.exists("nothing")
    assert proxy.calls["HeadObject"] == 1


def test_no_attempt_is_begun_too_late(bucket, proxy, monkeypatch):
    proxy.fail("HeadBucket", "503", times=100)
    monkeypatch.setattr("registry.storage.s3_client.DEADLINE", -1.0)
    with pytest.raises(StorageError, match="has failed for"):
        bucket.check()
    assert proxy.calls["HeadBucket"] == 0


def test_a_service_that_is_down_is_not_asked_four_times_for_ever(bucket, proxy):
    proxy.fail("*", "503", times=100_000)
    for _ in range(60):
        with pytest.raises(StorageError):
            bucket.check()
    before = proxy.calls["HeadBucket"]
    with pytest.raises(StorageError):
        bucket.check()
    assert proxy.calls["HeadBucket"] == before + 1
    proxy.heal()
    bucket.check()


def test_each_thread_keeps_a_connection(connect, proxy):
    driver, threads = S3Storage(connect(max_connections="12")), 12
    key = store(driver, b"data")
    before = proxy.connections
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            assert set(pool.map(lambda _: fetch(driver, key), range(threads))) == {b"data"}
    assert proxy.connections - before <= threads


@pytest.mark.parametrize(("given", "kept"), [({}, 7), ({"max_connections": "3"}, 3)])
def test_there_are_as_many_connections_as_threads_unless_it_is_told(tmp_path, options, given, kept):
    settings = Settings(
        data=tmp_path, storage_url="s3://bucket", storage_options={**options, **given}, threads=1, transfer_threads=3
    )
    storage = create_app(settings).extensions["moorage"].storage
    assert storage._bucket._shared_client.meta.config.max_pool_connections == kept


def test_bytes_are_guarded_by_the_signature(bucket, client):
    sent = []
    bucket._shared_client.meta.events.register_last("before-send.s3", lambda request, **_: sent.append(request))
    bucket.put("guarded", b"data")
    (request,) = sent
    assert request.headers["X-Amz-Content-SHA256"] == (
        b"3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7"
    )
    assert not [name for name in request.headers if name.lower().startswith("x-amz-checksum")]

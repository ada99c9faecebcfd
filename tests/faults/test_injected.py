"""Every call of the store fails once, on every way to push: no 201 for it, a retry succeeds, and nothing is lost."""

import tempfile
from pathlib import Path

import httpx
import pytest

from registry import schema
from registry.app import create_app
from registry.hooks import StorageError, StorageFull, StorageReadOnly, hookimpl
from registry.settings import Settings
from registry.storage.filesystem import FilesystemStorage
from registry.testing.faults import Fault, FaultyStorage
from registry.testing.images import image, layer
from tests.support.pushers import Ledger, Pusher, RefusedError, some_bytes

WAYS = ("whole", "put", "streamed", "chunked", "image")
OPERATIONS = ("open_upload", "write", "finish", "complete_upload", "read")
DATA = some_bytes(1, 1_100_000)
MOST_CALLS = 100


class Registry:
    """An app in this process over a store that fails as planned; `now` is its time."""

    def __init__(self, folder):
        self.store = FaultyStorage(FilesystemStorage(folder / "storage"))
        self.now = 1_700_000_000_000
        settings = Settings(data=folder, storage_url="faulty:", upload_deadline=60)
        self.app = create_app(settings, plugins=[self], clock=lambda: self.now)
        schema.upgrade(self.app)

    @hookimpl
    def storage_drivers(self):
        return {"faulty": lambda url, options: self.store}

    def fail(self, *faults):
        """Plan these faults, counted from now."""
        self.store.plan[:] = faults
        self.store.calls.clear()

    def close(self):
        self.app.extensions["moorage"].database.close_idle()


@pytest.fixture(scope="module")
def registry():
    # What is asked here is what the core does, not what a disk does.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        made = Registry(Path(folder))
        yield made
        made.close()


@pytest.fixture
def pusher(registry, request):
    registry.fail()
    transport = httpx.WSGITransport(registry.app, raise_app_exceptions=False)
    with httpx.Client(transport=transport, base_url="http://registry") as client:
        yield Pusher(client, Ledger(), f"fault/r{abs(hash(request.node.name))}")
    registry.fail()


def attempt(push, data) -> int:
    try:
        push(data)
    except RefusedError as error:
        return error.status
    return 201


def everything_acknowledged_is_there(pusher):
    for (name, digest), size in pusher.ledger.blobs.items():
        answer = pusher.client.get(f"/v2/{name}/blobs/{digest}")
        assert (answer.status_code, len(answer.content)) == (200, size)
    for name, tag in pusher.ledger.manifests:
        assert pusher.client.get(f"/v2/{name}/manifests/{tag}").status_code == 200


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("way", WAYS)
def test_the_nth_call_fails(registry, pusher, way, operation, after):
    push = getattr(pusher, way)
    failed = 0
    for nth in range(1, MOST_CALLS):
        fault = Fault(operation, nth, after=after)
        registry.fail(fault)
        status = attempt(push, DATA + bytes([nth]))
        registry.fail()
        everything_acknowledged_is_there(pusher)
        if not fault.reached.is_set():
            assert status == 201
            break
        # What fails may also concern nothing that was promised.
        assert status in (201, 503)
        if status == 503:
            failed += 1
            assert attempt(push, DATA + bytes([nth])) == 201
            everything_acknowledged_is_there(pusher)
        pusher.ledger.blobs.clear()
    else:
        pytest.fail(f"{operation} was called more than {MOST_CALLS} times")
    expected = 0 if operation == "read" and (after or way in ("whole", "put", "streamed", "image")) else 1
    assert failed >= expected


@pytest.mark.parametrize(
    ("error", "status"), [(StorageFull("full"), 507), (StorageReadOnly("frozen"), 503), (StorageError("broken"), 503)]
)
@pytest.mark.parametrize("operation", ["open_upload", "write", "finish", "complete_upload"])
def test_each_failure_has_its_answer(registry, pusher, operation, error, status):
    registry.fail(Fault(operation, error=error))
    with pytest.raises(RefusedError) as caught:
        pusher.whole(DATA)
    assert caught.value.status == status
    registry.fail()
    pusher.whole(DATA)
    everything_acknowledged_is_there(pusher)


@pytest.mark.parametrize("operation", ["open_upload", "write", "finish"])
def test_an_upload_goes_on_where_it_stood_before_a_chunk_failed(registry, pusher, operation):
    location = pusher.patch(pusher.begin(), DATA[:1000])
    registry.fail(Fault(operation))
    with pytest.raises(RefusedError):
        pusher.patch(location, DATA[1000:])
    told = pusher.client.get(location)
    assert (told.status_code, told.headers["Range"]) == (204, "0-999")
    pusher.finish(location, DATA, DATA[1000:])
    everything_acknowledged_is_there(pusher)


def test_a_commit_that_failed_is_tried_again_on_the_same_upload(registry, pusher):
    location = pusher.patch(pusher.begin(), DATA)
    registry.fail(Fault("complete_upload", after=True))
    with pytest.raises(RefusedError):
        pusher.finish(location, DATA)
    pusher.finish(location, DATA)
    everything_acknowledged_is_there(pusher)


def test_a_write_that_is_cut_short_leaves_nothing_behind(registry, pusher):
    location = pusher.patch(pusher.begin(), DATA[:1000])
    registry.fail(Fault("write", cut=500))
    with pytest.raises(RefusedError):
        pusher.patch(location, DATA[1000:])
    pusher.finish(location, DATA, DATA[1000:])
    everything_acknowledged_is_there(pusher)


@pytest.mark.parametrize("operation", ["abort_upload", "delete"])
def test_bytes_that_cannot_be_removed_do_not_fail_the_push_and_go_later(registry, pusher, operation):
    pusher.put(DATA)
    registry.fail(Fault(operation, times=MOST_CALLS))
    pusher.put(DATA)  # the second copy is superfluous
    registry.fail()
    assert registry.app.extensions["moorage"].deletions.drain() >= 1
    everything_acknowledged_is_there(pusher)


def test_a_writer_that_was_given_up_and_wakes_changes_nothing(registry, pusher):
    location = pusher.patch(pusher.begin(), DATA[:1000])
    registry.fail(Fault("write", error=None), Fault("take_over"))

    def overtake(data, writer=registry.store.inner):
        registry.now += 61_000
        registry.fail()
        pusher.finish(location, DATA, DATA[1000:])

    store = registry.store
    plain = store.meet

    def meet(operation):
        if operation == "finish" and store.calls["finish"] == 0:
            store.meet = plain
            overtake(None)
        return plain(operation)

    store.meet = meet
    late = pusher.client.patch(location, content=b"others" * 100)
    del store.meet
    assert late.status_code in (404, 409), late.text
    everything_acknowledged_is_there(pusher)


def test_an_image_whose_config_cannot_be_read_is_refused_and_goes_in_later(registry, pusher):
    content = image(layer({"a": b"1"}))
    for part in content.blobs:
        pusher.whole(part.data)
    path = f"/v2/{pusher.repository}/manifests/one"
    headers = {"Content-Type": content.media_type}
    registry.fail(Fault("read"))
    assert pusher.client.put(path, content=content.data, headers=headers).status_code == 503
    assert pusher.client.get(path).status_code == 404
    registry.fail()
    assert pusher.client.put(path, content=content.data, headers=headers).status_code == 201

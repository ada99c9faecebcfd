import threading

import pytest

from registry.hooks import OpensFiles, PrefersChunks, StorageDriver, StorageError, StorageFull, UploadState
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.testing.contracts.pieces import append, fetch, new_key, store
from registry.testing.contracts.storage import StorageDriverContract
from registry.testing.faults import Fault, FaultyStorage


class TestWithoutAPlan(StorageDriverContract):
    @pytest.fixture
    def driver(self):
        return FaultyStorage(MemoryStorage())


@pytest.fixture
def faulty():
    return lambda *plan: FaultyStorage(MemoryStorage(), plan)


def test_the_nth_call_fails(faulty):
    driver = faulty(Fault("write", 2, StorageFull("full")))
    writer = driver.open_upload(UploadState(new_key()))
    writer.write(b"one")
    with pytest.raises(StorageFull):
        writer.write(b"two")
    writer.write(b"three")
    assert driver.calls["write"] == 3


def test_several_calls_fail(faulty):
    driver = faulty(Fault("check", 2, times=2))
    driver.check()
    for _ in range(2):
        with pytest.raises(StorageError):
            driver.check()
    driver.check()


def test_an_answer_that_is_lost(faulty):
    driver = faulty(Fault("complete_upload", after=True))
    state = append(driver, UploadState(new_key()), b"data")
    with pytest.raises(StorageError):
        driver.complete_upload(state)
    assert fetch(driver, state.key) == b"data"


def test_a_read_that_is_cut(faulty):
    driver = faulty(Fault("read", cut=2), Fault("read", 2, cut=3, error=None))
    key = store(driver, b"data")
    pieces = driver.read(key)
    assert next(pieces) == b"da"
    with pytest.raises(StorageError):
        next(pieces)
    assert fetch(driver, key) == b"dat"
    assert fetch(driver, key) == b"data"


def test_a_write_that_is_cut(faulty):
    driver = faulty(Fault("write", cut=2))
    writer = driver.open_upload(UploadState(new_key()))
    with pytest.raises(StorageError):
        writer.write(b"data")
    assert writer.finish().size == 2


def test_a_call_that_waits(faulty):
    fault = Fault("delete", error=None, until=threading.Event())
    driver = faulty(fault)
    key = store(driver, b"data")
    waiting = threading.Thread(target=driver.delete, args=(key,))
    waiting.start()
    assert fault.reached.wait(10)
    assert fetch(driver, key) == b"data"
    fault.until.set()
    waiting.join(10)
    with pytest.raises(StorageError):
        driver.size(key)


def test_it_is_a_driver(faulty):
    driver: StorageDriver = faulty()
    assert driver.storage_id == "memory"
    assert not isinstance(driver, OpensFiles)


def test_what_the_driver_can_do_stays(tmp_path):
    driver = FaultyStorage(FilesystemStorage(tmp_path))
    assert isinstance(driver, OpensFiles)
    assert not isinstance(driver, PrefersChunks)
    with driver.open_file(store(driver, b"data")) as file:
        assert file.read() == b"data"

import errno
import os
import threading
from pathlib import Path

import pytest

from registry.hooks import KeyMissing, ListsKeys, OpensFiles, RemovesMany, StorageError, StorageFull, UploadState
from registry.storage import disk
from registry.storage.filesystem import FilesystemStorage, open_filesystem
from registry.storage.keys import blob_path, upload_path
from registry.testing.contracts.pieces import MIB, append, fetch, new_key, pattern, store
from registry.testing.contracts.storage import StorageDriverContract


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def driver(root):
    return FilesystemStorage(root)


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


class TestFilesystemStorage(StorageDriverContract):
    memory_bound = 4 * MIB

    @pytest.fixture
    def driver(self, shared_root):
        return FilesystemStorage(shared_root)

    @pytest.fixture
    def reopen(self, shared_root):
        return lambda: FilesystemStorage(shared_root)


def test_it_offers_all_that_a_driver_may(driver):
    assert all(isinstance(driver, offered) for offered in (ListsKeys, OpensFiles, RemovesMany))


def test_the_room_of_a_discarded_writer_is_given_back(driver, root):
    first, second = UploadState(new_key()), append(driver, UploadState(new_key()), b"kept")
    for state in (first, second):
        writer = driver.open_upload(state)
        writer.write(bytes(MIB))
        writer.discard()
    assert not (root / upload_path(first.key)).exists()
    assert (root / upload_path(second.key)).stat().st_size == len(b"kept") + 1


def test_an_upload_that_cannot_fit_is_refused_before_it_comes(driver):
    with pytest.raises(StorageFull, match="announced"):
        driver.open_upload(UploadState(new_key()), 1 << 60)


def record(monkeypatch, calls):
    """Note each system call that matters, with the name of its file."""

    def name(target):
        return Path(f"/proc/self/fd/{target}").readlink().name if isinstance(target, int) else Path(target).name

    for call in ("open", "pwrite", "fsync", "close", "rename", "mkdir", "unlink"):
        real = getattr(os, call)

        def recorded(target, *args, call=call, real=real, **named):
            calls.append((call, name(target)))
            return real(target, *args, **named)

        monkeypatch.setattr(os, call, recorded)


def test_bytes_are_durable_before_their_name(driver, monkeypatch):
    key, calls = new_key(), []
    record(monkeypatch, calls)
    state = append(driver, UploadState(key), b"data")
    assert calls == [("open", key), ("pwrite", key), ("fsync", key), ("close", key)]
    calls.clear()
    driver.complete_upload(state)
    assert calls == [("rename", key), ("open", key[:2]), ("fsync", key[:2]), ("close", key[:2])]
    calls.clear()
    driver.delete(key)
    assert calls == [("unlink", key), ("open", key[:2]), ("fsync", key[:2]), ("close", key[:2])]


def test_many_are_removed_before_the_first_folder_is_flushed_and_each_is_once(driver, monkeypatch):
    keys = [store(driver, b"data") for _ in range(20)]
    calls = []
    record(monkeypatch, calls)
    driver.remove_many([UploadState(key) for key in keys])
    flushed = [name for call, name in calls if call == "fsync"]
    assert sorted(flushed) == sorted({"uploads", *(key[:2] for key in keys)})
    first = next(index for index, (call, _) in enumerate(calls) if call == "fsync")
    assert {name for call, name in calls[:first] if call == "unlink"} == set(keys)
    assert "unlink" not in {call for call, _ in calls[first:]}


def test_a_failed_flush_fails_the_removal_of_many(driver, monkeypatch):
    key = store(driver, b"data")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(StorageError, match="sync"):
            driver.remove_many([UploadState(key)])
    driver.remove_many([UploadState(key)])


def failing(descriptor):
    raise OSError(errno.EIO, "planned")


def test_new_folders_are_durable_before_use(tmp_path, monkeypatch):
    calls = []
    record(monkeypatch, calls)
    FilesystemStorage(tmp_path / "new")
    assert [name for call, name in calls if call == "fsync"] == ["blobs", "new", tmp_path.name]
    assert calls.index(("mkdir", "ff")) < calls.index(("fsync", "blobs"))


def test_a_folder_that_went_missing_is_made_again(driver, root):
    state = append(driver, UploadState(new_key()), b"data")
    (root / blob_path(state.key)).parent.rmdir()
    driver.complete_upload(state)
    assert fetch(driver, state.key) == b"data"


def test_a_takeover_is_no_link(driver, root):
    old = append(driver, UploadState(new_key()), pattern(3 * MIB))
    new = driver.take_over(old, new_key())
    assert (root / upload_path(new.key)).stat().st_nlink == 1


def test_a_file_that_lost_bytes_is_noticed(driver, root):
    state = append(driver, UploadState(new_key()), b"0123456789")
    os.truncate(root / upload_path(state.key), 5)
    for call in (driver.open_upload, driver.complete_upload, lambda state: driver.take_over(state, new_key())):
        with pytest.raises(KeyMissing):
            call(state)


def test_a_file_that_shrinks_while_it_is_read(driver, root):
    key = store(driver, pattern(3 * MIB))
    pieces = driver.read(key)
    next(pieces)
    os.truncate(root / blob_path(key), MIB)
    with pytest.raises(StorageError, match="ended"):
        list(pieces)


def test_symlinks_are_refused(driver, root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    key = new_key()
    (root / blob_path(key)).symlink_to(secret)
    (root / upload_path(key)).symlink_to(secret)
    calls = (
        driver.read,
        driver.open_file,
        lambda key: driver.open_upload(UploadState(key)),
        lambda key: driver.open_upload(UploadState(key, 1)),
        lambda key: driver.take_over(UploadState(key, 1), new_key()),
        lambda key: driver.complete_upload(UploadState(key, 1)),
    )
    for call in calls:
        with pytest.raises(StorageError):
            call(key)
    assert secret.read_bytes() == b"secret"


def test_files_for_sendfile(driver):
    assert isinstance(driver, OpensFiles)
    with driver.open_file(store(driver, b"data")) as file:
        assert os.get_inheritable(file.fileno()) is False
        assert file.read() == b"data"
    with pytest.raises(KeyMissing):
        driver.open_file(new_key())


def test_files_are_not_for_everyone(driver, root):
    key = store(driver, b"data")
    assert (root / blob_path(key)).stat().st_mode & 0o137 == 0


def test_no_descriptor_leaks(driver, monkeypatch):
    def descriptors():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    state = append(driver, UploadState(new_key()), pattern(3 * MIB))
    driver.open_upload(state).discard()
    driver.take_over(state, new_key())
    driver.complete_upload(state)
    driver.read(state.key).close()
    driver.read(state.key)
    with pytest.raises(StorageError):
        driver.read(state.key, 4 * MIB)
    with pytest.raises(StorageFull):
        driver.open_upload(UploadState(new_key()), 1 << 60)
    assert descriptors() == before


def test_concurrent_starts_on_one_folder(root):
    threads = [threading.Thread(target=FilesystemStorage, args=(root,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    FilesystemStorage(root).check()


def test_copying_ends_where_the_source_does(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"short")
    with source.open("rb") as old, target.open("wb") as new:
        assert disk.copy_all(old.fileno(), new.fileno(), 10) == 5
    assert target.read_bytes() == b"short"


@pytest.mark.parametrize("url", ["file://relative/path", "file:relative", "file:///x?y=1", "/no/scheme?x=1"])
def test_urls_that_are_refused(url):
    with pytest.raises(ValueError, match="file:///absolute/folder"):
        open_filesystem(url, {})


def test_url(tmp_path):
    driver = open_filesystem(f"file://{tmp_path}/with%20space", {})
    driver.check()
    assert (tmp_path / "with space" / "blobs").is_dir()
    with pytest.raises(ValueError, match="remove fast"):
        open_filesystem(f"file://{tmp_path}", {"fast": "1"})

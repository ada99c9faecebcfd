import errno
import os

import pytest

from registry.hooks import KeyMissing, StorageError, StorageFull, StorageReadOnly, UploadState
from registry.storage.filesystem import FilesystemStorage
from registry.storage.keys import blob_path
from registry.testing.contracts.pieces import MIB, append, fetch, new_key, pattern, store


@pytest.fixture
def root(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def driver(root):
    return FilesystemStorage(root)


def fail(monkeypatch, call, error, nth=1):
    """Let the nth call of a function of `os` fail, and all after it."""
    real, count = getattr(os, call), 0

    def failing(*args, **named):
        nonlocal count
        count += 1
        if count >= nth:
            raise OSError(error, os.strerror(error))
        return real(*args, **named)

    monkeypatch.setattr(os, call, failing)


@pytest.mark.parametrize("before", [b"", b"kept"])
def test_a_failed_fsync_acknowledges_nothing_and_is_not_retried(driver, root, monkeypatch, before):
    state = append(driver, UploadState(new_key()), before) if before else UploadState(new_key())
    with monkeypatch.context() as patch:
        fail(patch, "fsync", errno.EIO)
        writer = driver.open_upload(state)
        writer.write(b"lost")
        with pytest.raises(StorageError, match="Input/output error"):
            writer.finish()
        patch.undo()
        with pytest.raises(StorageError):
            writer.finish()
        writer.discard()
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    driver.complete_upload(state)
    assert fetch(driver, state.key) == before
    assert (root / blob_path(state.key)).stat().st_ino in synced


def test_a_failed_folder_sync_fails_the_completion_which_may_be_repeated(driver, monkeypatch):
    state = append(driver, UploadState(new_key()), b"data")
    with monkeypatch.context() as patch:
        fail(patch, "fsync", errno.EIO)
        for _ in range(2):
            with pytest.raises(StorageError):
                driver.complete_upload(state)
    driver.complete_upload(state)
    assert fetch(driver, state.key) == b"data"


def test_a_failed_takeover_leaves_the_old_upload(driver, monkeypatch):
    old = append(driver, UploadState(new_key()), b"data")
    with monkeypatch.context() as patch:
        fail(patch, "fsync", errno.EIO)
        with pytest.raises(StorageError):
            driver.take_over(old, new_key())
    driver.complete_upload(old)
    assert fetch(driver, old.key) == b"data"


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EIO, StorageError),
    ],
)
@pytest.mark.parametrize("call", ["pwrite", "fsync"])
def test_errors_of_writing(driver, monkeypatch, call, error, raised):
    state = append(driver, UploadState(new_key()), b"before")
    with monkeypatch.context() as patch:
        fail(patch, call, error)
        writer = driver.open_upload(state)
        with pytest.raises(StorageError) as failure:
            writer.write(b"data")
            writer.finish()
        writer.discard()
    assert type(failure.value) is raised
    driver.complete_upload(append(driver, state, b" and after"))
    assert fetch(driver, state.key) == b"before and after"


def test_a_writer_that_failed_cannot_be_finished(driver, monkeypatch):
    writer = driver.open_upload(UploadState(new_key()))
    with monkeypatch.context() as patch:
        fail(patch, "pwrite", errno.ENOSPC)
        with pytest.raises(StorageFull):
            writer.write(b"data")
    writer.write(b"more")
    with pytest.raises(StorageError, match="failed before"):
        writer.finish()


def test_short_writes_are_gone_on_with(driver, monkeypatch):
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda descriptor, data, offset: real(descriptor, data[:7], offset))
    assert fetch(driver, store(driver, pattern(1000))) == pattern(1000)


@pytest.mark.parametrize("error", [errno.EXDEV, errno.ENOSYS])
def test_a_takeover_where_ranges_cannot_be_copied(driver, monkeypatch, error):
    if hasattr(os, "copy_file_range"):
        fail(monkeypatch, "copy_file_range", error)
    old = append(driver, UploadState(new_key()), pattern(3 * MIB))
    new = driver.take_over(old, new_key())
    driver.complete_upload(new)
    assert fetch(driver, new.key) == pattern(3 * MIB)


class TestAFolderThatIsGone:
    """A volume that is not mounted must not look like blobs that were lost."""

    @pytest.fixture
    def unmounted(self, driver, root):
        key = store(driver, b"data")
        root.rename(root.with_name("elsewhere"))
        return driver, key

    def test_it_is_not_a_missing_key(self, unmounted):
        driver, key = unmounted
        for call in (driver.read, driver.size, driver.open_file, driver.delete):
            with pytest.raises(StorageError, match="mounted") as failure:
                call(key)
            assert not isinstance(failure.value, KeyMissing)

    def test_check_says_so_until_it_is_back(self, unmounted, root):
        driver, key = unmounted
        with pytest.raises(StorageError, match="No such file"):
            driver.check()
        root.with_name("elsewhere").rename(root)
        driver.check()
        assert fetch(driver, key) == b"data"


class TestCheck:
    @pytest.fixture
    def filesystem(self, root, monkeypatch):
        FilesystemStorage(root)
        real = os.statvfs(root)

        def pretend(**changed):
            fields = {name: getattr(real, name) for name in ("f_flag", "f_bavail")} | changed
            monkeypatch.setattr(os, "statvfs", lambda path: type("Statvfs", (), fields))

        return pretend

    def test_read_only(self, driver, filesystem):
        filesystem(f_flag=os.ST_RDONLY)
        with pytest.raises(StorageReadOnly):
            driver.check()

    def test_full(self, driver, filesystem):
        filesystem(f_bavail=0)
        with pytest.raises(StorageFull):
            driver.check()

    def test_not_writable(self, driver, monkeypatch):
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(StorageError, match="may not read and write"):
            driver.check()

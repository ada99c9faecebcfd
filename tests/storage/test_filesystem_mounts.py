import subprocess

import pytest

from registry.hooks import StorageFull, StorageReadOnly, UploadState
from registry.storage.filesystem import FilesystemStorage
from registry.testing.contracts.pieces import MIB, append, fetch, new_key, store
from tests.support.tools import require_root

pytestmark = pytest.mark.needs_tools


@pytest.fixture
def mount(tmp_path):
    """Give a small filesystem."""
    require_root()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_disk_keeps_what_was_acknowledged_and_recovers(mount):
    driver = FilesystemStorage(mount)
    key = store(driver, bytes(3 * MIB))
    state = append(driver, UploadState(new_key()), b"acknowledged")
    for _ in range(2):
        writer = driver.open_upload(state)
        with pytest.raises(StorageFull):
            for _ in range(8):
                writer.write(bytes(MIB))
        writer.discard()
        driver.check()
    driver.delete(key)
    driver.complete_upload(append(driver, state, bytes(6 * MIB)))
    assert fetch(driver, state.key) == b"acknowledged" + bytes(6 * MIB)


def test_a_full_disk_is_said(mount):
    driver = FilesystemStorage(mount)
    writer = driver.open_upload(UploadState(new_key()))
    with pytest.raises(StorageFull):
        for _ in range(9):
            writer.write(bytes(MIB))
    with pytest.raises(StorageFull):
        driver.check()
    writer.discard()
    driver.check()


def refused_by_a_read_only_mount(driver, key, state):
    return (
        lambda: driver.open_upload(UploadState(new_key())),
        lambda: driver.open_upload(state),
        lambda: driver.complete_upload(state),
        lambda: driver.take_over(state, new_key()),
        lambda: driver.abort_upload(state),
        lambda: driver.delete(key),
        driver.check,
    )


def test_a_read_only_mount_still_reads_and_recovers(mount):
    driver = FilesystemStorage(mount)
    key, state = store(driver, b"data"), append(driver, UploadState(new_key()), b"open")
    subprocess.run(["mount", "-o", "remount,ro", mount], check=True)
    for reader in (driver, FilesystemStorage(mount)):
        assert fetch(reader, key) == b"data"
        for call in refused_by_a_read_only_mount(reader, key, state):
            with pytest.raises(StorageReadOnly):
                call()
    subprocess.run(["mount", "-o", "remount,rw", mount], check=True)
    driver.check()
    driver.complete_upload(state)
    assert fetch(driver, state.key) == b"open"

"""`try_driver`: what it finds of each kind of store, and that it leaves nothing there."""

import os
import resource

import pytest

from registry.hooks import Outcome, StorageError, TriesCalls
from registry.storage.filesystem import FilesystemStorage
from registry.storage.memory import MemoryStorage
from registry.storage.trials import CallMissing, Step, tried, try_driver
from registry.testing.faults import Fault, FaultyStorage


def outcomes(calls):
    return {one.call: one.outcome for one in calls}


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def failed(calls):
    return [one.call for one in calls if one.outcome is not Outcome.OK]


def test_a_folder_does_all(tmp_path):
    found = list(try_driver(FilesystemStorage(tmp_path)))
    assert failed(found) == []
    assert {"write", "fsync", "rename", "free space", "limit of open files"} <= set(outcomes(found))
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("call", "step", "after"),
    [
        ("fsync", "fsync", []),
        ("ftruncate", "write", ["fsync", "copy", "rename", "fsync of a folder", "read"]),
        ("pread", "read", []),
    ],
)
def test_a_call_that_fails_is_named(tmp_path, monkeypatch, call, step, after):
    driver = FilesystemStorage(tmp_path)

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, call, fail)
    found = list(try_driver(driver))
    monkeypatch.undo()
    answers = {one.call: one.answer for one in found}
    assert "Input/output error" in answers[step]
    assert {one for one in failed(found) if answers[one].startswith("not tried")} == set(after)
    assert files(tmp_path) == []


def test_limits_that_are_too_low_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    assert failed(try_driver(FilesystemStorage(tmp_path))) == ["limit of file sizes", "limit of open files"]


def test_a_disk_that_is_nearly_full_is_told(tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)
    driver = FilesystemStorage(tmp_path)
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result((*real[:4], 10, 10, real[6], 10, *real[8:])))
    found = list(try_driver(driver))
    assert failed(found) == ["free space", "free inodes"]


def test_a_network_is_no_local_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("registry.storage.filesystem_trial._mounted", lambda _: "nfs4")
    (found,) = [one for one in try_driver(FilesystemStorage(tmp_path)) if one.outcome is not Outcome.OK]
    assert (found.call, found.needed) == ("filesystem", False)


def test_a_driver_that_is_known_by_its_methods_alone():
    driver = FaultyStorage(MemoryStorage())
    assert not isinstance(driver, TriesCalls)
    assert failed(try_driver(driver)) == []
    assert list(driver.list_keys()) == []


@pytest.mark.parametrize(
    ("operation", "lost"),
    [
        ("check", {"check"}),
        ("open_upload", {"write", "take_over", "complete_upload", "size", "read", "read of a range", "list_keys"}),
        ("take_over", {"take_over", "complete_upload", "size", "read", "read of a range", "list_keys"}),
        ("complete_upload", {"complete_upload", "size", "read", "read of a range", "list_keys"}),
        ("size", {"size"}),
        ("read", {"read"}),
        ("delete", {"delete"}),
    ],
)
def test_a_method_that_fails_is_named(operation, lost):
    driver = FaultyStorage(MemoryStorage(), [Fault(operation, error=StorageError("no such thing"))])
    found = list(try_driver(driver))
    assert set(failed(found)) == lost
    assert "no such thing" in {one.answer for one in found}


def test_what_a_driver_must_not_raise_is_a_finding():
    driver = FaultyStorage(MemoryStorage(), [Fault("size", error=KeyError("oops"))])
    (found,) = [one for one in try_driver(driver) if one.outcome is not Outcome.OK]
    assert (found.call, found.answer) == ("size", "KeyError: 'oops'")


def test_bytes_that_were_changed_are_told():
    driver = FaultyStorage(MemoryStorage(), [Fault("read", cut=3, error=None)])
    (found,) = [one for one in try_driver(driver) if one.outcome is not Outcome.OK]
    assert found.answer == "it gave 3 bytes where 1024 bytes were stored"


def test_what_builds_on_a_failure_is_not_tried():
    def missing():
        raise CallMissing("not known")

    steps = [Step("a", missing, ""), Step("b", pytest.fail, "", after="a"), Step("c", lambda: "c", "")]
    assert [one.outcome for one in tried(steps)] == [Outcome.MISSING, Outcome.FAILED, Outcome.OK]


def test_a_folder_that_is_gone(tmp_path):
    driver = FilesystemStorage(tmp_path / "storage")
    (tmp_path / "storage" / "uploads").rmdir()
    found = outcomes(try_driver(driver))
    assert found["write"] is Outcome.FAILED

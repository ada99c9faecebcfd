"""Breadcrumbs: what a process that died was in."""

import os
import subprocess
import sys

import pytest

from registry.hooks import crumbs

_DIES = """
import os, sys
from pathlib import Path
from registry.hooks.crumbs import Crumbs

mine = Crumbs(Path(sys.argv[1]), [("one", "jobs"), ("two", "admit_pull")])
for slot, number in enumerate(eval(sys.argv[2])):
    mine.slots[slot] = number
if sys.argv[3] == "tidy":
    mine.forget()
os._exit(7)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "crumbs"


def die(folder, *slots, how="at once"):
    return subprocess.run([sys.executable, "-c", _DIES, str(folder), str(slots), how], check=False).returncode


def test_a_death_is_told_once_with_all_that_the_process_was_in(folder):
    assert die(folder, 0, 2, 1, 2) == 7
    (death,) = crumbs.bury(folder)
    assert death.seen_in == [("one", "jobs"), ("two", "admit_pull")]
    assert crumbs.bury(folder) == []
    assert crumbs.recent(folder) == [death]
    assert death.plugins == {"one", "two"}


def test_deaths_are_remembered_for_ten_minutes(folder):
    for _ in range(2):
        die(folder, 1)
        crumbs.bury(folder)
    assert [death.seen_in for death in crumbs.recent(folder)] == [[("one", "jobs")]] * 2
    for file in folder.iterdir():
        os.utime(file, (0, 0))
    assert crumbs.recent(folder) == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("slots", "how"), [((0, 0), "at once"), ((1,), "tidy")])
def test_who_was_in_no_plugin_or_ended_as_it_should_blames_nobody(folder, slots, how):
    die(folder, *slots, how=how)
    assert crumbs.bury(folder) == []
    assert list(folder.iterdir()) == []


def test_who_lives_is_left_alone(folder):
    mine = crumbs.Crumbs(folder, [("one", "jobs")])
    mine.slots[0] = 1
    assert crumbs.bury(folder) == []
    mine.forget()


def test_what_is_no_breadcrumb_is_thrown_away(folder):
    folder.mkdir()
    (folder / "1-1.run").write_bytes(b"something else")
    assert crumbs.bury(folder) == []


def test_a_folder_of_somebody_else_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    with pytest.raises(PermissionError, match="belongs to somebody else"):
        crumbs.Crumbs(tmp_path, [])


def test_what_somebody_else_left_in_the_place_of_the_folder_says_nothing(folder, monkeypatch):
    for _ in range(2):
        die(folder, 1)
        monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
        assert crumbs.bury(folder) == []
        monkeypatch.undo()
    assert len(crumbs.bury(folder)) == 2
    monkeypatch.setattr(os, "getuid", lambda: os.geteuid() + 1)
    assert crumbs.recent(folder) == []


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_not_used(folder, mode):
    die(folder, 1)
    folder.chmod(mode)
    assert crumbs.bury(folder) == []
    with pytest.raises(PermissionError, match="others may write to it"):
        crumbs.Crumbs(folder, [])
    folder.chmod(0o700)
    assert len(crumbs.bury(folder)) == 1
    folder.chmod(mode)
    assert crumbs.recent(folder) == []


def test_a_link_in_the_place_of_the_folder_is_not_followed(folder, tmp_path):
    die(folder, 1)
    link = tmp_path / "link"
    link.symlink_to(folder)
    assert crumbs.bury(link) == []


def test_each_registry_has_a_folder_of_its_own(tmp_path):
    assert crumbs.folder_of(tmp_path / "a") != crumbs.folder_of(tmp_path / "b")

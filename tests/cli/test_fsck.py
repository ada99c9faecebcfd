"""`moorage fsck`: exit codes for scripts, JSON as it comes, and a summary for people."""

import json
import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from registry.cli import main
from registry.testing.apps import blank_data, quick_folder, running_app
from registry.testing.images import image, layer
from tests.support.api import Api

IMAGE = image(layer({"f": b"image"}))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """Make a registry with an image, once: each test changes a copy of it."""
    with quick_folder() as folder:
        blank = blank_data(folder / "blank")
        with running_app(folder / "data", blank=blank) as app:
            Api(app.test_client()).push("team/app", IMAGE, "v1")
        yield folder / "data"


@pytest.fixture
def data(filled, monkeypatch):
    with quick_folder() as folder:
        monkeypatch.chdir(folder)
        yield shutil.copytree(filled, folder / "data")


def fsck(*args, code=0):
    result = CliRunner().invoke(main, ["fsck", *args], prog_name="moorage")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def change(data, statement):
    with sqlite3.connect(data / "moorage.db") as connection:
        connection.execute(statement)
    connection.close()


def rot(data, digest):
    """Change a bit of a blob's file."""
    with sqlite3.connect(data / "moorage.db") as connection:
        ((key,),) = connection.execute("SELECT storage_key FROM blob WHERE digest = ?", (digest,)).fetchall()
    connection.close()
    path = data / "storage" / "blobs" / key[:2] / key
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def test_a_sound_registry_ends_with_0_and_a_summary(data):
    told = fsck()
    for name in ("tag periods", "blobs", "manifests", "memberships", "uploads"):
        assert name in told
    assert told.rstrip().endswith("nothing is wrong")
    found = json.loads(fsck("--json", "--deep", "team/app"))
    assert (found["findings"], found["errors"], found["counts"]) == ([], 0, [])
    assert found["checked"]["manifests"] == 1


def test_errors_end_with_1_and_what_was_repaired_with_0(data):
    change(data, "DELETE FROM gc_review")
    change(data, "UPDATE tag SET immutable = true, lifetime_end_ms = lifetime_start_ms + 999999999999")
    told = fsck(code=1)
    assert "error: immutable tag with an end: team/app:v1: " in told
    found = json.loads(fsck("--json", "--repair", code=1))
    kinds = {(one["severity"], one["kind"]) for one in found["findings"]}
    assert kinds == {("error", "immutable tag with an end"), ("repaired", "manifest without a review")}
    assert found["counts"] == [
        {"severity": "error", "kind": "immutable tag with an end", "count": 1},
        {"severity": "repaired", "kind": "manifest without a review", "count": 1},
    ]
    change(data, "UPDATE tag SET immutable = false")
    assert "nothing is wrong" in fsck()


def test_deep_finds_a_bit_and_repair_leaves_the_error_until_a_push(data):
    rot(data, IMAGE.blobs[1].digest)
    fsck()
    assert "its bytes have another digest" in fsck("--deep", code=1)
    repaired = fsck("--deep", "--rate", "100", "--repair", code=1)
    assert "its bytes have another digest; in quarantine: push it again, which heals it" in repaired
    assert "is DAMAGED: push it again" in repaired
    with running_app(data) as app:
        Api(app.test_client()).push("team/app", IMAGE, "v1")
    assert "nothing is wrong" in fsck("--deep")


@pytest.mark.parametrize("args", [("--rate", "5"), ("--deep", "--rate", "0"), ("BAD",), ("no/such",), ("--nonsense",)])
def test_mistakes_of_usage_end_with_2(data, args):
    fsck(*args, code=2)


def test_what_cannot_be_checked_ends_with_3(data):
    assert "there is no registry in" in fsck("--data", "elsewhere", code=3)
    assert not (data.parent / "elsewhere").exists()
    change(data, "UPDATE alembic_version SET version_num = '0001'")
    assert "lacks migrations" in fsck(code=3)
    change(data, "UPDATE alembic_version SET version_num = (SELECT '0002')")
    shutil.rmtree(data / "storage")
    (data / "storage").write_text("no folder")
    fsck(code=3)
    (data / "bad.toml").write_text("nonsense = 1\n")
    fsck("--config", str(data / "bad.toml"), code=3)

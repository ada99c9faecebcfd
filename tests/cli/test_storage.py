"""`moorage storage check`: a table of calls, JSON for programs, and an exit code that tells what is lacking."""

import json

import pytest
from click.testing import CliRunner

from registry.cli import main
from registry.storage import disk


def check(*args, code=0):
    result = CliRunner().invoke(main, ["storage", "check", *args], prog_name="moorage")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def test_a_folder_is_tried_and_nothing_is_left(tmp_path):
    told = check()
    assert "fsync of a folder" in told
    assert "the store does all that is needed" in told
    assert list(tmp_path.iterdir()) == []


def test_programs_get_every_field():
    calls = json.loads(check("--json"))
    assert {tuple(call) for call in calls} == {("call", "outcome", "answer", "meaning", "needed")}
    assert {call["outcome"] for call in calls} == {"ok"}


def test_a_driver_without_a_trial_of_its_own_is_tried_by_its_methods():
    assert "take_over" in check("--storage-url", "memory:")


def test_what_the_store_cannot_is_told_with_its_answer(monkeypatch):
    def fail(_):
        raise OSError(5, "see https://ann:hush@store.example.org")

    monkeypatch.setattr(disk, "sync_folder", fail)
    told = check(code=1)
    assert "the store lacks fsync of a folder" in told
    assert "hush" not in told
    calls = {call["call"]: call for call in json.loads(check("--json", code=1))}
    assert calls["fsync of a folder"]["outcome"] == "failed"


@pytest.mark.parametrize("url", ["s3://", "ftp://host"])
def test_a_store_that_cannot_be_opened_is_told(url):
    assert "Error" in check("--storage-url", url, code=1)


@pytest.mark.parametrize(
    ("endpoint", "external", "state", "told"),
    [
        ("http://store.example.org:9000", "https://registry.example.org", "warning", "in the clear"),
        ("https://store.example.org:9000", "https://registry.example.org", "ok", "from store.example.org:9000"),
        ("http://store.example.org:9000", "http://registry.example.org", "ok", "from store.example.org:9000"),
    ],
)
def test_config_check_tells_where_clients_fetch_blobs(monkeypatch, endpoint, external, state, told):
    monkeypatch.setattr("registry.storage.s3.Bucket.check", lambda _: None)
    settings = {
        "STORAGE_URL": "s3://blobs",
        "STORAGE_REDIRECT": "10.0.0.0/8",
        "EXTERNAL_URL": external,
        "S3_ENDPOINT_URL": endpoint,
        "S3_ACCESS_KEY_ID": "a",
        "S3_SECRET_ACCESS_KEY": "b",
        "S3_REGION": "r",
    }
    env = {f"MOORAGE_{name}": value for name, value in settings.items()}
    result = CliRunner().invoke(main, ["config", "check", "--json"], prog_name="moorage", env=env)
    found = {one["name"]: one for one in json.loads(result.output)}["storage_redirect"]
    assert found["state"] == state
    assert told in found["detail"]
    assert "Signature" not in result.output

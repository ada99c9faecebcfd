"""``moorage audit`` and ``moorage access simulate``."""

import json

import pytest
from click.testing import CliRunner

from registry.cli import main
from tests.support.asking import PASSWORD, basic


@pytest.fixture
def run(registry, folder, log, monkeypatch):
    """Give the command line on the registry's data, with an audit log of a few records."""
    registry.user("ann", PASSWORD)
    registry.rule("ann", "user:ann", ["team/*"], role="pull")
    registry.push("team/app", "v1")
    registry.client.get("/v2/team/app/manifests/v1", headers=registry.as_("ann"))
    registry.client.get("/v2/other/manifests/v1", headers=registry.as_("ann"))
    registry.client.get("/v2/", headers=basic("ann", "wrong"))
    log.seal()
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")

    def call(*arguments, code=0, local=True):
        place = ["--data", str(folder)] if local else []
        result = CliRunner().invoke(main, [*arguments, *place], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result.output

    return call


def test_records_are_listed_newest_first(run, log):
    lines = run("audit", "list").strip().splitlines()
    assert lines[0].split() == ["position", "time", "what", "who", "from", "repository", "about", "rule", "times"]
    first, *_, last = (int(line.split()[0]) for line in lines[2:] if line.split()[0].isdigit())
    assert (first, last) == (log.sealed()[-1]["position"], 1)
    assert "denied pull" in run("audit", "list", "--outcome", "denied")
    assert "login (denied)" in run("audit", "list", "--principal", "ann", "--kind", "login")
    found = json.loads(run("audit", "list", "--kind", "policy.", "--json"))
    assert [record["reference"] for record in found] == ["ann"]
    assert len(json.loads(run("audit", "list", "--limit", "2", "--json"))) == 2


def test_an_export_is_json_lines_that_can_be_checked(run, log, tmp_path):
    text = run("audit", "export")
    assert [json.loads(line) for line in text.splitlines()] == list(log.sealed())
    (tmp_path / "audit.jsonl").write_text(text)
    told = run("audit", "verify-file", str(tmp_path / "audit.jsonl"), local=False)
    head = told.rpartition("head: ")[2].strip()
    cut = text.splitlines(keepends=True)[:-1]
    (tmp_path / "audit.jsonl").write_text("".join(cut))
    run("audit", "verify-file", str(tmp_path / "audit.jsonl"), local=False)
    told = run("audit", "verify-file", str(tmp_path / "audit.jsonl"), "--head", head, local=False, code=1)
    assert "the end is missing" in told
    (tmp_path / "audit.jsonl").write_text("[]\n")
    run("audit", "verify-file", str(tmp_path / "audit.jsonl"), local=False, code=2)
    run("audit", "verify-file", str(tmp_path / "none"), local=False, code=2)


def test_what_was_altered_is_told(run, registry, log):
    sound = run("audit", "verify")
    many = len(log.sealed())
    assert f"{many} records are as they were written" in sound
    head = sound.rpartition("head: ")[2].strip()
    assert run("audit", "verify", "--head", head)
    registry.alter("UPDATE audit SET principal = 'bob' WHERE position = 3")
    told = run("audit", "verify", code=1)
    assert "record 3: it was altered" in told
    found = json.loads(run("audit", "verify", "--json", code=1))
    assert (found["sound"], found["breaks"][0]["position"]) == (False, 3)
    registry.alter("UPDATE audit SET principal = 'operator' WHERE position = 3")
    registry.alter("DELETE FROM audit WHERE position = :last", last=many)
    registry.alter(
        "UPDATE audit_state SET position = position - 1, hash = (SELECT hash FROM audit WHERE position = :now)",
        now=many - 1,
    )
    assert run("audit", "verify")
    assert "the end is missing" in run("audit", "verify", "--head", head, code=1)
    run("audit", "verify", "--head", "nonsense", code=2)


def test_what_waits_is_told(run, registry):
    registry.user("later")
    assert "2 entries wait to be sealed by a worker" in run("audit", "verify")


def test_a_simulation_is_told_and_changes_nothing(run, registry, tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text('[other]\nto = ["everybody"]\non = ["other"]\nrole = "pull"\n')
    told = run("access", "simulate", str(policy), "--since", "2020-01-01T00:00:00Z").splitlines()
    rows = [line.split() for line in told if "ann" in line]
    assert [row[:4] for row in rows] == [["denied", "ann", "pull", "team/app"], ["allowed", "ann", "pull", "other"]]
    assert told[-1].startswith("2 of ")
    found = json.loads(run("access", "simulate", str(policy), "--since", "2020-01-01T00:00:00Z", "--json"))
    assert [one["new_rule"] for one in found["differences"]] == ["", "other"]
    assert registry.chief("GET", "/api/v1/policy").get_json()["rules"].keys() == {"ann"}
    assert "0 of 0" in run("access", "simulate", str(policy))
    policy.write_text("x = 1")
    run("access", "simulate", str(policy), code=2)

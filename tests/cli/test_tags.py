"""The life of a tag on the command line, as somebody meets it who has only the help."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from registry.cli import connecting, main, repo
from registry.testing.apps import quick_folder, running_app
from registry.testing.clock import Clock
from registry.testing.images import image, layer
from tests.support.api import Api
from tests.support.server import MoorageServer

OLD, NEW = (image(layer({"f": text})) for text in (b"old", b"new"))


@pytest.fixture
def data(blank):
    """Give a registry in which a tag was moved an hour ago, and pushed two hours ago."""
    clock = Clock()
    now = datetime.now(UTC)
    with quick_folder() as folder, running_app(folder / "data", blank=blank, clock=clock) as app:
        api = Api(app.test_client())
        clock.milliseconds = round((now - timedelta(hours=2)).timestamp() * 1000)
        api.push("team/app", OLD, "v1", "other")
        clock.milliseconds = round((now - timedelta(hours=1)).timestamp() * 1000)
        api.push("team/app", NEW, "v1")
        yield folder / "data"


@pytest.fixture(params=["in this process", pytest.param("server", marks=pytest.mark.needs_tools)])
def place(request, data):
    if request.param == "server":
        with MoorageServer(data, worker=True) as server:
            yield ["--server", server.url]
    else:
        yield ["--data", str(data)]


def call(place, *args, code=0):
    result = CliRunner().invoke(main, [*args, *place], prog_name="moorage")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def ask(place, *args):
    return json.loads(call(place, *args, "--json"))


def digest_of(place, tag="v1"):
    return ask(place, "tag", "show", "team/app", tag)["digest"]


def test_the_wrong_tag_was_deleted_and_comes_back(place):
    assert "to undo: moorage tag restore team/app v1" in call(place, "tag", "delete", "team/app", "v1", "--yes")
    gone = call(place, "tag", "show", "team/app", "v1", code=1)
    assert "the tag's life ended" in gone
    assert gone.endswith("\nto bring it back: moorage tag restore team/app v1\n")
    assert f"v1 stands for {NEW.digest}" in call(place, "tag", "restore", "team/app", "v1")
    history = ask(place, "tag", "history", "team/app", "v1")
    assert [(one["digest"], one["ended"]) for one in history] == [
        (NEW.digest, None),
        (NEW.digest, "deleted"),
        (OLD.digest, "moved"),
    ]
    assert "moved" in call(place, "tag", "history", "team/app")
    assert {one["name"] for one in ask(place, "tag", "history", "team/app", "v*")} == {"v1"}
    assert ask(place, "tag", "history", "team/app", "w*") == []
    assert "TAG_INVALID" not in call(place, "tag", "history", "team/app", "*v", code=2)


def test_a_tag_goes_back_in_time(place):
    assert ask(place, "tag", "show", "team/app", "v1", "--as-of", "90m")["digest"] == OLD.digest
    assert [one["name"] for one in ask(place, "tag", "list", "team/app", "--as-of", "90m")] == ["other", "v1"]
    assert ask(place, "tag", "list", "team/app", "--as-of", "3h") == []
    call(place, "tag", "restore", "team/app", "v1", "--as-of", "90m")
    assert digest_of(place) == OLD.digest
    call(place, "tag", "restore", "team/app", "v1", "--digest", NEW.digest)
    assert digest_of(place) == NEW.digest
    told = call(place, "tag", "restore", "team/app", "v1", "--digest", NEW.digest, "--as-of", "1h", code=2)
    assert "give one of them" in told
    assert "expected a time" in call(place, "tag", "show", "team/app", "v1", "--as-of", "yesterday", code=2)


def test_a_tag_is_moved_given_an_end_and_protected(place):
    call(place, "tag", "move", "team/app", "prod", OLD.digest)
    assert digest_of(place, "prod") == OLD.digest
    assert "ends at" in call(place, "tag", "expire", "team/app", "prod", "--in", "2w")
    assert "clear that first" in call(place, "tag", "protect", "team/app", "prod", code=1)
    assert "does not end" in call(place, "tag", "expire", "team/app", "prod", "--never")
    assert "is immutable" in call(place, "tag", "protect", "team/app", "prod")
    assert "is immutable: it was made immutable by hand" in call(
        place, "tag", "delete", "team/app", "prod", "--yes", code=1
    )
    call(place, "tag", "unprotect", "team/app", "prod")
    call(place, "tag", "delete", "team/app", "prod", "--yes")
    assert "say when" in call(place, "tag", "expire", "team/app", "v1", code=2)


@pytest.mark.needs_tools  # it needs none, but takes long
def test_a_refusal_says_what_to_do_next(place):
    (label,) = [ask(place, "label", "add", "team/app", OLD.digest, "quay.immutable", "true")]
    call(place, "rule", "add", "few", '{"tags": ["w*"]}', "--kind", "immutability")
    call(place, "tag", "expire", "team/app", "v1", "--in", "2w")
    call(place, "tag", "move", "team/app", "mine", NEW.digest)
    call(place, "tag", "protect", "team/app", "mine")
    for command, hint in (
        ("tag show team/app v1 --as-of 5h", "moorage tag history team/app v1"),
        ("tag show team/app none", "moorage tag history team/app"),
        ("tag restore team/app other", "moorage tag history team/app"),
        ("tag protect team/app v1", "moorage tag expire team/app v1 --never"),
        ("tag delete team/app mine --yes", "moorage tag unprotect team/app mine"),
        ("tag delete team/app other --yes", "moorage tag show team/app other"),
        ("repo delete team/app --yes", "moorage tag unprotect team/app mine"),
        ("repo show team/none", "moorage repo list --deleted"),
        (f"label remove team/app other {label['id'] + 1}", f"moorage label list team/app {OLD.digest}"),
        ("rule show none", "moorage rule list"),
        ('rule add few {"tags":["a"]} --kind immutability', "moorage rule change few"),
        ("gc explain team/app:none", "moorage tag history team/app"),
    ):
        assert hint in call(place, *command.split(), code=1).partition("\n")[2], command


@pytest.mark.needs_tools  # it needs none, but takes long
def test_a_repository_goes_back_in_time(place):
    plan = ask(place, "repo", "restore", "team/app", "--as-of", "90m", "--dry-run")
    assert [(one["tag"], one["change"]) for one in plan] == [("v1", "move")]
    assert "move" in call(place, "repo", "restore", "team/app", "--as-of", "90m", "--dry-run")
    assert "Nobody is here to answer" in call(place, "repo", "restore", "team/app", "--as-of", "90m", code=2)
    done = call(place, "repo", "restore", "team/app", "--as-of", "90m", "--yes")
    assert "move: 1" in done
    assert digest_of(place) == OLD.digest
    again = call(place, "repo", "restore", "team/app", "--as-of", "90m", "--dry-run")
    assert again == "every tag of team/app is what it was then: nothing is to be changed\n"
    call(place, *done.splitlines()[-1].partition("to undo: moorage ")[2].split(), "--yes")
    assert digest_of(place) == NEW.digest
    ahead = call(place, "repo", "restore", "team/app", "--as-of", "2999-01-01", "--dry-run", code=1)
    assert "yet to come: as_of 2999-01-01T" in ahead
    assert ask(place, "repo", "restore", "team/app", "--as-of", "90m", "--yes")["state"] == "DONE"


def test_who_is_asked_sees_what_would_change(place, monkeypatch):
    for module in (connecting, repo):
        monkeypatch.setattr(module, "somebody_is_there", lambda: True)
    told = call(place, "repo", "restore", "team/app", "--as-of", "90m", code=1)
    assert 0 < told.find(NEW.digest) < told.find("Change 1 tags")


def test_what_makes_a_tag_immutable_stands_in_one_place(place):
    assert re.search(r"immutable +no\n", call(place, "tag", "show", "team/app", "v1"))
    call(place, "rule", "add", "few", '{"tags": ["v*"], "retroactive": true}', "--kind", "immutability")
    assert re.search(r"immutable +by the rule few\n", call(place, "tag", "show", "team/app", "v1"))
    assert "is immutable by hand, by the rule few" in call(place, "tag", "protect", "team/app", "v1")
    assert "by hand, by the rule few" in call(place, "tag", "list", "team/app")
    assert "v1 is immutable by the rule few" in call(place, "tag", "unprotect", "team/app", "v1")
    call(place, "rule", "delete", "few", "--yes")
    assert "v1 is not immutable" in call(place, "tag", "unprotect", "team/app", "v1")


def test_a_narrow_terminal_gets_short_digests_and_a_wide_one_whole_ones(place, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    told = call(place, "tag", "history", "team/app", "v1")
    assert f"{NEW.digest[:19]}\N{HORIZONTAL ELLIPSIS}" in told
    assert "--json has them whole" in told
    assert NEW.digest in call(place, "tag", "show", "team/app", "v1")
    monkeypatch.setenv("COLUMNS", "250")
    told = call(place, "tag", "history", "team/app", "v1")
    assert NEW.digest in told
    assert "--json has them whole" not in told
    assert re.search(r"T\d\d:\d\d:\d\d(\.\d{3})?Z", told)


def test_a_deleted_manifest_comes_back_with_its_tag(place):
    assert "moorage manifest restore" in call(place, "manifest", "delete", "team/app", NEW.digest, "--yes")
    assert "tags: v1" in call(place, "manifest", "restore", "team/app", NEW.digest)
    assert digest_of(place) == NEW.digest
    assert "not a deleted one" in call(place, "manifest", "restore", "team/app", NEW.digest, code=1)


@pytest.mark.needs_tools  # it needs none, but takes long
def test_rules_are_made_tried_changed_and_removed(place, tmp_path):
    tried = ask(place, "rule", "test", "team/app", '{"tags": ["v*"], "retroactive": true}')
    assert [one["tag"] for one in tried["items"]] == ["v1"]
    assert "1 of 2 tags" in call(place, "rule", "test", "team/app", '{"tags": ["v*"], "retroactive": true}')
    assert "0 of 2 tags" in call(place, "rule", "test", "team/app", '{"tags": ["v*"]}')
    call(place, "tag", "expire", "team/app", "v1", "--in", "2w")
    told = call(place, "rule", "test", "team/app", '{"tags": ["*"], "retroactive": true}')
    assert "1 of 2 tags would be immutable" in told
    assert "1 more match, but end by then" in told
    call(place, "tag", "expire", "team/app", "v1", "--never")
    (tmp_path / "rule.json").write_text('{"tags": ["v*"], "retroactive": true}')
    made = call(place, "rule", "add", "releases", f"@{tmp_path / 'rule.json'}", "--kind", "immutability")
    assert "holds everywhere" in made
    assert "everywhere" in call(place, "rule", "list")
    assert "the rule releases makes it so" in call(place, "tag", "delete", "team/app", "v1", "--yes", code=1)
    assert ask(place, "tag", "show", "team/app", "v1")["immutable_by_rule"] == "releases"
    assert "v*" in call(place, "rule", "list")
    assert ask(place, "rule", "show", "releases")["definition"]["tags"] == ["v*"]
    call(place, "rule", "change", "releases", '{"tags": ["w*"]}')
    call(place, "tag", "delete", "team/app", "v1", "--yes")
    call(place, "rule", "delete", "releases", "--yes")
    assert ask(place, "rule", "list") == []
    kind = ("--kind", "immutability")
    for bad, told in (("[]", "must be a JSON object"), ("{", "no JSON"), ("@nowhere", "cannot read nowhere")):
        assert told in call(place, "rule", "add", "x", bad, *kind, code=2)
    assert "tags must say which" in call(place, "rule", "add", "x", "{}", *kind, code=1)
    both = ("--repository", "team/app", "--namespace", "team")
    assert "give one of them" in call(place, "rule", "add", "x", "{}", *kind, *both, code=2)
    assert "is no name" in call(place, "rule", "show", "a/b", code=2)


def test_labels_are_added_and_removed(place):
    label = ask(place, "label", "add", "team/app", NEW.digest, "org.moorage.expires-after", "3h")
    assert ask(place, "tag", "show", "team/app", "v1")["expires_by"] == "label"
    call(place, "label", "remove", "team/app", NEW.digest, str(label["id"]))
    assert ask(place, "tag", "show", "team/app", "v1")["until"] is None
    assert "is no time to live" in call(place, "label", "add", "team/app", NEW.digest, "quay.expires-after", "soon")
    assert "is no time to live" in call(place, "label", "list", "team/app", NEW.digest)


def test_fsck_tells_by_its_exit_code_what_it_found(data):
    place = ["--data", str(data)]
    assert "nothing is wrong" in call(place, "fsck", "--deep")
    blob = max((data / "storage" / "blobs").rglob("*"), key=lambda path: path.is_file())
    blob.write_bytes(b"x" * blob.stat().st_size)
    assert "nothing is wrong" in call(place, "fsck")
    assert "error: blob damaged" in call(place, "fsck", "--deep", code=1)
    assert json.loads(call(place, "fsck", "--deep", "--json", code=1))["errors"] == 1
    assert "repaired" in call(place, "fsck", "--deep", "--repair", code=1)
    assert "push it again" in call(place, "fsck", code=1)
    assert "there is no registry" in call(["--data", str(data / "empty")], "fsck", code=3)
    call(place, "fsck", "--shallow", code=2)

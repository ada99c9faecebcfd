"""Commands that speak the API: in this process on a data folder, and to a server, alike."""

import http.server
import json
import re
import sqlite3
import subprocess
import sys
import threading

import flask_migrate
import pytest
from click.testing import CliRunner

from registry.app import create_app
from registry.cli import main
from registry.cli.client import connect
from registry.settings import Settings
from registry.testing.apps import quick_folder, running_app
from registry.testing.images import artifact, simple_image
from tests.support.api import Api
from tests.support.ports import free_port
from tests.support.server import MoorageServer

IMAGE = simple_image("x")
HEAVY = {"httpx", "flask", "sqlalchemy", "rich", "msgspec"}
SIGNATURE = artifact("application/vnd.example.signature", subject=IMAGE)


@pytest.fixture
def data(blank):
    with quick_folder() as folder, running_app(folder / "data", blank=blank) as app:
        api = Api(app.test_client())
        api.push("team/app", IMAGE, "v1", "v2")
        api.push("team/app", SIGNATURE)
        yield folder / "data"


@pytest.fixture(params=["in this process", pytest.param("server", marks=pytest.mark.needs_tools)])
def place(request, data):
    """Give the flags that name the registry, and how it is called in messages."""
    if request.param == "server":
        with MoorageServer(data) as server:
            yield ["--server", server.url], server.url
    else:
        yield ["--data", str(data)], str(data)


def call(place, *args, code=0, stdin=None):
    result = CliRunner().invoke(main, [*args, *place[0]], prog_name="moorage", input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def ask(place, *args):
    return json.loads(call(place, *args, "--json"))


def test_repositories_live_and_die(place):
    made = ask(place, "repo", "create", "team/new", "--description", "New", "--recovery-window", "2d")
    assert (made["name"], made["description"], made["recovery_seconds"]) == ("team/new", "New", 172_800)
    assert [item["name"] for item in ask(place, "repo", "list")] == ["team/app", "team/new"]
    assert [item["name"] for item in ask(place, "repo", "list", "--prefix", "team/n")] == ["team/new"]
    changed = ask(place, "repo", "set", "team/new", "--recovery-window", "default", "--allow-sparse", "true")
    assert (changed["recovery_seconds"], changed["allow_sparse"], changed["description"]) == (None, True, "New")
    assert ask(place, "repo", "rename", "team/new", "old")["name"] == "old"
    assert "moorage repo undelete old" in call(place, "repo", "delete", "old", "--yes")
    assert [item["name"] for item in ask(place, "repo", "list", "--deleted")] == ["old"]
    assert ask(place, "repo", "undelete", "old")["deleted"] is None
    shown = ask(place, "repo", "show", "team/app")
    assert (shown["tags"], shown["manifests"]) == (2, 2)


def test_manifests_are_shown_and_deleted(place):
    found = ask(place, "manifest", "list", "team/app")
    assert [item["digest"] for item in found] == [SIGNATURE.digest, IMAGE.digest]
    kinds = ask(place, "manifest", "list", "team/app", "--artifact-type", "application/vnd.example.signature")
    assert [item["digest"] for item in kinds] == [SIGNATURE.digest]
    shown = ask(place, "manifest", "show", "team/app", IMAGE.digest)
    assert (shown["tags"], shown["referrer_count"]) == (["v1", "v2"], 1)
    assert {IMAGE.config.digest, *(part.digest for part in IMAGE.layers)} <= {part["digest"] for part in shown["blobs"]}
    (referrer,) = ask(place, "manifest", "referrers", "team/app", IMAGE.digest)
    assert referrer["digest"] == SIGNATURE.digest
    assert ask(place, "blob", "show", IMAGE.config.digest)["repositories"] == ["team/app"]
    of_one = ask(place, "blob", "show", IMAGE.config.digest, "--repository", "team/app")
    assert of_one["manifests"] == [IMAGE.digest]
    assert "and 2 tags" in call(place, "manifest", "delete", "team/app", IMAGE.digest, "--yes")
    assert [item["digest"] for item in ask(place, "manifest", "list", "team/app", "--deleted")] == [IMAGE.digest]


def test_tables_are_for_people(place):
    assert "team/app" in call(place, "repo", "list")
    shown = call(place, "repo", "show", "team/app")
    assert "14d (the registry's setting)" in shown
    assert "restorable" not in shown
    shown = call(place, "repo", "set", "team/app", "--recovery-window", "36h")
    assert "recovery window   36h\n" in shown
    text = call(place, "manifest", "show", "team/app", IMAGE.digest)
    assert "v2" in text
    assert IMAGE.config.digest in text
    call(place, "manifest", "referrers", "team/app", IMAGE.digest)


def test_a_refusal_is_one_message_that_says_who_refused(place):
    told = call(place, "repo", "show", "nobody", code=1)
    assert "repository name not known to registry: name nobody" in told
    assert place[1] in told
    assert "moorage repo list --deleted" in told.splitlines()[1]
    assert len(told.strip().splitlines()) == 2
    assert "is taken: name team/app" in call(place, "repo", "create", "team/app", code=1)


def test_lists_are_read_page_by_page(data, monkeypatch):
    monkeypatch.setenv("MOORAGE_PAGE_SIZE_MAX", "2")
    place = ["--data", str(data)], ""
    for number in range(5):
        call(place, "repo", "create", f"r{number}")
    assert [item["name"] for item in ask(place, "repo", "list")] == [*(f"r{number}" for number in range(5)), "team/app"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["repo", "show", "A"], "invalid repository name: 'A'"),
        (["manifest", "show", "a", "sha256:1"], "malformed digest"),
        (["repo", "set", "a", "--recovery-window", "soon"], "such as 30s, 10m, 24h or 14d, or default: 'soon'"),
        (["repo", "set", "a", "--allow-sparse", "perhaps"], "expected true or false, or default: 'perhaps'"),
        (["repo", "set", "a"], "nothing to set"),
        (["repo", "list", "--server", "http://127.0.0.1:1", "--data", "x"], "give one of them"),
        (["repo", "list", "--data", ""], "--data: expected a path"),
    ],
)
def test_mistakes_of_usage_are_told_before_anything_is_asked(data, args, told):
    place = [] if "--data" in args else ["--data", str(data)]
    assert told in call((place, ""), *args, code=2)


def test_what_destroys_asks_first(data):
    place = ["--data", str(data)], ""
    assert "say --yes" in call(place, "repo", "delete", "team/app", code=2)
    assert "say --yes" in call(place, "manifest", "delete", "team/app", IMAGE.digest, code=2)
    assert ask(place, "repo", "show", "team/app")["tags"] == 2


@pytest.mark.parametrize(("answer", "code"), [("n\n", 1), ("y\n", 0)])
def test_people_answer(data, answer, code, monkeypatch):
    monkeypatch.setattr("registry.cli.connecting.somebody_is_there", lambda: True)
    told = call((["--data", str(data)], ""), "repo", "delete", "team/app", code=code, stdin=answer)
    assert "Delete team/app with 2 tags and 2 manifests?" in told
    left = [item["name"] for item in ask((["--data", str(data)], ""), "repo", "list")]
    assert left == ([] if code == 0 else ["team/app"])


def test_immutable_tags_are_told_and_forced(data):
    place = ["--data", str(data)], ""
    with sqlite3.connect(data / "moorage.db") as database:
        database.execute("UPDATE tag SET immutable = 1 WHERE name = 'v2'")
    database.close()
    assert "its tag v2 is immutable" in call(place, "repo", "delete", "team/app", "--yes", code=1)
    call(place, "repo", "delete", "team/app", "--yes", "--force")


def test_a_server_that_is_not_there_is_told(monkeypatch):
    url = f"http://127.0.0.1:{free_port()}"
    assert f"cannot ask {url}: " in call((["--server", url], ""), "repo", "list", code=1)
    monkeypatch.setenv("MOORAGE_SERVER", url)
    assert f"cannot ask {url}: " in call(([], ""), "repo", "list", code=1)
    assert "expected a URL such as" in call((["--server", "127.0.0.1:5000"], ""), "repo", "list", code=1)


def test_a_data_folder_that_is_named_wins_over_the_environment(data, monkeypatch):
    monkeypatch.setenv("MOORAGE_SERVER", "http://127.0.0.1:1")
    assert [item["name"] for item in ask((["--data", str(data)], ""), "repo", "list")] == ["team/app"]


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [(200, "text/html", b"hi"), (404, "application/json", b'{"errors": []}'), (404, "application/json", b"[]")],
)
def test_a_server_of_another_kind_is_told(status, kind, body):
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.handle_request).start()
        url = f"http://127.0.0.1:{server.server_port}"
        told = call((["--server", url], ""), "repo", "list", code=1)
        assert f"does not answer as Moorage does: {status} {kind}; --server takes its address alone" in told


def test_no_registry_is_made_where_there_is_none(tmp_path):
    told = call((["--data", "nowhere"], ""), "repo", "list", code=1)
    assert f"there is no registry in {tmp_path}/nowhere" in told
    assert "--server" in told
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_before_is_told_of(tmp_path):
    app = create_app(Settings(data=tmp_path))
    with app.app_context():
        flask_migrate.upgrade(revision="0001")
    app.extensions["moorage"].database.close_idle()
    told = call((["--data", str(tmp_path)], ""), "repo", "list", code=1)
    assert "lacks migrations (0002, 0003, 0004, " in told
    assert "): run moorage db upgrade" in told


def test_an_open_client_keeps_nobody_from_writing(data):
    with connect(None, {"data": str(data)}) as client:
        assert [item["name"] for item in client.items("/repositories")] == ["team/app"]
        other = sqlite3.connect(data / "moorage.db", timeout=0)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        other.close()


@pytest.mark.parametrize(
    ("args", "unwanted"),
    [
        *(([name, "--help"], HEAVY) for name in ("repo", "manifest", "blob", "gc", "job", "purge")),
        (["repo", "list", "--server", "http://127.0.0.1:1"], {"flask", "sqlalchemy", "alembic"}),
    ],
)
def test_a_command_loads_no_more_than_it_needs(args, unwanted):
    script = f"import sys; from registry.cli import main; sys.argv = {['moorage', *args]!r}\n"
    script += "try: main()\nexcept SystemExit: pass\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.splitlines()[-1].split()) & unwanted


@pytest.mark.needs_tools  # it needs none, but takes long
def test_collection_is_seen_rehearsed_and_run(place):
    assert "is kept" in call(place, "gc", "explain", IMAGE.digest)
    chain = call(place, "gc", "explain", IMAGE.config.digest, "--repository", "team/app")
    assert f"by {IMAGE.digest}" in chain
    assert ask(place, "gc", "explain", "v1", "--repository", "team/app")["digest"] == IMAGE.digest
    for named in ("team/app:v1", f"team/app@{IMAGE.digest}"):
        assert ask(place, "gc", "explain", named)["digest"] == IMAGE.digest
    assert "names the repository already" in call(
        place, "gc", "explain", "team/app:v1", "--repository", "team/b", code=2
    )
    for wrong in ("sha256:1234", "team/app@v 1", "Team/app:v1"):
        assert "Invalid value for 'REFERENCE'" in call(place, "gc", "explain", wrong, code=2)
    assert "needs its repository" in call(place, "gc", "explain", "v1", code=1)
    assert ask(place, "gc", "status")["queue"]
    assert "To be freed: 0 bytes" in call(place, "gc", "status")
    assert ask(place, "gc", "run", "--dry-run")["removed"] == []
    assert "would free 0 bytes" in call(place, "gc", "run", "--dry-run")


@pytest.mark.needs_tools  # it needs none, but takes long
def test_a_run_by_hand_is_waited_for(data):
    place = ["--data", str(data)], str(data)
    assert ask(place, "gc", "run")["state"] == "DONE"
    assert "freed 0 bytes" in call(place, "gc", "run")
    assert [run["job"] for run in ask(place, "job", "runs")] == ["collection", "collection"]
    run = ask(place, "job", "run", "collection", "--argument", "a=b")
    assert run["arguments"] == {"a": "b"}
    assert ask(place, "job", "show", str(run["id"]))["state"] == "DONE"
    assert "collection" in call(place, "job", "list")
    assert "this run is over" in call(place, "job", "cancel", str(run["id"]), code=1)
    assert "no such job" in call(place, "job", "run", "weekly", code=1)
    assert "NAME=VALUE" in call(place, "job", "run", "collection", "--argument", "x", code=2)


def test_a_leaked_secret_is_purged_and_may_be_allowed_again(place):
    digest = IMAGE.layers[0].digest
    assert "say why" in call(place, "purge", digest, "--yes", code=2)
    assert "Nobody is here to answer" in call(place, "purge", digest, "--reason", "leaked", code=2)
    told = call(place, "purge", digest, "--reason", "leaked", "--yes")
    assert "from team/app" in told
    assert re.search(rf"team/app +{IMAGE.digest} +v1", told)
    assert [(one["digest"], one["reason"]) for one in ask(place, "purge", "--list")] == [(digest, "leaked")]
    assert "may not come back: leaked" in call(place, "gc", "explain", digest)
    call(place, "purge", digest, "--undo")
    assert ask(place, "purge", "--list") == []
    assert "say which digest" in call(place, "purge", code=2)


# Labels


def test_labels_are_added_listed_and_removed_by_tag_and_by_digest(place):
    key = "org.moorage.expires-after"
    made = ask(place, "label", "add", "team/app", "v1", key, "30d")
    assert (made["key"], made["value"], made["source"], made["warning"]) == (key, "30d", "api", "")
    assert made in ask(place, "label", "list", "team/app", IMAGE.digest)
    assert ask(place, "tag", "show", "team/app", "v2")["until"]
    assert key in call(place, "label", "list", "team/app", "v2")
    assert "removed label" in call(place, "label", "remove", "team/app", "v1", str(made["id"]))
    assert ask(place, "tag", "show", "team/app", "v2")["until"] is None


def test_an_odd_label_is_added_with_a_warning(place):
    told = call(place, "label", "add", "team/app", "v1", "quay.expires-after", "soon")
    assert "added label" in told
    assert "warning: 'soon' is no time to live" in told
    assert "is no time to live" in ask(place, "label", "list", "team/app", "v1")[-1]["warning"]


def test_a_long_value_leaves_room_for_its_warning(place):
    value = "a\n" + "b" * 200
    call(place, "label", "add", "team/app", "v1", "k", value)
    table = call(place, "label", "list", "team/app", "v1")
    assert f"a {'b' * 62}\N{HORIZONTAL ELLIPSIS}" in table
    assert "b" * 63 not in table
    assert ask(place, "label", "list", "team/app", "v1")[-1]["value"] == value


def test_labels_that_came_with_the_image_stay(place):
    (own,) = ask(place, "label", "list", "team/app", "v1")
    refused = call(place, "label", "remove", "team/app", "v1", str(own["id"]), code=1)
    assert "this label came with the manifest" in refused
    assert "manifest unknown" in call(place, "label", "list", "team/app", "nothing", code=1)

"""Bad plugins in a server of several processes: what is healthy goes on being pulled, and each is told by its name."""

import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import image, layer, simple_image
from tests.isolation.installed import install, owner
from tests.support.ports import PATIENCE, wait_until
from tests.support.processes import ChildFailedError
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(300)]

NOTE = "application/vnd.example.note.v1+json"
IMAGE = simple_image("healthy")

# What each plugin does, as a statement inside of a hook.
WAYS = {
    "raises": "raise ZeroDivisionError('no')",
    "sleeps": "time.sleep(30)",
    "exits": "raise SystemExit(3)",
    "leaks": "[threading.Thread(target=hang, daemon=True).start() for _ in range(20)]; raise OSError",
    "rubbish": "return 7",
    "recurses": "parse_manifest(media_type, payload)",
    "dies": "os._exit(3)",
}


DATABASES = pytest.mark.parametrize("serving", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def serving(request, tmp_path) -> Callable[..., MoorageServer]:
    """Give the function that makes a server of two processes with plugins, whose calls may take a second."""
    database = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        name = f"isolation-{uuid.uuid4().hex[:8]}"
        database = {"MOORAGE_DATABASE_URL": request.getfixturevalue("postgres").create_database(name)}

    def make(plugins: dict[str, str], **settings: str) -> MoorageServer:
        env = {**install(tmp_path / "plugins", plugins), "MOORAGE_HOOK_DEADLINE": "1", **database, **settings}
        return MoorageServer(tmp_path / "data", workers=2, env=env)

    return make


def put(server: MoorageServer, media_type: str, name: str = "note") -> httpx.Response:
    headers = {"Content-Type": media_type}
    return httpx.put(f"{server.url}/v2/team/app/manifests/{name}", content=b"{}", headers=headers, timeout=30)


def command(server: MoorageServer, *words: str) -> str:
    """Return what a command prints about a running server."""
    code = (
        "import sys; from registry.cli.plugins.blocking import block, health, unblock; "
        "commands = {'block': block, 'health': health, 'unblock': unblock}; "
        "commands[sys.argv[1]](args=sys.argv[2:])"
    )
    argv = [sys.executable, "-c", code, *words, "--server", server.url]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


def plugins(server: MoorageServer) -> dict[str, dict]:
    return {one["name"]: one for one in httpx.get(f"{server.url}/api/v1/plugins").json()["items"]}


def failures(server: MoorageServer, plugin: str) -> dict[str, int]:
    return {one["hook"]: one["failures"] for one in plugins(server)[plugin]["health"] if one["failures"]}


def all_counted(server: MoorageServer, hook: str, ways: Iterable[str]) -> None:
    """Wait until failures of all plugins but the one that dies are kept: processes do that every few seconds."""
    for way in ways:
        if way != "dies":
            counted = partial(failures, server, way)
            wait_until(lambda found=counted: found().get(hook, 0) > 0, PATIENCE, f"the failures of {way} are counted")


@contextmanager
def pulling(server: MoorageServer) -> Iterator[list[object]]:
    """Pull what is healthy all the time, each time over a connection of its own; give what did not go well."""
    failed: list[object] = []
    done = threading.Event()
    pulled = threading.Event()

    def pull() -> None:
        while not done.is_set():
            try:
                answer = httpx.get(f"{server.url}/v2/team/app/manifests/v1", timeout=30)
                if answer.content != IMAGE.data:
                    failed.append(answer.status_code)
            except httpx.HTTPError as error:
                failed.append(error)
            pulled.set()

    thread = threading.Thread(target=pull)
    thread.start()
    try:
        assert pulled.wait(PATIENCE)
        yield failed
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("way", [way for way in WAYS if way != "dies"])
def test_a_bad_format_harms_nobody_else(serving, way):
    with serving({way: owner(NOTE, parse_manifest=WAYS[way])}) as server, httpx.Client(base_url=server.url) as client:
        RegistryClient(client).push("team/app", IMAGE, "v1")
        with pulling(server) as failed:
            for _ in range(10):
                answer = put(server, NOTE)
                assert answer.status_code in (500, 503), answer.text
                assert answer.json()["errors"][0]["detail"] == {"plugin": way, "hook": "parse_manifest"}
        assert failed == []
        RegistryClient(client).push("team/app", simple_image("another"), "v2")
        wait_until(lambda: failures(server, way).get("parse_manifest", 0) > 0, PATIENCE, "the failures are kept")
        if way == "leaks":
            wait_until(lambda: failures(server, way).get("threads", 0) > 0, PATIENCE, "its threads are seen")
        if way == "sleeps":
            wait_until(lambda: put(server, NOTE).status_code == 503, PATIENCE, "the plugin is switched off")
            wait_until(lambda: plugins(server)[way]["state"] == "switched off", PATIENCE, "all know it")
        ready = httpx.get(f"{server.url}/health/ready").json()
        assert ready["status"] == "ready"


@DATABASES
def test_a_plugin_that_kills_its_process_is_named_and_switched_off(serving):
    with serving({"dies": owner(NOTE, parse_manifest=WAYS["dies"])}) as server:
        with httpx.Client(base_url=server.url) as client:
            RegistryClient(client).push("team/app", IMAGE, "v1")
        before = set(server.worker_pids)
        told = "died while plugin dies was in parse_manifest"
        for count in range(1, 4):
            with pytest.raises(httpx.HTTPError):
                put(server, NOTE)
            wait_until(lambda count=count: server.log.read_text().count(told) == count, PATIENCE, "the death is told")
            answer = httpx.get(f"{server.url}/v2/team/app/manifests/v1", timeout=30)
            assert answer.content == IMAGE.data
        wait_until(lambda: len(server.worker_pids) == 2, PATIENCE, "the dead are replaced")
        assert set(server.worker_pids) != before
        wait_until(lambda: plugins(server)["dies"]["state"] == "switched off", PATIENCE, "the plugin is switched off")
        assert "3 processes died in it" in plugins(server)["dies"]["reason"]
        assert failures(server, "dies") == {"parse_manifest": 3}

        def refused() -> bool:
            try:
                answer = put(server, NOTE)
            except httpx.HTTPError:  # of a process that has not heard of it yet
                return False
            return answer.status_code == 503 and answer.json()["errors"][0]["detail"]["plugin"] == "dies"

        wait_until(refused, PATIENCE, "every process follows")


@DATABASES
@pytest.mark.parametrize("way", ["raises", "sleeps", "exits", "rubbish"])
def test_a_bad_admission_stays_closed_and_a_blocked_one_does_not_apply(serving, way):
    code = f"@hookimpl\ndef admit_manifest(push):\n    {WAYS[way]}\n"
    with serving({way: code}) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        registry = RegistryClient(client)
        for blob in IMAGE.walk():
            if blob is not IMAGE:
                registry.push_blob("team/app", blob)

        def push() -> int:
            headers = {"Content-Type": IMAGE.media_type}
            return client.put("/v2/team/app/manifests/v1", content=IMAGE.data, headers=headers).status_code

        answers = [push() for _ in range(8)]
        assert answers == [403] * 8
        command(server, "block", way, "--reason", "it is being mended")
        wait_until(lambda: push() == 201, PATIENCE, "pushes go on")
        assert plugins(server)[way]["state"] == "blocked"
        assert f"{way} is blocked: it is being mended" in httpx.get(f"{server.url}/health/ready").text
        command(server, "unblock", way)
        wait_until(lambda: push() == 403, PATIENCE, "admission is closed again")


@DATABASES
def test_a_blocked_format_is_refused_by_its_name_and_stays_pullable_in_every_process(serving):
    with serving({"note": owner(NOTE)}) as server:
        assert put(server, NOTE).status_code == 201
        command(server, "block", "note", "--reason", "it is being mended")
        wait_until(lambda: {put(server, NOTE).status_code for _ in range(8)} == {415}, PATIENCE, "all follow")
        (error,) = put(server, NOTE).json()["errors"]
        assert "plugin note, which owns it, is blocked" in error["message"]
        pulled = httpx.get(f"{server.url}/v2/team/app/manifests/note")
        assert (pulled.status_code, pulled.content) == (200, b"{}")
        server.restart()
        assert put(server, NOTE).status_code == 415
        command(server, "unblock", "note")
        wait_until(lambda: {put(server, NOTE).status_code for _ in range(8)} == {201}, PATIENCE, "all follow")
        told = json.loads(command(server, "health", "--json"))
        assert any(one["plugin"] == "note" and one["calls"] for one in told)


@pytest.mark.parametrize(("hook", "way"), [("label_actions", "sleeps"), ("storage_drivers", "exits")])
def test_a_plugin_that_goes_wrong_at_the_start_keeps_nobody_from_serving(serving, hook, way):
    with serving({way: f"@hookimpl\ndef {hook}():\n    {WAYS[way]}\n"}) as server:
        with httpx.Client(base_url=server.url) as client:
            RegistryClient(client).push("team/app", IMAGE, "v1")
        assert plugins(server)[way]["state"] == "failed"
        assert f"at the start it failed in {hook}" in plugins(server)[way]["reason"]


@pytest.mark.parametrize("hook", ["label_actions", "jobs", "blueprints"])
def test_a_plugin_that_ends_each_start_is_named_and_not_asked_at_the_fourth(serving, hook):
    server = serving({"dies": f"@hookimpl\ndef {hook}():\n    {WAYS['dies']}\n"})
    for count in range(3):
        with pytest.raises(ChildFailedError):
            server.start()
        told = server.log.read_text().count(f"died while plugin dies was in {hook}")
        assert told == count, "each start tells of the one before"
    with server:
        with httpx.Client(base_url=server.url) as client:
            RegistryClient(client).push("team/app", IMAGE, "v1")
        assert plugins(server)["dies"]["state"] == "failed"
        assert f"3 processes died in it, the last one in {hook}" in plugins(server)["dies"]["reason"]


@pytest.mark.parametrize("way", ["raises", "exits"])
def test_a_plugin_that_fails_at_import_keeps_nobody_from_serving(serving, way):
    with serving({way: WAYS[way]}) as server:
        assert plugins(server)[way]["state"] == "failed"


def test_in_safe_mode_only_what_is_built_in_is_loaded(serving):
    server = serving({"dies": "os._exit(3)"})
    server._child.argv = [*server._child.argv, "--safe-mode"]
    with server:
        found = plugins(server)
        assert found["dies"]["state"] == "blocked"
        assert "safe mode" in found["dies"]["reason"]
        assert "safe mode" in httpx.get(f"{server.url}/health/ready").text
        assert {one["state"] for one in found.values() if one["source"] == "built-in"} == {"active"}


def test_no_breadcrumbs_are_left_behind_by_a_server_that_ends_as_it_should(serving, tmp_path):
    from registry.hooks.crumbs import folder_of

    folder: Path = folder_of(tmp_path / "data")
    with serving({"note": owner(NOTE)}) as server:
        assert put(server, NOTE).status_code == 201
        wait_until(lambda: len(list(folder.glob("*.run"))) == 2, PATIENCE, "both workers are there")
    assert list(folder.glob("*")) == []


OBSERVERS = {way: statement for way, statement in WAYS.items() if way not in ("rubbish", "recurses")}


@DATABASES
@pytest.mark.parametrize("way", OBSERVERS)
def test_a_bad_observer_holds_up_nobody_but_itself(serving, way, tmp_path):
    good = f"""
    @hookimpl
    def event_happened(event):
        with open({str(tmp_path / "heard")!r}, "a") as file:
            file.write(event.subject + "\\n")
    """
    bad = f"@hookimpl\ndef event_happened(event):\n    {WAYS[way]}\n"
    server = serving({way: bad, "good": good})
    server.worker = True
    server._child.argv = server._command()
    with server, httpx.Client(base_url=server.url, timeout=30) as client:
        registry = RegistryClient(client)
        wait_until(lambda: "the worker runs" in server.log.read_text(), PATIENCE, "the worker runs")
        registry.push("team/app", IMAGE, "v1")
        with pulling(server) as failed:
            for number in range(3):
                registry.push("team/app", simple_image(str(number)), f"tag{number}")
            heard = tmp_path / "heard"
            wait_until(lambda: heard.exists() and "tag2" in heard.read_text(), PATIENCE, "the good one hears of all")
            wait_until(lambda: failures(server, way).get("event_happened", 0) > 0, PATIENCE, "its failures are kept")
            if way == "dies":
                wait_until(lambda: plugins(server)[way]["state"] == "switched off", PATIENCE, "it is switched off")
        assert failed == []
        assert not failures(server, "good")


def page(way: str, statement: str) -> str:
    """Return a plugin with a page that does the given statement."""
    return f"""
    from flask import Blueprint

    @hookimpl
    def blueprints(context):
        pages = Blueprint("{way}", "{way}", url_prefix="/{way}")

        @pages.get("/page")
        def page():
            {statement}

        return [pages]
    """


@DATABASES
def test_bad_pages_harm_nobody_else(serving):
    ways = {**WAYS, "recurses": "page()", "sleeps": "time.sleep(2)"}
    codes = {way: page(way, statement) for way, statement in ways.items()}
    with serving(codes) as server, httpx.Client(base_url=server.url) as client:
        RegistryClient(client).push("team/app", IMAGE, "v1")
        with pulling(server) as failed:
            for way in ways:
                if way == "dies":
                    continue
                answer = httpx.get(f"{server.url}/{way}/page", timeout=30)
                assert answer.status_code == 500, (way, answer.text)
                assert f"plugin {way} failed in blueprints" in answer.text
            all_counted(server, "blueprints", ways)
        assert failed == []
        wait_until(lambda: failures(server, "leaks").get("threads", 0) > 0, PATIENCE, "its threads are seen")
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{server.url}/dies/page", timeout=30)
        told = "died while plugin dies was in blueprints"
        wait_until(lambda: told in server.log.read_text(), PATIENCE, "the death is told")
        wait_until(lambda: len(server.worker_pids) == 2, PATIENCE, "the dead is replaced")
        wait_until(lambda: failures(server, "dies") == {"blueprints": 1}, PATIENCE, "it is counted")


def label(way: str, statement: str) -> str:
    """Return a plugin with an action of a label that does the given statement."""
    return f"""
    from registry.hooks import LabelAction

    def effects(value):
        {statement}

    @hookimpl
    def label_actions():
        return [LabelAction("org.example.{way}", effects)]
    """


@DATABASES
def test_bad_actions_of_labels_refuse_no_push_and_harm_nobody_else(serving):
    ways = {**WAYS, "recurses": "effects(value)", "sleeps": "time.sleep(2)"}
    codes = {way: label(way, statement) for way, statement in ways.items()}
    with serving(codes) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        registry = RegistryClient(client)
        registry.push("team/app", IMAGE, "v1")
        with pulling(server) as failed:
            for way in ways:
                if way != "dies":
                    registry.push("team/app", image(layer({"f": b""}), labels={f"org.example.{way}": "x"}), way)
            all_counted(server, "label_actions", ways)
        assert failed == []
        with pytest.raises(httpx.HTTPError):
            registry.push("team/app", image(layer({"f": b""}), labels={"org.example.dies": "x"}), "dies")
        told = "died while plugin dies was in label_actions"
        wait_until(lambda: told in server.log.read_text(), PATIENCE, "the death is told")
        wait_until(lambda: failures(server, "dies") == {"label_actions": 1}, PATIENCE, "it is counted")
        assert httpx.get(f"{server.url}/v2/team/app/manifests/v1", timeout=30).content == IMAGE.data


@pytest.mark.parametrize("way", [way for way in WAYS if way != "dies"])  # no process survives that one
def test_a_plugin_that_goes_wrong_in_its_commands_leaves_all_others_alone(tmp_path, way):
    ways = {**WAYS, "recurses": "cli_commands(open_context)"}
    good = """
    import click

    @hookimpl
    def cli_commands(open_context):
        return [click.Command("hello", callback=lambda: click.echo("hello"))]
    """
    bad = f"@hookimpl\ndef cli_commands(open_context):\n    {ways[way]}\n"
    env = {**os.environ, **install(tmp_path / "plugins", {way: bad, "good": good}), "MOORAGE_HOOK_DEADLINE": "1"}

    def moorage(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "registry", *words]
        return subprocess.run(argv, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert moorage("db", "upgrade", "--data", "d").returncode == 0
    said = moorage("hello")
    assert (said.returncode, said.stdout) == (0, "hello\n"), said.stderr
    assert f"plugin {way} failed in cli_commands" in said.stderr
    helped = moorage("--help")
    assert helped.returncode == 0
    assert "hello" in helped.stdout


def job(way: str, statement: str) -> str:
    """Return a plugin with a job that does the given statement."""
    return f"""
    from registry.hooks import PluginJob

    def work(run):
        {statement}

    @hookimpl
    def jobs(context):
        return [PluginJob("work", "does it {way}", work)]
    """


@DATABASES
def test_bad_jobs_harm_neither_pulls_nor_other_jobs(serving):
    ways = {**WAYS, "recurses": "work(run)", "sleeps": "time.sleep(2); raise OSError"}
    codes = {way: job(way, statement) for way, statement in {**ways, "good": "return {'done': 1}"}.items()}
    server = serving(codes)
    server.worker = True
    server._child.argv = server._command()
    with server, httpx.Client(base_url=server.url, timeout=30) as client:
        RegistryClient(client).push("team/app", IMAGE, "v1")
        wait_until(lambda: "the worker runs" in server.log.read_text(), PATIENCE, "the worker runs")

        def done(name: str) -> str:
            runs = client.get("/api/v1/runs", params={"job": f"{name}.work"}).json()["items"]
            return runs[0]["state"] if runs else ""

        with pulling(server) as failed:
            for way in [way for way in ways if way != "dies"]:
                assert client.post(f"/api/v1/jobs/{way}.work/runs", json={}).status_code == 202, way
            for way in [way for way in ways if way != "dies"]:
                wait_until(lambda way=way: done(way) == "FAILED", PATIENCE, f"{way} has failed")
            all_counted(server, "jobs", [way for way in ways if way != "dies"])
            assert client.post("/api/v1/jobs/dies.work/runs", json={}).status_code == 202
            told = "died while plugin dies was in jobs"
            wait_until(lambda: told in server.log.read_text(), PATIENCE, "the death is told")
            assert client.post("/api/v1/jobs/good.work/runs", json={}).status_code == 202
            wait_until(lambda: done("good") == "DONE", PATIENCE, "another worker runs the good one")
        assert failed == []
        assert not failures(server, "good")

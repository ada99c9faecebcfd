"""The command: help that helps, JSON for programs, and errors that are one clear message."""

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from registry.app import create_app
from registry.cli import main
from registry.cli.serve import announce, first_push, refuse_taken_address, warn_of_pending
from registry.errors import Unavailable
from registry.settings import Settings
from tests.support.certificates import make_pair
from tests.support.cli import run
from tests.support.ports import free_port, wait_port

ROOT = Path(__file__).resolve().parents[2]


def commands(group, *above):
    """Return the words of every command there is."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield " ".join([*above, name])
        if isinstance(command, click.Group):
            yield from commands(command, *above, name)


COMMANDS = list(commands(main))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def loaded(*args):
    """Return the packages that a command imports."""
    script = f"import sys; from registry.cli import main; sys.argv = {['moorage', *args]!r}\n"
    script += "try: main()\nexcept SystemExit: pass\nprint(*sorted({m.partition('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_help_lists_every_command_and_how_to_complete():
    output = run("--help")
    for name in ("serve", "config", "db", "plugins", "version"):
        assert f"  {name} " in output
    assert "_MOORAGE_COMPLETE=bash_source" in output
    assert "No such command" in run("sreve", code=2)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    output = run(*name.split(), "--help")
    assert "Usage: moorage " in output
    assert len(output.splitlines()) > 5


@pytest.mark.parametrize("args", [("version",), ("--help",)])
def test_quick_commands_load_no_server(args):
    assert not loaded(*args) & {"flask", "sqlalchemy", "gunicorn", "rich", "boto3", "alembic"}


def test_the_version_is_printed():
    version = json.loads(run("version", "--json"))["version"]
    assert version in run("version")
    assert version in run("--version")


def test_settings_are_shown_with_their_source_and_without_secrets(monkeypatch):
    monkeypatch.setenv("MOORAGE_DATABASE_URL", "postgresql+psycopg://u:hush@db/x")
    shown = {item["name"]: item for item in json.loads(run("config", "show", "--json", "--data", "d"))}
    assert shown["data"]["source"] == "--data"
    assert shown["database_url"]["value"] == "postgresql+psycopg://u:********@db/x"
    assert shown["listen"]["help"]
    text = run("config", "show")
    assert "MOORAGE_DATABASE_URL" in text
    assert "hush" not in text


def test_a_bad_flag_is_usage_and_a_bad_file_is_not(tmp_path):
    assert "--data: expected a path" in run("config", "show", "--data", "", code=2)
    (tmp_path / "m.toml").write_text("workres = 2\n")
    output = run("config", "show", "--config", "m.toml", code=1)
    assert "m.toml:1: there is no setting workres; did you mean workers?" in output


def test_the_schema_is_pending_then_current():
    before = json.loads(run("db", "status", "--json", "--data", "d", code=1))
    assert before["current"] is None
    assert before["pending"]
    told = run("db", "status", "--data", "d", code=1)
    assert "d/moorage.db is empty; pending: 0001" in told
    assert "moorage db upgrade" in told
    assert "migrations applied: 0" not in run("db", "upgrade", "--data", "d")
    assert "d/moorage.db is up to date" in run("db", "status", "--data", "d")
    assert "migrations applied: 0" in run("db", "upgrade", "--data", "d")


def findings(*args, code=0):
    return {item["name"]: item for item in json.loads(run("config", "check", "--json", *args, code=code))}


def test_a_check_finds_all_well():
    run("db", "upgrade", "--data", "d")
    found = findings("--data", "d")
    assert {item["state"] for name, item in found.items() if name != "sqlite"} == {"ok"}
    assert {"listen", "schema", "database", "storage", "sqlite"} <= set(found)
    assert "storage" in run("config", "check", "--data", "d")


def test_a_check_names_what_is_wrong(monkeypatch):
    found = findings("--data", "d", "--storage-url", "tape:/dev/st0", code=1)
    assert found["start"]["state"] == "failed"
    assert "tape" in found["start"]["detail"]
    monkeypatch.setenv("MOORAGE_LISTEN", "0.0.0.0:5000")
    assert findings("--data", "d", code=1)["listen"]["state"] == "failed"
    monkeypatch.setenv("MOORAGE_INSECURE_ANONYMOUS", "true")
    assert findings("--data", "d")["listen"]["state"] == "warning"


@pytest.mark.parametrize("args", [("config", "check"), ("db", "status"), ("config", "show"), ("plugins",)])
def test_looking_makes_no_data_folder(args, tmp_path):
    run(*args, code=int(args == ("db", "status")))
    assert list(tmp_path.iterdir()) == []


def test_looking_tells_of_a_data_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot make the data folder" in run("db", "status", "--data", "file/d", code=1)
    assert "cannot make the data folder" in findings("--data", "file/d", code=1)["start"]["detail"]


def test_a_check_warns_of_blocked_plugins_that_are_not_there(monkeypatch):
    run("db", "upgrade", "--data", "d")
    monkeypatch.setenv("MOORAGE_BLOCKED_PLUGINS", "shema1")
    found = findings("--data", "d")["blocked_plugins"]
    assert found["state"] == "warning"
    assert found["detail"] == "there is no plugin shema1; did you mean schema1?"


def test_a_check_looks_into_the_files_of_tls(tmp_path, monkeypatch):
    for name in ("cert", "key"):
        (tmp_path / name).write_text("")
        monkeypatch.setenv(f"MOORAGE_TLS_{name.upper()}", name)
    found = findings("--data", "d", code=1)["tls"]
    assert found["state"] == "failed"
    assert "holds no certificate" in found["detail"]
    assert "holds no certificate" in run("serve", code=1)
    for days, state in ((60, "ok"), (2, "warning"), (-1, "warning")):
        make_pair(tmp_path, days=days, age=90)
        for name in ("cert", "key"):
            monkeypatch.setenv(f"MOORAGE_TLS_{name.upper()}", f"{name}.pem")
        found = findings("--data", "d")["tls"]
        assert found["state"] == state, found


def test_no_line_of_a_table_is_folded_where_no_terminal_gives_the_width():
    lines = run("plugins").splitlines()
    schema2 = next(line for line in lines if line.strip().startswith("schema2 "))
    assert schema2.endswith("parse_manifest, validate_manifest")


def test_settings_are_shown_as_a_file_says_them():
    lines = [line.split() for line in run("config", "show").splitlines()]
    assert ["allow_sparse", "false", "default"] in [words[:3] for words in lines]


def test_a_data_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot make the data folder" in run("db", "upgrade", "--data", "file/d", code=1)
    assert "file: a file is there" in run("db", "upgrade", "--data", "file", code=1)


def test_plugins_are_listed_with_what_became_of_them(monkeypatch):
    monkeypatch.setenv("MOORAGE_BLOCKED_PLUGINS", "schema1")
    states = {item["name"]: item["state"] for item in json.loads(run("plugins", "--json"))}
    assert states["schema1"] == "blocked"
    assert states["oci_manifest"] == "active"
    assert "listed in blocked_plugins" in run("plugins")


def test_an_open_address_is_refused_with_the_way_out():
    output = run("serve", "--listen", "0.0.0.0:5000", code=1)
    assert "--insecure-anonymous" in output


def test_a_taken_port_is_told_with_what_to_do():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        output = run("serve", "--listen", f"127.0.0.1:{port}", code=1)
    assert "another program listens there" in output
    assert f"--listen 127.0.0.1:{port + 1}" in output


def test_an_address_of_another_machine_is_told(monkeypatch):
    foreign = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 5000))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [foreign])
    with pytest.raises(click.ClickException, match="no address of this machine"):
        refuse_taken_address("192.0.2.1:5000")


def test_a_socket_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    output = run("serve", "--listen", f"unix:{tmp_path}/none/socket", code=1)
    assert f"there is no folder {tmp_path}/none" in output
    assert "is no socket" in run("serve", "--listen", f"unix:{tmp_path}/file", code=1)


@pytest.mark.parametrize(
    ("url", "wanted", "unwanted"),
    [
        ("http://127.0.0.1:5000", "podman pull alpine && podman push --tls-verify=false", "https"),
        (
            "http://[::1]:5000",
            "curl -i --data-binary hello 'http://[::1]:5000/v2/hello/blobs/uploads/?digest=",
            "https",
        ),
        ("https://registry.example", "docker push registry.example/alpine", "--tls-verify"),
        ("unix:/run/m.sock", "curl --unix-socket /run/m.sock", "docker"),
    ],
)
def test_the_first_push_fits_the_address(url, wanted, unwanted):
    commands = "\n".join(first_push(url))
    assert wanted in commands
    assert unwanted not in commands


def test_a_log_for_programs_gets_one_line_at_the_start(caplog, monkeypatch):
    monkeypatch.setattr("registry.cli.serve.is_human", lambda _: False)
    caplog.set_level(logging.INFO)
    announce(Settings(), SimpleNamespace(LISTENERS=["http://127.0.0.1:5000"]))
    assert caplog.messages == ["listening on http://127.0.0.1:5000"]


def test_people_are_told_where_and_how(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    announce(Settings(log_format="human"), SimpleNamespace(LISTENERS=["http://127.0.0.1:5000"]))
    for part in ("http://127.0.0.1:5000", "sqlite:///", "docker push 127.0.0.1:5000/alpine", "Ctrl-C"):
        assert part in shown.getvalue()
    assert "Everybody" not in shown.getvalue()


def test_people_are_told_which_address_is_for_whom(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    settings = Settings(log_format="human", external_url="https://registry.example", insecure_anonymous=True)
    announce(settings, SimpleNamespace(LISTENERS=["http://[::]:5000"]))
    assert "listens on http://[::1]:5000" in shown.getvalue()
    assert "docker push registry.example/alpine" in shown.getvalue()
    assert "Everybody who reaches this address can push and delete" in shown.getvalue()


def test_pending_migrations_are_told_where_nobody_applies_them(tmp_path, caplog, monkeypatch):
    app = create_app(Settings(data=tmp_path))
    warn_of_pending(app)
    (told,) = caplog.messages
    assert told.startswith("the database lacks migrations (0001")
    assert told.endswith("): run moorage db upgrade")
    monkeypatch.setattr("registry.schema.status", lambda _: (_ for _ in ()).throw(Unavailable("no database answers")))
    warn_of_pending(app)
    assert caplog.messages[1] == "no database answers; clients get 503 until it does"
    monkeypatch.undo()
    run("db", "upgrade", "--data", str(tmp_path))
    caplog.clear()
    warn_of_pending(app)
    assert caplog.messages == []


def gunicorn(folder, *args, **variables):
    environment = {**os.environ, "MOORAGE_DATA": str(folder / "data"), "MOORAGE_WORKERS": "1", **variables}
    argv = [sys.executable, "-m", "gunicorn", *args, "wsgi:app"]
    return subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.needs_tools  # it needs none, but takes long
def test_gunicorn_alone_serves_and_tells_what_is_lacking(tmp_path):
    port = free_port()
    process = gunicorn(tmp_path, MOORAGE_LISTEN=f"127.0.0.1:{port}", MOORAGE_LOG_FORMAT="human")
    try:
        wait_port(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert f"listens on http://127.0.0.1:{port}" in output
    assert "run moorage db upgrade" in output


@pytest.mark.needs_tools  # it needs none, but takes long
@pytest.mark.parametrize(
    ("args", "variables", "told"),
    [
        ([], {"MOORAGE_WORKERS": "x"}, "Error: MOORAGE_WORKERS: workers: expected a whole number"),
        (["-b", "0.0.0.0:5000"], {}, "Error: refusing to listen on 0.0.0.0:5000"),
    ],
)
def test_gunicorn_alone_tells_of_bad_settings_in_one_message(tmp_path, args, variables, told):
    process = gunicorn(tmp_path, *args, **variables)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert told in output
    assert "Traceback" not in output


def test_serving_starts_on_an_empty_folder_and_ends_at_ctrl_c(tmp_path):
    port = free_port()
    argv = [sys.executable, "-m", "registry", "serve", "--listen", f"127.0.0.1:{port}", "--data", "new/data"]
    process = subprocess.Popen(
        [*argv, "--workers", "1"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_port(port)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
            assert json.load(answer)["status"] == "ready"
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=15)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert "Traceback" not in output
    assert f"listening on http://127.0.0.1:{port}" in output
    assert (tmp_path / "new" / "data" / "moorage.db").exists()

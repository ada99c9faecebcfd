"""Secrets are nowhere but where they must be: logs, errors, lists of processes and rows are searched for each of them.

A registry runs as its users run it, with a password in the database's URL, keys of S3, a file of users, secrets of a
plugin's settings, and every kind of credential, which is shown rightly and wrongly on every route.
"""

import base64
import json
import os
import re
import secrets
import subprocess
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import bcrypt
import httpx
import pytest
from click.testing import CliRunner

from registry.app import create_app
from registry.cli import main
from registry.settings import Settings
from tests.access.routes import ARGUMENTS, BODIES, QUERIES, address, routes
from tests.support.processes import children
from tests.support.server import MoorageServer
from tests.support.services import VersityGateway

pytestmark = pytest.mark.needs_tools
CONFIG = """\
[plugins.webhooks]
timeout_seconds = 1.0

[[plugins.webhooks.subscriptions]]
name = "declared"
url = "https://127.0.0.1:9/hook?token={query}"
secret = "{declared}"
enabled = false
"""


class Marks:
    """Secrets of chance, each with a core of letters and digits that no quoting changes."""

    def __init__(self):
        self.cores = {}

    def new(self, name, form="{}"):
        self.cores[name] = secrets.token_hex(12)
        return form.format(self.cores[name])

    def keep(self, name, text):
        """Take a secret that the registry made; the last long run of letters and digits is its core."""
        self.cores[name] = max(re.findall(r"[A-Za-z0-9]{8,}", text)[-3:], key=len)[-24:]
        return text

    def found_in(self, text, without=()):
        """Return the names of what is in a text: as it is, or within what is base64."""
        return {
            name
            for name, core in self.cores.items()
            if name not in without and any(form in text for form in forms(core))
        }


def forms(core):
    yield core
    for shift in range(3):
        inside = base64.b64encode(b"\0" * shift + core.encode()).decode()
        yield inside[4 if shift else 0 : -4].rstrip("=")  # without what depends on its neighbours


def test_a_secret_is_found_in_each_of_its_forms():
    marks = Marks()
    text = marks.new("it", "pa/{}+:")
    for padding in ("a:", "ab:", "abc:", "abcd:"):
        for hidden in (text, base64.b64encode(f"{padding}{text}".encode()).decode(), quote(text, safe="")):
            assert marks.found_in(f"[{hidden}]") == {"it"}
    assert marks.found_in("[nothing]") == set()


class Town:
    """A server, all its secrets, and what it answered."""

    def __init__(self, marks, server, env, app, client):
        self.marks, self.server, self.env, self.app, self.client = marks, server, env, app, client
        self.answers = []

    def ask(self, method, path, header=None, **given):
        answer = self.client.request(method, path, headers=header or {}, **given)
        self.answers.append((f"{method} {path}", f"{answer.headers}\n{answer.text}"))
        return answer

    def told(self, method, path, header=None, **given):
        """Ask for what is answered with a secret, which is left out of what is searched."""
        answer = self.ask(method, path, header, **given)
        self.answers.pop()
        assert answer.status_code < 300, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.json()

    def command(self, *words, typed="", code=0, **env):
        done = subprocess.run(
            [sys.executable, "-m", "registry", *words],
            env={**self.server._environment(), **env},
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).resolve().parents[2],
            timeout=300,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr


def basic(name, secret):
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()}


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def town(postgres, tmp_path_factory):
    folder, marks = tmp_path_factory.mktemp("secrets"), Marks()
    password = marks.new("database")
    postgres.execute(f"CREATE ROLE secretive LOGIN SUPERUSER PASSWORD '{password}'")
    url = postgres.create_database("secretive").replace("postgres@", f"secretive:{password}@")
    config, users = folder / "moorage.toml", folder / "users"
    declared = {name: marks.new(name) for name in ("declared", "query")}
    config.write_text(CONFIG.format(**declared))
    hashed = bcrypt.hashpw(marks.new("of the file").encode(), bcrypt.gensalt(4))
    users.write_text(f"carol:{hashed.decode()}\n")
    with VersityGateway(secret_key=marks.new("s3")) as gateway:
        env = {
            **gateway.settings(gateway.create_bucket("secretive")),
            "MOORAGE_AUTHENTICATION": "true",
            "MOORAGE_CONFIG": str(config),
            "MOORAGE_HTPASSWD": str(users),
            "MOORAGE_LOG_LEVEL": "debug",
            "MOORAGE_EGRESS_ALLOW": "127.0.0.0/8",
        }
        args = ["--database-url", url]  # as nobody should, and some do
        with MoorageServer(folder / "data", workers=2, worker=True, env=env, args=args) as server:
            app = create_app(Settings(data=folder / "routes", authentication=True, storage_url="memory:"))
            with httpx.Client(base_url=server.url, timeout=60) as client:
                made = Town(marks, server, {"MOORAGE_DATABASE_URL": url}, app, client)
                live(made)
                yield made


def live(town):
    """Use every credential, rightly and wrongly, everywhere."""
    marks, ask = town.marks, town.ask
    of_root = marks.new("root", "p/{}+&%")
    town.command("user", "add", "root", "--admin", "--password-stdin", typed=of_root, **town.env)
    root = basic("root", of_root)
    of_alice = marks.new("alice")
    ask("POST", "/api/v1/users", root, json={"name": "alice", "password": of_alice})
    ask("PATCH", "/api/v1/users/alice", basic("alice", of_alice), json={"password": marks.new("alice before")})
    new = town.told("POST", "/api/v1/principals/root/keys", root, json={"name": "ci"})
    key = marks.keep("key", new["text"] if "text" in new else new["key"])
    rotated = town.told("POST", f"/api/v1/principals/root/keys/{key.split('_')[1]}/rotate", root, json={})
    marks.keep("rotated key", rotated.get("text") or rotated.get("key"))
    scope = "repository:team/app:pull,push registry:catalog:*"
    got = town.told("GET", f"/token?service=x&offline_token=true&scope={scope}", root)
    token, refresh = marks.keep("token", got["token"]), marks.keep("refresh", got["refresh_token"])
    form = {"grant_type": "password", "username": "root", "password": of_root, "access_type": "offline"}
    again = town.told("POST", "/token", data=form)
    marks.keep("token 2", again["access_token"]), marks.keep("refresh 2", again["refresh_token"])
    renewed = town.told("POST", "/token", data={"grant_type": "refresh_token", "refresh_token": refresh})
    marks.keep("token 3", renewed["access_token"])
    hook = {"name": "hook", "url": "http://127.0.0.1:9/x", "secret": marks.new("hook")}
    town.told("POST", "/webhooks/subscriptions", root, json=hook)
    marks.keep("hook rotated", town.told("POST", "/webhooks/subscriptions/hook/rotate", root, json={})["secret"])
    right = {"basic": root, "key": basic("root", key), "bearer key": bearer(key), "token": bearer(token)}
    right["of a file"] = basic("carol", marks.cores["of the file"])
    wrong = {
        "password": basic("root", marks.new("wrong password")),
        "of a file": basic("carol", marks.new("wrong of a file")),
        "nobody": basic("nobody", marks.new("of nobody")),
        "token": bearer(marks.new("wrong token", "eyJhbGciOiJFUzI1NiJ9.{}.x")),
        "key": bearer(marks.new("wrong key", key.rpartition("_")[0] + "_{}")),
        "as a name": basic(marks.new("as a name", "mk_{}"), ""),
        "no colon": {"Authorization": "Basic " + base64.b64encode(marks.new("no colon").encode()).decode()},
        "no base64": {"Authorization": f"Basic {marks.new('no base64', '%{}%')}"},
        "bare": {"Authorization": marks.new("bare")},
        "scheme": {"Authorization": f"Digest {marks.new('scheme')}"},
    }
    found = routes(town.app)
    for header in (*wrong.values(), *right.values()):
        for route, rule in found.items():
            method = route.partition(" ")[0]
            given = BODIES.get(route) if header not in wrong.values() or method == "POST" else None
            body = {"content": given} if isinstance(given, bytes) else {"json": given} if given is not None else {}
            if header in right.values() and method != "GET":
                continue
            if route == "GET /token" and header in right.values():
                continue
            with_events = {"follow": "false"} if route == "GET /api/v1/events" else {}
            ask(method, address(rule, ARGUMENTS), header, params={**QUERIES.get(route, {}), **with_events}, **body)
    wrongly_asked(town, root)


def wrongly_asked(town, root):
    """Send secrets where they do not fit."""
    marks, ask = town.marks, town.ask
    for name, body in {
        "list": {"name": "eve", "password": [marks.new("in a list")]},
        "unknown": {"name": "eve", "passwort": marks.new("under another name")},
        "short": {"name": "", "password": marks.new("of no name")},
        "long": {"name": "eve", "password": marks.new("too long") * 500},
    }.items():
        assert ask("POST", "/api/v1/users", root, json=body).status_code == 400, name
    ask("POST", "/api/v1/users", root, content=f'{{"name": "eve", "password": "{marks.new("cut off")}')
    ask("PATCH", "/api/v1/users/none", root, json={"password": marks.new("of none")})
    for form in (
        {"grant_type": "password", "username": "root", "password": marks.new("wrong in a form")},
        {"grant_type": "refresh_token", "refresh_token": marks.new("wrong refresh", "mr_{}")},
        {"grant_type": "password", "username": "root", "password": marks.new("nul") + "\0"},
        {"grant_type": "none", "password": marks.new("of another kind")},
    ):
        assert ask("POST", "/token", data=form).status_code in (400, 401, 429)
    ask("POST", "/token", content=f"grant_type=password&password={marks.new('as a query')}")
    ask("GET", f"/token?account=root&password={marks.new('in the address')}")
    for secret in (marks.new("hook blank", "{} blank"), [marks.new("hook list")], marks.new("hook long") * 20):
        body = {"name": "bad", "url": "https://hooks.example", "secret": secret}
        assert ask("POST", "/webhooks/subscriptions", root, json=body).status_code == 400
    body = {"name": "bad", "url": f"https://u:{marks.new('hook url')}@hooks.example"}
    assert ask("POST", "/webhooks/subscriptions", root, json=body).status_code == 400
    image = "/v2/team/app/blobs/uploads/"
    started = ask("POST", image, root)
    assert started.status_code == 202
    for path in ("/health/live", "/health/ready", "/api/v1/openapi.json", "/.well-known/jwks.json"):
        assert ask("GET", path).status_code == 200
    for path in ("/api/v1/events", "/api/v1/policy", "/api/v1/plugins", "/webhooks/subscriptions"):
        assert ask("GET", path, root).status_code == 200


def test_no_answer_holds_a_secret(town):
    assert len(town.answers) > 1000
    told = {place: found for place, text in town.answers if (found := town.marks.found_in(text))}
    # Where events are sent to, an administrator may read; what the address holds is not masked.
    assert told == {"GET /webhooks/subscriptions": {"query"}}


def test_the_log_holds_no_secret_though_it_tells_all_it_can(town):
    text = town.server.log.read_text()
    assert "botocore" in text
    assert text.count('"log": "access"') > 1000
    assert town.marks.found_in(text) == set(), [line for line in text.splitlines() if town.marks.found_in(line)][:20]


def test_lists_of_processes_hold_no_secret_but_what_somebody_typed(town):
    mine = [town.server.pid, *children(town.server.pid)]
    assert len(mine) == 4
    lines = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in mine}
    (beside,) = (pid for pid, line in lines.items() if "--beside" in line)
    assert town.marks.found_in(lines[beside]) == set()
    for line in lines.values():
        assert town.marks.found_in(line) <= {"database"}  # of the flag of this test


def test_what_the_command_line_shows_holds_no_secret(town):
    env = {**town.env, "MOORAGE_LOG_LEVEL": "debug"}
    for words in (
        ("config", "show"),
        ("config", "show", "--json"),
        ("config", "check"),
        ("plugins", "--json"),
        ("events", "list", "--json"),
        ("policy", "export"),
        ("user", "list", "--json"),
        ("key", "list", "root", "--json"),
        ("webhooks", "list"),
        ("db", "status"),
        ("job", "list"),
    ):
        expected = {"query"} if words == ("webhooks", "list") else set()
        assert town.marks.found_in(town.command(*words, **env)) == expected, words


def shown_by(*words):
    """Return what a command shows, with the traceback that it would end with; and how it ended."""
    result = CliRunner().invoke(main, words, prog_name="moorage")
    failed = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not failed, (words, result.output, traceback.format_exception(result.exception))
    return result.output


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://u:{}@127.0.0.1:1/x",
        "postgresql+psycopg:/u:{}@host.invalid/x",
        "postgresql+none://u:{}@host.invalid/x",
        "nothing://u:{}@host.invalid/x",
        "u:{}@host.invalid/x",
        "postgresql+psycopg://u:{}@127.0.0.1:PORT/nothing",
        "postgresql+psycopg://u:{}@host.invalid:port/x",
        "postgresql+psycopg://127.0.0.1:1/x?password={}",
        "postgresql+psycopg://u:a@{}@127.0.0.1:1/x",
        "postgresql+psycopg://u:{}/b@127.0.0.1:1/x",
        "sqlite://u:{}@host.invalid/x",
    ],
)
def test_a_database_that_is_not_there_is_told_of_without_its_password(postgres, tmp_path, monkeypatch, url):
    marks = Marks()
    wrong = url.format(marks.new("it")).replace("PORT", str(postgres.port))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)
    for words in (("user", "list"), ("worker", "--once"), ("db", "upgrade"), ("config", "show"), ("config", "check")):
        shown = shown_by(*words, "--data", "data", "--database-url", wrong)
        monkeypatch.setenv("MOORAGE_DATABASE_URL", wrong)
        shown += shown_by(*words, "--data", "data")
        monkeypatch.delenv("MOORAGE_DATABASE_URL")
        assert marks.found_in(shown) == set(), (words, shown)


KEPT = {"hook", "hook rotated"}
"""What signs what is sent must be kept as it is."""


def test_rows_hold_no_secret_but_what_signs(town, postgres):
    import psycopg

    found = set()
    with psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=postgres dbname=secretive") as connection:
        tables = [name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        assert len(tables) > 20
        for table in tables:
            rows = connection.execute(f'SELECT t::text FROM "{table}" t').fetchall()
            text = "\n".join(row for (row,) in rows)
            found |= {(name, table) for name in town.marks.found_in(text)}
    assert {name for name, _ in found} == KEPT, found


def test_files_of_the_registry_hold_no_secret(town):
    files = [file for file in town.server.data.rglob("*") if file.is_file()]
    for file in files:
        assert town.marks.found_in(file.read_text(errors="replace")) == set(), file


def test_a_setting_that_is_wrong_is_told_without_it(tmp_path):
    marks = Marks()
    config = tmp_path / "moorage.toml"
    wrong = [
        f'[plugins.webhooks]\nsubscriptions = [{{ name = "a", url = "x", secret = "{marks.new("1")}" }}]\n',
        f'[plugins.webhooks]\nsubscriptions = "{marks.new("2")}"\n',
        f'[plugins.webhooks.subscriptions]\nsecret = "{marks.new("3")}"\n',
        f'[s3]\nsecret_access_key = ["{marks.new("4")}"]\n',
        f'[s3]\nsecret_acess_key = "{marks.new("5")}"\nregion = 1\n',
        f'database_url = "postgresql://u:{marks.new("6")}\n',
        f'database_url = ["postgresql://u:{marks.new("7")}@h/x"]\n',
        f'storage_url = "s3://u:{marks.new("8")}@bucket"\n',
        f'external_url = "https://u:{marks.new("9")}@h"\n',
    ]
    for text in wrong:
        config.write_text(text)
        for words in (("config", "show"), ("config", "check"), ("config", "show", "--json"), ("user", "list")):
            shown = shown_by(*words, "--config", str(config), "--data", str(tmp_path / "data"))
            assert marks.found_in(shown) == set(), (text, words, shown)


def test_events_of_credentials_name_nobodys_secret(town):
    root = basic("root", "p/" + town.marks.cores["root"] + "+&%")
    events = town.client.get("/api/v1/events", headers=root).json()
    assert town.marks.found_in(json.dumps(events)) == set()

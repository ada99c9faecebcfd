"""`moorage login` and `logout`: what is told, what is kept, for whom, and what it is used for."""

import json
import shutil
import time
from types import SimpleNamespace

import click
import httpx
import pytest
from click.testing import CliRunner

from registry.access.principals import PrincipalWish
from registry.cli import kept, login, main
from registry.cli.client import Client
from registry.cli.common import FlagRefused
from registry.cli.credentials import credentials_for
from registry.testing.server import LiveServer
from tests.access.oidc import ALICE, browser, calm, house, provider
from tests.support.asking import CHIEF
from tests.support.issuer import DOWN, UP, Issuer

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

KEY = f"mk_{'a' * 10}_{'b' * 40}"
LATER, BEFORE = "2999-01-01T00:00:00Z", "2001-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def home(tmp_path):
    """Give the folder of the command line's files."""
    return tmp_path / "config" / "moorage"


@pytest.fixture
def data(tmp_path, blank):
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(blank / "moorage.db", folder)
    return folder


@pytest.fixture
def made(data, process):
    with house(data, provider(process)) as found:
        found.clock.now = int(time.time() * 1000)  # the command line looks at when a key ends
        calm(process, found)
        yield found


@pytest.fixture
def server(made):
    with LiveServer(made.app) as running:
        yield f"http://127.0.0.1:{running._server.server_port}"


@pytest.fixture
def meanwhile(made, process, monkeypatch):
    """Give the list of what happens while the command line waits: one thing each time."""
    things = []

    def sleep(seconds):
        made.clock.turn(seconds=seconds)
        process.at(made.clock.now // 1000)
        if things:
            things.pop(0)()

    monkeypatch.setattr(login, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    return things


@pytest.fixture
def answering(made):
    """Give what opens the page of the newest request, logs in there, and answers."""

    def make(answer):
        def act():
            with made.services.database.read() as connection:
                code = connection.exec_driver_sql("SELECT user_code FROM login_request").scalar_one()
            at = browser(made)
            page = at.go(f"http://localhost/login?code={code}")
            assert at.press(at.go(page.links[0]), answer).status == 200

        return act

    return make


def call(*args, code=0):
    result = CliRunner().invoke(main, args, prog_name="moorage")
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def test_a_login_is_kept_and_used_until_it_is_ended(server, made, meanwhile, answering, home):
    meanwhile += [lambda: None, answering("allow")]
    told = call("login", "--server", server)
    assert "http://localhost/login?code=" in told.stderr
    assert "logged in as alice until" in told.stderr
    assert told.stdout == ""
    assert "mk_" not in told.output
    file = home / "logins.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    who = json.loads(call("access", "whoami", "--server", f"{server}/", "--json").stdout)
    assert who["principal"] == "alice"
    assert who["key"]["name"].startswith("login on ")
    assert "logged out alice" in call("logout", "--server", server).output
    assert made.access.keys.list(CHIEF, "alice") == []
    assert json.loads(file.read_text()) == {}
    assert json.loads(call("access", "whoami", "--server", server, "--json").stdout)["principal"] == "anonymous"
    assert "nobody is logged in" in call("logout", "--server", server).output


def test_the_key_alone_goes_to_standard_output_where_it_is_wanted(server, made, meanwhile, answering):
    meanwhile.append(answering("allow"))
    printed = call("login", "--server", server, "--print-key", "--expires", "2h")
    answer = httpx.get(f"{server}/v2/", auth=("alice", printed.stdout.strip()))
    assert answer.status_code == 200
    (row,) = made.access.keys.list(CHIEF, "alice")
    assert row.expires_ms - row.created_ms == 7_200_000
    meanwhile.append(answering("allow"))
    found = json.loads(call("login", "--server", server, "--json").stdout)
    assert found["user"] == "alice"
    assert "mk_" not in json.dumps(found)


def test_what_ends_a_login_without_a_key_is_told(server, made, meanwhile, answering, home):
    meanwhile.append(answering("deny"))
    assert "the login was refused" in call("login", "--server", server, code=1).output
    meanwhile.append(lambda: made.clock.turn(seconds=600))
    assert "it has expired: begin anew" in call("login", "--server", server, code=1).output
    assert "at most (login_lifetime)" in call("login", "--server", server, "--expires", "30d", code=1).output
    assert "say where to log in" in call("login", code=2).output
    assert "say where to log out" in call("logout", code=2).output
    assert "credentials do not belong into it" in call("login", "--server", "http://a:b@127.0.0.1:1", code=2).output
    assert "cannot ask" in call("login", "--server", "http://127.0.0.1:1", code=1).output
    assert not home.exists()


def test_who_asked_too_soon_waits_longer_and_goes_on(server, made, meanwhile, answering):
    meanwhile += [lambda: None, lambda: made.clock.turn(seconds=-4), answering("allow")]
    assert "logged in as alice" in call("login", "--server", server).stderr


def test_a_server_that_fails_for_a_moment_is_asked_again(server, made, meanwhile, answering, monkeypatch):
    send, failures = Client.send, [httpx.ConnectError("gone")]

    def failing(self, method, path, body=None, **more):
        if path == "/logins/poll" and failures:
            raise click.ClickException(str(failures.pop()))
        return send(self, method, path, body, **more)

    monkeypatch.setattr(Client, "send", failing)
    meanwhile += [lambda: None, answering("allow")]
    assert "logged in as alice" in call("login", "--server", server).stderr
    assert not failures


def test_nobody_waits_for_ever(server, meanwhile, monkeypatch):
    ticks = iter(range(0, 100_000, 400))
    monkeypatch.setattr(login.time, "monotonic", lambda: next(ticks))
    assert "nobody allowed it in time" in call("login", "--server", server, code=1).output


def test_a_key_that_the_server_cannot_end_is_forgotten_all_the_same(server, made, meanwhile, answering, home):
    meanwhile.append(answering("allow"))
    call("login", "--server", server)
    made.access.principals.change(CHIEF, "alice", PrincipalWish(disabled=True))
    assert "the server did not end it" in call("logout", "--server", server, code=1).output
    assert json.loads((home / "logins.json").read_text()) == {}


def test_where_people_log_in_nowhere_that_is_told(data):
    with house(data) as made, LiveServer(made.app) as running:
        told = call("login", "--server", f"http://127.0.0.1:{running._server.server_port}", code=1).output
        assert "no provider is set" in told


# What is kept


def test_a_key_goes_to_the_server_that_gave_it_alone():
    kept.keep("https://Registry.Example/", kept.Kept("alice", KEY, LATER))
    for same in ("https://registry.example", "https://registry.example:443", "https://REGISTRY.example/x"):
        assert credentials_for(same, {}) == {"Authorization": f"Bearer {KEY}"}
    for other in (
        "http://registry.example",
        "https://registry.example:444",
        "https://evil.example",
        "https://registry.example.evil",
    ):
        assert credentials_for(other, {}) == {}
    kept.keep("https://other.example", kept.Kept("bob", KEY.upper(), LATER))
    kept.forget("https://registry.example")
    assert credentials_for("https://registry.example", {}) == {}
    assert kept.find_kept("https://other.example").user == "bob"


def test_the_environment_wins_over_what_is_kept():
    kept.keep("https://registry.example", kept.Kept("alice", KEY, LATER))
    environ = {"MOORAGE_API_KEY": "mk_other"}
    assert credentials_for("https://registry.example", environ) == {"Authorization": "Bearer mk_other"}


def test_a_key_that_has_expired_is_not_shown(capsys):
    kept.keep("https://registry.example", kept.Kept("alice", KEY, BEFORE))
    assert credentials_for("https://registry.example", {}) == {}
    assert "the login as alice has expired: moorage login --server https://registry.example" in capsys.readouterr().err
    kept.keep("https://registry.example", kept.Kept("alice", KEY, "some day"))
    assert credentials_for("https://registry.example", {}) == {"Authorization": f"Bearer {KEY}"}


def test_a_key_over_plain_http_is_warned_of(capsys):
    kept.keep("http://registry.example", kept.Kept("alice", KEY, LATER))
    credentials_for("http://registry.example", {})
    assert "without TLS" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_that_is_open_to_others_is_not_used(home, mode):
    file = kept.keep("https://registry.example", kept.Kept("alice", KEY, LATER))
    file.chmod(mode)
    with pytest.raises(FlagRefused, match="chmod 600"):
        credentials_for("https://registry.example", {})


@pytest.mark.parametrize("text", ["", "{", "\xff"])
def test_a_file_that_cannot_be_read_is_told(home, text):
    file = kept.keep("https://registry.example", kept.Kept("alice", KEY, LATER))
    file.write_text(text)
    with pytest.raises(FlagRefused, match="cannot be read"):
        kept.find_kept("https://registry.example")


@pytest.mark.parametrize(
    "document", [[], {"https://registry.example:443": 5}, {"https://registry.example:443": {"user": "a"}}]
)
def test_a_file_that_says_something_else_says_nothing(document):
    file = kept.keep("https://registry.example", kept.Kept("alice", KEY, LATER))
    file.write_text(json.dumps(document))
    assert kept.find_kept("https://registry.example") is None


def test_a_file_that_cannot_be_written_is_told(home, monkeypatch):
    home.mkdir(parents=True)
    (home / "logins.json").mkdir()
    monkeypatch.setattr(kept, "_read", dict)
    with pytest.raises(click.ClickException, match=r"logins\.json cannot be written: Is a directory"):
        kept.forget("https://registry.example")
    assert [one.name for one in home.iterdir()] == ["logins.json"]


# Identities


def test_users_are_linked_on_the_command_line(server, made, monkeypatch):
    made.user("bob")
    made.rule("chief", "user:bob", role="admin")
    monkeypatch.setenv("MOORAGE_API_KEY", made.keys["bob"])
    monkeypatch.setenv("MOORAGE_SERVER", server)
    words = ("user", "link", "bob", "--oidc", "company", "--subject", ALICE["sub"])
    assert "logs in as bob from now on" in call(*words).output
    told = call(*words, code=1).output
    assert "moorage user unlink bob" in told
    (row,) = json.loads(call("user", "identities", "bob", "--json").stdout)
    assert row["subject"] == ALICE["sub"]
    assert "company" in call("user", "identities", "bob").output
    assert "is bob no more" in call("user", "unlink", "bob", str(row["id"])).output
    assert "what there is: moorage user identities bob" in call("user", "unlink", "bob", str(row["id"]), code=1).output
    assert json.loads(call(*words, "--json").stdout)["user"] == "bob"


# What `moorage config check` says of providers


@pytest.fixture
def check(monkeypatch, process):
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")
    monkeypatch.setenv("MOORAGE_EXTERNAL_URL", "https://registry.example")
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_ISSUER", process.url)
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_CLIENT_ID", "moorage")

    def run(code=0):
        found = json.loads(call("config", "check", "--json", code=code).stdout)
        return "\n".join(f"{item['state']}: {item['detail']}" for item in found if item["name"] == "oidc.company")

    call("db", "upgrade")
    process.be(UP)
    return run


def test_a_check_asks_providers(check, process):
    told = check()
    assert "ok: answers; it must know the redirect URI https://registry.example/login/company/callback" in told
    assert "set MOORAGE_OIDC_COMPANY_CLIENT_SECRET" in told
    assert "lets in only who is linked by hand" in told
    process.be(DOWN)
    assert "warning: company does not answer as it should" in check()
    process.be(UP)


def test_a_check_tells_who_gets_in_and_which_teams_are_missing(check, monkeypatch):
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_ALLOW_ANYBODY", "true")
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_GROUPS_CLAIM", "groups")
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_TEAMS", '{"a": "builders"}')
    told = check()
    assert "warning: everybody whom" in told
    assert "warning: nobody joins team builders, which is not there: moorage team add builders" in told
    call("team", "add", "builders")
    assert "builders" not in check()


def test_a_check_reads_the_secret(check, monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("")
    monkeypatch.setenv("MOORAGE_OIDC_COMPANY_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    assert "failed: client_secret_file cannot be read" in check(code=1)
    (tmp_path / "secret").write_text("hush")
    assert "hush" not in check()

"""Access on the command line: users, robots, teams, keys and the policy; credentials come from the environment."""

import base64
import io
import json
import tomllib
from types import SimpleNamespace

import bcrypt
import pytest
from click.testing import CliRunner
from joserfc.jwk import ECKey

from registry.cli import connecting, main, passwords, serve
from registry.cli.common import FlagRefused
from registry.cli.credentials import credentials_for
from registry.hooks import Denial
from registry.settings import Settings
from registry.testing.apps import quick_folder, running_app
from tests.support.plugins import install, made_plugin
from tests.support.server import MoorageServer

KEY = f"mk_{'a' * 10}_{'b' * 40}"
RULE = {"to": ["everybody"], "on": ["team/*"], "role": "pull"}


@pytest.fixture
def app(elsewhere, blank, monkeypatch):
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")
    with quick_folder() as folder, running_app(folder / "data", blank=blank, authentication=True) as app:
        monkeypatch.setenv("MOORAGE_DATA", str(folder / "data"))
        yield app


def call(*args, code=0, stdin=None):
    result = CliRunner().invoke(main, args, prog_name="moorage", input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def ask(*args, stdin=None):
    return json.loads(call(*args, "--json", stdin=stdin).stdout)


def logs_in(app, name, password):
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return app.test_client().get("/api/v1/whoami", headers={"Authorization": f"Basic {text}"}).status_code == 200


# Users


def test_a_password_is_read_made_or_left_out(app):
    call("user", "add", "alice", "--password-stdin", stdin="alice-secret\n")
    assert logs_in(app, "alice", "alice-secret")
    made = call("user", "add", "bob", "--generate", "--admin")
    assert logs_in(app, "bob", made.stdout.strip())
    assert "made user bob, an administrator" in made.stderr
    again = ask("user", "passwd", "bob", "--generate")
    assert logs_in(app, "bob", again["password"])
    assert not logs_in(app, "bob", made.stdout.strip())
    call("user", "passwd", "alice", "--password-stdin", stdin="another-secret")
    assert logs_in(app, "alice", "another-secret")
    assert call("user", "passwd", "alice", "--generate").stdout.strip()
    assert ask("user", "add", "carol", "--no-password")["has_password"] is False
    assert "password" not in ask("user", "add", "dora", "--password-stdin", stdin="doras-secret")
    assert ask("user", "add", "frank", "--htpasswd")["source"] == "htpasswd"
    assert "in htpasswd" in call("user", "list").output
    assert ask("user", "add", "erin", "--generate")["password"]


def test_a_password_is_asked_for_where_somebody_is_there(app, monkeypatch):
    assert "nobody is here to type" in call("user", "add", "alice", code=2).output
    monkeypatch.setattr(passwords, "somebody_is_there", lambda: True)
    told = call("user", "add", "alice", stdin="alice-secret\nalice-secret\n").output
    assert "alice-secret" not in told
    assert "moorage policy grant push --to user:alice" in told
    assert logs_in(app, "alice", "alice-secret")
    assert "give one of them" in call("user", "add", "x", "--generate", "--no-password", code=2).output
    assert "8 to 1024 characters" in call("user", "add", "x", "--password-stdin", stdin="short", code=1).output


def test_no_command_takes_a_password_as_an_argument():
    for name in ("add", "passwd"):
        command = main.get_command(None, "user").get_command(None, name)
        assert not [one for one in command.params if "password" in one.name and not one.is_flag]


def test_users_are_listed_disabled_and_deleted(app):
    call("user", "add", "alice", "--password-stdin", stdin="alice-secret")
    call("user", "add", "bob", "--no-password", "--description", "Only keys")
    assert [item["name"] for item in ask("user", "list")] == ["alice", "bob"]
    lines = [line.split() for line in call("user", "list").output.splitlines()]
    assert ["alice", "here", "no"] in lines
    assert ["bob", "none", "no", "Only", "keys"] in lines
    assert "alice is disabled" in call("user", "disable", "alice", "bob").output
    assert not logs_in(app, "alice", "alice-secret")
    assert ask("user", "show", "bob")["disabled"] is True
    assert [item["disabled"] for item in ask("user", "enable", "alice", "bob")] == [False, False]
    assert "bob is enabled" in call("user", "enable", "bob").output
    assert "say --yes" in call("user", "delete", "bob", code=2).output
    assert "deleted bob" in call("user", "delete", "bob", "--yes").output
    told = call("user", "show", "bob", code=1).output
    assert "there is no user or robot 'bob'" in told
    assert "moorage user list" in told
    assert "is no name" in call("user", "show", "a/b", code=2).output


# Robots, teams, keys


def test_robots_and_teams(app):
    assert ask("robot", "add", "team+ci")["namespace"] == "team"
    assert "moorage key add team+cd" in call("robot", "add", "team+cd", "--description", "Deploys").output
    assert "NAMESPACE+NAME" in call("robot", "add", "ci", code=2).output
    assert [item["name"] for item in ask("robot", "list")] == ["team+cd", "team+ci"]
    assert "team+cd is disabled" in call("robot", "disable", "team+cd").output
    assert ask("robot", "show", "team+cd")["disabled"] is True
    assert ask("robot", "enable", "team+cd")[0]["disabled"] is False
    call("user", "add", "alice", "--no-password")
    assert ask("team", "add", "builders", "alice", "team+ci")["members"] == ["alice", "team+ci"]
    assert "without members yet" in call("team", "add", "empty").output
    assert ask("team", "join", "builders", "team+cd")["members"] == ["alice", "team+cd", "team+ci"]
    assert "builders has alice" in call("team", "leave", "builders", "team+ci", "team+cd").output
    assert ask("team", "show", "builders")["members"] == ["alice"]
    assert [item["name"] for item in ask("team", "list")] == ["builders", "empty"]
    assert "deleted builders" in call("team", "delete", "builders", "--yes").output
    assert "deleted team+cd" in call("robot", "delete", "team+cd", "--yes").output
    assert "no user or robot 'bob'" in call("team", "join", "empty", "bob", code=1).output


def test_a_key_alone_goes_to_standard_output(app):
    call("robot", "add", "team+ci")
    made = call("key", "add", "team+ci", "builds", "--scope", "push:team/*", "--expires", "90d")
    text = made.stdout.strip()
    assert made.stdout == f"{text}\n"
    assert logs_in(app, "team+ci", text)
    assert f"key {text[3:13]} of team+ci is good until" in made.stderr
    assert "for push:team/*" in made.stderr
    rotated = ask("key", "rotate", "team+ci", text[3:13], "--overlap", "1d")
    assert rotated["key"]["scopes"] == ["push:team/*"]
    assert logs_in(app, "team+ci", text)
    shown = call("key", "list", "team+ci").output
    assert text[3:13] in shown
    assert text[14:] not in shown
    assert call("key", "rotate", "team+ci", text[3:13]).stdout.startswith("mk_")
    assert "ended" in call("key", "delete", "team+ci", text[3:13], "--yes").output
    assert not logs_in(app, "team+ci", text)
    assert len(ask("key", "list", "team+ci")) == 2
    assert "moorage key list team+ci" in call("key", "delete", "team+ci", "x", "--yes", code=1).output
    assert "a scope is a role" in call("key", "add", "team+ci", "x", "--scope", "fly", code=1).output


# The policy


def test_rules_are_granted_and_called_by_what_they_say(app):
    call("team", "add", "builders")
    grant = ("policy", "grant", "push", "--to", "team:builders", "--on", "team/*")
    assert ask(*grant)["name"] == "team-builders-push-team"
    assert ask(*grant)["name"] == "team-builders-push-team"
    other = ask("policy", "grant", "push", "--to", "team:builders", "--on", "team")
    assert other["name"] == "team-builders-push-team-2"
    assert ask("policy", "grant", "pull", "--to", "anonymous", "--on", "*")["name"] == "anonymous-pull-all"
    assert "rule mine: " in call("policy", "grant", "pull", "--to", "everybody", "--on", "a", "--name", "mine").output
    told = call("policy", "grant", "pull", "--to", "everybody", "--on", "b", "--name", "mine", code=1).output
    assert "moorage policy change mine" in told
    assert "no user bob" in call("policy", "grant", "pull", "--to", "user:bob", "--on", "*", code=1).output


def test_rules_are_made_changed_and_removed(app, tmp_path):
    (tmp_path / "rule.json").write_text(json.dumps({**RULE, "tags": ["v*"]}))
    assert ask("policy", "add", "team", "@rule.json")["definition"]["tags"] == ["v*"]
    call("policy", "add", "no-delete", '{"to": ["everybody"], "effect": "deny", "actions": ["delete"]}')
    shown = call("policy", "list").output
    assert 'tags ["v*"]' in shown
    assert "deny delete" in shown
    assert ask("policy", "change", "team", json.dumps(RULE))["definition"] == RULE
    assert ask("policy", "show", "team")["definition"] == RULE
    assert "say --yes" in call("policy", "delete", "team", code=2).output
    call("policy", "delete", "team", "--yes")
    assert "moorage policy list" in call("policy", "show", "team", code=1).output
    assert "is no JSON" in call("policy", "add", "x", "{", code=2).output
    assert "role is one of" in call("policy", "add", "x", '{"to": ["everybody"]}', code=1).output


def test_the_policy_goes_into_a_file_and_comes_back(app, tmp_path):
    times = [{"days": ["mon"], "from": "08:00", "to": "17:00", "zone": "Europe/Berlin"}]
    full = {**RULE, "on": {"include": ["*"], "exclude": ["re:x+"]}, "networks": ["10.0.0.0/8"], "times": times}
    call("policy", "add", "full.rule", json.dumps(full))
    call("policy", "add", "team", json.dumps(RULE))
    text = call("policy", "export").stdout
    assert tomllib.loads(text) == {"full.rule": full, "team": RULE} == ask("policy", "export")
    file = tmp_path / "policy.toml"
    file.write_text(text)
    assert "2 of 2 rules are as they were" in call("policy", "apply", "policy.toml").output
    file.write_text(
        '[team]\nto = ["everybody"]\non = ["team/*"]\nrole = "push"\n[new]\nto = ["anonymous"]\nrole = "pull"\n'
    )
    dry = call("policy", "apply", "policy.toml", "--dry-run").output
    assert dry.splitlines()[:3] == ["would make new", "would change team", "would remove full.rule"]
    assert ask("policy", "export") == tomllib.loads(text)
    assert "Remove full.rule?" in call("policy", "apply", "policy.toml", code=2).output
    done = ask("policy", "apply", "policy.toml", "--yes")
    assert done == {"made": ["new"], "changed": ["team"], "removed": ["full.rule"], "same": 0}
    assert ask("policy", "export") == tomllib.loads(file.read_text())
    assert "2 of 2" in call("policy", "apply", "-", stdin=file.read_text()).output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[a", "policy.toml: "),
        ("a = 1", "a is no table"),
        ("[[a.times]]\nfrom = 08:30:00", "times and dates are written as text"),
        ("[a]\nx = nan", "policy.toml: "),
    ],
)
def test_a_file_that_is_no_policy_is_told(app, tmp_path, text, told):
    (tmp_path / "policy.toml").write_text(text)
    assert told in call("policy", "apply", "policy.toml", code=2).output
    assert "cannot read none.toml" in call("policy", "apply", "none.toml", code=2).output


# Explanations, identity, token keys


def test_a_plugin_s_denial_is_explained(app, monkeypatch):
    call("user", "add", "alice", "--no-password")
    call("policy", "grant", "push", "--to", "user:alice", "--on", "team/*")
    install(monkeypatch, curfew=made_plugin("curfew", authorize=lambda requests: [Denial("not today")] * len(requests)))
    for action in ("push", "list"):
        told = call("access", "explain", "alice", action, "team/app").output
        assert "denied: plugin curfew says: not today" in told
        assert "to see what that is: moorage plugins show curfew" in told
        assert "moorage policy" not in told
    assert "role maintain is missing" in call("access", "explain", "alice", "delete", "team/app").output


def test_access_is_explained(app):
    call("user", "add", "alice", "--no-password")
    told = call("access", "explain", "alice", "delete", "team/app:v1").output
    assert "denied: no rule allows it: role maintain is missing" in told
    assert "moorage policy grant maintain --to user:alice --on 'team/app'" in told
    call("policy", "grant", "push", "--to", "user:alice", "--on", "team/*")
    told = call("access", "explain", "alice", "push", "team/app:v1").output
    assert "allowed: rule user-alice-push-team allows it" in told
    assert "moorage policy show user-alice-push-team" in told
    found = ask("access", "explain", "alice", "pull", f"team/app@sha256:{'0' * 64}", "--address", "192.0.2.1")
    assert (found["reference"], found["address"], found["allowed"]) == (f"sha256:{'0' * 64}", "192.0.2.1", True)
    assert "--on '*'" in call("access", "explain", "anonymous", "admin").output
    assert "invalid" in call("access", "explain", "alice", "pull", "Team/app", code=2).output
    assert "no user or robot 'bob'" in call("access", "explain", "bob", "pull", "a", code=1).output


def test_the_operator_is_told_who_that_is_and_replaces_the_token_key(app):
    assert ask("access", "whoami")["kind"] == "insider"
    assert "tokens are signed with key" in call("token", "rotate-key").output
    assert ask("token", "rotate-key")["id"]


# Credentials


def decoded(headers):
    scheme, _, rest = headers["Authorization"].partition(" ")
    return f"{scheme} {base64.b64decode(rest).decode() if scheme == 'Basic' else rest}"


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"MOORAGE_USER": "alice", "MOORAGE_PASSWORD": "a b:c"}, "Basic alice:a b:c"),
        ({"MOORAGE_API_KEY": f"{KEY}\n"}, f"Bearer {KEY}"),
        ({"MOORAGE_USER": "team+ci", "MOORAGE_API_KEY": KEY}, f"Basic team+ci:{KEY}"),
    ],
)
def test_credentials_come_from_the_environment(variables, wanted, capsys):
    assert decoded(credentials_for("http://127.0.0.1:5000", variables)) == wanted
    assert credentials_for("https://registry.example", {}) == {}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"MOORAGE_USER": "alice"}, "neither MOORAGE_PASSWORD nor MOORAGE_API_KEY"),
        ({"MOORAGE_PASSWORD": "hush-hush"}, "not MOORAGE_USER"),
        ({"MOORAGE_USER": "a", "MOORAGE_PASSWORD": "hush-hush", "MOORAGE_API_KEY": KEY}, "give one of them"),
        ({"MOORAGE_USER": "a:b", "MOORAGE_PASSWORD": "hush-hush"}, "colon"),
        ({"MOORAGE_API_KEY": "hush\nhush"}, "holds no API key"),
        ({"MOORAGE_API_KEY": "hüsh"}, "holds no API key"),
    ],
)
def test_credentials_that_cannot_be_used_are_told_without_them(variables, told):
    with pytest.raises(FlagRefused, match=told) as refused:
        credentials_for("https://registry.example", variables)
    assert "hush" not in str(refused.value)


def test_credentials_are_no_part_of_an_address():
    with pytest.raises(FlagRefused, match="do not belong") as refused:
        credentials_for("https://alice:hush@registry.example", {})
    assert "hush" not in str(refused.value)


def test_a_network_that_can_read_along_is_warned_of(capsys):
    variables = {"MOORAGE_API_KEY": KEY}
    credentials_for("http://registry.example:5000", variables)
    assert "without TLS" in capsys.readouterr().err
    for place in ("http://localhost:5000", "http://[::1]:5000", "https://registry.example"):
        credentials_for(place, variables)
    assert capsys.readouterr().err == ""


@pytest.mark.needs_tools  # it needs none, but takes long
def test_a_server_knows_who_asks_and_logs_no_secret(app, monkeypatch, tmp_path):
    data = tmp_path / "served"
    monkeypatch.setenv("MOORAGE_DATA", str(data))
    with MoorageServer(data, env={"MOORAGE_AUTHENTICATION": "true"}) as server:
        password = call("user", "add", "root", "--admin", "--generate").stdout.strip()
        monkeypatch.delenv("MOORAGE_DATA")
        monkeypatch.setenv("MOORAGE_SERVER", server.url)
        told = call("user", "list", code=1).output
        assert "list needs" in told or "admin on the registry as a whole needs credentials" in told
        assert "MOORAGE_USER and MOORAGE_PASSWORD, or MOORAGE_API_KEY" in told
        monkeypatch.setenv("MOORAGE_USER", "root")
        monkeypatch.setenv("MOORAGE_PASSWORD", "wrong-secret")
        assert "MOORAGE_API_KEY" in call("user", "list", code=1).output
        monkeypatch.setenv("MOORAGE_PASSWORD", password)
        assert ask("access", "whoami")["principal"] == "root"
        call("robot", "add", "team+ci")
        key = call("key", "add", "team+ci", "k").stdout.strip()
        monkeypatch.delenv("MOORAGE_PASSWORD")
        monkeypatch.delenv("MOORAGE_USER")
        monkeypatch.setenv("MOORAGE_API_KEY", key)
        assert ask("access", "whoami")["principal"] == "team+ci"
        told = call("user", "list", code=1).output
        assert "team+ci may not admin on the registry as a whole" in told
        assert "moorage access explain PRINCIPAL admin" in told
        log = server.log.read_text()
    assert "nobody can log in yet: make an administrator with moorage user add NAME --admin" in log
    for secret in (password, key, key[14:], "wrong-secret"):
        assert secret not in log


# What serve and config check tell


def let_in(app, monkeypatch, log_format="human", **settings):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    given = {"authentication": True, "log_format": log_format, **settings}
    serve.let_somebody_in(Settings(**given), app)
    monkeypatch.undo()
    return shown.getvalue()


def test_the_first_administrator_is_told_once(app, monkeypatch):
    told = let_in(app, monkeypatch)
    password = told.split("password")[1].split()[0]
    assert "admin" in told
    assert logs_in(app, "admin", password)
    assert let_in(app, monkeypatch) == ""
    assert logs_in(app, "admin", password)


def test_without_authentication_nobody_is_made(app, monkeypatch):
    assert let_in(app, monkeypatch, authentication=False) == ""
    assert app.extensions["moorage"].access.first.missing()


def test_a_log_for_programs_gets_no_password(app, monkeypatch, caplog):
    let_in(app, monkeypatch, log_format="json")
    assert caplog.messages == ["nobody can log in yet: make an administrator with moorage user add NAME --admin"]
    assert app.extensions["moorage"].access.first.missing()


def test_the_first_push_begins_with_a_login_where_that_is_needed(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr("sys.stderr", shown)
    settings = Settings(log_format="human", authentication=True, insecure_anonymous=True)
    serve.announce(settings, SimpleNamespace(LISTENERS=["http://127.0.0.1:5000"]))
    lines = shown.getvalue().split("to copy and paste:")[1].splitlines()
    assert lines[1].strip().startswith("docker login 127.0.0.1:5000")
    assert "curl -i -u USER" in lines[-2]
    assert "Everybody" not in shown.getvalue()
    assert "login" not in "\n".join(serve.first_push("http://127.0.0.1:5000"))


def findings(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(f"MOORAGE_{name}", value)
    told = ask("config", "check")
    monkeypatch.undo()
    return [(item["name"], item["state"], item["detail"]) for item in told]


@pytest.mark.parametrize(
    ("variables", "state"),
    [
        ({"LISTEN": "0.0.0.0:5000"}, "warning"),
        ({"LISTEN": "0.0.0.0:5000", "EXTERNAL_URL": "http://registry.example"}, "warning"),
        ({"LISTEN": "0.0.0.0:5000", "EXTERNAL_URL": "https://registry.example"}, "ok"),
        ({"LISTEN": "127.0.0.1:5000"}, "ok"),
    ],
)
def test_a_check_warns_of_passwords_in_the_clear(tmp_path, monkeypatch, variables, state):
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")
    found = {name: (how, detail) for name, how, detail in findings(monkeypatch, **variables)}
    assert found["authentication"][0] == state
    assert ("in the clear" in found["authentication"][1]) == (state == "warning")


def test_a_check_tells_of_a_plugin_that_knows_users_whom_nobody_asks(tmp_path, monkeypatch):
    plugin = made_plugin("directory", authenticate=lambda: None)
    for authentication, told in (("false", True), ("true", False)):
        install(monkeypatch, directory=plugin)
        monkeypatch.setenv("MOORAGE_DATA", str(tmp_path))
        found = {name: (state, detail) for name, state, detail in findings(monkeypatch, AUTHENTICATION=authentication)}
        assert ("plugin directory" in found) is told
        if told:
            advice = "it knows users, but nobody is asked who they are: set authentication = true"
            assert found["plugin directory"] == ("warning", advice)


def test_it_is_told_where_nobody_can_log_in(app, caplog):
    told = {item["name"]: item["detail"] for item in ask("config", "check")}
    assert told["administrator"] == "nobody can log in yet: moorage user add NAME --admin"
    serve.warn_of_pending(app)
    assert caplog.messages == ["nobody can log in yet: make an administrator with moorage user add NAME --admin"]
    call("user", "add", "alice", "--admin", "--generate")
    assert "administrator" not in {item["name"] for item in ask("config", "check")}
    caplog.clear()
    serve.warn_of_pending(app)
    assert caplog.messages == []


def test_a_check_tells_of_proxies_and_of_users_that_cannot_log_in(tmp_path, monkeypatch):
    file = tmp_path / "users"
    file.write_text(f"alice:{bcrypt.hashpw(b'x', bcrypt.gensalt(4)).decode()}\nbob:$apr1$hush\n")
    variables = {"AUTHENTICATION": "true", "HTPASSWD": str(file), "TRUSTED_PROXIES": "10.0.0.0/8"}
    found = {name: (state, detail) for name, state, detail in findings(monkeypatch, **variables)}
    assert found["htpasswd"] == ("warning", f"{file}, line 2: bob has no bcrypt hash (htpasswd -B writes them)")
    assert found["trusted_proxies"][0] == "warning"
    assert "external_url" in found["trusted_proxies"][1]
    file.write_text(file.read_text().splitlines()[0])
    variables["EXTERNAL_URL"] = "https://registry.example"
    found = {name: (state, detail) for name, state, detail in findings(monkeypatch, **variables)}
    assert found["htpasswd"] == ("ok", f"1 users in {file}")
    assert "trusted_proxies" not in found
    file.write_bytes(b"\xff")
    for name, value in variables.items():
        monkeypatch.setenv(f"MOORAGE_{name}", value)
    told = json.loads(call("config", "check", "--json").stdout)
    assert "line 1" in next(item["detail"] for item in told if item["name"] == "htpasswd")


def test_questions_are_asked_where_somebody_is_there(app, monkeypatch):
    call("user", "add", "alice", "--no-password")
    monkeypatch.setattr(connecting, "somebody_is_there", lambda: True)
    assert "Aborted" in call("user", "delete", "alice", stdin="n\n", code=1).output
    assert ask("user", "show", "alice")
    assert "deleted alice" in call("user", "delete", "alice", stdin="y\n").output


# Trusts


def test_trusts_are_made_shown_explained_and_removed(app, tmp_path):
    call("robot", "add", "team+ci")
    claims = {"iss": "https://issuer.example", "aud": "a", "sub": "x", "ref": "main"}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    (tmp_path / "token").write_text(f"e30.{body}.e30\n")
    add = ("trust", "add", "app", "--robot", "team+ci", "--issuer", "https://issuer.example", "--audience", "a")
    made = call(*add, "--claim", "sub=x", "--claim", "ref=main", "--claim", "ref=v=*", "--lifetime", "2m")
    assert "tokens of https://issuer.example for a stand for team+ci" in made.output
    assert ask("trust", "show", "app")["claims"] == {"sub": ["x"], "ref": ["main", "v=*"]}
    assert ask("trust", "show", "app")["lifetime_seconds"] == 120
    shown = call("trust", "list").output
    assert "ref=v=*" in shown
    keys = {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    call("trust", "add", "kept", *add[3:], "--claim", "sub=y", "--keys", str(tmp_path / "keys.json"))
    assert ask("trust", "show", "kept")["keys"] == keys
    assert "1 of its own" in call("trust", "show", "kept").output
    told = call("trust", "explain", str(tmp_path / "token"), "--robot", "team+ci").output
    assert "  ref: main" in told
    assert "trust kept does not let it in as team+ci\n  this is no token that the issuer signed" in told
    assert "claim sub is 'x', not y" in told
    assert json.loads(call("trust", "explain", "-", "--json", stdin=f"e30.{body}.e30").stdout)["claims"] == claims
    assert (
        "no trust of team+b is in its issuer"
        in call("trust", "explain", "-", "--robot", "team+b", stdin=f"e30.{body}.e30").output
    )
    call("trust", "delete", "app", "--yes")
    assert [one["name"] for one in ask("trust", "list")] == ["kept"]


@pytest.mark.parametrize(
    ("claims", "words", "code"),
    [
        (["sub"], "NAME=PATTERN", 2),
        (["=x"], "NAME=PATTERN", 2),
        (["sub=*"], "add a claim that says whose", 1),
        (["sub="], "1 to 512 printable", 1),
        ([], "Missing option '--claim'", 2),
    ],
)
def test_a_trust_that_cannot_be_says_why(app, claims, words, code):
    call("robot", "add", "team+ci")
    given = [part for claim in claims for part in ("--claim", claim)]
    add = ("trust", "add", "app", "--robot", "team+ci", "--issuer", "https://issuer.example", "--audience", "a")
    assert words in call(*add, *given, code=code).output


def test_a_token_that_cannot_be_read_says_why(app, tmp_path):
    call("trust", "explain", str(tmp_path / "none"), code=2)
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert "cannot read" in call("trust", "explain", str(tmp_path / "token"), code=2).output
    assert "no signed token" in call("trust", "explain", "-", code=1, stdin="x").output


def test_config_check_tells_of_keys_of_a_token_service(elsewhere, tmp_path, monkeypatch):
    keys = tmp_path / "keys.json"
    keys.write_text("{}")
    for name, value in (("REALM", "https://auth.example/token"), ("ISSUER", "auth.example"), ("KEYS", str(keys))):
        monkeypatch.setenv(f"MOORAGE_TOKEN_{name}", value)
    monkeypatch.setenv("MOORAGE_AUTHENTICATION", "true")
    (found,) = [
        one for one in json.loads(call("config", "check", "--json", code=1).stdout) if one["name"] == "token_keys"
    ]
    assert found["state"] == "failed"
    assert "no set of keys" in found["detail"]
    keys.write_text(json.dumps({"keys": [ECKey.generate_key("P-256").as_dict(private=False)]}))
    (found,) = [one for one in json.loads(call("config", "check", "--json").stdout) if one["name"] == "token_keys"]
    assert found["state"] == "ok"

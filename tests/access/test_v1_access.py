"""Access through /api/v1: what administrators may, what everybody may with oneself, and that secrets stay secret."""

import logging

import pytest

from registry.app import API
from registry.blueprints.api._openapi import document
from registry.blueprints.api._operations import operations_of
from registry.testing.apps import running_app
from tests.access.conftest import PASSWORDS, Asking, basic, bearer

ADMINISTRATION = [
    ("GET", "/users"),
    ("POST", "/users", {"name": "x"}),
    ("GET", "/users/admin"),
    ("PATCH", "/users/admin", {"password": "another-secret"}),
    ("PATCH", "/users/alice", {"disabled": False}),
    ("PATCH", "/users/alice", {"description": "x"}),
    ("DELETE", "/users/alice"),
    ("GET", "/robots"),
    ("POST", "/robots", {"namespace": "team", "name": "ci"}),
    ("GET", "/robots/team+ci"),
    ("PATCH", "/robots/team+ci", {"disabled": True}),
    ("DELETE", "/robots/team+ci"),
    ("GET", "/teams"),
    ("POST", "/teams", {"name": "x"}),
    ("GET", "/teams/builders"),
    ("PUT", "/teams/builders/members/alice"),
    ("DELETE", "/teams/builders/members/alice"),
    ("DELETE", "/teams/builders"),
    ("GET", "/principals/admin/keys"),
    ("POST", "/principals/admin/keys", {"name": "x"}),
    ("POST", "/principals/admin/keys/abc/rotate", {}),
    ("DELETE", "/principals/admin/keys/abc"),
    ("GET", "/policy"),
    ("PUT", "/policy", {"rules": {}}),
    ("GET", "/policy/rules"),
    ("POST", "/policy/rules", {"name": "x", "definition": {"to": ["everybody"], "role": "admin"}}),
    ("GET", "/policy/rules/administrators"),
    ("PUT", "/policy/rules/administrators", {"definition": {"to": ["everybody"], "role": "admin"}}),
    ("DELETE", "/policy/rules/administrators"),
    ("POST", "/access/token-keys", {}),
]


@pytest.fixture
def filled(admin):
    admin("POST", "/robots", {"namespace": "team", "name": "ci"}, status=201)
    admin("POST", "/teams", {"name": "builders"}, status=201)


def token_for(client, headers, *scopes):
    answer = client.get("/token", query_string={"scope": list(scopes)}, headers=headers)
    assert answer.status_code == 200, answer.data
    return answer.json["token"]


@pytest.mark.parametrize("wanted", ADMINISTRATION, ids=lambda one: f"{one[0]} {one[1]}")
def test_administration_is_for_administrators(client, filled, admin, alice, nobody, wanted):
    before = admin("GET", "/policy"), admin("GET", "/users"), admin("GET", "/teams/builders")
    method, path, *body = wanted
    alice.refused(method, path, 403, "DENIED", *body)
    problem = nobody.refused(method, path, 401, "UNAUTHORIZED", *body)
    assert "needs credentials" in problem["detail"]
    challenges = nobody.headers.getlist("WWW-Authenticate")
    assert [challenge.partition(" ")[0] for challenge in challenges] == ["Basic", "Bearer"]
    assert (admin("GET", "/policy"), admin("GET", "/users"), admin("GET", "/teams/builders")) == before


def test_every_operation_says_that_it_may_be_refused_and_how_to_be_known(app):
    told = document(operations_of(app))
    assert len(API) > 13
    assert set(told["components"]["securitySchemes"]) == {"password", "key"}
    assert told["security"] == [{}, {"password": []}, {"key": []}]
    for path, methods in told["paths"].items():
        for entry in methods.values():
            assert {"401", "403", "429"} <= set(entry["responses"]), path


# Users


def test_users_are_made_changed_and_deleted(client, admin):
    made = admin("POST", "/users", {"name": "bob@x.org", "password": "bobs-secret", "description": "Bob"}, status=201)
    assert made["has_password"] is True
    assert (made["source"], made["disabled"], made["teams"], made["actor"]) == ("local", False, [], "admin")
    assert admin.headers["Location"] == "/api/v1/users/bob@x.org"
    seen = admin.headers["ETag"]
    admin.refused("POST", "/users", 409, "PRINCIPAL_TAKEN", {"name": "bob@x.org"})
    admin.refused("POST", "/users", 400, "PRINCIPAL_INVALID", {"name": "a+b"})
    admin.refused("POST", "/users", 400, "PRINCIPAL_INVALID", {"name": "c", "password": "short"})
    Asking(client, basic("bob@x.org", "bobs-secret"))("GET", "/whoami")
    admin("PATCH", "/users/bob@x.org", {"disabled": True}, match=seen)
    Asking(client, basic("bob@x.org", "bobs-secret")).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    admin.refused("PATCH", "/users/bob@x.org", 412, "PRECONDITION_FAILED", {"disabled": False}, match=seen)
    admin.refused("DELETE", "/users/bob@x.org", 412, "PRECONDITION_FAILED", match=seen)
    assert admin("GET", "/users/bob@x.org")["disabled"] is True
    admin("DELETE", "/users/bob@x.org", status=204)
    admin.refused("GET", "/users/bob@x.org", 404, "PRINCIPAL_UNKNOWN")


def test_a_user_without_a_password_has_none_and_an_administrator_may_do_everything(client, admin):
    made = admin("POST", "/users", {"name": "keys"}, status=201)
    assert made["has_password"] is False
    Asking(client, basic("keys", "")).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    admin("POST", "/users", {"name": "root", "password": "root-secret", "administrator": True}, status=201)
    Asking(client, basic("root", "root-secret"))("GET", "/users")


def test_a_user_of_the_file_can_be_named_before_it_logs_in(admin):
    made = admin("POST", "/users", {"name": "carol", "source": "htpasswd"}, status=201)
    assert (made["source"], made["has_password"]) == ("htpasswd", False)
    wanted = {"name": "dora", "source": "htpasswd", "password": "doras-secret"}
    admin.refused("POST", "/users", 400, "PRINCIPAL_INVALID", wanted)
    admin.refused("PATCH", "/users/carol", 400, "PRINCIPAL_INVALID", {"password": "carols-secret"})


def test_lists_come_in_pages(admin):
    for name in ("bob", "carol"):
        admin("POST", "/users", {"name": name}, status=201)
        admin("POST", "/robots", {"namespace": "n", "name": name}, status=201)
        admin("POST", "/teams", {"name": name}, status=201)
        rule = {"name": name, "definition": {"to": ["everybody"], "role": "pull"}}
        admin("POST", "/policy/rules", rule, status=201)
        admin("POST", "/principals/alice/keys", {"name": name}, status=201)

    def names(path, *, limit):
        found, cursor = [], {}
        while True:
            page = admin("GET", path, limit=limit, **cursor)
            assert len(page["items"]) <= limit
            found += [item["name"] for item in page["items"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    for limit in (1, 2, 100):
        assert names("/users", limit=limit) == ["admin", "alice", "bob", "carol"]
        assert names("/robots", limit=limit) == ["n+bob", "n+carol"]
        assert names("/teams", limit=limit) == ["bob", "carol"]
        assert names("/policy/rules", limit=limit) == ["administrators", "bob", "carol"]
        assert names("/principals/alice/keys", limit=limit) == ["bob", "carol"]


def test_one_may_look_at_oneself_and_change_ones_own_password(client, alice):
    assert alice("GET", "/users/alice")["name"] == "alice"
    alice("PATCH", "/users/alice", {"password": "quite-another"})
    alice.refused("GET", "/whoami", 401, "UNAUTHORIZED")
    Asking(client, basic("alice", "quite-another"))("GET", "/whoami")


def test_keys_and_tokens_change_no_password_and_make_no_keys(client, admin, alice):
    key = alice("POST", "/principals/alice/keys", {"name": "all"}, status=201)["text"]
    other = alice("POST", "/principals/alice/keys", {"name": "other"}, status=201)["key"]["prefix"]
    token = token_for(client, basic("alice"), "registry:catalog:*")
    for headers in (bearer(key), basic("alice", key), bearer(token)):
        asking = Asking(client, headers)
        assert asking("GET", "/whoami")["principal"] == "alice"
        assert asking("GET", "/users/alice")["name"] == "alice"
        wanted = [
            ("PATCH", "/users/alice", {"password": "quite-another"}),
            ("POST", "/principals/alice/keys", {"name": "more"}),
            ("POST", f"/principals/alice/keys/{key[3:13]}/rotate", {}),
            ("DELETE", f"/principals/alice/keys/{other}", None),
            ("GET", "/principals/alice/keys", None),
        ]
        for method, path, body in wanted:
            asking.refused(method, path, 403, "DENIED", body)
    assert len(admin("GET", "/principals/alice/keys")["items"]) == 2


@pytest.mark.parametrize(("path", "other"), [("/users", "/robots"), ("/robots", "/users")])
def test_users_are_no_robots(admin, filled, path, other):
    name = {"/users": "alice", "/robots": "team+ci"}[path]
    assert admin("GET", f"{path}/{name}")["name"] == name
    for method, body in (("GET", None), ("PATCH", {"disabled": True}), ("DELETE", None)):
        admin.refused(method, f"{other}/{name}", 404, "PRINCIPAL_UNKNOWN", body)
    assert admin("GET", f"{path}/{name}")["disabled"] is False


# Robots and teams


def test_robots_log_in_with_keys(client, admin):
    made = admin("POST", "/robots", {"namespace": "team", "name": "ci", "description": "Builds"}, status=201)
    assert (made["name"], made["namespace"], made["description"]) == ("team+ci", "team", "Builds")
    assert admin.headers["Location"] == "/api/v1/robots/team+ci"
    seen = admin.headers["ETag"]
    admin.refused("POST", "/robots", 409, "PRINCIPAL_TAKEN", {"namespace": "team", "name": "ci"})
    admin.refused("POST", "/robots", 400, "NAME_INVALID", {"namespace": "A B", "name": "ci"})
    admin.refused("POST", "/robots", 400, "PRINCIPAL_INVALID", {"namespace": "team", "name": "C I"})
    key = admin("POST", "/principals/team+ci/keys", {"name": "k"}, status=201)["text"]
    robot = Asking(client, basic("team+ci", key))
    assert robot("GET", "/robots/team+ci")["name"] == "team+ci"
    robot.refused("POST", "/principals/team+ci/keys", 403, "DENIED", {"name": "more"})
    robot.refused("POST", f"/principals/team+ci/keys/{key[3:13]}/rotate", 403, "DENIED", {})
    admin("PATCH", "/robots/team+ci", {"disabled": True}, match=seen)
    robot.refused("GET", "/whoami", 401, "UNAUTHORIZED")
    admin.refused("DELETE", "/robots/team+ci", 412, "PRECONDITION_FAILED", match=seen)
    admin("DELETE", "/robots/team+ci", status=204)
    admin.refused("GET", "/robots/team+ci", 404, "PRINCIPAL_UNKNOWN")


def test_teams_have_members_that_rules_speak_of(client, admin, alice, filled):
    rule = {"name": "builders", "definition": {"to": ["team:builders"], "on": ["team/*"], "role": "push"}}
    admin("POST", "/policy/rules", rule, status=201)
    alice.refused("POST", "/repositories", 403, "DENIED", {"name": "team/app"})
    assert admin("PUT", "/teams/builders/members/alice")["members"] == ["alice"]
    before = admin.headers["ETag"]
    assert admin("PUT", "/teams/builders/members/team+ci")["members"] == ["alice", "team+ci"]
    alice("POST", "/repositories", {"name": "team/app"}, status=201)
    assert alice("GET", "/users/alice")["teams"] == ["builders"]
    admin.refused("PUT", "/teams/builders/members/bob", 404, "PRINCIPAL_UNKNOWN")
    admin.refused("PUT", "/teams/other/members/alice", 404, "PRINCIPAL_UNKNOWN")
    admin("DELETE", "/teams/builders/members/alice", status=204)
    admin.refused("DELETE", "/teams/builders/members/alice", 404, "PRINCIPAL_UNKNOWN")
    alice.refused("POST", "/repositories", 403, "DENIED", {"name": "team/other"})
    admin.refused("POST", "/teams", 409, "PRINCIPAL_TAKEN", {"name": "builders"})
    admin.refused("DELETE", "/teams/builders", 412, "PRECONDITION_FAILED", match=before)
    admin("DELETE", "/teams/builders", status=204)
    assert [rule["name"] for rule in admin("GET", "/policy/rules")["items"]] == ["administrators"]


# Keys


def test_a_key_is_shown_once_and_narrowed_to_its_scopes(client, admin, alice, clock):
    rule = {"name": "alice", "definition": {"to": ["user:alice"], "on": ["team/*"], "role": "push"}}
    admin("POST", "/policy/rules", rule, status=201)
    wish = {"name": "ci", "scopes": ["push:team/app", "pull"], "expires_in_seconds": 3600}
    made = alice("POST", "/principals/alice/keys", wish, status=201)
    assert alice.headers["Cache-Control"] == "no-store"
    assert made["text"].startswith(f"mk_{made['key']['prefix']}_")
    assert (made["key"]["scopes"], made["key"]["last_used"]) == (["push:team/app", "pull"], None)
    asking = Asking(client, bearer(made["text"]))
    asking("POST", "/repositories", {"name": "team/app"}, status=201)
    assert (
        "scopes of this API key" in asking.refused("POST", "/repositories", 403, "DENIED", {"name": "team/b"})["detail"]
    )
    listed = alice("GET", "/principals/alice/keys")
    assert made["text"] not in str(listed)
    assert listed["items"][0]["last_used"] is not None
    alice.refused("POST", "/principals/alice/keys", 400, "SCOPE_INVALID", {"name": "x", "scopes": ["fly"]})
    alice.refused("POST", "/principals/alice/keys", 400, "PRINCIPAL_INVALID", {"name": ""})
    alice.refused("POST", "/principals/alice/keys", 400, "INPUT_INVALID", {"name": "x", "expires_in_seconds": 0})
    admin.refused("POST", "/principals/bob/keys", 404, "PRINCIPAL_UNKNOWN", {"name": "x"})
    clock.advance(hours=2)
    asking.refused("GET", "/whoami", 401, "UNAUTHORIZED")


def test_a_rotated_key_is_good_for_the_overlap(client, alice, clock):
    old = alice("POST", "/principals/alice/keys", {"name": "ci", "scopes": ["pull"]}, status=201)
    path = f"/principals/alice/keys/{old['key']['prefix']}"
    new = alice("POST", f"{path}/rotate", {"overlap_seconds": 600}, status=201)
    assert alice.headers["Cache-Control"] == "no-store"
    assert (new["key"]["name"], new["key"]["scopes"], new["key"]["expires"]) == ("ci", ["pull"], None)
    for key in (old, new):
        Asking(client, bearer(key["text"]))("GET", "/whoami")
    clock.advance(601)
    Asking(client, bearer(old["text"])).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    Asking(client, bearer(new["text"]))("GET", "/whoami")
    alice.refused("POST", f"{path}/rotate", 404, "KEY_UNKNOWN", {})
    alice("DELETE", f"/principals/alice/keys/{new['key']['prefix']}", status=204)
    Asking(client, bearer(new["text"])).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    alice.refused("DELETE", f"/principals/alice/keys/{new['key']['prefix']}", 404, "KEY_UNKNOWN")


# The policy


def test_rules_are_changed_under_the_revision_that_was_seen(admin):
    definition = {"to": ["everybody"], "on": ["team/*"], "role": "pull"}
    admin("POST", "/policy/rules", {"name": "team", "definition": definition}, status=201)
    seen = admin.headers["ETag"]
    assert admin("GET", "/policy/rules/team")["definition"] == definition
    admin.refused("POST", "/policy/rules", 409, "RULE_TAKEN", {"name": "team", "definition": definition})
    admin.refused("POST", "/policy/rules", 400, "RULE_INVALID", {"name": "x", "definition": {"to": ["everybody"]}})
    unknown = {"name": "x", "definition": {**definition, "to": ["user:bob"]}}
    admin.refused("POST", "/policy/rules", 404, "PRINCIPAL_UNKNOWN", unknown)
    push = {"definition": {**definition, "role": "push"}}
    admin("PUT", "/policy/rules/team", push, match=seen)
    admin.refused("PUT", "/policy/rules/team", 412, "PRECONDITION_FAILED", push, match=seen)
    admin.refused("DELETE", "/policy/rules/team", 412, "PRECONDITION_FAILED", match=seen)
    admin("DELETE", "/policy/rules/team", status=204)
    admin.refused("DELETE", "/policy/rules/team", 404, "RULE_UNKNOWN")


def test_the_whole_policy_is_replaced_in_one_step(admin, alice):
    def rule(name, role):
        definition = {"to": ["everybody"], "on": [f"{name}/*"], "role": role}
        admin("POST", "/policy/rules", {"name": name, "definition": definition}, status=201)

    rule("one", "pull")
    rule("two", "pull")
    rules = admin("GET", "/policy")["rules"]
    seen = admin.headers["ETag"]
    assert list(rules) == ["administrators", "one", "two"]
    wanted = {**rules, "one": {**rules["one"], "role": "push"}, "three": rules["two"]}
    del wanted["two"]
    told = {"made": ["three"], "changed": ["one"], "removed": ["two"], "same": 1}
    assert admin("PUT", "/policy", {"rules": wanted, "dry_run": True}) == told
    assert admin("GET", "/policy")["rules"] == rules
    bad = {**wanted, "one": {"to": ["everybody"]}}
    assert "rule one" in admin.refused("PUT", "/policy", 400, "RULE_INVALID", {"rules": bad})["detail"]
    assert admin("PUT", "/policy", {"rules": wanted}, match=seen) == told
    admin.refused("PUT", "/policy", 412, "PRECONDITION_FAILED", {"rules": rules}, match=seen)
    assert admin("GET", "/policy")["rules"] == wanted
    alice("POST", "/repositories", {"name": "one/x"}, status=201)


def test_a_whole_policy_may_be_longer_than_other_bodies(admin):
    rules = admin("GET", "/policy")["rules"]
    long = {"to": ["everybody"], "on": ["x" * 500 + str(number) for number in range(100)], "role": "pull"}
    wanted = {"rules": {**rules, **{f"r{number}": long for number in range(30)}}}
    assert len(str(wanted)) > 1 << 20
    assert len(admin("PUT", "/policy", wanted)["made"]) == 30


# Explanations, identities, token keys


def test_explanations_name_the_rule(admin, alice, nobody):
    rules = {
        "team": {"to": ["user:alice"], "on": ["team/*"], "role": "push"},
        "releases": {"to": ["everybody"], "on": ["*"], "effect": "deny", "actions": ["push"], "tags": ["v*"]},
        "office": {"to": ["anonymous"], "on": ["*"], "role": "pull", "networks": ["192.0.2.0/24"]},
    }
    for name, definition in rules.items():
        admin("POST", "/policy/rules", {"name": name, "definition": definition}, status=201)

    def explained(asking, principal, action, **more):
        found = asking("GET", "/access/explanation", principal=principal, action=action, **more)
        return found["allowed"], found["rule"]

    assert explained(alice, "alice", "push", repository="team/app") == (True, "team")
    assert explained(alice, "alice", "push", repository="team/app", reference="v1") == (False, "releases")
    assert explained(alice, "alice", "delete", repository="team/app") == (False, "")
    assert explained(alice, "alice", "admin") == (False, "")
    assert explained(admin, "anonymous", "pull", repository="a", address="192.0.2.7") == (True, "office")
    assert explained(admin, "anonymous", "pull", repository="a", address="198.51.100.7") == (False, "")
    told = admin("GET", "/access/explanation", principal="alice", action="delete", repository="team/app")
    assert told["subjects"] == ["user:alice", "everybody", "anonymous"]
    assert told["reason"] == "no rule allows it: role maintain is missing"
    path = "/access/explanation"
    alice.refused("GET", path, 403, "DENIED", principal="admin", action="pull")
    alice.refused("GET", path, 403, "DENIED", principal="anonymous", action="pull")
    nobody.refused("GET", path, 401, "UNAUTHORIZED", principal="anonymous", action="pull")
    admin.refused("GET", path, 404, "PRINCIPAL_UNKNOWN", principal="bob", action="pull")
    admin.refused("GET", path, 400, "NAME_INVALID", principal="alice", action="pull", repository="A")
    admin.refused("GET", path, 400, "TAG_INVALID", principal="alice", action="pull", repository="a", reference="-")
    admin.refused("GET", path, 400, "INPUT_INVALID", principal="alice", action="pull", address="x")
    admin.refused("GET", path, 400, "INPUT_INVALID", principal="alice", action="fly")


def test_credentials_are_told_who_they_are(client, admin, alice, nobody, filled):
    admin("PUT", "/teams/builders/members/alice")
    rule = {"name": "a", "definition": {"to": ["anonymous"], "on": ["a/*"], "role": "pull"}}
    admin("POST", "/policy/rules", rule, status=201)
    nothing = {"teams": [], "key": None, "token_scopes": None, "authentication": True}
    assert nobody("GET", "/whoami") == {**nothing, "principal": "anonymous", "kind": "anonymous"}
    who = {**nothing, "principal": "alice", "kind": "user", "teams": ["builders"]}
    assert alice("GET", "/whoami") == who
    made = alice("POST", "/principals/alice/keys", {"name": "ci", "scopes": ["pull:a/*"]}, status=201)
    key = {"prefix": made["key"]["prefix"], "name": "ci", "scopes": ["pull:a/*"], "expires": None}
    assert Asking(client, bearer(made["text"]))("GET", "/whoami") == {**who, "key": key}
    of_key = token_for(client, basic("alice", made["text"]), "repository:a/b:pull,push")
    told = {**who, "key": key, "token_scopes": ["repository:a/b:pull"]}
    assert Asking(client, bearer(of_key))("GET", "/whoami") == told
    of_password = token_for(client, basic("alice"), "registry:catalog:*", "repository:a/b:pull")
    told = {**who, "token_scopes": ["repository:a/b:pull", "registry:catalog:*"]}
    assert Asking(client, bearer(of_password))("GET", "/whoami") == told
    Asking(client, basic("alice", "wrong")).refused("GET", "/whoami", 401, "UNAUTHORIZED")


def test_without_authentication_nobody_is_anybody(blank, tmp_path):
    with running_app(tmp_path / "data", blank=blank) as app:
        told = Asking(app.test_client())("GET", "/whoami")
    assert (told["authentication"], told["principal"]) == (False, "anonymous")


def test_token_keys_are_replaced_and_old_tokens_go_on(client, admin, alice):
    before = token_for(client, basic("alice"), "registry:catalog:*")
    (old,) = [key["kid"] for key in client.get("/.well-known/jwks.json").json["keys"]]
    new = admin("POST", "/access/token-keys", {}, status=201)["id"]
    assert [key["kid"] for key in client.get("/.well-known/jwks.json").json["keys"]] == [new, old]
    for token in (before, token_for(client, basic("alice"), "registry:catalog:*")):
        assert Asking(client, bearer(token))("GET", "/whoami")["principal"] == "alice"


def test_no_secret_is_logged_or_told_again(client, admin, alice, caplog):
    caplog.set_level(logging.DEBUG)
    key = alice("POST", "/principals/alice/keys", {"name": "ci"}, status=201)["text"]
    password = "correct-horse-battery"
    admin("POST", "/users", {"name": "bob", "password": password}, status=201)
    token = token_for(client, basic("bob", password), "registry:catalog:*")
    Asking(client, basic("alice", f"{password}x")).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    Asking(client, bearer(f"{key}x")).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    Asking(client, bearer(f"{token}x")).refused("GET", "/whoami", 401, "UNAUTHORIZED")
    secrets = (key, key[14:], password, token, *PASSWORDS.values())
    shown = [admin("GET", path) for path in ("/users", "/principals/alice/keys", "/policy", "/users/bob", "/events")]
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in str(shown)


def test_pages_of_plugins_are_for_administrators(client):
    answers = {}
    for name, headers in (("nobody", {}), ("alice", basic("alice")), ("admin", basic("admin"))):
        answer = client.get("/webhooks/subscriptions", headers=headers)
        answers[name] = answer.status_code
        made = client.post("/webhooks/subscriptions", json={}, headers=headers)
        answers[f"{name} posts"] = made.status_code
        if name == "nobody":
            kinds = [one.partition(" ")[0] for one in answer.headers.getlist("WWW-Authenticate")]
            assert kinds == ["Basic", "Bearer"]
    refused = {"nobody": 401, "nobody posts": 401, "alice": 403, "alice posts": 403}
    assert answers == {**refused, "admin": 200, "admin posts": 400}

"""A token service elsewhere: what its tokens grant, what is denied all the same, and what is no token of it."""

import json
import random
import shutil

import pytest

from registry.access import issuers as issuers_module
from registry.access import standing
from registry.access.principals import PrincipalWish
from registry.settings import SettingsError, load_settings
from registry.testing.apps import quick_folder
from tests.access.foreign import APP, FORGED, ISSUER, SERVICE, Attack
from tests.access.test_forged_tokens import mutants
from tests.support.asking import CHIEF, bearer, refusal, world
from tests.support.auditing import Log
from tests.support.issuer import DOWN, UP, Issuer

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

REALM = "https://auth.example/token"
CATALOG = {"type": "registry", "name": "catalog", "actions": ["*"]}
PATH, OTHER, UPLOADS = "/v2/team/app/tags/list", "/v2/team/other/tags/list", "/v2/team/app/blobs/uploads/"


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """Give a process that signs as the token service does, and publishes its keys."""
    with Issuer(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def door(folder, service, monkeypatch):
    monkeypatch.setattr(standing, "FRESH_SECONDS", 0)
    more = {"token_realm": REALM, "token_issuer": ISSUER, "token_service": SERVICE, "token_keys": f"{service.url}/jwks"}
    with world(folder, **more) as made:
        service.at(made.clock() // 1000)
        made.push("team/app", "v1")
        made.push("team/other", "v1")
        yield made
    service.be(UP)
    service.at(None)


def token(service, *access, **claims):
    return service.sign({"iss": ISSUER, "aud": SERVICE, "sub": "erin", "access": list(access), **claims})


def status(door, header, path=PATH, method="GET"):
    return door.client.open(path, method=method, headers=bearer(header)).status_code


def test_clients_are_sent_there(door):
    answer = door.client.get(PATH)
    assert answer.status_code == 401
    wanted = 'scope="repository:team/app:pull"'
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{REALM}",service="{SERVICE}",{wanted}'
    assert door.client.get("/v2/").headers["WWW-Authenticate"] == f'Bearer realm="{REALM}",service="{SERVICE}"'


def test_a_token_grants_what_its_access_names_and_no_more(door, service):
    pull = token(service, APP)
    assert door.client.get("/v2/", headers=bearer(pull)).status_code == 200
    assert status(door, pull) == 200
    assert status(door, pull, "/v2/team/app/manifests/v1") == 200
    for path, method in ((OTHER, "GET"), (UPLOADS, "POST"), ("/v2/team/app/manifests/v1", "DELETE")):
        answer = door.client.open(path, method=method, headers=bearer(pull))
        refusal(answer, 401, "UNAUTHORIZED")
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    push = token(service, {**APP, "actions": ["pull", "push"]})
    assert status(door, push, UPLOADS, "POST") == 202
    assert status(door, push, "/v2/team/app/manifests/v1", "DELETE") == 401
    everything = token(service, {**APP, "actions": ["*"]})
    assert status(door, everything, UPLOADS, "POST") == 202
    assert status(door, everything, "/v2/team/app/manifests/v1", "DELETE") == 202


def test_a_new_repository_is_made_by_who_may_push(door, service):
    push = token(service, {"type": "repository", "name": "new/one", "actions": ["pull", "push"]})
    assert status(door, push, "/v2/new/one/blobs/uploads/", "POST") == 202


def test_logins_and_refusals_are_in_the_audit_log_as_what_they_are(door, service):
    log = Log(door.services)
    log.new()
    shown = token(service, APP)
    assert status(door, shown) == 200
    assert status(door, shown, OTHER) == 401
    found = {record["kind"]: record for record in log.new()}
    assert (found["login"]["principal"], found["login"]["detail"]) == ("erin", {"with": "token of the token service"})
    assert (found["denied"]["principal"], found["denied"]["detail"]) == (
        "erin",
        {"credential": "the token is not for it"},
    )


def test_it_administers_nothing(door, service):
    everything = token(service, {**APP, "actions": ["*", "admin"]}, CATALOG, sub="admin")
    door.user("admin")
    door.rule("admins", "user:admin", role="admin")
    for method, path in (
        ("PATCH", "/api/v1/repositories/team/app"),
        ("GET", "/api/v1/users"),
        ("GET", "/api/v1/policy"),
    ):
        body = {"json": {"description": "x"}} if method == "PATCH" else {}
        assert door.client.open(path, method=method, headers=bearer(everything), **body).status_code == 403
    keys = door.client.post("/api/v1/principals/admin/keys", json={"name": "x"}, headers=bearer(everything))
    assert keys.status_code == 403


def test_lists_show_what_is_granted(door, service):
    assert door.client.get("/v2/_catalog", headers=bearer(token(service, APP))).status_code == 401
    found = door.client.get("/v2/_catalog", headers=bearer(token(service, CATALOG)))
    assert found.json == {"repositories": ["team/app", "team/other"]}
    door.rule("no", "everybody", ["team/other"], actions=["list"])
    found = door.client.get("/v2/_catalog", headers=bearer(token(service, CATALOG)))
    assert found.json == {"repositories": ["team/app"]}


def test_what_rules_allow_is_not_added_and_what_they_deny_is_denied(door, service):
    door.user("erin")
    door.rule("erin", "user:erin", ["team/*"], role="maintain")
    pull = token(service, APP)
    assert status(door, pull, OTHER) == 401
    door.rule("no-everybody", "everybody", ["team/app"], actions=["push"])
    assert status(door, token(service, {**APP, "actions": ["*"]}), UPLOADS, "POST") == 403
    assert status(door, pull) == 200
    door.rule("no-erin", "user:erin", ["team/app"], actions=["pull"])
    assert status(door, pull) == 403
    assert status(door, token(service, APP, sub="frank")) == 200


def test_who_is_disabled_here_is_let_in_no_more(door, service):
    pull = token(service, APP)
    door.user("erin")
    assert status(door, pull) == 200
    door.access.principals.change(CHIEF, "erin", PrincipalWish(disabled=True))
    assert status(door, pull) == 401
    door.access.principals.delete(CHIEF, "erin")
    assert status(door, pull) == 200


def test_a_token_of_nobody_grants_too_and_is_denied_as_nobody(door, service):
    for sub in ("", None, "anonymous"):
        anonymous = token(service, APP, sub=sub)
        assert status(door, anonymous) == 200
        assert status(door, anonymous, OTHER) == 401
        assert door.client.get("/token", headers=bearer(anonymous)).status_code == 401
    door.rule("no", "anonymous", ["team/*"], actions=["pull"])
    assert status(door, token(service, APP, sub="")) == 401
    assert status(door, token(service, APP)) == 200


def test_it_is_told_who_one_is(door, service):
    found = door.client.get("/api/v1/whoami", headers=bearer(token(service, APP))).json
    assert (found["principal"], found["kind"]) == ("erin", "user")
    assert found["token_scopes"] == ["repository:team/app:pull"]


def test_own_users_and_own_tokens_are_good_as_before(door):
    door.user("alice")
    door.rule("alice", "user:alice", ["team/*"], role="pull")
    assert door.client.get(PATH, headers=door.as_("alice")).status_code == 200
    assert status(door, door.token("alice", "repository:team/app:pull")) == 200


def test_services_write_nothing_as_null_or_leave_it_out(door, service):
    for claims in ({"access": None}, {"access": []}, {"access": [{**APP, "actions": None}]}):
        made = service.sign({"iss": ISSUER, "aud": SERVICE, "sub": "erin", **claims})
        assert door.client.get("/v2/", headers=bearer(made)).status_code == 200
        assert status(door, made) == 401
    assert status(door, token(service, {**APP, "class": "image"}, {"type": "new", "name": "x", "actions": []})) == 200
    assert status(door, token(service, APP, aud=["x", SERVICE], iat=None, nbf=None)) == 200


def test_a_new_key_is_taken_and_keys_are_kept_while_the_service_is_down(door, service, monkeypatch):
    assert status(door, token(service, APP)) == 200
    monkeypatch.setattr(issuers_module, "AGAIN_SECONDS", 0)
    service.rotate()
    refused = status(door, token(service, APP))  # it was asked five seconds ago at the most
    door.access.authenticator._external._keys._again_at = 0
    assert (refused, status(door, token(service, APP))) == (401, 200)
    service.be(DOWN)
    monkeypatch.setattr(issuers_module, "FRESH_SECONDS", 0)
    assert status(door, token(service, APP)) == 200
    monkeypatch.setattr(issuers_module, "STALE_SECONDS", 0)
    assert status(door, token(service, APP)) == 503


def test_keys_in_a_file(folder, service, tmp_path):
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(service.jwks()))
    with world(folder, token_realm=REALM, token_issuer=ISSUER, token_keys=str(file)) as made:
        made.push("team/app", "v1")
        service.at(made.clock() // 1000)
        assert status(made, token(service, APP, aud="moorage")) == 200
        assert status(made, token(service, APP)) == 401
        file.unlink()
        assert status(made, token(service, APP, aud="moorage")) == 200
    service.at(None)


@pytest.fixture(scope="module")
def attacked(blank, service):
    more = {"token_realm": REALM, "token_issuer": ISSUER, "token_service": SERVICE, "token_keys": f"{service.url}/jwks"}
    with quick_folder() as folder:
        shutil.copy(blank / "moorage.db", folder)
        with world(folder, **more) as made:
            made.push("team/app", "v1")
            made.push("team/other", "v1")
            service.rotate(keep=False)
            service.at(made.clock() // 1000)
            yield made, Attack(token(service, APP), service)
            service.at(None)


@pytest.mark.parametrize("kind", list(FORGED), ids=lambda kind: ascii(kind)[1:60])
def test_a_forged_token_is_refused(attacked, kind):
    door, attack = attacked
    assert status(door, attack.good) == 200
    assert status(door, attack.signed()) == 200
    answer = door.client.get(PATH, headers=bearer(FORGED[kind](attack)))
    refusal(answer, 401, "UNAUTHORIZED")


def test_changed_tokens_allow_nothing_more(attacked):
    door, attack = attacked
    for made in mutants(attack.good, random.Random(17)):
        same = made.strip().split(".")[:2] == attack.good.split(".")[:2]
        answer = door.client.get(PATH, headers=bearer(made))
        assert answer.status_code == 401 or (same and answer.status_code == 200), made
        assert door.client.get(OTHER, headers=bearer(made)).status_code == 401


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"token_realm": REALM}, "belong together"),
        ({"token_issuer": "x"}, "belong together"),
        ({"token_service": "x"}, "belong together"),
        ({"token_realm": "auth.example"}, "expected a URL"),
        ({"token_realm": 'https://a.example/"x'}, "without quotes"),
        ({"token_keys": "http://auth.example/jwks"}, "expected https"),
        ({"token_keys": "/nowhere/keys.json"}, "a file that is there"),
        (
            {"token_realm": REALM, "token_issuer": "x", "token_keys": "https://a.example/k", "authentication": False},
            "is off",
        ),
        ({"token_realm": REALM, "token_issuer": "moorage", "token_keys": "https://a.example/k"}, "needs another one"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused(flags, words):
    with pytest.raises(SettingsError, match=words):
        load_settings({"authentication": True, **flags}, {})

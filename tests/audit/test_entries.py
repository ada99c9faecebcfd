"""What is in the audit log, who, from where and by which rule; and what never is."""

import base64
import json

import pytest

from registry.access.principals import PrincipalWish
from registry.audit import notes
from registry.errors import TooManyRequests
from tests.support.asking import CHIEF, OPERATOR, PASSWORD, basic, bearer, world
from tests.support.auditing import Log, kinds

PULLED = "/v2/team/app/manifests/v1"


def the(records, kind):
    (found,) = (record for record in records if record["kind"] == kind)
    return found


@pytest.fixture
def town(registry, log):
    """Give a registry where `ann` may push to team/*, and `bob` may pull."""
    registry.user("ann", PASSWORD)
    registry.user("bob", PASSWORD)
    registry.rule("ann-pushes", "user:ann", ["team/*"], role="push")
    registry.rule("bob-pulls", "user:bob", ["team/*"], role="pull")
    registry.push("team/app", "v1")
    log.new()
    return registry


def ask(world, method, path, header, **more):
    where = {"REMOTE_ADDR": "192.0.2.7", "moorage.request_id": "req-1", "HTTP_USER_AGENT": "tester/1"}
    return world.client.open(path, method=method, headers=header, environ_overrides=where, **more)


def test_a_push_tells_who_from_where_and_by_which_rule(town, log):
    image = town.push("team/app", "other", text="y")
    log.new()
    header = basic("ann", PASSWORD)
    answer = ask(town, "PUT", "/v2/team/app/manifests/v2", header, data=image.data, content_type=image.media_type)
    assert answer.status_code == 201
    found = log.new()
    assert sorted(kinds(found)) == ["login", "manifest.pushed", "tag.changed"]
    pushed = the(found, "manifest.pushed")
    wanted = {
        "outcome": "allowed",
        "principal": "ann",
        "address": "192.0.2.7",
        "user_agent": "tester/1",
        "repository": "team/app",
        "reference": "v2",
        "action": "push",
        "rule": "ann-pushes",
        "request_id": "req-1",
        "count": 1,
    }
    assert pushed.items() >= wanted.items()
    assert pushed["detail"]["digest"] == image.digest
    assert the(found, "tag.changed").items() >= (wanted | {"detail": the(found, "tag.changed")["detail"]}).items()


def test_events_tell_observers_nothing_of_where_they_came_from(town):
    town.push("team/app", "v3", text="z")
    town.services.dispatcher("worker").run_due()
    events = town.chief("GET", "/api/v1/events").get_json()["items"]
    assert events
    assert not any({"origin", "address", "user_agent"} & event.keys() for event in events)


def test_pulls_are_counted_by_who_pulled_what(town, log):
    for name in ("bob", "bob", "ann"):
        assert ask(town, "GET", PULLED, town.as_(name)).status_code == 200
    assert ask(town, "HEAD", PULLED, town.as_("bob")).status_code == 200
    blob = ask(town, "GET", PULLED, town.as_("bob")).get_json()["config"]["digest"]
    assert ask(town, "GET", f"/v2/team/app/blobs/{blob}", town.as_("bob")).status_code == 200
    pulls = [record for record in log.new() if record["kind"] == "pull"]
    told = {(one["principal"], one["reference"], one["rule"], one["count"]) for one in pulls}
    assert told == {("bob", "v1", "bob-pulls", 3), ("ann", "v1", "ann-pushes", 1), ("bob", "", "bob-pulls", 1)}
    assert {one["detail"].get("digest", "") for one in pulls} > {""}


def test_a_pull_of_what_is_not_there_is_no_pull(town, log):
    assert ask(town, "GET", "/v2/team/app/manifests/none", town.as_("bob")).status_code == 404
    assert "pull" not in kinds(log.new())


def test_denials_are_counted_with_the_rule_that_denies(town, log):
    town.rule("no-bob", "user:bob", ["team/secret"], actions=["pull"])
    log.new()
    for _ in range(3):
        assert ask(town, "GET", "/v2/team/secret/manifests/v1", town.as_("bob")).status_code == 403
    assert ask(town, "DELETE", "/v2/team/app/manifests/v1", town.as_("bob")).status_code == 403
    assert ask(town, "GET", PULLED, {}).status_code == 401
    found = [record for record in log.new() if record["kind"] == "denied"]
    assert {(one["principal"], one["action"], one["reference"], one["rule"], one["count"]) for one in found} == {
        ("bob", "pull", "v1", "no-bob", 3),
        ("bob", "delete", "v1", "", 1),
        ("anonymous", "pull", "v1", "", 1),
    }
    assert {(one["outcome"], one["address"]) for one in found} == {("denied", "192.0.2.7")}


def test_a_denial_tells_where_the_credential_would_not_do_either(town, log):
    narrow = town.key("ann", "pull:other/*")
    assert ask(town, "GET", PULLED, basic("ann", narrow)).status_code == 403
    assert ask(town, "GET", PULLED, bearer(town.token("ann", "repository:team/else:pull"))).status_code == 401
    told = [one["detail"]["credential"] for one in log.new() if one["kind"] == "denied"]
    assert sorted(told) == ["the key is not for it", "the token is not for it"]


def test_logins_tell_how_and_why_not(town, log):
    key = town.keys["ann"]
    wrong = f"{key[:-1]}{'a' if key[-1] != 'a' else 'b'}"
    assert ask(town, "GET", "/api/v1/whoami", basic("ann", PASSWORD)).status_code == 200
    assert ask(town, "GET", "/api/v1/whoami", basic("ann", key)).status_code == 200
    assert ask(town, "GET", "/api/v1/whoami", bearer(key)).status_code == 200
    assert ask(town, "GET", "/api/v1/whoami", basic("ann", "not it")).status_code == 401
    assert ask(town, "GET", "/api/v1/whoami", basic("ann", wrong)).status_code == 401
    assert ask(town, "GET", "/api/v1/whoami", bearer("e.y.J")).status_code == 401
    assert (
        ask(town, "POST", "/token", {}, data={"grant_type": "refresh_token", "refresh_token": "mr_x"}).status_code
        == 401
    )
    prefix = key.split("_")[1]
    found = {(one["outcome"], one["principal"], one["detail"]["with"], one["count"]) for one in log.new()}
    assert found == {
        ("allowed", "ann", "password", 1),
        ("allowed", "ann", "key", 2),
        ("denied", "ann", "password", 1),
        ("denied", "ann", "key", 1),
        ("denied", "", "token", 1),
        ("denied", "", "refresh token", 1),
    }
    assert {one["detail"].get("key") for one in log.all(kinds=("login",))} >= {prefix}


def test_who_guesses_too_often_is_told_of_as_well(town, log):
    with pytest.raises(TooManyRequests):
        for _ in range(10):
            try:
                town.access.authenticator.login("ann", "guess", CHIEF)
            except TooManyRequests:
                raise
            except Exception:  # noqa: BLE001 - a wrong password
                pass
    whys = {one["detail"]["why"]: one["count"] for one in log.new() if one["outcome"] == "denied"}
    assert whys == {"the user name or password is wrong": 5, "too many wrong credentials came from there": 1}


def test_a_token_tells_what_it_was_given_for(town, log):
    town.token("ann", "repository:team/app:pull,push", "repository:other/x:pull", secret=PASSWORD)
    token = the(log.new(), "token")
    assert (token["principal"], token["detail"]) == (
        "ann",
        {"scopes": ["repository:team/app:pull,push"], "refresh": False},
    )


def test_a_token_of_somebody_disabled_is_told_of(town, log):
    token = town.token("ann", "repository:team/app:pull")
    town.access.principals.change(CHIEF, "ann", PrincipalWish(disabled=True))
    town.settle()
    log.new()
    assert ask(town, "GET", PULLED, bearer(token)).status_code == 401
    (refused,) = log.new()
    assert (refused["kind"], refused["outcome"], refused["principal"]) == ("login", "denied", "ann")


def test_a_change_of_the_policy_is_told_of_with_what_was_before(town, log):
    before = {"to": ["user:bob"], "on": ["team/*"], "role": "pull"}
    after = {**before, "role": "push"}
    town.chief("PUT", "/api/v1/policy/rules/bob-pulls", json={"definition": after})
    (changed,) = log.new()
    assert (changed["kind"], changed["principal"], changed["reference"]) == ("policy.changed", "operator", "bob-pulls")
    assert changed["detail"] == {"definition": after, "previous": before}


def test_a_change_that_is_refused_or_rolled_back_leaves_nothing(town, log):
    rules = {"bad": {"to": ["user:nobody-here"], "on": ["x"], "role": "pull"}}
    answer = town.client.put("/api/v1/policy", json={"rules": rules}, headers=town.as_("bob"))
    assert answer.status_code == 403
    assert town.client.put("/api/v1/policy", json={"rules": rules}, environ_overrides=OPERATOR).status_code == 404
    assert "policy." not in json.dumps(kinds(log.new()))


def test_secrets_are_never_in_it(town, log):
    key = town.keys["ann"]
    answer = ask(town, "GET", "/token?offline_token=1&scope=repository:team/app:pull", basic("ann", PASSWORD))
    token, refresh = answer.get_json()["token"], answer.get_json()["refresh_token"]
    for name, secret in (("ann", key), ("ann", "hunter2-wrong"), (key, "x"), (refresh, PASSWORD), ("ann", refresh)):
        ask(town, "GET", PULLED, basic(name, secret))
    ask(town, "GET", PULLED, bearer(token))
    ask(town, "GET", PULLED, bearer(token[:-4] + "aaaa"))
    ask(town, "POST", "/token", {}, data={"grant_type": "refresh_token", "refresh_token": refresh})
    ask(town, "PATCH", "/api/v1/users/ann", basic("ann", PASSWORD), json={"password": "another secret 1"})
    made = town.chief("POST", "/api/v1/principals/ann/keys", json={"name": "n"}).get_json()
    rotated = town.chief("POST", f"/api/v1/principals/ann/keys/{made['key']['prefix']}/rotate", json={}).get_json()
    log.seal()
    told = log.text()
    secrets = [PASSWORD, "hunter2-wrong", "another secret 1", token, refresh, made["text"], rotated["text"], key]
    secrets += [one.split("_")[2] for one in (key, made["text"], rotated["text"])] + [token.split(".")[2]]
    assert "ann" in told
    assert not [secret for secret in secrets if secret in told or secret[:60] in told]


HOSTILE = [
    "a\nforged",
    "\u202eevil",
    "\x1b[31m",
    "x" * 5000,
    "\ud800",
    "né",
    "'; DROP TABLE audit;--",
    "\u2028",
    "\U000e0001" * 300,
]


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_what_somebody_typed_is_bounded_and_made_printable(town, log, name):
    text = base64.b64encode(f"{name}:x".encode(errors="surrogatepass")).decode()
    agent = name.encode("latin-1", "replace").decode("latin-1").replace("\n", "")
    where = {"HTTP_USER_AGENT": agent, "REMOTE_ADDR": "192.0.2.9"}
    answer = town.client.get("/v2/", headers={"Authorization": f"Basic {text}"}, environ_overrides=where)
    assert answer.status_code == 401
    for record in log.new():
        for value in record.values():
            if isinstance(value, str):
                assert value.isprintable()
                assert len(value) <= 256


def test_a_flood_of_one_client_is_a_few_records(town, log):
    for number in range(3 * notes.MOST_OF_SOURCE):
        ask(town, "GET", f"/v2/guess/app{number}/manifests/v1", {})
    found = [record for record in log.new() if record["kind"] == "denied"]
    assert len(found) == notes.MOST_OF_SOURCE + 1
    assert sum(record["count"] for record in found) == 3 * notes.MOST_OF_SOURCE
    (others,) = (record for record in found if record["detail"].get("others"))
    assert (others["count"], others["address"], others["action"]) == (2 * notes.MOST_OF_SOURCE, "192.0.2.7", "")


def test_a_flood_of_many_clients_is_bounded_too(town, log, monkeypatch):
    monkeypatch.setattr(notes, "MOST", 50)
    for number in range(200):
        where = {"REMOTE_ADDR": f"2001:db8:{number:x}::1"}
        assert town.client.get("/v2/team/app/tags/list", environ_overrides=where).status_code == 401
    found = [record for record in log.new() if record["kind"] == "denied"]
    assert len(found) == 51
    assert sum(record["count"] for record in found) == 200


def test_addresses_of_one_network_are_one_client(town, log):
    for number in range(notes.MOST_OF_SOURCE + 20):
        where = {"REMOTE_ADDR": f"2001:db8::{number + 1:x}"}
        town.client.get("/v2/team/app/tags/list", environ_overrides=where)
    (others,) = (record for record in log.new() if record["detail"].get("others"))
    assert (others["count"], others["address"]) == (20, "2001:db8::/64")


def test_without_authentication_who_asks_is_an_address(folder):
    with world(folder, authentication=False, slow_hashes=True) as made:
        made.push("team/app", "v1")
        assert ask(made, "GET", PULLED, {}).status_code == 200
        pulled = the(Log(made.services).all(), "pull")
    assert (pulled["principal"], pulled["address"], pulled["reference"]) == ("anonymous", "192.0.2.7", "v1")

"""A simulation says what a real replay of the same requests says, once the policy is applied."""

import random

import pytest

from registry.access.principals import PrincipalWish
from registry.audit.chain import shown_time
from tests.support.asking import CHIEF, OPERATOR, basic
from tests.support.auditing import Log

NAMES = ("ann", "bob", "cleo", "")
REPOSITORIES = ("team/app", "team/lib", "other/app")
TAGS = ("v1", "dev", "rel-1")
ADDRESSES = ("192.0.2.7", "10.1.2.3")
DAY = 86_400


@pytest.fixture
def town(registry):
    for name in ("ann", "bob", "cleo"):
        registry.user(name)
    registry.access.teams.create(CHIEF, "builders")
    registry.access.teams.join(CHIEF, "builders", "bob")
    for repository in REPOSITORIES:
        registry.push(repository, *TAGS)
    Log(registry.services).seal()
    return registry


def ask(world, name, method, repository, tag, address, image):
    """Ask for something as it was asked before; returns whether it was allowed."""
    path = f"/v2/{repository}/manifests/{tag}"
    data = {"data": image.data, "content_type": image.media_type} if method == "PUT" else {}
    where = {"REMOTE_ADDR": address}
    answer = world.client.open(path, method=method, headers=world.as_(name), environ_overrides=where, **data)
    assert answer.status_code in (200, 201, 202, 401, 403), answer.text
    if method == "DELETE" and answer.status_code == 202:
        world.push(repository, tag)
    return answer.status_code < 400


def policy(seed):
    """Return a policy made by chance."""
    chance = random.Random(seed)
    rules = {}
    for number in range(8):
        to = chance.choice(["user:ann", "user:bob", "team:builders", "everybody", "anonymous"])
        on = chance.choice(["team/*", "other/app", "*", "team/app"])
        rule = {"to": [to], "on": [on]}
        if chance.random() < 0.3:
            rule |= {"effect": "deny", "actions": chance.sample(["pull", "push", "delete"], 2)}
        else:
            rule["role"] = chance.choice(["pull", "push", "maintain", "admin"])
        if chance.random() < 0.4:
            rule["tags"] = [chance.choice(["v*", "rel-*", "dev"])]
        if chance.random() < 0.3:
            rule["networks"] = ["10.0.0.0/8"]
        if chance.random() < 0.2:
            rule["times"] = [{"days": ["thu"], "from": "08:00", "to": "18:00"}]
        rules[f"rule{number}"] = rule
    return rules


def simulate(world, rules, **more):
    wanted = {"rules": rules, "since": "2020-01-01T00:00:00Z", **more}
    answer = world.client.post("/api/v1/access/simulation", json=wanted, environ_overrides=OPERATOR)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def apply(world, rules):
    world.chief("PUT", "/api/v1/policy", json={"rules": rules})
    world.settle()


@pytest.mark.parametrize("seed", range(12))
def test_it_agrees_with_a_real_replay(town, seed):
    chance = random.Random(seed)
    image = town.push("spare/app", "x")
    requests = [
        (chance.choice(NAMES), chance.choice(["GET", "GET", "PUT", "DELETE"]), chance.choice(REPOSITORIES),
         chance.choice(TAGS), chance.choice(ADDRESSES))
        for _ in range(60)
    ]  # fmt: skip
    for repository in REPOSITORIES:
        for part in image.blobs:
            town.chief("POST", f"/v2/{repository}/blobs/uploads/?digest={part.digest}", data=part.data)
    apply(town, policy(seed))
    log = Log(town.services)
    log.seal()
    town.clock.turn(seconds=60)
    since = town.clock.now
    then = [ask(town, *request, image) for request in requests]
    log.seal()
    until = town.clock.now + 1
    town.clock.turn(seconds=60)
    found = simulate(town, policy(seed + 1000), since=shown_time(since), until=shown_time(until))
    apply(town, policy(seed + 1000))
    now = [ask(town, *request, image) for request in requests]
    told = {
        (one["principal"], one["action"], one["repository"], one["tag"], one["allowed"])
        for one in found["differences"]
        if one["principal"] != "operator"
    }
    actions = {"GET": "pull", "PUT": "push", "DELETE": "delete"}
    expected = {
        (name or "anonymous", actions[method], repository, tag, after)
        for (name, method, repository, tag, _), before, after in zip(requests, then, now, strict=True)
        if before != after
    }
    assert expected
    assert told == expected
    assert found["complete"]
    assert found["gone"] == 0


def test_counts_and_rules_are_told(town):
    image = town.push("team/app", "v1")
    apply(town, {"all-pull": {"to": ["everybody"], "on": ["team/*"], "role": "pull"}})
    for _ in range(3):
        assert ask(town, "ann", "GET", "team/app", "v1", ADDRESSES[0], image)
    assert not ask(town, "bob", "PUT", "team/app", "v1", ADDRESSES[0], image)
    Log(town.services).seal()
    rules = {
        "bob-pushes": {"to": ["user:bob"], "on": ["team/*"], "role": "push"},
        "no-ann": {"to": ["user:ann"], "effect": "deny"},
    }
    found = simulate(town, rules)
    shown = [
        (one["principal"], one["action"], one["tag"], one["allowed"], one["rule"], one["new_rule"], one["count"])
        for one in found["differences"]
    ]
    assert shown == [
        ("ann", "pull", "v1", False, "all-pull", "no-ann", 3),
        ("bob", "push", "v1", True, "", "bob-pushes", 1),
    ]
    assert town.chief("GET", "/api/v1/policy").get_json()["rules"].keys() == {"all-pull"}


def test_the_time_of_then_counts(town):
    image = town.push("team/app", "v1")  # on a Thursday at noon, where the clock of tests stands
    apply(town, {"all": {"to": ["everybody"], "on": ["*"], "role": "pull"}})
    assert ask(town, "ann", "GET", "team/app", "v1", ADDRESSES[0], image)
    Log(town.services).seal()
    town.clock.turn(seconds=2 * DAY)
    rule = {"to": ["everybody"], "on": ["*"], "role": "pull"}
    assert simulate(town, {"all": {**rule, "times": [{"days": ["thu"]}]}})["differences"] == []
    (other,) = simulate(town, {"all": {**rule, "times": [{"days": ["sat"]}]}})["differences"]
    assert (other["principal"], other["allowed"]) == ("ann", False)


def test_what_a_credential_was_not_good_for_stays_refused(town):
    town.rule("ann", "user:ann", ["other/*"], role="pull")
    narrow = town.key("ann", "pull:other/*")
    header = basic("ann", narrow)
    assert town.client.get("/v2/team/app/manifests/v1", headers=header).status_code == 403
    Log(town.services).seal()
    assert simulate(town, {"all": {"to": ["everybody"], "on": ["*"], "role": "admin"}})["differences"] == []


def test_who_is_gone_is_counted_apart(town):
    apply(town, {"all": {"to": ["everybody"], "on": ["*"], "role": "pull"}})
    image = town.push("team/app", "v1")
    ask(town, "ann", "GET", "team/app", "v1", ADDRESSES[0], image)
    ask(town, "bob", "GET", "team/app", "v1", ADDRESSES[0], image)
    Log(town.services).seal()
    town.access.principals.delete(CHIEF, "ann")
    town.access.principals.change(CHIEF, "bob", PrincipalWish(disabled=True))
    found = simulate(town, {})
    assert (found["differences"], found["gone"]) == ([], 2)


def test_it_refuses_what_applying_would_refuse(town):
    for rules, status in (
        ({"x": {"to": ["user:nobody-here"], "role": "pull"}}, 404),
        ({"x": {"to": ["everybody"], "role": "king"}}, 400),
    ):
        for method, path, more in (
            ("POST", "/api/v1/access/simulation", {"since": "2020-01-01T00:00:00Z"}),
            ("PUT", "/api/v1/policy", {}),
        ):
            answer = town.client.open(path, method=method, json={"rules": rules, **more}, environ_overrides=OPERATOR)
            assert answer.status_code == status, answer.text


def test_it_tells_where_it_did_not_look_at_all(town, monkeypatch):
    image = town.push("team/app", "v1")
    apply(town, {"all": {"to": ["everybody"], "on": ["*"], "role": "pull"}})
    for name in ("ann", "bob", "cleo"):
        ask(town, name, "GET", "team/app", "v1", ADDRESSES[0], image)
    Log(town.services).seal()
    monkeypatch.setattr("registry.audit.simulation.MOST_DIFFERENCES", 2)
    found = simulate(town, {})
    assert (len(found["differences"]), found["complete"]) == (2, False)
    monkeypatch.setattr("registry.audit.simulation.MOST_RECORDS", 1)
    assert not simulate(town, {})["complete"]

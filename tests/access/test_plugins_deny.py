"""Denials by plugins: of what the policy allows alone, once a decision and once a page, closed where one fails."""

import threading
from datetime import UTC, datetime

import pytest

from registry.access.actors import Actor
from registry.access.authorizer import AccessRequest, Action
from registry.events.log import EventFilter
from registry.hooks import Denial, Denied
from registry.names import RepositoryName
from registry.testing.images import simple_image
from tests.support.asking import CHIEF, PASSWORD, basic, refusal, world
from tests.support.plugins import made_plugin

IMAGE = simple_image("x")
NAMES = [f"team/app{number:02}" for number in range(30)]
NOT_TODAY = Denial("not today")


class Guard:
    """A plugin that refuses what ``refuses`` holds for, and keeps what it was asked."""

    def __init__(self, name="guard", refuses=lambda one: False):
        self.refuses = refuses
        self.behave = None
        self.asked = []

        def authorize(requests):
            return self.answer(requests)

        self.plugin = made_plugin(name, authorize=authorize)

    def answer(self, requests):
        self.asked.append(requests)
        if self.behave is not None:
            return self.behave(requests)
        return [NOT_TODAY if self.refuses(one) else None for one in requests]


@pytest.fixture
def guard():
    return Guard()


@pytest.fixture
def town(folder, guard):
    with world(folder, with_plugins=[guard.plugin]) as made:
        for name in ("ann", "bob"):
            made.user(name)
        made.rule("ann", "user:ann", role="admin")
        made.rule("open", "anonymous", ["open/*"], role="pull")
        yield made


def manifest(town, who="ann", name="team/app", tag="v1"):
    return town.client.get(f"/v2/{name}/manifests/{tag}", headers=town.as_(who))


def health(town, plugin="guard"):
    (tally,) = [one for one in town.services.hooks.calls.tallies if (one.plugin, one.hook) == (plugin, "authorize")]
    return tally


def test_its_reason_reaches_the_client(town, guard):
    town.push("team/app", "v1")
    guard.refuses = lambda one: one.tag == "v1"
    detail = refusal(manifest(town), 403, "DENIED")
    assert detail == {
        "action": "pull",
        "repository": "team/app",
        "reference": "v1",
        "plugin": "guard",
        "reason": "not today",
    }
    assert manifest(town).json["errors"][0]["message"] == "refused by guard: not today"
    assert manifest(town, tag=IMAGE.digest).status_code == 200


def test_it_is_told_who_wants_what_and_once(town, guard):
    town.push("team/app", "v1")
    town.access.teams.create(CHIEF, "dev")
    town.access.teams.join(CHIEF, "dev", "ann")
    town.settle()
    guard.asked.clear()
    assert manifest(town).status_code == 200
    ((one,),) = guard.asked
    assert (one.principal, one.kind, one.action, one.repository) == ("ann", "user", "pull", "team/app")
    assert (one.reference, one.tag, one.teams, one.address) == ("v1", "v1", ("dev",), "127.0.0.1")
    assert one.time == datetime.fromtimestamp(town.clock.now / 1000, UTC)
    manifest(town, tag=IMAGE.digest)
    assert (guard.asked[1][0].reference, guard.asked[1][0].tag) == (IMAGE.digest, None)
    town.client.get("/api/v1/users", headers=town.as_("ann"))
    assert (guard.asked[2][0].action, guard.asked[2][0].repository) == ("admin", None)


def test_it_is_not_asked_about_what_the_policy_denies_nor_about_insiders(town, guard):
    town.push("team/app", "v1")
    guard.refuses = lambda one: True
    for who in ("bob", ""):
        assert manifest(town, who).status_code in (401, 403)
    assert guard.asked == []
    town.chief("GET", "/v2/team/app/manifests/v1")
    for principal in ("operator", "plugin:guard", "job:collect"):
        town.access.authorizer.require(Actor(principal), Action.PULL, RepositoryName("team/app"))
    assert guard.asked == []


def test_it_grants_nothing(town, guard):
    guard.behave = lambda requests: [None for _ in requests]
    assert manifest(town, "bob").status_code == 403
    assert manifest(town, "").status_code == 401


def test_it_refuses_nobody_in_particular_too(town, guard):
    town.push("open/app", "v1")
    guard.refuses = lambda one: one.kind == "anonymous"
    assert refusal(manifest(town, "", "open/app"), 403, "DENIED")["plugin"] == "guard"
    assert manifest(town, "bob", "open/app").status_code == 200


def test_a_token_is_given_without_what_it_refuses_and_the_reason_is_read_when_it_is_used(town, guard):
    town.push("team/app", "v1")
    guard.refuses = lambda one: one.action == "push" or one.repository == "team/secret"
    scopes = ("repository:team/app:pull,push", "repository:team/secret:*", "registry:catalog:*")
    guard.asked.clear()
    token = town.token("ann", *scopes)
    assert len(guard.asked) == 1
    assert {(one.action, one.repository, one.reference) for one in guard.asked[0]} == {
        ("pull", "team/app", ""),
        ("push", "team/app", ""),
        *((action, "team/secret", "") for action in ("pull", "push", "delete", "admin")),
        ("list", None, ""),
    }
    bearer = {"Authorization": f"Bearer {token}"}
    told = town.client.get("/api/v1/whoami", headers=bearer).json["token_scopes"]
    assert told == ["repository:team/app:pull", "registry:catalog:*"]
    assert town.client.get("/v2/team/app/manifests/v1", headers=bearer).status_code == 200
    refused = town.client.post("/v2/team/app/blobs/uploads/", headers=bearer)
    assert refusal(refused, 403, "DENIED")["reason"] == "not today"


def test_a_token_without_a_scope_is_refused_as_ever(town, guard):
    town.push("team/app", "v1")
    bearer = {"Authorization": f"Bearer {town.token('ann', 'repository:team/other:pull')}"}
    answer = town.client.get("/v2/team/app/manifests/v1", headers=bearer)
    assert answer.status_code == 401
    assert "insufficient_scope" in answer.headers["WWW-Authenticate"]


def test_what_it_does_not_refuse_to_be_pulled_holds_for_half_a_second(town, guard, monkeypatch):
    town.push("team/app", "v1")
    now = [1000.0]
    monkeypatch.setattr("registry.access.denying.time.monotonic", lambda: now[0])
    guard.asked.clear()
    for _ in range(3):
        assert manifest(town).status_code == 200
    assert len(guard.asked) == 1
    assert manifest(town, tag=IMAGE.digest).status_code == 200, "something else is asked about"
    assert len(guard.asked) == 2
    guard.refuses = lambda one: True
    assert manifest(town).status_code == 200
    now[0] += 0.51
    for _ in range(2):
        assert manifest(town).status_code == 403
    assert len(guard.asked) == 4, "a refusal is asked about each time"
    guard.refuses = lambda one: False
    for _ in range(2):
        guard.asked.clear()
        town.client.post("/v2/team/app/blobs/uploads/", headers=town.as_("ann"))
        assert [request.action for (request,) in guard.asked] == ["push"]


def listed(town, path="/v2/_catalog?n=10"):
    """Return the pages of a list."""
    pages = []
    while path:
        answer = town.client.get(path, headers=town.as_("ann"))
        assert answer.status_code == 200, answer.text
        pages.append(answer.json["repositories"])
        path = answer.headers.get("Link", "").partition(">")[0].lstrip("<").removeprefix("http://localhost")
    return pages


def sizes(guard):
    """Return how much it was asked about each time, but for whether there may be a list at all."""
    return [len(requests) for requests in guard.asked if requests[0].repository is not None]


def test_a_list_asks_once_a_page_and_fills_it_up(town, guard):
    for name in NAMES:
        town.push(name)
    guard.refuses = lambda one: one.action == "list" and one.repository is not None and int(one.repository[-2:]) % 3 > 0
    guard.asked.clear()
    pages = listed(town)
    assert pages == [NAMES[::3]]
    assert sizes(guard) == [11, 11, 8]
    guard.refuses = lambda one: False
    guard.asked.clear()
    assert listed(town) == [NAMES[:10], NAMES[10:20], NAMES[20:]]
    assert sizes(guard) == [11, 11, 10]


def test_every_list_is_narrowed(town, guard):
    for name in NAMES[:4]:
        town.push(name)
    guard.refuses = lambda one: one.repository == NAMES[1]
    town.services.dispatcher("worker").run_due()
    found = town.services.events.list(Actor("ann", "127.0.0.1"), 0, 500, EventFilter()).items
    assert {event.repository for event in found} == {NAMES[0], NAMES[2], NAMES[3]}
    rows = town.client.get("/api/v1/repositories", headers=town.as_("ann")).json["items"]
    assert [row["name"] for row in rows] == [NAMES[0], NAMES[2], NAMES[3]]


def test_all_that_one_plugin_refuses_another_is_not_asked_about(folder):
    first = Guard("first", lambda one: one.repository == "team/app00")
    second = Guard("second", lambda one: one.repository == "team/app01")
    with world(folder, with_plugins=[first.plugin, second.plugin]) as town:
        town.user("ann")
        town.rule("all", "user:ann", role="pull")
        asked = [AccessRequest(Actor("ann"), Action.PULL, RepositoryName(name)) for name in NAMES[:3]]
        decisions = town.access.authorizer.authorize(asked)
        assert [(one.allowed, one.plugin) for one in decisions] == [(False, "first"), (False, "second"), (True, "")]
        assert [len(requests) for requests in (*first.asked, *second.asked)] == [3, 2]
        second.asked.clear()
        town.access.authorizer.authorize(asked[:1])
        assert second.asked == []


def too_few(requests):
    return [None] * (len(requests) - 1)


def too_many(requests):
    return [None] * (len(requests) + 1)


def spoils(requests):
    object.__setattr__(requests[0], "nothing", 1)


def spoils_the_list(requests):
    requests.append(None)


def recurses(requests):
    return recurses(requests)


def exits(requests):
    raise SystemExit(3)


def half(requests):
    yield None


BAD = {
    "raises": lambda requests: 1 / 0,
    "refuses by raising": lambda requests: (_ for _ in ()).throw(Denied("no")),
    "exits": exits,
    "recurses": recurses,
    "spoils": spoils,
    "spoils the list": spoils_the_list,
    "true": lambda requests: True,
    "a text": lambda requests: "no",
    "booleans": lambda requests: [False for _ in requests],
    "reasons": lambda requests: ["no" for _ in requests],
    "no text": lambda requests: [Denial(None) for _ in requests],
    "too few": too_few,
    "too many": too_many,
    "a generator": half,
}


@pytest.mark.parametrize("way", BAD)
def test_what_is_no_answer_refuses_by_its_name(town, guard, way):
    town.push("team/app", "v1")
    guard.behave = BAD[way]
    answer = manifest(town)
    assert refusal(answer, 403, "DENIED")["plugin"] == "guard"
    assert "the plugin guard failed: the registry's log says how" in answer.json["errors"][0]["message"]
    assert health(town).failures == 1
    catalog = town.client.get("/v2/_catalog", headers=town.as_("ann"))
    assert refusal(catalog, 403, "DENIED")["plugin"] == "guard", "an empty list would mislead"
    guard.behave = None
    assert manifest(town).status_code == 200


def test_a_list_fails_closed_in_the_middle(town, guard):
    for name in NAMES[:3]:
        town.push(name)
    guard.behave = lambda requests: 1 / 0 if requests[0].repository else None
    assert refusal(town.client.get("/v2/_catalog", headers=town.as_("ann")), 403, "DENIED")["plugin"] == "guard"


def test_one_that_hangs_refuses_and_is_switched_off(folder):
    released = threading.Event()
    guard = Guard()
    guard.behave = lambda requests: released.wait(30)
    with world(folder, with_plugins=[guard.plugin], hook_deadline=0.05) as town:
        town.user("ann")
        town.rule("ann", "user:ann", role="admin")
        town.push("team/app", "v1")
        try:
            for _ in range(5):
                assert refusal(manifest(town), 403, "DENIED")["plugin"] == "guard"
            assert "4 of its threads hang" in town.services.hooks.calls.guards["guard"].off
        finally:
            released.set()


def test_none_refuses_nothing(town, guard):
    town.push("team/app", "v1")
    guard.behave = lambda requests: None
    assert manifest(town).status_code == 200


def test_one_that_is_blocked_does_not_apply(town, guard):
    town.push("team/app", "v1")
    guard.refuses = lambda one: True
    assert manifest(town).status_code == 403
    town.services.plugin_blocks.block(CHIEF, "guard", "it refuses everything")
    assert manifest(town).status_code == 200


def test_it_is_explained(town, guard):
    town.push("team/app", "v1")
    guard.refuses = lambda one: one.tag == "v1" or one.action == "list"

    def told(principal, action, repository="team/app", reference=""):
        query = {"principal": principal, "action": action, "repository": repository, "reference": reference}
        return town.client.get("/api/v1/access/explanation", query_string=query, headers=town.as_("ann")).json

    found = told("ann", "pull", reference="v1")
    assert (found["allowed"], found["plugin"], found["rule"]) == (False, "guard", "")
    assert found["reason"] == "plugin guard says: not today"
    assert told("ann", "list")["plugin"] == "guard"
    assert told("ann", "pull", reference="v2")["rule"] == "ann"
    assert (told("bob", "pull", reference="v1")["plugin"], told("bob", "pull")["allowed"]) == ("", False)
    guard.behave = lambda requests: 1 / 0 if requests[0].action == "pull" else None
    assert told("ann", "pull")["reason"] == "plugin guard failed: the registry's log says how"


def test_without_authentication_it_refuses_as_well(folder, guard):
    from registry.testing.apps import running_app

    guard.refuses = lambda one: one.action == "push"
    with running_app(folder, with_plugins=[guard.plugin]) as app:
        client = app.test_client()
        answer = client.post("/v2/team/app/blobs/uploads/")
        assert answer.status_code == 403
        assert answer.json["errors"][0]["message"] == "refused by guard: not today"
        assert client.get("/v2/_catalog").json == {"repositories": []}
        assert {(one.principal, one.kind) for requests in guard.asked for one in requests} == {
            ("anonymous", "anonymous")
        }


def test_it_is_asked_outside_of_transactions(folder):
    """A plugin that writes when it is asked would wait for ever in a transaction that writes."""
    guard = Guard()
    with world(folder, with_plugins=[guard.plugin]) as town:

        def writes(requests):
            town.services.contexts("guard").store.put("asked", len(requests))

        guard.behave = writes
        town.user("ann")
        town.user("eve", PASSWORD)
        town.rule("ann", "user:ann", role="admin")
        ann, client = town.as_("ann"), town.client
        blob = IMAGE.blobs[0]
        for method, path, more in (
            ("POST", f"/v2/team/app/blobs/uploads/?digest={blob.digest}", {"data": blob.data}),
            *(
                ("POST", f"/v2/team/app/blobs/uploads/?digest={one.digest}", {"data": one.data})
                for one in IMAGE.blobs[1:]
            ),
            ("POST", f"/v2/team/other/blobs/uploads/?mount={blob.digest}&from=team/app", {}),
            ("PUT", "/v2/team/app/manifests/v1", {"data": IMAGE.data, "content_type": IMAGE.media_type}),
            ("HEAD", f"/v2/team/app/blobs/{blob.digest}", {}),
            ("GET", "/v2/team/app/manifests/v1", {}),
            ("GET", "/v2/_catalog", {}),
            ("GET", "/api/v1/repositories", {}),
            ("PATCH", "/api/v1/repositories/team/app", {"json": {"description": "x"}}),
            ("PATCH", "/api/v1/users/eve", {"json": {"description": "x"}}),
            ("PUT", "/api/v1/policy", {"json": {"rules": {"ann": {"to": ["user:ann"], "role": "admin"}}}}),
            ("GET", "/api/v1/events", {}),
            ("DELETE", "/v2/team/app/manifests/v1", {}),
            ("DELETE", "/api/v1/repositories/team/app", {}),
        ):
            answer = client.open(path, method=method, headers=ann, **more)
            assert answer.status_code < 400, (method, path, answer.text)
        assert client.get("/token?scope=repository:team/app:pull", headers=basic("eve", PASSWORD)).status_code == 200


def test_a_change_of_the_policy_in_between_asks_the_policy_alone(town, guard):
    """The question is asked again in the transaction; a plugin that answered is not."""
    seen = []
    original = town.services.database.confirm

    def confirm(connection):
        seen.append(len(guard.asked))
        original(connection)
        assert len(guard.asked) == seen[-1]

    town.services.database.confirm = confirm
    guard.behave = lambda requests: town.rule(f"r{len(guard.asked)}", "user:bob", role="pull")
    assert town.client.post("/v2/team/app/blobs/uploads/", headers=town.as_("ann")).status_code == 202
    assert seen

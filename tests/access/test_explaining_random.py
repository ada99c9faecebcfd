"""What is explained is what happens, whatever the rules and the request: both asked over HTTP."""

import json
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.access.actions import ACTIONS_OF, Action, Role
from registry.testing.images import simple_image
from tests.support.asking import CHIEF, OPERATOR, basic
from tests.support.scale import hang_guard, scaled

IMAGE = simple_image("x")
NAMES = ("team/app", "team/lib", "open/app", "a/b/c")
TAGS = ("v1", "prod-1")
WHO = ("", "ann", "bob", "team+ci")
SUBJECTS = ("user:ann", "user:bob", "robot:team+ci", "team:dev", "team:ops", "everybody", "anonymous")
PATTERNS = ("*", "team/*", "team/app", "*/app", "a/*", "[to]*", "re:team/(app|lib)", "open/app", "?/b/*")
ADDRESSES = ("127.0.0.1", "10.1.2.3", "2001:db8::7", "::ffff:10.9.9.9")
WINDOWS = (
    {"days": ["mon", "tue", "wed"]},
    {"from": "08:00", "to": "17:30", "zone": "Europe/Berlin"},
    {"days": ["fri", "sat", "sun"], "from": "22:00", "to": "06:00"},
)
SCOPES = {
    "": (),
    "pulls": (("pull", None),),
    "team": (("push", "team/*"),),
    "maintains": (("maintain", "team/app"), ("pull", "open/*")),
    "all": (("admin", None),),
}
"""Scopes of keys, by the names of the keys: a role, and the start of the repositories or None for all."""
OF_TAGS = (Action.PULL, Action.PUSH, Action.DELETE)

patterns = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2)
mostly = st.lists(st.sampled_from(["*"] * 6 + list(PATTERNS)), min_size=1, max_size=2)


def often(strategies):
    """Return one of several strategies, as often as it is among them."""
    return st.sampled_from(strategies).flatmap(lambda one: one)


plain = {
    "to": st.lists(st.sampled_from(SUBJECTS), min_size=2, max_size=5, unique=True),
    "on": mostly
    | st.fixed_dictionaries({"include": st.just(["*"]), "exclude": patterns})
    | st.fixed_dictionaries({"include": patterns, "exclude": patterns}),
}
conditions = {
    "tags": st.lists(st.sampled_from(["v*", "prod-*", "re:.*-[0-9]"]), min_size=1, max_size=2),
    "networks": st.lists(st.sampled_from(["10.0.0.0/8", "127.0.0.1", "2001:db8::/32"]), min_size=1, max_size=2),
    "times": st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2),
}
rules = often(
    [st.fixed_dictionaries(plain)] * 3
    + [st.fixed_dictionaries({**plain, "tags": conditions["tags"]})] * 3
    + [st.fixed_dictionaries({**plain, name: conditions[name]}) for name in ("networks", "times")]
    + [st.fixed_dictionaries(plain, optional=conditions)]
)
roles = st.sampled_from([*Role, *[Role.PUSH, Role.MAINTAIN, Role.ADMIN] * 4])
allowing = st.builds(lambda rule, role: {**rule, "role": role.value}, rules, roles)
denying = st.builds(
    lambda rule, actions: {**rule, "effect": "deny", **({"actions": actions} if actions else {})},
    rules,
    st.lists(st.sampled_from([one.value for one in Action]), max_size=2, unique=True),
)
policies = st.lists(often([allowing] * 6 + [denying]), min_size=1, max_size=4)


@dataclass(frozen=True)
class Request:
    """What somebody asks for: ``key`` is the one of their keys that they use, ``reference`` a tag or empty."""

    who: str
    key: str
    action: Action
    repository: str | None
    reference: str
    address: str
    later_ms: int


requests = st.builds(
    Request,
    st.sampled_from(WHO),
    st.sampled_from([""] * 4 + sorted(SCOPES)),
    st.sampled_from(Action),
    st.sampled_from([*NAMES, *NAMES, None]),
    st.sampled_from(["", *TAGS]),
    st.sampled_from(ADDRESSES),
    st.integers(0, 2 * 86_400_000),
).map(lambda one: one if one.repository or one.action in (Action.LIST, Action.ADMIN) else whole(one))


def whole(request):
    """Return a request about the registry as a whole: there is only to list, and to administer."""
    return Request(request.who, request.key, Action.ADMIN, None, "", request.address, request.later_ms)


@pytest.fixture(scope="module")
def town(shared):
    """Give a registry with content, and a key of each kind of scopes for everybody."""
    for name in ("ann", "bob"):
        shared.user(name)
    shared.robot("team", "ci")
    for team, names in (("dev", ("ann", "team+ci")), ("ops", ("bob",))):
        shared.access.teams.create(CHIEF, team)
        for name in names:
            shared.access.teams.join(CHIEF, team, name)
    shared.scoped = {
        (who, kind): shared.key(who, *(role if start is None else f"{role}:{start}" for role, start in scopes))
        for who in WHO
        if who
        for kind, scopes in SCOPES.items()
    }
    for name in NAMES:
        shared.push(name, *TAGS)
    return shared


def within(scopes, action, repository):
    """Tell whether a key is good for something, by looking at each of its scopes."""
    if not scopes:
        return True
    for role, pattern in scopes:
        start = None if pattern is None else pattern.rstrip("*")
        fits = pattern is None or (
            repository is not None and (repository.startswith(start) if pattern.endswith("*") else repository == start)
        )
        if fits and action in ACTIONS_OF[Role(role)]:
            return True
    return False


def happens(town, request):
    """Do it, and tell whether it was allowed."""
    name, reference = request.repository, request.reference or IMAGE.digest
    headers = basic(request.who, town.scoped[request.who, request.key]) if request.who else {}
    manifest = f"/v2/{name}/manifests/{reference}"
    method, path, more = {
        Action.PULL: ("GET", manifest, {}),
        Action.PUSH: ("PUT", manifest, {"data": IMAGE.data, "content_type": IMAGE.media_type}),
        Action.DELETE: ("DELETE", manifest, {}),
        Action.LIST: ("GET", "/v2/_catalog" if name is None else f"/api/v1/rules?repository={name}", {}),
        Action.ADMIN: ("GET", "/api/v1/users", {})
        if name is None
        else ("PATCH", f"/api/v1/repositories/{name}", {"json": {"description": "tried"}}),
    }[request.action]
    answer = town.client.open(
        path, method=method, headers=headers, environ_overrides={"REMOTE_ADDR": request.address}, **more
    )
    assert answer.status_code < 500, answer.text
    allowed = answer.status_code not in (401, 403)
    assert not allowed or answer.status_code < 300, (request, answer.text)
    if allowed and request.action is Action.DELETE:
        town.push(name, *TAGS)
    if allowed and request.action is Action.LIST and name is None:
        seen = set(answer.json["repositories"])
        for one in NAMES:
            told = explained(town, request, Action.LIST, one)
            good = within(SCOPES[request.key] if request.who else (), Action.LIST, one)
            assert (one in seen) == (told["allowed"] and good), (one, told)
    return allowed


def explained(town, request, action, repository, reference=""):
    """Ask why, as who administers the registry."""
    query = {"principal": request.who or "anonymous", "action": action.value, "address": request.address}
    more = {"repository": repository, "reference": reference} if repository else {}
    answer = town.client.get("/api/v1/access/explanation", query_string={**query, **more}, environ_overrides=OPERATOR)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.data)


def run(town, count):
    """Compare so many pairs of rules and a request; return how many were allowed, and denied."""
    seen = {True: 0, False: 0}

    @settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
    )
    @given(policies, requests)
    def compare(definitions, request):
        town.clock.now += request.later_ms
        town.access.policies.replace(
            CHIEF, {f"rule{number}": one for number, one in enumerate(definitions)}, dry_run=False
        )
        town.settle()
        reference = request.reference if request.action in OF_TAGS else ""
        told = explained(town, request, request.action, request.repository, reference)
        good = within(SCOPES[request.key] if request.who else (), request.action, request.repository)
        assert happens(town, request) == (told["allowed"] and good), told
        assert told["rule"] == "" or told["rule"] in {f"rule{number}" for number in range(len(definitions))}
        seen[told["allowed"] and good] += 1

    compare()
    return seen


def test_it_agrees_with_what_happens_whatever_the_rules(town):
    seen = run(town, scaled(2000))
    assert all(seen.values())


@pytest.mark.needs_tools
@pytest.mark.soak
@pytest.mark.timeout(hang_guard(600))
def test_it_agrees_with_what_happens_in_two_thousand_pairs(town, figure):
    seen = run(town, scaled(2000))
    figure(
        f"{sum(seen.values())} pairs of rules and a request, {seen[True]} allowed and {seen[False]} denied, all agree"
    )

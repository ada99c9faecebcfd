"""Lists hold what an actor may see, whole pages of it, on each database."""

import pytest

from registry.access.actions import Action
from registry.access.actors import OPERATOR, Actor, Proof
from registry.access.reach import AT_ONCE
from registry.errors import Unauthorized
from registry.events.log import EventFilter
from registry.names import RepositoryName
from registry.repositories.listing import Selection
from registry.revisions import Condition
from registry.testing.images import simple_image

OPER = Actor(OPERATOR)
IMAGE = simple_image("app")
NAMES = sorted(
    [f"{space}/app{number}" for space in ("alpha", "beta", "gamma") for number in (1, 2, 3, 4, 10, 11)]
    + ["alone", "alpha/deep/one", "alpha/deep/two", "beta0/x", "be-ta/x"]
)
RULES = {
    "names": {"to": ["user:names"], "on": ["alone", "alpha/app3", "beta/app11", "not/there"], "role": "pull"},
    "space": {"to": ["user:space"], "on": ["beta/*", "alpha/deep/*"], "role": "push"},
    "globs": {"to": ["user:globs"], "on": ["alpha/app1*", "re:gamma/app[2-4]"], "role": "pull"},
    "most": {"to": ["user:most"], "on": {"include": ["*"], "exclude": ["alpha/*"]}, "role": "pull"},
    "all": {"to": ["user:all"], "on": ["*"], "role": "pull"},
    "but": {"effect": "deny", "to": ["user:all"], "on": ["gamma/*", "alone"]},
    "many": {"to": ["user:many"], "on": [f"gamma/app{number}" for number in range(60)], "role": "pull"},
    "open": {"to": ["anonymous"], "on": ["beta/app1"], "role": "pull"},
}
EXPECTED = {
    "names": {"alone", "alpha/app3", "beta/app11"},
    "space": {name for name in NAMES if name.startswith(("beta/", "alpha/deep/"))},
    "globs": {"alpha/app1", "alpha/app10", "alpha/app11", "gamma/app2", "gamma/app3", "gamma/app4"},
    "most": {name for name in NAMES if not name.startswith("alpha/")},
    "all": {name for name in NAMES if not name.startswith("gamma/") and name != "alone"},
    "many": {name for name in NAMES if name.startswith("gamma/")},
    "nothing": set(),
}


@pytest.fixture
def house(start, monkeypatch):
    monkeypatch.setattr("registry.access.reach.AT_ONCE", 7)  # several pieces
    monkeypatch.setattr("registry.access.standing.FRESH_SECONDS", 0.0)
    direct = start(authentication=True)
    direct.actor = OPER
    access = direct.services.access
    for name in EXPECTED:
        access.principals.add_user(OPER, name, password=None)
    for name, definition in RULES.items():
        access.policies.create(OPER, name, definition)
    for name in NAMES:
        direct.repository = RepositoryName.parse(name)
        direct.push(IMAGE, "v1")
    direct.services.dispatcher("worker").run_due()
    return direct


def user(house, name):
    row = house.services.access.principals.show(OPER, name)
    return Actor(name, proof=Proof(row.id, row.valid_from_ms))


def pages(fetch, first, key):
    found, last = [], first
    while True:
        page = fetch(last)
        found += page.items
        if not page.more:
            return found
        last = key(page.items[-1])


def assert_lists(services, actor, expected, limit):
    assert pages(lambda last: services.repositories.catalog(actor, limit, last), "", str) == expected
    rows = pages(
        lambda last: services.listing.list(actor, Selection(), limit, last), ("", 0), lambda row: (row.name, row.id)
    )
    assert [row.name for row in rows] == expected
    events = pages(lambda last: services.events.list(actor, last, limit, EventFilter()), 0, lambda one: one.position)
    assert sorted({event.repository for event in events}) == expected


def test_each_list_holds_what_may_be_seen_in_whole_pages(house):
    services = house.services
    for name, named in EXPECTED.items():
        actor = user(house, name)
        expected = sorted(named | {"beta/app1"})  # everybody may
        for limit in (1, 4, 100):
            assert_lists(services, actor, expected, limit)
        inside = services.listing.list(actor, Selection(namespace="beta"), 100, ("", 0)).items
        assert [row.name for row in inside] == [one for one in expected if one.startswith("beta/")], name
        prefixed = services.listing.list(actor, Selection(prefix="alpha/a"), 100, ("", 0)).items
        assert [row.name for row in prefixed] == [one for one in expected if one.startswith("alpha/a")], name


def test_who_has_no_credentials_sees_what_is_open_to_all_and_is_asked_for_them_where_nothing_is(house):
    services = house.services
    assert services.repositories.catalog(Actor(), 100, "").items == ["beta/app1"]
    services.access.policies.delete(OPER, "open", Condition())
    with pytest.raises(Unauthorized):
        services.repositories.catalog(Actor(), 100, "")


def test_a_long_reach_is_cut_into_pieces(house):
    assert len(NAMES) < AT_ONCE
    reach = house.services.access.authorizer.reach(user(house, "many"), Action.LIST)
    assert len(list(reach.pieces(""))) > 5

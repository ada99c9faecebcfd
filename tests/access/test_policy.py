"""The policy, compared with one that looks at every rule."""

import fnmatch
import re
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.access.actions import ACTIONS_OF, Action, Role
from registry.access.actors import Actor
from registry.access.policy import ANYBODY, Policy
from registry.access.reach import AT_ONCE, Reach
from registry.access.rules import EVERYBODY, Circumstances, parse_policy_rule
from registry.access.standing import Standing

USERS, TEAMS = ("ann", "bob", "eve"), ("dev", "ops")
MEMBERS = {"ann": ["dev"], "bob": ["dev", "ops"], "a+ci": ["ops"]}
SUBJECTS = ("user:ann", "user:bob", "robot:a+ci", "team:dev", "team:ops", "everybody", "anonymous", "plugin:x")
NAMES = ("a", "a/b", "a/b/c", "a/bc", "ab", "b", "b/a", "b.c/d", "team-x/app", "a-b/c")
PATTERNS = (
    "*",
    "a",
    "a/*",
    "a/b",
    "a/b/*",
    "a*",
    "*b",
    "?",
    "[ab]/*",
    "[!a]*",
    "b.c/*",
    "a/?",
    "re:a/.*",
    "re:[^/]+",
    "team-?/*",
    "**",
    "*/*",
)
TAGS = (None, "v1", "v2", "latest", "dev-1")
TAG_PATTERNS = ("v*", "latest", "*", "re:dev-[0-9]+", "[lv]*")
NETWORKS = ("10.0.0.0/8", "192.168.1.7", "2001:db8::/32", "0.0.0.0/0")
ADDRESSES = ("10.1.2.3", "192.168.1.7", "192.168.1.8", "2001:db8::1", "::ffff:10.9.9.9", "", "nonsense", "fe80::1%eth0")
WINDOWS = (
    {"days": ["mon", "tue"], "from": "08:00", "to": "17:30"},
    {"from": "22:00", "to": "06:00", "zone": "Europe/Berlin"},
    {"days": ["thu"]},
    {"days": ["sun"], "from": "12:00", "zone": "America/New_York"},
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NOON = 1_709_208_000_000

patterns = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)
definitions = st.fixed_dictionaries(
    {
        "to": st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3),
        "on": patterns
        | st.fixed_dictionaries({"include": patterns, "exclude": st.lists(st.sampled_from(PATTERNS[1:]), max_size=2)}),
    },
    optional={
        "tags": st.lists(st.sampled_from(TAG_PATTERNS), min_size=1, max_size=2),
        "networks": st.lists(st.sampled_from(NETWORKS), min_size=1, max_size=2),
        "times": st.lists(st.sampled_from(WINDOWS), min_size=1, max_size=2),
    },
)
allowing = st.builds(
    lambda rule, role: {**rule, "role": role}, definitions, st.sampled_from([str(one) for one in Role])
)
denying = st.builds(
    lambda rule, actions: {**rule, "effect": "deny", **({"actions": actions} if actions else {})},
    definitions,
    st.lists(st.sampled_from([str(one) for one in Action]), max_size=2),
)
policies = st.lists(allowing | allowing | denying, max_size=6)
principals = st.sampled_from([*USERS, "a+ci", "anonymous", "plugin:x"])
requests = st.tuples(
    principals,
    st.sampled_from(list(Action)),
    st.sampled_from([None, *NAMES]),
    st.builds(
        Circumstances,
        st.sampled_from(TAGS),
        st.sampled_from(ADDRESSES),
        st.integers(NOON, NOON + 14 * 86_400_000),
    ),
)


def glob(pattern, name):
    if pattern.startswith("re:"):
        return re.fullmatch(pattern[3:], name) is not None
    return fnmatch.fnmatchcase(name, pattern)


def speaks_to(definition, who, denies):
    return any(
        (subject == "anonymous" and (who == "anonymous" or (not denies and who != "plugin:x")))
        or (subject == "everybody" and who not in ("anonymous", "plugin:x"))
        or subject == (who if who.startswith("plugin:") else f"{'robot' if '+' in who else 'user'}:{who}")
        or (subject.startswith("team:") and subject[5:] in MEMBERS.get(who, ()))
        for subject in definition["to"]
    )


def about(definition, name, denies):
    on = definition["on"]
    include, exclude = (on["include"], on["exclude"]) if isinstance(on, dict) else (on, [])
    if name is None:
        return "*" in include and (denies or not exclude)
    return any(glob(one, name) for one in include) and not any(glob(one, name) for one in exclude)


def tagged(definition, action, tag, denies):
    if "tags" not in definition:
        return True
    if tag is not None:
        return any(glob(one, tag) for one in definition["tags"])
    return action is Action.DELETE if denies else action in (Action.PULL, Action.LIST, Action.PUSH)


def from_there(definition, address):
    if "networks" not in definition:
        return True
    try:
        found = ip_address(address.split("%")[0])
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in ip_network(one) for one in definition["networks"])


def at_that_time(definition, now_ms):
    def within(window):
        local = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(ZoneInfo(window.get("zone", "UTC")))
        minutes = local.hour * 60 + local.minute
        start, end = (
            int(text[:2]) * 60 + int(text[3:]) for text in (window.get("from", "00:00"), window.get("to", "24:00"))
        )
        days = window.get("days", DAYS)
        today, yesterday = DAYS[local.weekday()], DAYS[local.weekday() - 1]
        if start < end:
            return today in days and start <= minutes < end
        return (today in days and minutes >= start) or (yesterday in days and minutes < end)

    return "times" not in definition or any(within(window) for window in definition["times"])


def naive(policy, who, action, name, circumstances):
    """Decide by looking at each rule."""
    allowed = False
    for definition in policy:
        denies = "effect" in definition or definition["role"] == "none"
        if denies:
            actions = set(map(Action, definition.get("actions", Action)))
            actions |= {Action.LIST} if Action.PULL in actions else set()
        else:
            actions = ACTIONS_OF[Role(definition["role"])]
        if (
            action in actions
            and speaks_to(definition, who, denies)
            and about(definition, name, denies)
            and tagged(definition, action, circumstances.tag, denies)
            and from_there(definition, circumstances.address)
            and at_that_time(definition, circumstances.now_ms)
        ):
            if denies:
                return False
            allowed = True
    return allowed


def built(policy):
    return Policy(parse_policy_rule(f"rule-{number}", definition) for number, definition in enumerate(policy))


def subjects_of(policy, who):
    return Standing(1, policy, MEMBERS).subjects(Actor(who))


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
FEWER = settings(max_examples=80, **QUIET)


@settings(max_examples=250, **QUIET)
@given(policies, st.lists(requests, min_size=8, max_size=8))
def test_it_decides_as_one_that_looks_at_every_rule(definitions, asked):
    policy = built(definitions)
    for who, action, name, circumstances in asked:
        verdict = policy.decide(subjects_of(policy, who), action, name, circumstances)
        assert verdict.allowed == naive(definitions, who, action, name, circumstances)
        assert verdict.rule is not None or not verdict.allowed


@FEWER
@given(policies, principals, st.sampled_from(list(Action)), st.sampled_from(TAGS), st.sampled_from(ADDRESSES))
def test_the_reach_holds_all_that_is_allowed(definitions, who, action, tag, address):
    policy = built(definitions)
    subjects = subjects_of(policy, who)
    reach = policy.reach(subjects, action)
    for name in NAMES:
        if policy.decide(subjects, action, name, Circumstances(tag, address, NOON)).allowed:
            assert reach.holds(name)
            assert not reach.empty
            if not reach.everything:
                assert name in list(listed(reach, NAMES, ""))


def listed(reach, names, last):
    """Return what the stretches of a reach find among names, as a list asks the database for them."""
    for stretch in reach.since(last):
        assert len(stretch.names) <= AT_ONCE
        assert bool(stretch.names) != bool(stretch.behind)
        within = (name in stretch.names or stretch.first <= name < stretch.behind for name in sorted(names))
        yield from (name for name, inside in zip(sorted(names), within, strict=True) if inside and name > last)


letters = st.text(alphabet="ab/.-0", min_size=1, max_size=5)


@FEWER
@given(
    st.sets(letters, max_size=30), st.sets(letters, max_size=12), st.sets(letters, max_size=60), letters | st.just("")
)
def test_the_stretches_are_all_names_in_order_and_each_once(exact, starts, names, last):
    reach = Reach.of(exact, starts)
    expected = [
        name
        for name in sorted(names)
        if name > last and (name in exact or any(name.startswith(start) for start in starts))
    ]
    assert list(listed(reach, names, last)) == expected
    assert all(reach.holds(name) for name in expected)


def test_a_reach_of_many_is_cut_into_stretches():
    names = [f"team-{number:04}/app" for number in range(2 * AT_ONCE)]
    reach = Reach.of(names[: AT_ONCE + 10], [f"team-{number:04}/" for number in range(AT_ONCE + 10, 2 * AT_ONCE)])
    assert [len(stretch.names) for stretch in reach.since("")] == [AT_ONCE, 10, *(AT_ONCE - 10) * [0]]
    assert list(listed(reach, names, "")) == names
    assert list(listed(reach, names, names[AT_ONCE + 20])) == names[AT_ONCE + 21 :]
    assert len(reach.since(names[AT_ONCE + 20])) == AT_ONCE - 20


@pytest.mark.parametrize(
    ("action", "tag", "allowed"),
    [
        ("pull", None, True),
        ("push", None, True),
        ("delete", None, False),  # by its digest: all tags of it would go
        ("delete", "dev-1", True),
        ("delete", "prod-1", False),
        ("admin", None, False),
    ],
)
def test_a_role_for_some_tags_is_none_for_all(action, tag, allowed):
    definition = {"to": ["everybody"], "on": ["*"], "role": "admin", "tags": ["dev-*"]}
    policy = built([definition])
    circumstances = Circumstances(tag, "", NOON)
    for name in ("team/app", None):
        if name is not None or action == "admin":
            assert policy.decide([EVERYBODY, ANYBODY], Action(action), name, circumstances).allowed == allowed


@pytest.mark.parametrize(("tag", "allowed"), [(None, False), ("prod-1", False), ("dev-1", True)])
def test_tags_that_may_not_be_deleted_do_not_go_with_their_manifest(tag, allowed):
    policy = built(
        [
            {"to": ["everybody"], "on": ["*"], "role": "admin"},
            {"to": ["everybody"], "on": ["*"], "effect": "deny", "actions": ["delete"], "tags": ["prod-*"]},
        ]
    )
    assert policy.decide([EVERYBODY], Action.DELETE, "a/b", Circumstances(tag, "", NOON)).allowed == allowed
    assert policy.decide([EVERYBODY], Action.ADMIN, None, Circumstances(None, "", NOON)).allowed
    assert policy.decide([EVERYBODY], Action.PUSH, "a/b", Circumstances(None, "", NOON)).allowed

"""What rules of retention say and decide, without a database."""

import random

import pytest

from registry.errors import RuleInvalid
from registry.retention.decision import Facts, Fate, Judge
from registry.retention.definition import About, parse_rule

DAY = 86_400_000
NOW = 1_000 * DAY


def decide(rules, facts, about=About.TAGS):
    judge = Judge([parse_rule(name, {"for": about.value, **rule}) for name, rule in rules.items()], about, NOW)
    judge.see(facts)
    return {one.name: judge.decide(one) for one in facts}


def removed(rules, facts, about=About.TAGS):
    return {name for name, decision in decide(rules, facts, about).items() if decision.fate is Fate.REMOVE}


def tag(name, days=0.0, pulled=None, protected=""):
    return Facts(name, NOW - round(days * DAY), None if pulled is None else NOW - round(pulled * DAY), protected)


def test_the_last_n_stay_and_ties_go_by_name():
    facts = [tag("c", 1), tag("a", 2), tag("b", 2), tag("d", 3)]
    decided = decide({"few": {"keep": {"last": 2}}}, facts)
    assert {name: (one.fate, one.why) for name, one in decided.items()} == {
        "c": (Fate.KEEP, "1st newest of 2 kept"),
        "a": (Fate.KEEP, "2nd newest of 2 kept"),
        "b": (Fate.REMOVE, "behind the newest 2 of 4"),
        "d": (Fate.REMOVE, "behind the newest 2 of 4"),
    }
    assert {one.rule for one in decided.values()} == {"few"}


def test_the_last_n_are_counted_among_what_the_rule_selects():
    facts = [tag("latest", 0), *(tag(f"v{number}", 10 - number) for number in range(5))]
    assert removed({"few": {"select": ["v*"], "keep": {"last": 2}}}, facts) == {"v0", "v1", "v2"}


def test_what_is_protected_stays_and_counts():
    facts = [tag("old", 9, protected="it was made immutable by hand"), tag("a", 1, protected="by a label"), tag("b", 2)]
    decided = decide({"one": {"keep": {"last": 1}}}, facts)
    assert [(one.fate, one.why) for one in decided.values()] == [
        (Fate.KEEP, "it was made immutable by hand"),
        (Fate.KEEP, "by a label"),
        (Fate.REMOVE, "behind the newest 1 of 3"),
    ]


@pytest.mark.parametrize(
    ("keep", "facts", "why"),
    [
        ({"younger_than": "2d"}, tag("a", 1.99), "1d old, younger than 2d"),
        ({"pulled_within": "36h"}, tag("a", 9, 1.25), "pulled 1d ago, within 36h"),
        ({"pulled_within": "1w"}, tag("a", 0.5), "not pulled since it came 12h ago, within 1w"),
        ({"matching": ["a*"]}, tag("ab", 9), "matches a*"),
        ({"always": True}, tag("a", 9), "always kept"),
        ({"last": 1, "younger_than": "1s"}, tag("a", 9), "1st newest of 1 kept"),
        ({"younger_than": "1s"}, tag("a", -1), "0s old, younger than 1s"),
    ],
)
def test_each_condition_keeps_and_says_so(keep, facts, why):
    (decision,) = decide({"rule": {"keep": keep}}, [facts]).values()
    assert (decision.fate, decision.rule, decision.why) == (Fate.KEEP, "rule", why)


@pytest.mark.parametrize(
    ("keep", "facts", "why"),
    [
        ({"younger_than": "2d"}, tag("a", 2), "2d old, not younger than 2d"),
        ({"pulled_within": "36h"}, tag("a", 9, 1.5), "pulled 1d ago, not within 36h"),
        ({"pulled_within": "1w"}, tag("a", 8), "not pulled since it came 8d ago, not within 1w"),
        ({"pulled_within": "1w"}, tag("a", 8, 9), "not pulled since it came 8d ago, not within 1w"),
        ({"matching": {"include": ["a*"], "exclude": ["ab"]}}, tag("ab", 9), "does not match a* without ab"),
        (
            {"younger_than": "1m", "pulled_within": "1m"},
            tag("a", 9, 8),
            "9d old, not younger than 1m, pulled 8d ago, not within 1m",
        ),
    ],
)
def test_a_removal_says_what_did_not_hold(keep, facts, why):
    (decision,) = decide({"rule": {"keep": keep}}, [facts]).values()
    assert (decision.fate, decision.rule, decision.why) == (Fate.REMOVE, "rule", why)


def test_what_no_rule_covers_stays():
    (decision,) = decide({"rule": {"select": ["v*"], "keep": {"last": 1}}}, [tag("latest", 99)]).values()
    assert (decision.fate, decision.rule, decision.why) == (Fate.UNCOVERED, "", "no rule covers it")


def test_of_several_rules_one_that_keeps_wins():
    rules = {
        "few": {"keep": {"last": 1}},
        "released": {"select": ["re:v[0-9]+"], "keep": {"always": True}},
        "young": {"select": ["*"], "keep": {"younger_than": "3d"}},
    }
    decided = decide(rules, [tag("a", 1), tag("b", 2), tag("v1", 90), tag("c", 4)])
    assert [(one.fate, one.rule) for one in decided.values()] == [
        (Fate.KEEP, "few"),
        (Fate.KEEP, "young"),
        (Fate.KEEP, "released"),
        (Fate.REMOVE, "few, young"),
    ]
    assert decided["c"].why == "few: behind the newest 1 of 4; young: 4d old, not younger than 3d"


def test_rules_about_untagged_manifests_leave_tags_alone():
    rules = {"rest": {"for": "untagged", "keep": {"younger_than": "1d"}}}
    judge = Judge([parse_rule(name, rule) for name, rule in rules.items()], About.TAGS, NOW)
    assert not judge.needs_all
    assert judge.decide(tag("a", 9)).fate is Fate.UNCOVERED
    assert removed(rules, [tag("sha256:aa", 9), tag("sha256:bb")], About.UNTAGGED) == {"sha256:aa"}


def test_the_newest_are_found_in_parts_and_in_any_order():
    chance = random.Random(5)
    facts = [tag(f"t{number}", chance.randrange(50)) for number in range(300)]
    chance.shuffle(facts)
    wanted = sorted(facts, key=lambda one: (-one.since_ms, one.name))[:7]
    judge = Judge([parse_rule("few", {"keep": {"last": 7}})], About.TAGS, NOW)
    for start in range(0, len(facts), 11):
        judge.see(facts[start : start + 11])
    assert [one for one in wanted if judge.decide(one).fate is Fate.KEEP] == wanted
    assert sum(judge.decide(one).fate is Fate.KEEP for one in facts) == 7


def test_what_came_after_the_count_has_its_place_among_the_newest():
    judge = Judge([parse_rule("few", {"keep": {"last": 2}})], About.TAGS, NOW)
    judge.see([tag("a", 1), tag("b", 2), tag("c", 3)])
    assert judge.decide(tag("late", 0)).fate is Fate.KEEP


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (21, "21st"), (111, "111th")],
)
def test_places_are_written_as_people_say_them(number, text):
    facts = [tag(f"{place:03}", place) for place in range(1, number + 1)]
    assert decide({"few": {"keep": {"last": 500}}}, facts)[f"{number:03}"].why == f"{text} newest of 500 kept"


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        ({}, "keep"),
        ({"keep": {}}, "keep"),
        ({"keep": ["last"]}, "keep"),
        ({"keep": {"last": 0}}, "keep.last"),
        ({"keep": {"last": True}}, "keep.last"),
        ({"keep": {"last": "10"}}, "keep.last"),
        ({"keep": {"last": 10**30}}, "keep.last"),
        ({"keep": {"first": 1}}, "keep.first"),
        ({"keep": {"younger_than": "1y"}}, "keep.younger_than"),
        ({"keep": {"younger_than": "-5d"}}, "keep.younger_than"),
        ({"keep": {"younger_than": "0s"}}, "keep.younger_than"),
        ({"keep": {"younger_than": " 2w"}}, "keep.younger_than"),
        ({"keep": {"younger_than": 5}}, "keep.younger_than"),
        ({"keep": {"pulled_within": "1_0d"}}, "keep.pulled_within"),
        ({"keep": {"pulled_within": "\N{ARABIC-INDIC DIGIT FIVE}d"}}, "keep.pulled_within"),
        ({"keep": {"matching": "v*"}}, "keep.matching"),
        ({"keep": {"always": False}}, "keep.always"),
        ({"keep": {"always": 1}}, "keep.always"),
        ({"keep": {"last": 1}, "for": "images"}, "for"),
        ({"keep": {"last": 1}, "for": ["tags"]}, "for"),
        ({"keep": {"last": 1}, "select": []}, "select"),
        ({"keep": {"last": 1}, "tags": ["a"]}, "tags"),
    ],
)
def test_a_definition_that_says_nothing_is_refused_by_field(definition, field):
    with pytest.raises(RuleInvalid) as refused:
        parse_rule("rule", definition)
    assert refused.value.detail["field"] == field
    assert refused.value.http_status == 400


def test_a_life_beyond_a_hundred_years_is_a_hundred_years():
    assert parse_rule("rule", {"keep": {"younger_than": "999999999999w"}}).keep.younger_than.ms == 36_500 * DAY

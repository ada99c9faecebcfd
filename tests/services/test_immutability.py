"""Rules of immutability: by pattern, by age, by scope; and rules in general."""

import pytest

from registry.errors import NameUnknown, PreconditionFailed, RuleInvalid, RuleTaken, RuleUnknown, TagImmutable
from registry.names import RepositoryName
from registry.repositories.rules import Scope
from registry.repositories.trial import Trial
from registry.revisions import Condition
from registry.testing.images import image, index, layer

HOUR, DAY = 3_600_000, 86_400_000


def built(text, **labels):
    named = {key.replace("__", "-").replace("_", "."): value for key, value in labels.items()}
    return image(layer({"f": text.encode()}), labels=named)


A = built("a")


def refused(direct, tag):
    try:
        direct.push(built(f"{tag} at {direct.clock.now}"), tag)
    except TagImmutable as error:
        return error.message
    return None


def test_a_rule_protects_what_its_patterns_name(direct):
    direct.push(A, "v0")
    direct.rule("releases", "immutability", {"tags": {"include": ["v*", "re:[0-9]+[.][0-9]+"], "exclude": ["*-rc*"]}})
    direct.push(A, "v1", "1.2", "v1-rc1", "latest", "1.2.3")
    assert "the rule releases makes it so" in refused(direct, "v1")
    assert refused(direct, "1.2")
    assert [refused(direct, tag) for tag in ("v1-rc1", "latest", "1.2.3")] == [None] * 3
    with pytest.raises(TagImmutable):
        direct.delete_tag("v1")
    with pytest.raises(TagImmutable):
        direct.delete_manifest(A)
    direct.put(A, "v1")


@pytest.mark.parametrize("deep", [False, True], ids=["child", "grandchild"])
def test_a_part_of_an_index_with_an_immutable_tag_stays_as_long_as_the_tag_is_immutable(direct, deep):
    parts = [built("one"), built("two")]
    inner = index(*parts)
    whole = index(inner) if deep else inner
    direct.push(whole, "v1", "also")
    direct.protect("v1")
    for part in [inner, *parts] if deep else parts:
        with pytest.raises(TagImmutable) as refused:
            direct.delete_manifest(part)
        reason = "it was made immutable by hand"
        assert refused.value.message == f"the tag v1 of the index {whole.digest} is immutable: {reason}"
        assert refused.value.detail == {"tag": "v1", "reason": reason, "index": whole.digest}
        assert direct.lookup(part) is not None
    direct.protect("v1", immutable=False)
    direct.delete_manifest(parts[0])


def test_what_makes_an_index_s_tag_immutable_says_so_of_its_parts(direct):
    direct.push(A, "v0")
    direct.rule("releases", "immutability", {"tags": ["v*"]})
    part = built("part")
    direct.push(index(part), "v1")
    with pytest.raises(TagImmutable, match=r"the tag v1 of the index .* is immutable: the rule releases makes it so"):
        direct.delete_manifest(part)
    labelled = index(built("other"), annotations={"quay.immutable": "true"})
    direct.push(labelled, "labelled")
    with pytest.raises(
        TagImmutable, match=r"the tag labelled of the index .* is immutable: a label of its image makes it"
    ):
        direct.delete_manifest(labelled.children[0])


def test_a_part_of_an_index_without_a_living_immutable_tag_can_be_deleted(direct):
    gone, ended, free = (index(built(name)) for name in ("gone", "ended", "free"))
    direct.push(gone, "gone")
    direct.push(free, "free")
    direct.push(ended, "ended")
    direct.delete_manifest(gone)
    direct.expire("ended", direct.clock.now + HOUR)
    direct.clock.turn(ms=HOUR)
    for whole in (gone, ended, free):
        direct.delete_manifest(whole.children[0])


def test_a_rule_speaks_of_what_is_made_after_it_unless_it_is_retroactive(direct):
    direct.push(A, "v1", "v2")
    direct.clock.turn(ms=HOUR)
    rule = direct.rule("releases", "immutability", {"tags": ["v*"]})
    assert refused(direct, "v1") is None
    direct.clock.turn(ms=1)
    with pytest.raises(TagImmutable):
        direct.push(A, "v1")
    definition = {"tags": ["v*"], "retroactive": True}
    direct.services.rules.change(direct.actor, "releases", definition, Condition(frozenset([rule.revision])))
    assert refused(direct, "v2")


def test_a_rule_has_its_time(direct):
    direct.push(A, "v0")
    direct.rule("young", "immutability", {"tags": ["*"], "after": "1h", "for": "2h"})
    direct.push(A, "v1")
    assert refused(direct, "v1") is None
    start = direct.clock.now
    direct.clock.now = start + HOUR - 1
    direct.push(A, "v2")
    direct.clock.now = start + HOUR + 1
    assert refused(direct, "v1")
    direct.clock.now = start + 2 * HOUR + 1
    assert refused(direct, "v1") is None


@pytest.mark.parametrize(
    "scope",
    [Scope(), Scope(namespace="team"), Scope(RepositoryName("team/app"))],
    ids=["everywhere", "namespace", "repository"],
)
def test_a_rule_holds_in_its_scope(direct, scope):
    direct.push(A, "v0")
    direct.rule("mine", "immutability", {"tags": ["v*"]}, scope)
    direct.push(A, "v1")
    assert refused(direct, "v1")


@pytest.mark.parametrize("scope", [Scope(namespace="other"), Scope(RepositoryName("team/other"))])
def test_a_rule_holds_nowhere_else(direct, scope):
    direct.push(A, "v0", repository=RepositoryName("team/other"))
    direct.rule("theirs", "immutability", {"tags": ["v*"]}, scope)
    direct.push(A, "v1")
    assert refused(direct, "v1") is None


def test_what_a_rule_protects_never_ends(direct):
    direct.push(A, "v0")
    direct.rule("releases", "immutability", {"tags": ["v*"]})
    direct.push(built("e", quay_expires__after="1h"), "v1")
    assert direct.tag("v1").end_ms is None
    direct.push(built("e", quay_expires__after="1h"), "other")
    assert direct.tag("other").end_ms == direct.clock.now + HOUR
    with pytest.raises(TagImmutable):
        direct.expire("v1", direct.clock.now + HOUR)


def test_an_end_before_or_after_the_time_of_a_rule_stands(direct):
    direct.push(A, "v0")
    direct.rule("later", "immutability", {"tags": ["v*"], "after": "1d", "for": "2d"})
    for life, ends in (("1h", True), ("36h", False), ("3d", True)):
        direct.push(built(life, quay_expires__after=life), f"v{life}")
        assert (direct.tag(f"v{life}").end_ms is not None) is ends
    with pytest.raises(TagImmutable):
        direct.expire("v36h", direct.clock.now + 36 * HOUR)


def test_a_removed_rule_protects_nothing(direct):
    direct.push(A, "v0")
    direct.rule("releases", "immutability", {"tags": ["v*"]})
    direct.push(A, "v1")
    direct.services.rules.delete(direct.actor, "releases", Condition())
    assert refused(direct, "v1") is None


def test_a_rule_is_tried_before_it_is_made(direct):
    direct.push(A, "v1", "v2", "latest")
    direct.clock.turn(ms=1)
    trial = direct.services.protection_trial
    assert trial.protected(direct.actor, direct.repository, {"tags": ["v*"]}, 10, "") == Trial(3, [], None)
    direct.expire("v2", direct.clock.now + HOUR)
    definition, seen, last = {"tags": ["v*"], "retroactive": True}, [], ""
    for tried, then in ((2, "v1"), (1, "v2"), (0, None)):
        done = trial.protected(direct.actor, direct.repository, definition, 1, last)
        assert (done.tried, done.last) == (tried, then)
        seen += [(one.name, one.ends_ms) for one in done.found]
        last = then
    assert seen == [("v1", None), ("v2", direct.clock.now + HOUR)]
    with pytest.raises(RuleInvalid):
        trial.protected(direct.actor, direct.repository, {}, 10, "")


def test_what_ends_already_is_not_immutable_before_its_end_is_cleared(direct):
    direct.push(A, "v1", "v2")
    direct.expire("v1", direct.clock.now + HOUR)
    direct.expire("v2", direct.clock.now + 3 * HOUR)
    direct.rule("first-hours", "immutability", {"tags": ["v*"], "for": "2h", "retroactive": True})
    assert (direct.tag("v1").rule, direct.tag("v2").rule) == (None, "first-hours")
    with pytest.raises(TagImmutable, match="first-hours"):
        direct.expire("v1", direct.clock.now + HOUR // 2)
    direct.expire("v1", None)
    assert refused(direct, "v1")


def test_a_tag_tells_which_rule_makes_it_immutable(direct):
    direct.push(A, "v0", "other")
    direct.clock.turn(ms=1)
    direct.rule("releases", "immutability", {"tags": ["v*"]})
    direct.push(A, "v1", "v2")
    direct.services.rules.delete(direct.actor, "releases", Condition())
    direct.delete_tag("v2")
    direct.clock.turn(ms=HOUR)
    direct.rule("releases", "immutability", {"tags": ["v*"], "after": "30m", "retroactive": True})
    page = direct.services.history.list(direct.actor, direct.repository, 10, "")
    told = {"other": None, "v0": "releases", "v1": "releases"}
    assert {one.name: one.rule for one in page.items} == told
    assert {one.name: one.rule for one in direct.history()} == {**told, "v2": None}
    assert direct.tag("v1").rule == direct.protect("v1").rule == "releases"


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"tags": "v*"},
        {"tags": []},
        {"tags": [1]},
        {"tags": ["re:("]},
        {"tags": ["v*"], "after": "soon"},
        {"tags": ["v*"], "for": 3},
        {"tags": ["v*"], "after": "2h", "for": "1h"},
        {"tags": ["v*"], "retroactive": "yes"},
        {"tags": ["v*"], "other": 1},
        {"tags": {"include": ["v*"], "never": []}},
        {"tags": ["x" * 600]},
    ],
)
def test_a_definition_that_cannot_be_used_is_refused_by_its_field(direct, definition):
    with pytest.raises(RuleInvalid) as refusal:
        direct.rule("bad", "immutability", definition, Scope())
    assert refusal.value.detail


def test_rules_are_made_once_changed_and_listed(direct):
    direct.push(A, "v1")
    made = direct.rule("one", "immutability", {"tags": ["v*"]})
    with pytest.raises(RuleTaken):
        direct.rule("one", "retention", {"keep": {"last": 1}})
    for bad in ("", "UPPER", "a/b", "-x", "x" * 129):
        with pytest.raises(RuleInvalid):
            direct.rule(bad, "immutability", {"tags": ["v*"]})
    with pytest.raises(RuleInvalid, match="no kind of rule"):
        direct.rule("two", "quota", {})
    with pytest.raises(NameUnknown):
        direct.rule("two", "immutability", {"tags": ["v*"]}, Scope(RepositoryName("nobody/here")))
    with pytest.raises(RuleInvalid, match="not for both"):
        direct.rule("two", "immutability", {"tags": ["v*"]}, Scope(direct.repository, "team"))
    with pytest.raises(RuleInvalid, match="never hold"):
        direct.rule("two", "immutability", {"tags": ["v*"]}, Scope(namespace="team/app"))
    direct.rule("two", "retention", {"keep": {"last": 1}}, Scope(namespace="team"))
    direct.rule("three", "retention", {"keep": {"last": 1}}, Scope())
    rules = direct.services.rules
    names = [row.name for row in rules.list(direct.actor, None, Scope(), 10, "").items]
    assert names == ["one", "three", "two"]
    assert [row.name for row in rules.list(direct.actor, "retention", Scope(), 10, "three").items] == ["two"]
    assert [row.name for row in rules.list(direct.actor, None, Scope(namespace="team"), 10, "").items] == ["two"]
    assert [row.name for row in rules.list(direct.actor, None, Scope(direct.repository), 10, "").items] == ["one"]
    changed = rules.change(direct.actor, "one", {"tags": ["w*"]}, Condition(frozenset([made.revision])))
    assert rules.describe(direct.actor, "one") == changed
    with pytest.raises(PreconditionFailed):
        rules.delete(direct.actor, "one", Condition(frozenset([made.revision])))
    rules.delete(direct.actor, "one", Condition())
    with pytest.raises(RuleUnknown):
        rules.describe(direct.actor, "one")

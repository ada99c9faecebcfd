"""Labels that act: pushed or added later, understood or not, on every kind of manifest."""

import json

import pytest

from registry.digest import Digest
from registry.errors import LabelInvalid, LabelRefused, LabelUnknown, ManifestUnknown, TagImmutable
from registry.hooks import LabelAction, hookimpl
from tests.support.images import artifact, image, index, layer

HOUR = 3_600_000
DAY = 24 * HOUR
PLAIN = image(layer({"f": b"plain"}))
EXPIRES, IMMUTABLE, KEEP, PIN = (
    "quay.expires-after",
    "quay.immutable",
    "org.moorage.keep-last",
    "org.moorage.pin",
)


def labelled(text, **labels):
    named = {key.replace("__", "-").replace("_", "."): value for key, value in labels.items()}
    return image(layer({"f": text.encode()}), labels=named)


def once(monkeypatch, service, method, between):
    """Let `between` happen right after the first call of a service's method."""
    real, waiting = getattr(service, method), [between]

    def late(*arguments, **named):
        found = real(*arguments, **named)
        while waiting:
            waiting.pop()()
        return found

    monkeypatch.setattr(service, method, late)


def tag_of(direct, name):
    (row,) = direct.rows(
        "SELECT lifetime_start_ms AS start, lifetime_end_ms AS ending, label_immutable, expiry_source, family,"
        " current, end_reason FROM tag WHERE name = :name ORDER BY id DESC LIMIT 1",
        name=name,
    )
    return row


def add(direct, manifest, key, value):
    return direct.services.labels.add(direct.actor, direct.repository, Digest.parse(manifest.digest), key, value)


def remove(direct, manifest, label):
    direct.services.labels.remove(direct.actor, direct.repository, Digest.parse(manifest.digest), label.id)


def listed(direct, manifest):
    return direct.services.labels.list(direct.actor, direct.repository, Digest.parse(manifest.digest), 1000, 0).items


def pinned(direct, manifest):
    return bool(direct.column("SELECT label_pin FROM manifest WHERE digest = :d", d=manifest.digest)[0])


def test_protection_beats_every_expiry(direct):
    direct.push(labelled("a", quay_immutable="true", quay_expires__after="1h"), "v1")
    tag = tag_of(direct, "v1")
    assert (tag.ending, bool(tag.label_immutable)) == (None, True)
    with pytest.raises(TagImmutable, match="a label of its image"):
        direct.push(PLAIN, "v1")
    with pytest.raises(TagImmutable):
        direct.delete_tag("v1")
    direct.put(labelled("a", quay_immutable="true", quay_expires__after="1h"), "v1")
    assert len(direct.periods("v1")) == 1


def test_the_earliest_of_several_expiries_wins(direct):
    direct.push(labelled("a", quay_expires__after="2h", org_moorage_expires__after="1h"), "v1")
    assert tag_of(direct, "v1").ending == direct.clock.now + HOUR


def test_a_family_keeps_its_newest_tags(direct):
    for number in range(5):
        direct.push(labelled(f"build {number}", org_moorage_keep__last="2"), f"b{number}")
        direct.clock.turn(seconds=1)
    direct.push(PLAIN, "other")
    assert direct.tags() == ["b3", "b4", "other"]
    assert tag_of(direct, "b0").end_reason == "keep last"
    direct.push(labelled("another family", org_moorage_keep__last="3"), "c")
    assert direct.tags() == ["b3", "b4", "c", "other"]


def test_a_family_leaves_immutable_tags_alone(direct):
    for number in range(3):
        direct.push(labelled(f"build {number}", org_moorage_keep__last="1"), f"b{number}")
        direct.change("UPDATE tag SET immutable = true WHERE name = 'b0'")
        direct.clock.turn(seconds=1)
    assert direct.tags() == ["b0", "b2"]


def test_a_pin_keeps_a_manifest_for_as_long_as_it_has_the_label(direct):
    made = labelled("a", org_moorage_pin="true")
    direct.push(made, "v1")
    direct.delete_tag("v1")
    direct.clock.turn(ms=30 * DAY)
    direct.collect()
    assert pinned(direct, made)
    assert direct.lookup(made) is not None


def test_a_deleted_manifest_is_pinned_again_by_a_push(direct):
    made = labelled("a", org_moorage_pin="true")
    direct.push(made, "v1")
    direct.delete_manifest(made)
    assert not pinned(direct, made)
    direct.put(made, "v1")
    assert pinned(direct, made)


def test_an_added_expiry_counts_from_each_tags_own_start(direct):
    direct.push(PLAIN, "old")
    direct.clock.turn(ms=HOUR)
    direct.put(PLAIN, "new")
    label = add(direct, PLAIN, EXPIRES, "3h")
    assert (label.source, label.warning) == ("api", "")
    assert tag_of(direct, "old").ending == direct.clock.now + 2 * HOUR
    assert tag_of(direct, "new").ending == direct.clock.now + 3 * HOUR
    remove(direct, PLAIN, label)
    assert [tag_of(direct, name).ending for name in ("old", "new")] == [None, None]


def test_an_added_expiry_that_has_passed_ends_the_tag_now(direct):
    direct.push(PLAIN, "old")
    direct.clock.turn(ms=2 * HOUR)
    add(direct, PLAIN, EXPIRES, "1h")
    assert direct.tags() == []
    assert tag_of(direct, "old").ending == direct.clock.now


def test_an_expiry_from_the_api_beats_labels(direct):
    direct.push(PLAIN, "v1")
    direct.change("UPDATE tag SET lifetime_end_ms = :end, expiry_source = 'api'", end=direct.clock.now + DAY)
    label = add(direct, PLAIN, EXPIRES, "1h")
    assert tag_of(direct, "v1").ending == direct.clock.now + DAY
    remove(direct, PLAIN, label)
    assert tag_of(direct, "v1").ending == direct.clock.now + DAY
    add(direct, PLAIN, IMMUTABLE, "true")
    assert tag_of(direct, "v1").ending is None


def test_added_labels_act_on_tags_made_later_as_well(direct):
    direct.push(PLAIN, "v1")
    label = add(direct, PLAIN, IMMUTABLE, "true")
    direct.put(PLAIN, "v2")
    assert bool(tag_of(direct, "v2").label_immutable)
    remove(direct, PLAIN, label)
    direct.delete_tag("v2")
    direct.delete_tag("v1")


def test_added_pins_and_families_come_and_go(direct):
    direct.push(PLAIN, "v1")
    pin = add(direct, PLAIN, PIN, "true")
    family = add(direct, PLAIN, KEEP, "1")
    assert pinned(direct, PLAIN)
    assert tag_of(direct, "v1").family is not None
    remove(direct, PLAIN, pin)
    remove(direct, PLAIN, family)
    assert not pinned(direct, PLAIN)
    assert tag_of(direct, "v1").family is None


def test_a_removed_pin_lets_the_manifest_go(direct):
    direct.push(PLAIN, "v1")
    pin = add(direct, PLAIN, PIN, "true")
    direct.delete_tag("v1")
    direct.clock.turn(ms=20 * DAY)
    direct.collect()
    remove(direct, PLAIN, pin)
    direct.clock.turn(ms=3 * DAY)
    direct.collect()
    assert direct.lookup(PLAIN, allow_dead=True) is None


def test_of_two_labels_one_that_goes_leaves_the_other(direct):
    made = labelled("a", quay_expires__after="5h")
    direct.push(made, "v1")
    label = add(direct, made, EXPIRES, "1h")
    assert tag_of(direct, "v1").ending == direct.clock.now + HOUR
    remove(direct, made, label)
    assert tag_of(direct, "v1").ending == direct.clock.now + 5 * HOUR


def test_what_came_with_the_manifest_stays(direct):
    made = labelled("a", quay_expires__after="5h")
    direct.push(made, "v1")
    (own,) = listed(direct, made)
    with pytest.raises(LabelRefused) as refused:
        remove(direct, made, own)
    assert refused.value.detail["source"] == "manifest"
    with pytest.raises(LabelUnknown):
        remove(direct, made, type(own)(own.id + 1, "", "", "", "", ""))


def test_labels_need_a_manifest(direct):
    direct.push(PLAIN, "v1")
    direct.delete_manifest(PLAIN)
    with pytest.raises(ManifestUnknown):
        add(direct, PLAIN, "a", "b")
    with pytest.raises(ManifestUnknown):
        listed(direct, PLAIN)


@pytest.mark.parametrize(("key", "value"), [("", "x"), ("k" * 1025, "x"), ("k", "v" * 65_537), ("k", "a\0b")])
def test_labels_have_bounds(direct, key, value):
    direct.push(PLAIN, "v1")
    with pytest.raises(LabelInvalid):
        add(direct, PLAIN, key, value)


def test_a_label_is_json_only_where_it_is_an_object_or_list(direct):
    direct.push(PLAIN, "v1")
    assert add(direct, PLAIN, "a", '{"a": 1}').media_type == "application/json"
    assert add(direct, PLAIN, "a", "1").media_type == "text/plain"


def test_an_index_hands_on_what_its_images_share_and_what_was_added_to_it(direct):
    children = [labelled(text, quay_expires__after="2h") for text in "ab"]
    direct.push(index(*children), "all")
    assert tag_of(direct, "all").ending == direct.clock.now + 2 * HOUR
    label = add(direct, index(*children), EXPIRES, "1h")
    assert tag_of(direct, "all").ending == direct.clock.now + HOUR
    remove(direct, index(*children), label)
    assert tag_of(direct, "all").ending == direct.clock.now + 2 * HOUR


ODD = [
    "-5d",
    "1y",
    "1_0d",
    " 2w",
    "0s",
    "",
    "x" * 10_240,
    "⏳",
    '["1d"]',
    "1d ",
    "1D",
    "\u0661d",
    "1.5d",
    "+1d",
    "1d\n",
]
KINDS = {
    "image": lambda value: image(layer({"f": b"odd"}), labels={EXPIRES: value}),
    "index": lambda value: index(PLAIN, annotations={EXPIRES: value}),
    "artifact": lambda value: artifact("application/x-thing", annotations={EXPIRES: value}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ODD)
def test_an_odd_value_ends_nothing_and_leaves_a_warning(direct, caplog, kind, value):
    made = KINDS[kind](value)
    direct.push(made, "v1")
    assert tag_of(direct, "v1").ending is None
    warned = {label.key: label.warning for label in listed(direct, made)}
    assert "is no time to live" in warned[EXPIRES]
    assert any(EXPIRES in record.message for record in caplog.records)
    added = add(direct, made, EXPIRES, value)
    assert "is no time to live" in added.warning
    assert tag_of(direct, "v1").ending is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_life_beyond_reason_is_cut_and_not_refused(direct, kind):
    direct.push(KINDS[kind]("999999999999d"), "v1")
    assert tag_of(direct, "v1").ending == direct.clock.now + 36_500 * DAY


class _Broken:
    """A plugin whose action fails in its own way for each value."""

    @staticmethod
    def _effects(value):
        return json.loads(value)

    @hookimpl
    def label_actions(self):
        return [LabelAction("broken", self._effects)]


@pytest.mark.parametrize("value", ["not json", "[1]", "3", "[null]"])
def test_an_action_that_fails_refuses_no_push(start, value):
    direct = start(plugins=[_Broken()])
    made = image(layer({"f": b"x"}), labels={"broken": value, EXPIRES: "1h"})
    direct.push(made, "v1")
    assert tag_of(direct, "v1").ending == direct.clock.now + HOUR
    warned = {label.key: label.warning for label in listed(direct, made)}
    assert "the label's action failed" in warned["broken"]


def test_labels_that_changed_meanwhile_are_judged_again(direct, monkeypatch):
    direct.push(PLAIN, "v1")
    once(monkeypatch, direct.services.labels, "_find", lambda: add(direct, PLAIN, EXPIRES, "1h"))
    add(direct, PLAIN, "other", "x")
    assert tag_of(direct, "v1").ending == direct.clock.now + HOUR

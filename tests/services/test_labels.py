"""Labels that act: pushed or added later, understood or not, on every kind of manifest."""

import json
import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from registry.digest import Digest
from registry.errors import LabelInvalid, LabelRefused, LabelUnknown, ManifestUnknown, TagImmutable, Unavailable
from registry.hooks import ExpireTag, KeepLast, LabelAction, LabelValueRefused, ParsedManifest, hookimpl
from registry.manifests import stored_labels
from registry.names import TagName
from registry.revisions import Condition
from registry.testing.images import Blob, artifact, image, index, layer
from tests.support.images import schema1

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


@pytest.mark.parametrize("source", ["manifest", "internal"])
def test_what_the_api_did_not_add_stays(direct, source):
    made = labelled("a", quay_expires__after="5h")
    direct.push(made, "v1")
    direct.change("UPDATE label SET source = :source", source=source)
    (own,) = listed(direct, made)
    with pytest.raises(LabelRefused) as refused:
        remove(direct, made, own)
    assert refused.value.detail["source"] == source
    assert listed(direct, made) == [own]
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
    "schema 1": lambda value: schema1(layer({"f": b"old"}), labels={EXPIRES: value}),
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
    made = KINDS[kind]("999999999999d")
    direct.push(made, "v1")
    assert tag_of(direct, "v1").ending == direct.clock.now + 36_500 * DAY
    warned = {label.key: label.warning for label in listed(direct, made)}
    assert "brought to 36500 days" in warned[EXPIRES]


class Acting:
    """A plugin with one action, for the label `broken`."""

    def __init__(self, effects):
        self.effects = effects

    @hookimpl
    def label_actions(self):
        return [LabelAction("broken", self.effects)]


def refuse(value):
    raise LabelValueRefused(value)


@pytest.mark.parametrize(
    "effects",
    [
        json.loads,
        lambda value: [1],
        lambda value: 3,
        lambda value: [None],
        lambda value: [KeepLast(1.5)],
        lambda value: [KeepLast(0)],
        lambda value: [ExpireTag(timedelta(days=-5))],
        lambda value: [ExpireTag(timedelta())],
    ],
)
def test_an_action_that_fails_refuses_no_push_and_does_nothing(start, effects):
    direct = start(plugins=[Acting(effects)])
    made = image(layer({"f": b"x"}), labels={"broken": "x", EXPIRES: "1h"})
    direct.push(made, "v1")
    tag = tag_of(direct, "v1")
    assert (tag.ending, tag.family) == (direct.clock.now + HOUR, None)
    warned = {label.key: label.warning for label in listed(direct, made)}
    assert "the label's action failed" in warned["broken"]


def test_a_plugins_words_are_made_readable(start, caplog):
    direct = start(plugins=[Acting(lambda value: refuse(f"no \0 \ud800\n{value}"))])
    direct.push(PLAIN, "v1")
    warning = add(direct, PLAIN, "broken", "x" * 65_536).warning
    assert warning.startswith(r"no \x00 \ud800\nxxx")
    assert len(warning) < 1100
    assert warning in caplog.text


def test_a_number_beyond_any_database_keeps_all(start):
    direct = start(plugins=[Acting(lambda value: [KeepLast(10**40)])])
    direct.push(image(layer({"f": b"x"}), labels={"broken": "x"}), "v1", "v2")
    assert direct.tags() == ["v1", "v2"]


def test_lives_by_labels_stay_within_the_settings(start):
    direct = start(tag_expiry_min=600, tag_expiry_max=7200)
    for value, life in (("1s", 600_000), ("1h", HOUR), ("3h", 2 * HOUR)):
        made = labelled(value, quay_expires__after=value)
        direct.push(made, "v1")
        assert tag_of(direct, "v1").ending == tag_of(direct, "v1").start + life
        (label,) = listed(direct, made)
        assert bool(label.warning) is (value != "1h")


def test_labels_that_changed_meanwhile_are_judged_again(direct, monkeypatch):
    direct.push(PLAIN, "v1")
    once(monkeypatch, direct.services.labels, "_find", lambda: add(direct, PLAIN, EXPIRES, "1h"))
    add(direct, PLAIN, "other", "x")
    assert tag_of(direct, "v1").ending == direct.clock.now + HOUR


def test_a_push_beside_an_added_label_gets_its_effect(direct, monkeypatch):
    direct.push(PLAIN, "v1")
    once(monkeypatch, direct.services.creator, "_prepare", lambda: add(direct, PLAIN, IMMUTABLE, "true"))
    direct.put(PLAIN, "v2")
    assert bool(tag_of(direct, "v2").label_immutable)


def test_a_push_beside_a_removed_label_gets_no_effect(direct, monkeypatch):
    direct.push(PLAIN, "v1")
    label = add(direct, PLAIN, IMMUTABLE, "true")
    once(monkeypatch, direct.services.creator, "_prepare", lambda: remove(direct, PLAIN, label))
    direct.put(PLAIN, "v2")
    assert not tag_of(direct, "v2").label_immutable


def moved(direct, tag, manifest):
    digest = Digest.parse(manifest.digest)
    return direct.services.changes.move(direct.actor, direct.repository, TagName.parse(tag), digest, Condition())


def restored(direct, tag):
    changes = direct.services.changes
    name = TagName.parse(tag)
    changes.restore(direct.actor, direct.repository, name, digest=None, time_ms=None, condition=Condition())


@pytest.mark.parametrize("change", [lambda direct: moved(direct, "v2", PLAIN), lambda direct: restored(direct, "v1")])
def test_a_tag_that_is_put_somewhere_beside_an_added_label_gets_its_effect(direct, monkeypatch, change):
    direct.push(PLAIN, "v1")
    direct.clock.turn(seconds=1)
    direct.push(labelled("other"), "v1", "v2")
    direct.clock.turn(seconds=1)
    once(monkeypatch, direct.services.labels, "judgement", lambda: add(direct, PLAIN, IMMUTABLE, "true"))
    change(direct)
    assert sorted(bool(tag_of(direct, name).label_immutable) for name in ("v1", "v2")) == [False, True]


def test_a_manifest_that_comes_back_is_pinned_again(direct):
    made = labelled("a", org_moorage_pin="true")
    direct.push(made, "v1")
    direct.delete_manifest(made)
    direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(made.digest))
    assert pinned(direct, made)
    direct.push(labelled("other"), "v1")
    direct.delete_manifest(made)
    restored(direct, "v1")
    assert pinned(direct, made)


def test_what_comes_back_with_its_index_is_pinned_again(direct, monkeypatch):
    parts = [labelled("a", org_moorage_pin="true"), labelled("b"), labelled("c", org_moorage_pin="true")]
    whole = index(*parts)
    direct.push(whole, "v1")
    for part in (whole, *parts[:2]):
        direct.delete_manifest(part)
    once(monkeypatch, direct.services.labels, "judgement", lambda: direct.delete_manifest(parts[2]))
    restored(direct, "v1")
    assert [pinned(direct, part) for part in parts] == [True, False, True]
    assert not pinned(direct, whole)


def test_a_tag_made_immutable_stays_so_when_its_image_is_pushed_again(direct):
    direct.push(PLAIN, "v1")
    direct.protect("v1")
    add(direct, PLAIN, EXPIRES, "1h")
    direct.put(PLAIN, "v1")
    assert [one.ending for one in direct.periods("v1")] == [None]
    with pytest.raises(TagImmutable):
        direct.delete_tag("v1")


def test_a_plugin_that_was_installed_since_acts_when_the_image_is_pushed_again(start, files):
    made = labelled("a", quay_immutable="true", org_moorage_keep__last="2")
    place = {"storage_url": f"file://{files}"}
    before = start(blocked_plugins=("immutable", "keep"), **place)
    before.push(made, "v1")
    assert not tag_of(before, "v1").label_immutable
    after = start(clock=before.clock, **place)
    after.push(made, "v1")
    tag = tag_of(after, "v1")
    assert bool(tag.label_immutable)
    assert tag.family is not None
    assert len(after.periods("v1")) == 1


NOTE = "application/vnd.example.note.v1+json"


class Note:
    """A format that a registry may lose."""

    @hookimpl
    def manifest_media_types(self):
        return [NOTE]

    @hookimpl
    def parse_manifest(self, media_type, payload):
        return ParsedManifest(payload, media_type, payload, annotations={EXPIRES: "3h"})


def test_content_of_a_removed_plugin_is_labelled_and_restored_as_before(start):
    note = Blob(b"{}", NOTE)
    before = start(plugins=[Note()], storage_url="memory:")
    before.put(note, "v1")
    after = start(clock=before.clock)
    after.delete_tag("v1")
    restored(after, "v1")
    assert tag_of(after, "v1").ending == tag_of(after, "v1").start + 3 * HOUR
    add(after, note, EXPIRES, "1h")
    assert tag_of(after, "v1").ending == tag_of(after, "v1").start + HOUR


def test_the_newest_of_a_family_is_what_was_just_pushed_whatever_the_clock_says(direct):
    for number in range(3):
        direct.push(labelled(f"build {number}", org_moorage_keep__last="1"), f"b{number}")
        direct.clock.turn(seconds=-60)
    assert direct.tags() == ["b2"]


def test_lapsed_tags_of_a_family_do_not_count(direct):
    direct.push(labelled("long 0", org_moorage_keep__last="3"), "l0")
    for number in range(2):
        direct.push(labelled(f"short {number}", org_moorage_keep__last="3", quay_expires__after="1h"), f"s{number}")
    direct.clock.turn(ms=2 * HOUR)
    for number in (1, 2):
        direct.push(labelled(f"long {number}", org_moorage_keep__last="3"), f"l{number}")
    assert direct.tags() == ["l0", "l1", "l2"]
    assert tag_of(direct, "s0").end_reason is None


def test_a_family_joined_later_is_thinned_at_once(direct):
    made = [labelled(f"build {number}") for number in range(3)]
    for number, one in enumerate(made):
        direct.push(one, f"b{number}")
        direct.clock.turn(seconds=1)
    for one in made:
        add(direct, one, KEEP, "2")
    assert direct.tags() == ["b1", "b2"]


def test_two_pushes_of_one_family_at_once_leave_as_many_as_it_keeps(direct, monkeypatch):
    first, second = (labelled(f"build {number}", org_moorage_keep__last="1") for number in range(2))
    for one in (first, second):
        direct.push(one)
    inside, done = threading.Event(), threading.Event()

    def stop(name):
        if name == "manifest.store.tags" and not inside.is_set():
            inside.set()
            done.wait(0.3)  # the other push waits for this one, so that it cannot be done before

    monkeypatch.setattr(direct.services.creator, "_steps", stop)
    one = threading.Thread(target=direct.put, args=(first, "b0"))
    one.start()
    assert inside.wait(10)

    def push():
        direct.put(second, "b1")
        done.set()

    other = threading.Thread(target=push)
    other.start()
    one.join()
    other.join()
    assert direct.tags() == ["b1"]


def test_a_period_that_changed_since_it_was_read_is_read_again(direct, monkeypatch):
    direct.push(PLAIN, "v1")
    real, end = direct.services.labels._periods._relabel, direct.clock.now + DAY

    def late(connection, values):
        if values["b_was_source"] is None:
            change = "UPDATE tag SET lifetime_end_ms = :end, expiry_source = 'api'"
            connection.execute(text(change), {"end": end})
        return real(connection, values)

    monkeypatch.setattr(direct.services.labels._periods, "_relabel", late)
    with pytest.raises(Unavailable):
        add(direct, PLAIN, EXPIRES, "1h")
    assert tag_of(direct, "v1").ending is None


def test_labels_are_listed_in_pages(direct):
    made = labelled("a", **{f"l{number}": str(number) for number in range(5)})
    direct.push(made, "v1")
    everything = listed(direct, made)
    assert len(everything) == 5
    found, more = [], True
    while more:
        after = found[-1].id if found else 0
        page = direct.services.labels.list(direct.actor, direct.repository, Digest.parse(made.digest), 2, after)
        found, more = found + list(page.items), page.more
    assert found == everything


def test_labels_that_were_added_have_a_bound_together(direct, monkeypatch):
    monkeypatch.setattr(stored_labels, "MAX_ADDED", 20)
    direct.push(PLAIN, "v1")
    add(direct, PLAIN, "k", "v" * 10)
    with pytest.raises(LabelInvalid) as refused:
        add(direct, PLAIN, "k", "v" * 9)
    assert refused.value.detail == {"length": 21, "limit": 20}
    monkeypatch.setattr(stored_labels, "MAX_LABELS", 1)
    with pytest.raises(LabelInvalid, match="too many"):
        add(direct, PLAIN, "k", "v")


def test_an_id_is_never_another_labels(direct):
    direct.push(PLAIN, "v1")
    gone = add(direct, PLAIN, "a", "b")
    remove(direct, PLAIN, gone)
    assert add(direct, PLAIN, "a", "b").id > gone.id
    with pytest.raises(LabelUnknown):
        remove(direct, PLAIN, gone)


def test_a_label_of_another_manifest_is_unknown(direct):
    direct.push(PLAIN, "v1")
    direct.push(labelled("other"), "v2")
    label = add(direct, PLAIN, "a", "b")
    with pytest.raises(LabelUnknown):
        remove(direct, labelled("other"), label)

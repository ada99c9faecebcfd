"""Tags as periods, and the labels that decide about them."""

import itertools

import pytest

from registry.errors import ManifestUnknown
from registry.testing.images import Manifest, artifact, image, index, layer, simple_image

HOUR = 3_600_000


def expiring(text: str, value: str = "1h") -> Manifest:
    return image(layer({"f": text.encode()}), labels={"quay.expires-after": value})


def assert_no_overlap(periods):
    for old, new in itertools.pairwise(periods):
        assert old.ending is not None
        assert old.start < old.ending <= new.start
    assert [one.current for one in periods[:-1]] == [None] * (len(periods) - 1)


def test_moving_a_tag_ends_one_period_where_the_next_starts(direct):
    for turn, text in enumerate("abc"):
        direct.push(simple_image(text), "v1")
        direct.clock.turn(ms=turn)
    periods = direct.periods("v1")
    assert [one.digest for one in periods] == [simple_image(text).digest for text in "abc"]
    assert [one.ending for one in periods] == [periods[1].start, periods[2].start, None]
    assert_no_overlap(periods)
    assert direct.get("v1").digest == simple_image("c").digest


@pytest.mark.parametrize("back", [0, 5000])
def test_periods_stay_in_order_on_a_clock_that_stands_or_goes_back(direct, back):
    for text in "abcd":
        direct.push(simple_image(text), "v1")
        direct.clock.turn(ms=-back)
    periods = direct.periods("v1")
    assert [one.digest for one in periods] == [simple_image(text).digest for text in "abcd"]
    assert_no_overlap(periods)


def test_the_own_digest_again_makes_no_period(direct):
    for _ in range(3):
        direct.push(simple_image("a"), "v1")
        direct.clock.turn(seconds=60)
    assert len(direct.periods("v1")) == 1


def test_the_own_digest_again_extends_a_life_that_ends(direct):
    made = expiring("a")
    direct.push(made, "v1")
    direct.clock.turn(seconds=1800)
    direct.put(made, "v1")
    periods = direct.periods("v1")
    assert [one.ending for one in periods] == [direct.clock.now, direct.clock.now + HOUR]
    assert_no_overlap(periods)


def test_a_lapsed_row_is_dead_at_once_and_keeps_its_end(direct):
    made = expiring("a")
    direct.push(made, "v1")
    ending = direct.periods("v1")[0].ending
    direct.clock.turn(ms=HOUR - 1)
    assert (direct.tags(), direct.get("v1").digest) == (["v1"], made.digest)
    direct.clock.turn(ms=1)
    assert direct.tags() == []
    with pytest.raises(ManifestUnknown, match="life ended at 2024-02-29T13:00:00") as missing:
        direct.get("v1")
    assert missing.value.detail["ended"].startswith("2024-02-29T13:00:00")
    with pytest.raises(ManifestUnknown):
        direct.delete_tag("v1")
    direct.clock.turn(ms=HOUR)
    direct.push(simple_image("b"), "v1")
    periods = direct.periods("v1")
    assert (periods[0].ending, periods[1].start) == (ending, direct.clock.now)
    assert_no_overlap(periods)


def test_deleting_a_tag_leaves_its_siblings_and_its_manifest(direct):
    made = simple_image("a")
    direct.push(made, "v1", "v2")
    direct.clock.turn(seconds=1)
    direct.delete_tag("v1")
    assert direct.tags() == ["v2"]
    assert direct.get(made.digest).payload == direct.get("v2").payload == made.data
    (period,) = direct.periods("v1")
    assert (period.ending, period.current) == (direct.clock.now, None)
    with pytest.raises(ManifestUnknown):
        direct.delete_tag("v1")
    direct.put(made, "v1")
    assert_no_overlap(direct.periods("v1"))


def test_deleting_a_manifest_ends_all_its_tags_and_no_other(direct):
    direct.push(simple_image("a"), "v1", "v2")
    direct.push(simple_image("b"), "v3")
    direct.delete_manifest(simple_image("a"))
    assert direct.tags() == ["v3"]
    for reference in ("v1", "v2", simple_image("a").digest):
        with pytest.raises(ManifestUnknown):
            direct.get(reference)
    with pytest.raises(ManifestUnknown):
        direct.delete_manifest(simple_image("a"))


def test_a_period_that_was_moved_meanwhile_is_not_ended_twice(direct, monkeypatch):
    from registry.repositories.periods import Periods

    direct.push(simple_image("a"), "v1")
    direct.clock.turn(seconds=1)
    direct.push(simple_image("b"), "v1")
    end, seen = Periods.end, []

    def stale(self, connection, repository_id, when, rows, *why):
        if not seen:
            seen.append(connection)
            (gone,) = connection.exec_driver_sql("SELECT id FROM tag WHERE current IS NULL").all()
            rows = [rows[0]._replace(id=gone.id)]
        end(self, connection, repository_id, when, rows, *why)

    monkeypatch.setattr(Periods, "end", stale)
    direct.clock.turn(seconds=1)
    direct.delete_tag("v1")
    first, second = direct.periods("v1")
    assert (first.ending, second.ending, second.current) == (second.start, direct.clock.now, None)


def test_tags_are_listed_bytewise_and_in_pages(direct):
    direct.push(simple_image("a"), "b", "B", "a-1", "_x", "a.1", "10", "9")
    assert direct.tags() == sorted(direct.tags(), key=str.encode)
    found, last = [], ""
    while True:
        page = direct.services.tags.list(direct.actor, direct.repository, 2, last)
        found += page.items
        if not page.more:
            break
        last = page.items[-1]
    assert found == direct.tags()


# Labels


@pytest.mark.parametrize(
    ("value", "life"),
    [("1h", HOUR), ("2w", 14 * 24 * HOUR)],
)
def test_an_expiry_label_ends_the_tag(direct, value, life):
    direct.push(expiring("a", value), "v1")
    assert direct.periods("v1")[0].ending == direct.clock.now + life
    assert direct.labels(expiring("a", value))["quay.expires-after"].warning == ""


@pytest.mark.parametrize("value", ["soon", "0h", "-1d", ""])
def test_a_label_that_means_nothing_is_kept_with_a_warning(direct, value, caplog):
    made = expiring("a", value)
    direct.push(made, "v1")
    assert direct.periods("v1")[0].ending is None
    assert "positive whole number" in direct.labels(made)["quay.expires-after"].warning
    assert made.digest in caplog.text


def test_of_several_expiries_the_earliest_wins(direct):
    made = image(layer({"f": b"1"}), labels={"quay.expires-after": "2h", "org.moorage.expires-after": "1h"})
    direct.push(made, "v1")
    assert direct.periods("v1")[0].ending == direct.clock.now + HOUR


def test_an_index_expires_where_all_its_images_do(direct):
    both = index(expiring("a"), expiring("b"))
    direct.push(both, "v1")
    assert direct.periods("v1")[0].ending == direct.clock.now + HOUR
    direct.push(index(expiring("a"), expiring("b", "2h")), "v2")
    assert direct.periods("v2")[0].ending is None


def test_attestations_and_artifacts_do_not_empty_the_intersection(direct):
    attestation = artifact("application/vnd.in-toto+json")
    one = expiring("a")
    direct.push(one)
    direct.push(attestation)
    body = index(one).body
    marked = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": one.digest}
    body["manifests"] += [
        attestation.descriptor(platform={"os": "unknown", "architecture": "unknown"}, annotations=marked)
    ]
    from registry.testing.images import OCI, Blob, to_json

    assert direct.put(Blob(to_json(body), OCI.index), "v1").labels_to_apply == {"quay.expires-after": "1h"}
    plain = artifact("text/x-sbom")
    direct.push(plain)
    assert direct.put(index(one, plain), "v2").labels_to_apply == {"quay.expires-after": "1h"}
    assert {direct.periods(tag)[0].ending for tag in ("v1", "v2")} == {direct.clock.now + HOUR}

"""Why something is kept and when it goes: a table of situations, each compared with what the collector then does."""

import pytest

from registry.collection.roots import FOR_EVER
from registry.digest import Digest
from registry.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry.names import RepositoryName, TagName
from registry.testing.images import Blob, artifact, image, index, layer

pytestmark = pytest.mark.usefixtures("stays_sound")

DAY = 86_400_000
WINDOW = 14 * DAY
LEASE = DAY
GRACE = 2 * DAY
LEAF = image(layer({"leaf": b"leaf"}))
TWIN = image(layer({"leaf": b"leaf"}), labels={"twin": "yes"})
LIST = index(LEAF)
NESTED = index(LIST)
CONFIG, LAYER = LEAF.blobs
SIGNATURE = artifact("application/x-sig", Blob(b"signed"), subject=LEAF)
EXPIRING = image(layer({"e": b"e"}), labels={"quay.expires-after": "1h"})
LONE = Blob(b"lone")
OTHER = RepositoryName.parse("team/other")


def tagged(direct):
    direct.push(LEAF, "v1")


def moved(direct):
    direct.push(LEAF, "v1")
    direct.clock.turn(ms=5)
    direct.push(TWIN, "v1")


def deleted_tag(direct):
    direct.push(LEAF, "v1")
    direct.clock.turn(ms=5)
    direct.delete_tag("v1")


def two_tags(direct):
    direct.push(LEAF, "v1", "v2")
    direct.delete_tag("v1")


def untagged(direct):
    direct.push(LEAF)


def child(direct):
    direct.push(LIST, "all")


def grandchild(direct):
    direct.push(NESTED, "all")


def child_of_a_list_that_lost_its_tag(direct):
    direct.push(LIST, "all")
    direct.clock.turn(ms=5)
    direct.delete_tag("all")


def child_of_a_deleted_list(direct):
    direct.push(LIST, "all")
    direct.clock.turn(ms=5)
    direct.delete_manifest(LIST)


def child_deleted_itself(direct):
    direct.push(LIST, "all")
    direct.clock.turn(ms=5)
    direct.delete_manifest(LEAF)


def deleted(direct):
    direct.push(LEAF, "v1")
    direct.clock.turn(ms=5)
    direct.delete_manifest(LEAF)


def signed(direct):
    direct.push(LEAF, "v1")
    direct.push(SIGNATURE)


def signed_and_untagged(direct):
    direct.push(LEAF, "v1")
    direct.push(SIGNATURE)
    direct.clock.turn(ms=5)
    direct.delete_tag("v1")


def signature_alone(direct):
    direct.push(SIGNATURE)


def expiring(direct):
    direct.push(EXPIRING, "v1")


def lapsed(direct):
    direct.push(EXPIRING, "v1")
    direct.clock.turn(seconds=7200)


def pinned(direct):
    deleted_tag(direct)
    direct.change("UPDATE manifest SET label_pin = true")


def pulled(direct):
    deleted_tag(direct)
    direct.clock.turn(ms=WINDOW - 10)
    direct.change("UPDATE manifest SET last_pulled_at = :now", now=direct.clock.now)


def asked_for_late(direct):
    deleted_tag(direct)
    direct.clock.turn(ms=WINDOW)
    direct.change("UPDATE manifest SET lease_until = :until", until=direct.clock.now + LEASE)


def alone(direct):
    direct.upload(LONE)


def hidden(direct):
    direct.upload(LONE)
    direct.services.blobs.delete(direct.actor, direct.repository, Digest.parse(LONE.digest))


def shared(direct):
    direct.push(LEAF, "v1")
    direct.push(TWIN, "v2")
    direct.clock.turn(ms=5)
    direct.delete_tag("v1")


def both_gone(direct):
    shared(direct)
    direct.clock.turn(ms=5)
    direct.delete_tag("v2")


def short_window(direct):
    direct.push(LEAF, "v1")
    direct.clock.turn(ms=LEASE)
    direct.change("UPDATE repository SET recovery_seconds = 60")
    direct.delete_tag("v1")


def deleted_repository(direct):
    direct.push(LEAF, "v1")
    direct.clock.turn(ms=5)
    direct.change("UPDATE repository SET deleted_at = :now, current = NULL", now=direct.clock.now)


# What is done, of what is asked, the kind of the longest root, and when that ends (None: never), from the last act on.
SITUATIONS = [
    (tagged, LEAF, "tag", None),
    (tagged, LAYER, "tag", None),
    (tagged, CONFIG, "tag", None),
    (moved, LEAF, "tag ended", WINDOW),
    (moved, LAYER, "tag", None),
    (moved, CONFIG, "tag ended", WINDOW),
    (deleted_tag, LEAF, "tag ended", WINDOW),
    (deleted_tag, LAYER, "tag ended", WINDOW),
    (two_tags, LEAF, "tag", None),
    (untagged, LEAF, "untagged", None),
    (untagged, LAYER, "untagged", None),
    (child, LEAF, "tag", None),
    (child, LAYER, "tag", None),
    (grandchild, LEAF, "tag", None),
    (grandchild, LIST, "tag", None),
    (child_of_a_list_that_lost_its_tag, LEAF, "tag ended", WINDOW),
    (child_of_a_deleted_list, LEAF, "deleted", WINDOW),
    (child_of_a_deleted_list, LIST, "deleted", WINDOW),
    (child_deleted_itself, LEAF, "deleted", WINDOW),
    (deleted, LEAF, "deleted", WINDOW),
    (deleted, LAYER, "deleted", WINDOW),
    (signed, SIGNATURE, "tag", None),
    (signed_and_untagged, SIGNATURE, "tag ended", WINDOW),
    (signed_and_untagged, SIGNATURE.blobs[1], "tag ended", WINDOW),
    (signature_alone, SIGNATURE, "untagged", None),
    (expiring, EXPIRING, "tag", 3_600_000 + WINDOW),
    (lapsed, EXPIRING, "tag ended", WINDOW - 3_600_000),
    (pinned, LEAF, "label", None),
    (pulled, LEAF, "pull", WINDOW),
    (asked_for_late, LEAF, "lease", LEASE),
    (alone, LONE, "lease", LEASE),
    (hidden, LONE, "lease", 0),
    (shared, LAYER, "tag", None),
    (both_gone, LAYER, "tag ended", WINDOW),
    (short_window, LEAF, "tag ended", 60_000),
    (deleted_repository, LEAF, "repository", WINDOW),
]


def explain(direct, blob):
    (found,) = direct.services.explainer.explain(direct.actor, Digest.parse(blob.digest)).places
    return found


def is_there(direct, blob):
    tables = ("manifest", "blob")
    return any(direct.column(f"SELECT 1 FROM {name} WHERE digest = :digest", digest=blob.digest) for name in tables)


@pytest.mark.parametrize(("act", "blob", "kind", "ends"), SITUATIONS)
def test_an_explanation_is_what_then_happens(direct, act, blob, kind, ends):
    act(direct)
    found = explain(direct, blob)
    assert found.roots[0].kind == kind
    assert found.roots[0].path[0] == blob.digest
    if ends is None:
        assert (found.until, found.goes, found.roots[0].until) == (None, None, FOR_EVER)
        direct.live_until(direct.clock.now + 10 * WINDOW)
        assert is_there(direct, blob)
        return
    assert found.until == direct.clock.now + ends
    queued = direct.column("SELECT count(*) FROM gc_review")
    if act is deleted_repository:
        direct.change("INSERT INTO gc_review (kind, repository_id, target, due_ms) VALUES ('repository', 1, 1, 0)")
    assert queued
    direct.live_until(found.goes - 1)
    assert is_there(direct, blob)
    direct.live_until(found.goes)
    assert not is_there(direct, blob)


def test_the_chain_leads_to_the_root(direct):
    grandchild(direct)
    assert explain(direct, LAYER).roots[0].path == (LAYER.digest, LEAF.digest, LIST.digest, NESTED.digest)
    assert explain(direct, LAYER).roots[0].detail == "all"


def test_a_blob_is_explained_in_each_repository(direct):
    direct.push(LEAF, "v1")
    direct.push(LEAF, "v1", repository=OTHER)
    explained = direct.services.explainer.explain(direct.actor, Digest.parse(LAYER.digest))
    assert [place.repository for place in explained.places] == ["team/app", "team/other"]
    one = direct.services.explainer.explain(direct.actor, Digest.parse(LAYER.digest), OTHER)
    assert [place.repository for place in one.places] == ["team/other"]


def test_a_blob_that_many_images_share_is_explained_by_the_one_that_stays(direct):
    base = layer({"base": b"base"})
    direct.push(image(base, layer({"own": b"kept"})), "kept")
    for number in range(25):
        direct.push(image(base, layer({"own": str(number).encode()})), f"t{number}")
        direct.delete_tag(f"t{number}")
    found = explain(direct, base)
    assert (found.until, found.goes, found.roots[0].detail) == (None, None, "kept")


def test_what_another_repository_holds_is_unknown_in_this_one(direct):
    tagged(direct)
    direct.upload(LONE, OTHER)
    with pytest.raises(BlobUnknown):
        direct.services.explainer.explain(direct.actor, Digest.parse(LAYER.digest), OTHER)


def test_a_deleted_tag_is_explained_until_its_manifest_is_gone(direct):
    deleted_tag(direct)
    tag = TagName.parse("v1")
    explained = direct.services.explainer.explain_tag(direct.actor, direct.repository, tag)
    assert (explained.digest, explained.places[0].until) == (LEAF.digest, direct.clock.now + WINDOW)
    direct.clock.turn(ms=WINDOW)
    direct.collect()
    with pytest.raises(ManifestUnknown, match="life ended"):
        direct.services.explainer.explain_tag(direct.actor, direct.repository, tag)


def test_a_tag_is_explained_by_what_it_stands_for(direct):
    tagged(direct)
    tag = TagName.parse("v1")
    explained = direct.services.explainer.explain_tag(direct.actor, direct.repository, tag)
    assert explained.digest == LEAF.digest
    with pytest.raises(ManifestUnknown):
        direct.services.explainer.explain_tag(direct.actor, direct.repository, TagName.parse("v2"))
    with pytest.raises(NameUnknown):
        direct.services.explainer.explain_tag(direct.actor, OTHER, tag)


def test_a_digest_that_is_nowhere_is_unknown(direct):
    with pytest.raises(BlobUnknown) as unknown:
        direct.services.explainer.explain(direct.actor, Digest.parse(LEAF.digest))
    assert unknown.value.detail == {"digest": LEAF.digest}


def test_bytes_that_are_just_going_are_told_of(direct):
    alone(direct)
    direct.clock.turn(ms=GRACE)
    direct.services.collector.run()
    explained = direct.services.explainer.explain(direct.actor, Digest.parse(LONE.digest))
    assert (explained.state, explained.places) == ("DELETING", [])


def test_the_status_counts_what_waits(direct):
    deleted_tag(direct)
    status = direct.services.collection.status(direct.actor)
    assert [(one.kind, one.waiting, one.due) for one in status.queue] == [("blob", 2, 0), ("manifest", 1, 0)]
    direct.clock.turn(ms=WINDOW)
    assert [one.due for one in direct.services.collection.status(direct.actor).queue] == [2, 1]
    direct.services.collector.run()
    direct.clock.turn(ms=GRACE)
    direct.services.collector.run()
    status = direct.services.collection.status(direct.actor)
    assert (status.deletions, status.bytes_to_free) == (2, sum(len(blob.data) for blob in LEAF.blobs))

"""Tags: their history, their undo, their end, their protection, and a repository as it was."""

import pytest

from registry.access.actors import Actor
from registry.digest import Digest
from registry.errors import (
    ExpiryInvalid,
    InputInvalid,
    ManifestUnknown,
    NotRestorable,
    PreconditionFailed,
    RequestInvalid,
    TagImmutable,
)
from registry.manifests import revival
from registry.manifests.tagging import TagEnd, TagWish
from registry.names import RepositoryName, TagName
from registry.repositories.history import HistoryFilter, HistoryService
from registry.repositories.lifecycle import RepositorySettings
from registry.revisions import Condition
from registry.testing.images import image, index, layer

pytestmark = pytest.mark.usefixtures("stays_sound")

SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000
WINDOW = 14 * DAY


def built(text, **labels):
    named = {key.replace("__", "-").replace("_", "."): value for key, value in labels.items()}
    return image(layer({"f": text.encode()}), labels=named)


A, B, C, LEAF, LEAKY = (built(text) for text in ("a", "b", "c", "leaf", "leaky"))
WHOLE = index(LEAF)


@pytest.fixture
def moved(direct):
    """Push three images over one another, an hour apart."""
    for made in (A, B, C):
        direct.push(made, "v1")
        direct.clock.turn(ms=HOUR)
    return direct


def test_history_is_newest_first_with_reasons(moved):
    moved.delete_tag("v1")
    periods = moved.history("v1")
    assert [one.digest for one in periods] == [C.digest, B.digest, A.digest]
    now = moved.clock.now
    assert [one.reason(now) for one in periods] == ["deleted", "moved", "moved"]
    assert all(one.restorable for one in periods)
    assert [bool(one.reversion) for one in periods] == [False] * 3


def test_history_is_paged_and_filtered(moved):
    moved.push(A, "other")
    service, wanted = moved.services.history, HistoryFilter()
    seen, before = [], None
    while True:
        page = service.history(moved.actor, moved.repository, wanted, 1, before)
        seen += page.items
        if not page.more:
            break
        before = (page.items[-1].start_ms, page.items[-1].id)
    assert [one.digest for one in seen] == [A.digest, C.digest, B.digest, A.digest]
    since = HistoryFilter(TagName("v1"), seen[2].start_ms, seen[1].start_ms)
    page = service.history(moved.actor, moved.repository, since, 10, None)
    assert [one.digest for one in page.items] == [C.digest, B.digest]


def test_a_collected_manifest_is_restorable_no_longer(moved):
    moved.clock.turn(ms=WINDOW)
    moved.collect()
    assert [bool(one.restorable) for one in moved.history("v1")] == [True, False, False]
    with pytest.raises(NotRestorable):
        moved.restore("v1")


def test_what_was_collected_and_pushed_again_can_be_put_back(moved):
    moved.clock.turn(ms=WINDOW)
    moved.collect()
    moved.push(A)
    assert [one.restorable for one in moved.history("v1")] == [True, False, True]
    assert moved.restore("v1", digest=A.digest).digest == A.digest
    moved.assert_sound()


def test_what_names_a_purged_blob_is_not_restored(moved):
    moved.delete_tag("v1")
    purge(moved, C)
    with pytest.raises(NotRestorable) as refused:
        moved.restore("v1")
    assert refused.value.detail == {"missing": [C.blobs[-1].digest]}


def test_history_of_tags_whose_names_start_alike(direct):
    direct.push(A, "v1", "v1.1", "v10", "v2", "V1")
    service = direct.services.history
    page = service.history(direct.actor, direct.repository, HistoryFilter(prefix="v1"), 2, None)
    assert ([one.name for one in page.items], page.more) == (["v10", "v1.1"], True)
    before = (page.items[-1].start_ms, page.items[-1].id)
    page = service.history(direct.actor, direct.repository, HistoryFilter(prefix="v1"), 2, before)
    assert ([one.name for one in page.items], page.more) == (["v1"], False)


def test_the_last_change_is_undone_and_redone(moved):
    assert moved.restore("v1").digest == B.digest
    assert bool(moved.tag("v1").reversion)
    moved.clock.turn(ms=1)
    assert moved.restore("v1").digest == C.digest


def test_a_deleted_tag_comes_back(moved):
    moved.delete_tag("v1")
    moved.clock.turn(ms=HOUR)
    assert moved.restore("v1").digest == C.digest
    assert moved.get("v1").digest == C.digest


def test_a_lapsed_tag_comes_back_with_a_life_of_its_labels(direct):
    made = built("e", quay_expires__after="1h")
    direct.push(made, "v1")
    direct.clock.turn(ms=2 * HOUR)
    back = direct.restore("v1")
    assert (back.digest, back.end_ms) == (made.digest, direct.clock.now + HOUR)


def test_a_tag_goes_back_to_a_time_or_a_digest(moved):
    start = moved.history("v1")[-1].start_ms
    assert moved.restore("v1", time_ms=start + 1).digest == A.digest
    assert moved.restore("v1", digest=B.digest).digest == B.digest
    with pytest.raises(ManifestUnknown):
        moved.restore("v1", time_ms=start - 1)
    with pytest.raises(ManifestUnknown, match="never stood for"):
        moved.restore("v1", digest=built("never").digest)
    with pytest.raises(ManifestUnknown):
        moved.restore("unknown")


def test_a_deleted_manifest_comes_back_with_its_tag_and_all_that_it_reaches(direct):
    leaf = built("leaf")
    direct.push(index(leaf, A), "all")
    direct.clock.turn(ms=2 * DAY)
    for manifest in (index(leaf, A), leaf):
        direct.delete_manifest(manifest)
    for blob in leaf.blobs:
        direct.services.blobs.delete(direct.actor, direct.repository, Digest.parse(blob.digest))
    direct.clock.turn(ms=HOUR)
    assert direct.restore("all").digest == index(leaf, A).digest
    assert direct.get(leaf.digest).payload == leaf.data
    for blob in leaf.blobs:
        assert direct.blob_bytes(blob.digest) == blob.data
    direct.clock.turn(ms=3 * WINDOW)
    direct.collect()
    assert direct.get(leaf.digest).payload == leaf.data


def test_what_is_collected_while_it_is_put_back_is_looked_up_again(direct, monkeypatch):
    direct.push(WHOLE, "all")
    direct.delete_tag("all")
    found, walks = revival.reach, []

    def early(connection, manifest_id):
        walks.append(manifest_id)
        reached, missing = found(connection, manifest_id)
        return (reached | {1 << 40} if len(walks) == 1 else reached), missing

    monkeypatch.setattr(revival, "reach", early)
    assert direct.restore("all").digest == WHOLE.digest
    assert len(walks) == 2


def test_what_lost_a_part_for_good_is_not_restored(direct):
    leaf = built("leaf")
    direct.push(index(leaf, A), "all")
    direct.delete_manifest(leaf)
    direct.clock.turn(ms=WINDOW)
    direct.collect()
    direct.delete_tag("all")
    with pytest.raises(NotRestorable) as refused:
        direct.restore("all")
    assert refused.value.detail == {"missing": [leaf.digest]}


def test_a_manifest_comes_back_with_the_tags_that_its_deletion_ended(direct):
    direct.push(A, "v1", "v2", "v3")
    direct.push(B, "x")
    direct.delete_tag("v3")
    direct.clock.turn(ms=HOUR)
    direct.delete_manifest(A)
    direct.push(B, "v2")
    done = direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(A.digest))
    assert (list(done.tags), list(done.taken)) == (["v1"], ["v2"])
    assert direct.get(A.digest).payload == A.data
    assert direct.tags() == ["v1", "v2", "x"]
    with pytest.raises(ManifestUnknown, match="not a deleted one"):
        direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(A.digest))


def test_a_manifest_that_comes_back_without_a_tag_stays(direct):
    direct.push(A)
    direct.delete_manifest(A)
    direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(A.digest))
    direct.clock.turn(ms=3 * WINDOW)
    direct.collect()
    assert direct.get(A.digest).payload == A.data


def test_an_end_is_set_changed_and_cleared(direct):
    direct.push(A, "v1")
    now = direct.clock.now
    tag = direct.expire("v1", now + HOUR)
    assert (tag.end_ms, tag.expiry_source) == (now + HOUR, "api")
    assert direct.expire("v1", now + 2 * HOUR).end_ms == now + 2 * HOUR
    direct.put(A, "v1")
    assert direct.tag("v1").end_ms == now + 2 * HOUR
    assert direct.expire("v1", None).end_ms is None
    direct.expire("v1", now + HOUR)
    direct.clock.turn(ms=HOUR)
    with pytest.raises(ManifestUnknown, match="expired"):
        direct.tag("v1")
    direct.clock.turn(ms=WINDOW + DAY)
    direct.collect()
    assert direct.lookup(A, allow_dead=True) is None


def test_an_end_is_kept_within_bounds(start):
    direct = start(tag_expiry_min=60, tag_expiry_max=7200)
    direct.push(A, "v1")
    now = direct.clock.now
    assert direct.expire("v1", now + 1).end_ms == now + 60 * SECOND
    assert direct.expire("v1", now + DAY).end_ms == now + 2 * HOUR
    with pytest.raises(ExpiryInvalid, match="in the future"):
        direct.expire("v1", now)
    direct.expire("v1", None)
    direct.clock.turn(ms=3 * HOUR)
    with pytest.raises(ExpiryInvalid, match="older than"):
        direct.expire("v1", direct.clock.now + HOUR)


def test_a_protected_tag_stays_as_it_is(direct):
    direct.push(A, "v1")
    direct.push(B)
    assert bool(direct.protect("v1").immutable)
    for change in (
        lambda: direct.push(B, "v1"),
        lambda: direct.delete_tag("v1"),
        lambda: direct.delete_manifest(A),
        lambda: direct.expire("v1", direct.clock.now + HOUR),
        lambda: direct.move("v1", B),
    ):
        with pytest.raises(TagImmutable, match="it was made immutable by hand") as refused:
            change()
        assert refused.value.http_status == 409
    direct.put(A, "v1")
    assert len(direct.periods("v1")) == 1
    direct.protect("v1", immutable=False)
    direct.delete_tag("v1")


def test_a_tag_with_an_end_is_not_protected(direct):
    direct.push(A, "v1")
    direct.expire("v1", direct.clock.now + HOUR)
    with pytest.raises(TagImmutable, match="clear that first"):
        direct.protect("v1")


def test_an_end_and_protection_are_changed_in_one_step(direct):
    direct.push(A, "v1")
    seen, end = direct.tag("v1"), TagEnd(direct.clock.now + HOUR)
    with pytest.raises(TagImmutable, match="clear that first"):
        direct.change_tag("v1", TagWish(end, immutable=True))
    assert direct.tag("v1") == seen
    direct.change_tag("v1", TagWish(end))
    done = direct.change_tag("v1", TagWish(TagEnd(None), immutable=True))
    assert (done.end_ms, bool(done.immutable)) == (None, True)
    with pytest.raises(TagImmutable, match="it was made immutable by hand"):
        direct.change_tag("v1", TagWish(end))
    done = direct.change_tag("v1", TagWish(end, immutable=False))
    assert (done.end_ms, bool(done.immutable)) == (end.at_ms, False)
    assert direct.change_tag("v1", TagWish(immutable=False)) == done


def test_a_tag_is_pointed_at_what_the_repository_has(direct):
    direct.push(A, "v1")
    direct.push(B)
    assert direct.move("v1", B).digest == B.digest
    assert direct.move("new", A).digest == A.digest
    direct.delete_manifest(A)
    with pytest.raises(ManifestUnknown):
        direct.move("v1", A)


def test_a_tag_that_is_deleted_while_it_is_left_as_it_is_is_set_anew(direct, monkeypatch):
    direct.push(A, "v1")
    found, waiting = HistoryService.current, [None]
    late = staticmethod(lambda *arguments: waiting.pop() if waiting else found(*arguments))
    monkeypatch.setattr(HistoryService, "current", late)
    assert direct.move("v1", A).digest == A.digest
    assert not waiting


def test_changes_are_made_under_the_revision_that_was_seen(direct):
    direct.push(A, "v1")
    seen = Condition(frozenset([direct.tag("v1").revision]))
    tag = TagName("v1")
    direct.change_tag("v1", TagWish(TagEnd(direct.clock.now + HOUR)), seen)
    with pytest.raises(PreconditionFailed):
        direct.services.tags.delete(direct.actor, direct.repository, tag, seen)
    with pytest.raises(PreconditionFailed):
        direct.services.changes.move(direct.actor, direct.repository, TagName("new"), Digest.parse(A.digest), seen)


def test_tags_as_of_a_time(moved):
    start = moved.history("v1")[-1].start_ms
    service = moved.services.history
    page = service.as_of(moved.actor, moved.repository, start + HOUR, 10, "")
    assert [one.digest for one in page.items] == [B.digest]
    assert service.as_of(moved.actor, moved.repository, start - 1, 10, "").items == []
    assert service.describe_as_of(moved.actor, moved.repository, TagName("v1"), start).digest == A.digest
    with pytest.raises(ManifestUnknown, match="did not exist"):
        service.describe_as_of(moved.actor, moved.repository, TagName("v1"), start - 1)


def plan(direct, time_ms):
    page = direct.services.restoration.plan(direct.actor, direct.repository, time_ms, 1000, "")
    return {one.tag: (one.change.value, one.why) for one in page.items}


class Context:
    """Stands for a run of a job."""

    def __init__(self, **arguments):
        self.arguments, self.actor, self.told = arguments, Actor("somebody"), []

    def progress(self, done, total=0):
        self.told.append(done)

    def stopping(self):
        return False


@pytest.fixture
def messed(direct):
    """Give a repository that changed in every way since a time."""
    direct.push(A, "kept", "moved", "deleted", "protected", "lapsed", "gone")
    direct.expire("lapsed", direct.clock.now + 2 * HOUR)
    direct.push(C, "lost")
    direct.push(WHOLE, "partly")
    direct.push(LEAKY, "leaky")
    direct.clock.turn(ms=HOUR)
    then = direct.clock.now
    direct.clock.turn(ms=1)
    direct.delete_manifest(C)
    direct.delete_manifest(LEAF)
    direct.clock.turn(ms=WINDOW)
    direct.collect()
    direct.push(B, "moved", "protected", "made")
    direct.protect("protected")
    for tag in ("deleted", "partly", "leaky"):
        direct.delete_tag(tag)
    purge(direct, LEAKY)
    return then


def purge(direct, made):
    direct.services.purges.purge(direct.actor, Digest.parse(made.blobs[-1].digest), "a secret")


def test_a_repository_is_put_back_to_a_time_just_as_the_plan_says(direct, messed):
    planned = plan(direct, messed)
    assert {tag: change for tag, (change, _) in planned.items()} == {
        "kept": "keep",
        "gone": "keep",
        "moved": "move",
        "deleted": "set",
        "lapsed": "set",
        "made": "end",
        "protected": "refused",
        "lost": "impossible",
        "partly": "impossible",
        "leaky": "impossible",
    }
    assert planned["protected"][1] == "it was made immutable by hand"
    assert planned["lost"][1] == "its manifest was removed for good"
    assert planned["partly"][1] == planned["leaky"][1] == "parts of it were removed for good"
    context = Context()
    result = direct.services.restoration.apply(direct.repository, messed, context)
    assert {name: count for name, count in result.items() if count and name != "left"} == {
        "keep": 2,
        "move": 1,
        "set": 2,
        "end": 1,
        "refused": 1,
        "impossible": 3,
    }
    assert len(result["left"]) == 4
    assert context.told == [10]
    assert direct.tags() == ["deleted", "gone", "kept", "lapsed", "moved", "protected"]
    assert direct.get("moved").digest == A.digest
    assert {change for change, _ in plan(direct, messed).values()} == {"keep", "refused", "impossible"}


def test_the_job_takes_a_repository_and_a_time(direct, messed):
    (job,) = [one.job for one in direct.services.runs.schedules(direct.actor) if one.job.name == "restore"]
    result = job.run(Context(repository="team/app", as_of=messed))
    assert result["move"] == 1
    for arguments in ({}, {"repository": "team/app"}, {"repository": "team/app", "as_of": "now"}):
        with pytest.raises(Exception, match="needs the arguments"):
            job.run(Context(**arguments))
    for as_of in (-1, 1 << 62):
        with pytest.raises(RequestInvalid, match="between 1970 and 9999"):
            job.run(Context(repository="team/app", as_of=as_of))


def test_nothing_is_put_back_to_a_time_that_is_yet_to_come_or_before_there_was_anything(direct):
    direct.push(A, "lasting", "nightly")
    direct.expire("nightly", direct.clock.now + 2 * HOUR)
    ahead = direct.clock.now + 3 * HOUR
    # Seconds for milliseconds are a time long before.
    for time_ms, why in ((ahead, "yet to come"), (direct.clock.now // 1000, "made after that time")):
        for ask in (
            lambda time_ms=time_ms: plan(direct, time_ms),
            lambda time_ms=time_ms: direct.services.restoration.apply(direct.repository, time_ms, Context()),
        ):
            with pytest.raises(InputInvalid, match=why):
                ask()
    assert direct.tags() == ["lasting", "nightly"]


def test_a_tag_that_changes_while_a_repository_is_put_back_is_left_alone(direct, messed, monkeypatch):
    carry_out = type(direct.services.restoration)._carry_out

    def late(self, actor, repository, batch):
        direct.push(C, "moved")
        return carry_out(self, actor, repository, batch)

    monkeypatch.setattr(type(direct.services.restoration), "_carry_out", late)
    result = direct.services.restoration.apply(direct.repository, messed, Context())
    assert (result["changed meanwhile"], result["move"]) == (1, 0)
    assert direct.get("moved").digest == C.digest


def test_what_a_tag_that_must_stay_stood_for_is_not_put_back_without_it(direct, monkeypatch):
    direct.push(A, "first")
    direct.push(B, "second")
    then = direct.clock.now
    direct.clock.turn(ms=HOUR)
    direct.push(C, "first", "second")
    for made in (A, B):
        direct.delete_manifest(made)
    carry_out = type(direct.services.restoration)._carry_out

    def late(self, actor, repository, batch):
        direct.protect("first")
        return carry_out(self, actor, repository, batch)

    monkeypatch.setattr(type(direct.services.restoration), "_carry_out", late)
    result = direct.services.restoration.apply(direct.repository, then, Context())
    assert (result["changed meanwhile"], result["move"]) == (1, 1)
    assert direct.get("second").digest == B.digest
    with pytest.raises(ManifestUnknown):
        direct.get(A.digest)


def test_old_periods_are_forgotten_whatever_they_stood_for(start):
    direct = start(history_kept=30 * 86_400)
    for made in (A, B):
        direct.push(made, "v1")
        direct.clock.turn(ms=HOUR)
    direct.push(A, "other")
    for days, gone in ((29, 0), (1, 1), (0, 0)):
        direct.clock.turn(ms=days * DAY)
        assert trimmed(direct) == gone
    assert [one.digest for one in direct.history("v1")] == [B.digest]
    direct.delete_tag("v1")
    direct.clock.turn(ms=30 * DAY + 1)
    direct.collect()
    assert trimmed(direct) == 1
    assert direct.tags() == ["other"]
    direct.assert_sound()


def test_no_period_is_forgotten_that_a_window_holds(start):
    direct, longer = start(history_kept=86_400), RepositoryName("team/longer")
    for name in (direct.repository, longer):
        direct.push(A, "v1", "v2", repository=name)
    settings = RepositorySettings(recovery_seconds=60 * 86_400)
    direct.services.lifecycle.change(direct.actor, longer, lambda _: settings, Condition())
    for direct.repository in (longer, RepositoryName("team/app")):
        direct.delete_tag("v1")
        direct.expire("v2", direct.clock.now + DAY)
    direct.clock.turn(ms=2 * DAY)
    assert trimmed(direct) == 0
    direct.clock.turn(ms=WINDOW)
    assert trimmed(direct) == 2
    direct.clock.turn(ms=60 * DAY)
    assert trimmed(direct) == 2
    direct.assert_sound()


def trimmed(direct):
    (job,) = [one.job for one in direct.services.runs.schedules(direct.actor) if one.job.name == "history"]
    return job.run(Context())["periods"]

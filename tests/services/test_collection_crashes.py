"""A crash at every named step: the next start goes on by itself, and nothing is lost, left or wrong."""

import pytest

from registry.collection.collector import Step as CollectionStep
from registry.content.deletions import Step as DeletionStep
from registry.testing.images import Blob, artifact, image, index, layer
from tests.support.direct import ManualClock, body

pytestmark = pytest.mark.needs_tools  # it needs none, but takes long: many starts after many crashes

DAY = 86_400
PUSHING = [
    "upload.sealed",
    "upload.commit",
    "upload.committed",
    "manifest.prepared",
    "manifest.store.row",
    "manifest.store.edges",
    "manifest.store.tags",
    "manifest.store.commit",
    "manifest.stored",
]
COLLECTING = [*CollectionStep, *DeletionStep]
KEPT = image(layer({"shared": b"shared"}), layer({"kept": b"kept"}))
GONE = image(layer({"shared": b"shared"}), layer({"gone": b"gone"}), empty_steps=1)
SIGNED = artifact("application/x-sig", Blob(b"signed"), subject=GONE)


class Crash(BaseException):
    """The end of a process, which no handler of the code stops."""


class Crashing:
    """Steps that end at the n-th time a name is reached."""

    def __init__(self, name, turn=1):
        self.name, self.left, self.seen = name, turn, []

    def __call__(self, name):
        self.seen.append(str(name))
        if name == self.name:
            self.left -= 1
            if self.left == 0:
                raise Crash(name)


@pytest.fixture
def houses(start_with_steps):
    """Give the function that makes an app with steps on the test's database and files, for one process after another."""
    return start_with_steps


def fill(direct):
    direct.push(KEPT, "kept")
    direct.push(index(GONE), "gone")
    direct.push(SIGNED)
    direct.push(KEPT, "moving")
    direct.clock.turn(seconds=1)
    direct.push(GONE, "moving")
    direct.clock.turn(seconds=1)
    direct.push(KEPT, "moving")
    uuid = direct.services.uploads.start(direct.actor, direct.repository, None).uuid
    direct.services.uploads.append(direct.actor, direct.repository, uuid, body(b"half"), 0)
    direct.delete_tag("gone")


def is_whole(direct):
    assert direct.get("kept").payload == KEPT.data
    for blob in KEPT.blobs:
        assert direct.blob_bytes(blob.digest) == blob.data


def nothing_is_left(direct):
    direct.assert_sound(deep=True)
    counts = direct.content()
    assert (counts["manifest"], counts["blob"], counts["upload"], counts["storage_deletion"]) == (1, 3, 0, 0)
    assert len(list(direct.services.storage.list_keys())) == 3


@pytest.mark.parametrize("step", COLLECTING)
def test_collection_goes_on_after_a_crash(houses, step):
    clock = ManualClock()
    first = houses(clock)
    fill(first)
    clock.turn(seconds=30 * DAY)
    turn, crashes = 1, 0
    while True:
        crashing = Crashing(step, turn)
        doomed = houses(clock, crashing)
        try:
            doomed.collect_all()
        except Crash:
            crashes += 1
            turn += 3
            is_whole(first)
            first.assert_sound()
            continue
        break
    assert crashes
    first.collect_all()
    is_whole(first)
    nothing_is_left(first)


@pytest.mark.parametrize("step", PUSHING)
def test_a_push_that_crashed_leaves_all_or_nothing_and_can_be_repeated(houses, step):
    clock = ManualClock()
    first = houses(clock)
    first.push(KEPT, "kept")
    crashing = Crashing(step)
    with pytest.raises(Crash):
        houses(clock, crashing).push(index(GONE), "new", "kept")
    first.assert_sound()
    assert first.get("kept").digest in (KEPT.digest, index(GONE).digest)
    first.push(index(GONE), "new", "kept")
    first.assert_sound(deep=True)
    assert first.get("new").digest == first.get("kept").digest == index(GONE).digest
    first.delete_tag("new")
    first.delete_tag("kept")
    clock.turn(seconds=30 * DAY)
    first.collect_all()
    first.assert_sound(deep=True)
    assert first.content()["blob"] == 0


def test_every_step_has_been_named_here(houses):
    seen = Crashing("")
    clock = ManualClock()
    direct = houses(clock, seen)
    fill(direct)
    clock.turn(seconds=30 * DAY)
    direct.collect_all()
    assert set(seen.seen) == {*map(str, COLLECTING), *PUSHING}

"""The collector and a push, each stopped at every step of the other: neither takes what the other needs."""

import itertools
import threading

import pytest

from registry.collection.collector import Step as CollectionStep
from registry.content.deletions import Step as DeletionStep
from registry.digest import Digest
from registry.errors import BlobUnknown
from registry.testing.images import Blob, image, layer
from tests.support.direct import ManualClock
from tests.support.scale import hang_guard, scaled

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(hang_guard(900))]

DAY = 86_400
MADE = image(layer({"f": b"pushed, forgotten, and pushed again"}))
PUSHING = [
    "push.asked",
    "upload.sealed",
    "upload.commit",
    "upload.committed",
    "manifest.prepared",
    "manifest.store.row",
    "manifest.store.tags",
    "manifest.stored",
]
COLLECTING = [*CollectionStep, *DeletionStep]
BLOCKED = 0.05
"""How long one is waited for that may be waiting for the other's lock: in seconds, and only then in full."""


class Gate:
    """Steps that stop at the first time the name is reached that is closed, until they are let go."""

    def close(self, name):
        self.name, self.reached, self.open = str(name), threading.Event(), threading.Event()

    def __call__(self, name):
        if str(name) == self.name and not self.reached.is_set():
            self.reached.set()
            assert self.open.wait(60)


class Side(threading.Thread):
    """One of the two, in a thread of its own."""

    def __init__(self, gate, work):
        super().__init__()
        self.gate, self.work, self.error = gate, work, None

    def run(self):
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001 - the test tells it
            self.error = error
        finally:
            self.gate.reached.set()

    def go_to_gate(self):
        """Run until the gate, the end, or a lock that the other holds."""
        self.start()
        self.gate.reached.wait(BLOCKED)

    def go_on(self):
        """Run to the end, or to a lock that the other holds."""
        self.gate.open.set()
        self.join(BLOCKED)


def push(direct, steps):
    """Push as clients do: ask for each blob, and upload what is not there."""
    for blob in MADE.blobs:
        try:
            direct.services.blobs.check(direct.actor, direct.repository, Digest.parse(blob.digest))
            steps("push.asked")
        except BlobUnknown:
            direct.upload(blob)
    direct.put(MADE, "v1")


@pytest.mark.parametrize("first", ["collector", "push"])
def test_in_every_pair_of_steps_the_push_is_whole(start_with_steps, first, figure):
    pairs = list(itertools.product(COLLECTING, PUSHING))
    clock = ManualClock()
    gates = [Gate(), Gate()]
    beside, collector, pusher = start_with_steps(clock), *(start_with_steps(clock, gate) for gate in gates)

    def collect():
        collector.services.collector.run()
        collector.services.deletions.drain()

    for collecting, pushing in pairs:
        gates[0].close(collecting)
        gates[1].close(pushing)
        for blob in MADE.blobs:
            beside.upload(blob)
        clock.turn(seconds=3 * DAY)
        sides = [Side(gates[0], collect), Side(gates[1], lambda: push(pusher, gates[1]))]
        order = sides if first == "collector" else sides[::-1]
        for side in order:
            side.go_to_gate()
        for side in order:
            side.go_on()
        for side in order:
            side.join(60)
            assert not side.is_alive(), (collecting, pushing)
        assert [side.error for side in sides] == [None, None], (collecting, pushing)
        assert beside.get("v1").digest == MADE.digest
        for blob in MADE.blobs:
            assert beside.blob_bytes(blob.digest) == blob.data, (collecting, pushing)
        beside.assert_sound(deep=True)
        beside.delete_manifest(MADE)
        clock.turn(seconds=30 * DAY)
        beside.collect_all()
        assert beside.content()["blob"] == beside.content()["keys"] == 0
    figure(f"{len(pairs)} pairs of steps, the {first} first: 0 violations")


def test_a_late_or_repeated_deletion_never_takes_what_was_pushed_again(direct, figure):
    count, clock = scaled(500, 20), direct.clock
    blob = Blob(b"gone and come again")
    storage, late = direct.services.storage, []
    for _ in range(count):
        direct.upload(blob)
        (key,) = direct.column("SELECT storage_key FROM blob")
        clock.turn(seconds=3 * DAY)
        direct.services.collector.run()
        late.append(key)
        direct.upload(blob)
        clock.turn(seconds=60)
        direct.services.deletions.drain()
        for old in late[-3:]:
            storage.delete(old)
        assert direct.blob_bytes(blob.digest) == blob.data
    direct.assert_sound(deep=True)
    figure(f"{count} of {count} blobs pushed again outlived late and repeated deletions of what they were")

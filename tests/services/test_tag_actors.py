"""Several actors change the same few tags at once: whatever they do to each other, the periods stay sound."""

import itertools
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event

from registry.digest import Digest
from registry.errors import (
    ExpiryInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NotRestorable,
    PreconditionFailed,
    TagImmutable,
    Unavailable,
)
from registry.manifests.tagging import TagEnd, TagWish
from registry.revisions import Condition
from registry.testing.images import image, index, layer
from tests.support.scale import hang_guard, scaled

HOUR = 3_600_000
ACTORS, TAGS = 8, ("a", "b", "c")
LEAF = image(layer({"f": b"leaf"}))
MADE = [
    image(layer({"f": b"plain"})),
    image(layer({"f": b"lives"}), labels={"quay.expires-after": "1h"}),
    index(LEAF),
]
EXPECTED = (
    ExpiryInvalid,
    ManifestBlobUnknown,
    ManifestUnknown,
    NotRestorable,
    PreconditionFailed,
    TagImmutable,
    Unavailable,
)


class Run:
    """Stands for a run of a job."""

    def __init__(self, actor):
        self.actor = actor

    def progress(self, done):
        pass

    def stopping(self):
        return False


def push(direct, chance, tag):
    direct.push(chance.choice(MADE), tag)


def delete(direct, chance, tag):
    direct.delete_tag(tag)


def move(direct, chance, tag):
    direct.move(tag, chance.choice(MADE))


def change(direct, chance, tag):
    ends = chance.choice([None, TagEnd(None), TagEnd(direct.clock.now + HOUR)])
    seen = Condition(frozenset([direct.tag(tag).revision])) if chance.random() < 0.5 else Condition()
    direct.change_tag(tag, TagWish(ends, chance.choice([None, True, False, False])), seen)


def restore(direct, chance, tag):
    direct.restore(tag, time_ms=chance.choice([None, direct.clock.now - chance.randrange(HOUR)]))


def delete_image(direct, chance, tag):
    direct.delete_manifest(chance.choice([*MADE, LEAF]))


def restore_image(direct, chance, tag):
    digest = Digest.parse(chance.choice([*MADE, LEAF]).digest)
    direct.services.restoration.manifest(direct.actor, direct.repository, digest)


def put_back(direct, chance, tag):
    direct.services.restoration.apply(direct.repository, direct.clock.now - chance.randrange(HOUR), Run(direct.actor))


def wait(direct, chance, tag):
    direct.clock.turn(ms=chance.randrange(HOUR // 2))


DEEDS = (push, push, delete, move, change, change, restore, restore, delete_image, restore_image, put_back, wait)


def act(direct, seed, deeds):
    """Do so many things to the tags; return how many of them were done, and how many refused."""
    chance, done = random.Random(seed), [0, 0]
    for _ in range(deeds):
        deed, tag = chance.choice(DEEDS), chance.choice(TAGS)
        try:
            deed(direct, chance, tag)
        except EXPECTED:
            done[1] += 1
        else:
            done[0] += 1
    return done


def assert_periods_sound(direct):
    now = direct.clock.now
    for tag in TAGS:
        periods = direct.history(tag)[::-1]
        for old, new in itertools.pairwise(periods):
            assert old.current is None
            assert old.start_ms < old.end_ms <= new.start_ms
            assert old.end_reason != "moved" or old.end_ms == new.start_ms
        for one in periods:
            assert not (one.immutable and one.end_ms is not None and one.current)
            if one.current and one.alive_at(now):
                assert one.deleted_at is None
                assert direct.get(tag).digest == one.digest
    direct.assert_sound()


@pytest.mark.needs_tools
@pytest.mark.soak
@pytest.mark.timeout(hang_guard(600))
def test_actors_beside_one_another(direct, figure):
    deeds = scaled(5_000, 100)
    for made in MADE:
        direct.push(made)
    direct.clock.turn(ms=HOUR)  # so that there is something to put back to
    with ThreadPoolExecutor(ACTORS) as pool:
        told = list(pool.map(lambda seed: act(direct, seed, deeds), range(ACTORS)))
    assert_periods_sound(direct)
    done, refused = (sum(one[number] for one in told) for number in range(2))
    figure(f"{ACTORS} actors changed {len(TAGS)} tags {done} times, {refused} refused: no overlap, nothing wrong")


@pytest.mark.needs_tools
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("before", ["never was", "was deleted"])
def test_a_push_starts_after_a_period_that_came_and_went_since_it_looked(direct, before):
    """A name that nobody holds has no row to lock, so a whole life may pass between two statements of a push.

    SQLite takes one writer at a time.
    """
    plain, lives, _ = MADE
    for made in (plain, lives):
        direct.push(made)
    if before == "was deleted":
        direct.push(plain, "a")
        direct.delete_tag("a")
    others = [lambda: direct.push(lives, "a"), lambda: direct.delete_tag("a")]

    def interrupt(_connection, _cursor, statement, *_others):
        if statement.startswith("INSERT INTO tag ") and others:
            todo, others[:] = list(others), []
            with ThreadPoolExecutor(1) as pool:
                for one in todo:
                    pool.submit(one).result()

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        direct.push(plain, "a")
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    assert not others
    assert [one.digest for one in direct.history("a")][:2] == [plain.digest, lives.digest]
    assert_periods_sound(direct)

"""A state machine of tags against a small model: whatever is done in whatever order, the periods tell it."""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from registry.access.actors import Actor
from registry.digest import Digest
from registry.errors import ManifestUnknown, TagImmutable
from registry.manifests.tagging import TagEnd, TagWish
from registry.names import RepositoryName, TagName
from registry.testing.images import image, layer
from tests.support.direct import ANYTHING
from tests.support.scale import hang_guard, scaled

HOUR = 3_600_000
LIVES = image(layer({"n": b"lives"}), labels={"quay.expires-after": "3h"})
IMAGES = [*(image(layer({"n": str(number).encode()})) for number in range(2)), LIVES]
TAGS = st.sampled_from(["a", "b", "c"])
CHOSEN = st.sampled_from(IMAGES)
_numbers = itertools.count()


class Period:
    def __init__(self, digest, start):
        self.digest, self.start, self.immutable, self.api, self.why = digest, start, False, False, "expired"
        self.end = start + 3 * HOUR if digest == LIVES.digest else None

    def alive(self, now):
        return self.start <= now and (self.end is None or self.end > now)

    def goes_on(self):
        """Tell whether its own image, pushed again, leaves it."""
        return self.digest != LIVES.digest or self.immutable or self.api

    def finish(self, now, why):
        if self.end is None or self.end > now:
            self.end, self.why = now, why


class Tags(RuleBasedStateMachine):
    """One repository whose tags are pushed, moved, ended, protected and put back by several actors."""

    def __init__(self, direct):
        super().__init__()
        self.direct = direct
        direct.repository = RepositoryName(f"machine/r{next(_numbers)}")
        self.model, self.deleted = {}, {}

    @initialize()
    def fill(self):
        for one in IMAGES:
            self.direct.push(one)

    def now(self):
        self.direct.clock.turn(ms=2)
        return self.direct.clock.now

    def living(self, tag, now):
        periods = self.model.get(tag, [])
        return periods[-1] if periods and periods[-1].alive(now) else None

    def stands_for(self, tag, digest, now):
        """Let a tag stand for an image that is pushed, or put back; that brings the image back, too."""
        self.deleted.pop(digest, None)
        periods, living = self.model.setdefault(tag, []), self.living(tag, now)
        if living is not None and living.digest == digest and living.goes_on():
            return
        if periods:
            periods[-1].finish(now, "moved")
        periods.append(Period(digest, now))

    def refused(self, act):
        with pytest.raises(TagImmutable):
            act()

    @rule(tag=TAGS, chosen=CHOSEN, actor=st.sampled_from(["one", "two"]))
    def push(self, tag, chosen, actor):
        now, self.direct.actor = self.now(), Actor(actor)
        living = self.living(tag, now)
        if living is not None and living.immutable and living.digest != chosen.digest:
            self.refused(lambda: self.direct.put(chosen, tag))
            return
        self.direct.put(chosen, tag)
        self.stands_for(tag, chosen.digest, now)

    @rule(tag=TAGS)
    def delete(self, tag):
        now = self.now()
        living = self.living(tag, now)
        if living is None:
            with pytest.raises(ManifestUnknown):
                self.direct.delete_tag(tag)
        elif living.immutable:
            self.refused(lambda: self.direct.delete_tag(tag))
        else:
            self.direct.delete_tag(tag)
            living.finish(now, "deleted")

    @rule(tag=TAGS, hours=st.none() | st.just(0) | st.integers(1, 5), immutable=st.none() | st.booleans())
    def change(self, tag, hours, immutable):
        """Give a tag an end (0 hours: none), protect it, or both at once."""
        now = self.now()
        living = self.living(tag, now)
        end = now + hours * HOUR if hours else None
        wish = TagWish(None if hours is None else TagEnd(end), immutable)
        if living is None:
            with pytest.raises(ManifestUnknown):
                self.direct.change_tag(tag, wish)
            return
        then = living.end if hours is None else end
        if then is not None and (living.immutable if immutable is None else immutable):
            self.refused(lambda: self.direct.change_tag(tag, wish))
            return
        self.direct.change_tag(tag, wish)
        living.end, living.api = then, living.api or hours is not None
        living.immutable = living.immutable if immutable is None else immutable

    @rule(chosen=CHOSEN)
    def delete_image(self, chosen):
        now = self.now()
        living = [self.living(tag, now) for tag in self.model]
        named = [one for one in living if one is not None and one.digest == chosen.digest]
        if chosen.digest in self.deleted:
            with pytest.raises(ManifestUnknown):
                self.direct.delete_manifest(chosen)
        elif any(one.immutable for one in named):
            self.refused(lambda: self.direct.delete_manifest(chosen))
        else:
            self.direct.delete_manifest(chosen)
            self.deleted[chosen.digest] = now
            for one in named:
                one.finish(now, "manifest deleted")

    @rule(chosen=CHOSEN)
    def restore_image(self, chosen):
        now = self.now()
        restore = self.direct.services.restoration.manifest
        digest, deleted = Digest.parse(chosen.digest), self.deleted.pop(chosen.digest, None)
        if deleted is None:
            with pytest.raises(ManifestUnknown):
                restore(self.direct.actor, self.direct.repository, digest)
            return
        ended = {
            tag
            for tag, periods in self.model.items()
            for one in periods
            if (one.digest, one.why) == (chosen.digest, "manifest deleted") and one.end >= deleted
        }
        back = sorted(tag for tag in ended if self.living(tag, now) is None)
        done = restore(self.direct.actor, self.direct.repository, digest)
        assert (list(done.tags), list(done.taken)) == (back, sorted(ended - set(back)))
        for tag in back:
            self.stands_for(tag, chosen.digest, now)

    @rule(tag=TAGS, chosen=CHOSEN)
    def restore(self, tag, chosen):
        now = self.now()
        living = self.living(tag, now)
        if chosen.digest not in [period.digest for period in self.model.get(tag, [])]:
            with pytest.raises(ManifestUnknown):
                self.direct.restore(tag, digest=chosen.digest)
        elif living is not None and living.immutable and living.digest != chosen.digest:
            self.refused(lambda: self.direct.restore(tag, digest=chosen.digest))
        else:
            self.direct.restore(tag, digest=chosen.digest)
            self.stands_for(tag, chosen.digest, now)

    @rule(hours=st.integers(1, 6))
    def wait(self, hours):
        self.direct.clock.turn(ms=hours * HOUR)

    @rule(tag=TAGS, back=st.integers(0, 12 * HOUR))
    def as_of(self, tag, back):
        time = self.direct.clock.now - back
        then = [period for period in self.model.get(tag, []) if period.alive(time)]
        past, where = self.direct.services.past, (self.direct.actor, self.direct.repository, TagName(tag))
        if then:
            assert past.get(*where, ANYTHING, time).digest == then[-1].digest
        else:
            with pytest.raises(ManifestUnknown):
                past.get(*where, ANYTHING, time)

    @invariant()
    def what_lives_is_what_the_model_says(self):
        now = self.direct.clock.now
        living = {tag for tag in self.model if self.living(tag, now)}
        assert self.direct.tags() == sorted(living)
        for tag in living:
            assert self.direct.get(tag).digest == self.living(tag, now).digest

    @invariant()
    def history_has_no_overlap_and_no_gap_that_nobody_made(self):
        now = self.direct.clock.now
        for tag, periods in self.model.items():
            told = self.direct.history(tag)[::-1]
            assert [(one.digest, one.start_ms, one.end_ms, one.reason(now)) for one in told] == [
                (one.digest, one.start, one.end, None if one.alive(now) else one.why) for one in periods
            ]


def run(direct, examples, steps):
    run_state_machine_as_test(
        lambda: Tags(direct),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_tags_behave_as_the_model(direct):
    run(direct, 10, 20)
    direct.assert_sound()


@pytest.mark.soak
@pytest.mark.needs_tools
@pytest.mark.timeout(hang_guard(1200))
def test_tags_behave_as_the_model_for_long(direct, figure):
    examples = scaled(10_000)
    run(direct, examples, 50)
    figure(f"{examples} examples of 50 steps, 0 differences from the model")

"""A state machine of tags against a small model: whatever is done in whatever order, the periods tell it."""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from registry.access.actors import Actor
from registry.errors import ManifestUnknown, TagImmutable
from registry.names import RepositoryName, TagName
from tests.support.images import image, layer
from tests.support.scale import hang_guard, scaled

HOUR = 3_600_000
IMAGES = [image(layer({"n": str(number).encode()})) for number in range(3)]
TAGS = st.sampled_from(["a", "b", "c"])
CHOSEN = st.sampled_from(IMAGES)
_numbers = itertools.count()


class Period:
    def __init__(self, digest, start):
        self.digest, self.start, self.end, self.immutable, self.api = digest, start, None, False, False

    def alive(self, now):
        return self.start <= now and (self.end is None or self.end > now)


class Tags(RuleBasedStateMachine):
    """One repository whose tags are pushed, moved, ended, protected and put back by several actors."""

    def __init__(self, direct):
        super().__init__()
        self.direct = direct
        direct.repository = RepositoryName(f"machine/r{next(_numbers)}")
        self.model = {}

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

    def start(self, tag, digest, now):
        periods = self.model.setdefault(tag, [])
        if periods and (periods[-1].end is None or periods[-1].end > now):
            periods[-1].end = now
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
        if living is None or living.digest != chosen.digest:
            self.start(tag, chosen.digest, now)

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
            living.end = now

    @rule(tag=TAGS, hours=st.integers(1, 5))
    def expire(self, tag, hours):
        now = self.now()
        living = self.living(tag, now)
        if living is None:
            with pytest.raises(ManifestUnknown):
                self.direct.expire(tag, now + hours * HOUR)
        elif living.immutable:
            self.refused(lambda: self.direct.expire(tag, now + hours * HOUR))
        else:
            self.direct.expire(tag, now + hours * HOUR)
            living.end = now + hours * HOUR

    @rule(tag=TAGS)
    def keep_for_ever(self, tag):
        now = self.now()
        living = self.living(tag, now)
        if living is not None:
            self.direct.expire(tag, None)
            living.end = None

    @rule(tag=TAGS, immutable=st.booleans())
    def protect(self, tag, immutable):
        now = self.now()
        living = self.living(tag, now)
        if living is None:
            return
        if immutable and living.end is not None:
            self.refused(lambda: self.direct.protect(tag))
            return
        self.direct.protect(tag, immutable=immutable)
        living.immutable = immutable

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
            if living is None or living.digest != chosen.digest:
                self.start(tag, chosen.digest, now)

    @rule(hours=st.integers(1, 6))
    def wait(self, hours):
        self.direct.clock.turn(ms=hours * HOUR)

    @rule(tag=TAGS, back=st.integers(0, 12 * HOUR))
    def as_of(self, tag, back):
        time = self.direct.clock.now - back
        then = [period for period in self.model.get(tag, []) if period.alive(time)]
        history, name = self.direct.services.history, TagName(tag)
        if then:
            found = history.describe_as_of(self.direct.actor, self.direct.repository, name, time)
            assert found.digest == then[-1].digest
        else:
            with pytest.raises(ManifestUnknown):
                history.describe_as_of(self.direct.actor, self.direct.repository, name, time)

    @invariant()
    def what_lives_is_what_the_model_says(self):
        now = self.direct.clock.now
        living = {tag for tag in self.model if self.living(tag, now)}
        assert self.direct.tags() == sorted(living)
        for tag in living:
            assert self.direct.get(tag).digest == self.living(tag, now).digest

    @invariant()
    def history_has_no_overlap_and_no_gap_that_nobody_made(self):
        for tag, periods in self.model.items():
            told = self.direct.history(tag)[::-1]
            assert [(one.digest, one.start_ms, one.end_ms) for one in told] == [
                (one.digest, one.start, one.end) for one in periods
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

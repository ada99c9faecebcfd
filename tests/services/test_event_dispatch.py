"""Telling observers: in order for each repository, at least once, again after a failure, and not for ever."""

import threading
import time

import pytest

from registry.access.actors import Actor
from registry.audit.sealing import Sealer
from registry.errors import Unavailable
from registry.events.dispatcher import LEASE, Dispatcher
from registry.events.lease import Lease
from registry.events.log import EventLog
from registry.events.outbox import Outbox
from registry.events.retries import RetryTerms
from registry.events.trim import OutboxTrim
from registry.events.types import REPOSITORY_CHANGED, REPOSITORY_CREATED
from registry.hooks import NotYet
from registry.hooks.calls import PluginBroke

SECOND, DAY = 1_000, 86_400_000


class Heard:
    """Stands where the observers are: hears events, and takes them or not."""

    def __init__(self, *consumers):
        self.consumers = {name.partition("/")[0]: [] for name in consumers}
        for name in consumers:
            self.consumers[name.partition("/")[0]].append(name)
        self.heard = []
        self.refuses = lambda consumer, event: False

    def names(self):
        return dict(self.consumers)

    def hears(self, consumer):
        return consumer.partition("/")[0] in self.consumers

    def tell(self, consumer, event):
        self.heard.append((consumer, event))
        if self.refuses(consumer, event):
            raise PluginBroke(consumer, "event_happened", f"not {event.subject}")

    def subjects(self, consumer="one", repository=None):
        told = [(consumer, event) for consumer, event in self.heard]
        self.heard = []
        return [event.subject for name, event in told if name == consumer and repository in (None, event.repository)]


class Post:
    """Writes events and dispatches them."""

    def __init__(self, direct, heard, **terms):
        self.direct, self.heard = direct, heard
        self.database = direct.services.database
        self.log = EventLog(self.database)
        self.outbox = Outbox(self.database)
        self.terms = RetryTerms(**{"attempts": 3, **terms})
        self.repositories = {}

    def dispatcher(self, holder="worker"):
        return Dispatcher(self.database, self.log, self.heard, holder, self.terms, Sealer(self.database))

    def run(self, holder="worker"):
        return self.dispatcher(holder).run_due()

    def write(self, *texts):
        """Write events, each as `repository:subject`."""
        for text in texts:
            name, _, subject = text.partition(":")
            self.database.write(lambda connection, name=name, subject=subject: self._record(connection, name, subject))

    def _record(self, connection, name, subject):
        place = self.repositories.get(name)
        if place is None:
            connection.exec_driver_sql("INSERT INTO namespace (name) VALUES ('x') ON CONFLICT DO NOTHING")
            (namespace,) = connection.exec_driver_sql("SELECT id FROM namespace WHERE name = 'x'").one()
            place = connection.exec_driver_sql(
                "INSERT INTO repository (namespace_id, name, current, kind, description, created_ms)"
                f" VALUES ({namespace}, '{name}', 1, 'hosted', '', 0) RETURNING id"
            ).scalar_one()
            self.repositories[name] = place
        kind = REPOSITORY_CREATED if subject == "" else REPOSITORY_CHANGED
        self.outbox.record(connection, self.database.now(connection), kind, place, subject, Actor(), {"n": 1})

    def waiting(self, consumer="one"):
        return self.direct.rows(
            "SELECT position, attempts, dead_ms, error, alone FROM event_delivery WHERE consumer = :consumer"
            " ORDER BY position",
            consumer=consumer,
        )


@pytest.fixture
def post(direct):
    made = Post(direct, Heard("one"))
    made.run()
    return made


def test_events_are_told_in_their_order_and_once(post):
    post.write("a:1", "b:1", "a:2")
    assert post.run() == 3
    assert post.heard.subjects() == ["1", "1", "2"]
    assert post.run() == 0
    post.write("a:3")
    assert post.run() == 1
    assert post.direct.column("SELECT position FROM outbox ORDER BY id") == [1, 2, 3, 4]


def test_an_event_carries_what_was_written(post):
    post.write("a:1")
    post.run()
    ((_, event),) = post.heard.heard
    assert (event.position, event.type, event.repository, event.actor) == (1, REPOSITORY_CHANGED.name, "a", "anonymous")
    assert (event.time.isoformat(), event.data, len(event.id)) == ("2024-02-29T12:00:00+00:00", {"n": 1}, 32)


def test_a_repository_that_is_refused_holds_back_itself_alone(post):
    post.heard.refuses = lambda _, event: event.repository == "a" and event.subject == "1"
    post.write("a:1", "b:1", "a:2", "b:2", "a:3")
    assert post.run() == 2
    assert post.heard.subjects(repository="a") == ["1"]
    assert [(row.position, row.attempts, row.dead_ms) for row in post.waiting()] == [(1, 1, None)]
    post.write("b:3", "a:4")
    post.run()
    assert post.heard.subjects() == ["3"]
    post.heard.refuses = lambda _, event: False
    post.direct.clock.turn(seconds=2)
    post.run()
    assert post.heard.subjects() == ["1", "2", "3", "4"]
    assert post.waiting() == []


def test_pauses_double_and_the_last_attempt_makes_a_dead_letter(post):
    post.heard.refuses = lambda _, event: event.subject == "1"
    post.write("a:1", "a:2")
    post.run()
    assert post.heard.subjects() == ["1"]
    for pause, then in ((1000, ["1"]), (2000, ["1", "2"])):
        post.direct.clock.turn(ms=pause - 1)
        post.run()
        assert post.heard.subjects() == []
        post.direct.clock.turn(ms=1 + pause // 4)
        post.run()
        assert post.heard.subjects() == then
    (letter,) = post.waiting()
    assert (letter.position, letter.attempts, letter.dead_ms) == (1, 3, post.direct.clock.now)
    assert letter.error == "plugin one failed in event_happened: not 1"
    post.write("a:3")
    post.run()
    assert post.heard.subjects() == ["3"]


def test_an_event_is_given_up_by_its_age_as_well(post):
    post.terms = RetryTerms(attempts=1000, age_ms=3 * SECOND)
    post.heard.refuses = lambda _, event: event.subject == "1"
    post.write("a:1")
    post.run()
    post.direct.clock.turn(seconds=3)
    post.run()
    assert [row.dead_ms is not None for row in post.waiting()] == [True]


def test_a_failing_registry_counts_as_not_yet(post):
    def refuses(_, event):
        raise Unavailable("no database")

    post.heard.refuses = refuses
    post.write("a:1")
    post.run()
    assert [row.error for row in post.waiting()] == ["no database"]


def test_after_three_repositories_in_a_row_the_rest_is_left_for_later(post):
    post.heard.refuses = lambda *_: True
    post.write(*(f"r{number}:1" for number in range(50)))
    post.run()
    assert len(post.heard.heard) == 3
    assert post.direct.column("SELECT position FROM event_consumer WHERE name = 'one'") == [3]
    post.heard.subjects()
    post.heard.refuses = lambda *_: False
    post.direct.clock.turn(seconds=2)
    post.run()
    assert sorted(event.repository for _, event in post.heard.heard) == sorted(f"r{number}" for number in range(50))


def test_what_waits_of_one_repository_never_takes_the_place_of_another(post, monkeypatch):
    chances = iter([0.25, 0.0, 0.0])  # b is due before a
    monkeypatch.setattr("registry.events.retries.random.uniform", lambda *_: next(chances))
    post.write("a:1", "b:1")
    post.heard.refuses = lambda _, event: True
    post.run()
    assert post.heard.subjects() == ["1", "1"]
    post.direct.clock.turn(seconds=2)
    post.heard.refuses = lambda _, event: event.repository == "b"
    post.run()
    post.direct.clock.turn(seconds=20)
    post.heard.heard.clear()
    post.heard.refuses = lambda _, event: False
    assert post.run() == 1
    assert post.heard.subjects(repository="b") == ["1"]
    assert post.waiting() == []


def test_a_paused_consumer_waits_for_as_long_as_it_takes_and_no_attempt_is_counted(post):
    post.write("a:1", "a:2", "b:1")
    refused = {"a:1"}

    def refuses(_, event):
        if f"{event.repository}:{event.subject}" in refused:
            raise NotYet("not now", paused=is_paused)

    post.heard.refuses, is_paused = refuses, False
    post.run()
    assert post.heard.subjects() == ["1", "1"]
    before = post.waiting()
    is_paused, refused = True, {"a:1", "a:2", "b:2"}
    post.write("b:2")
    for _ in range(10):  # more often than there are attempts
        post.direct.clock.turn(seconds=3600)
        post.run()
        assert post.heard.subjects() == ["1"]
    assert post.waiting() == before
    refused = {"a:2", "b:2"}
    post.run()
    assert post.heard.subjects() == ["1", "2"]
    assert [(row.position, row.attempts) for row in post.waiting()] == [(2, 0)]
    refused = {"b:2"}
    post.run()
    assert post.heard.subjects() == ["2", "2"]
    refused = set()
    assert post.run() == 1
    assert post.heard.subjects() == ["2"]
    assert post.waiting() == []


def test_consumers_go_on_each_by_itself(direct):
    post = Post(direct, Heard("one", "hooks/a", "hooks/b"))
    post.run()
    post.heard.refuses = lambda consumer, _: consumer == "hooks/a"
    post.write("a:1", "a:2")
    post.run()
    assert [consumer for consumer, _ in post.heard.heard] == ["hooks/a", "hooks/b", "hooks/b", "one", "one"]
    assert len(post.waiting("hooks/a")) == 1


def test_a_new_consumer_begins_at_the_present_and_one_that_is_gone_is_forgotten(direct):
    post = Post(direct, Heard("one"))
    post.run()
    post.write("a:1")
    post.run()
    post.heard = Heard("one", "hooks/a")
    post.run()
    post.write("a:2")
    post.heard.refuses = lambda consumer, _: consumer == "hooks/a"
    post.run()
    assert post.heard.subjects("hooks/a") == ["2"]
    post.heard.consumers = {"one": ["one"], "hooks": None}
    post.run()
    assert len(post.waiting("hooks/a")) == 1  # it cannot tell now, so nothing is forgotten
    post.heard.consumers = {"one": ["one"]}
    post.run()
    assert len(post.waiting("hooks/a")) == 1  # nor is what a plugin had that is not installed here
    post.heard.consumers = {"one": ["one"], "hooks": []}
    post.run()
    assert post.waiting("hooks/a") == []
    assert direct.column("SELECT name FROM event_consumer ORDER BY name") == ["", "one"]


def test_only_the_holder_of_the_lease_tells(post):
    lease = Lease(post.database, LEASE, "other", 10)
    assert lease.take()
    post.write("a:1")
    assert post.run() == 0
    lease.release()
    assert post.run() == 1


def test_a_worker_that_died_is_replaced_and_what_it_did_not_commit_is_told_again(post):
    class Killed(BaseException):
        pass

    def dies(_, event):
        if event.subject == "2":
            raise Killed

    post.write("a:1", "a:2", "a:3")
    post.heard.refuses = dies
    with pytest.raises(Killed):
        post.run("first")
    ids = [event.id for _, event in post.heard.heard]
    post.heard.refuses = lambda *_: False
    assert post.run("second") == 0
    post.direct.clock.turn(seconds=11)
    assert post.run("second") == 3
    again = [event.id for _, event in post.heard.heard][2:]
    assert again[:2] == ids
    assert post.heard.subjects() == ["1", "2", "1", "2", "3"]


def test_who_lost_the_lease_commits_nothing(post):
    def overtaken(*_):
        post.direct.clock.turn(seconds=11)
        assert Lease(post.database, LEASE, "other", 10).take()

    post.write("a:1")
    post.heard.refuses = overtaken
    post.run()
    assert post.direct.column("SELECT position FROM event_consumer WHERE name = 'one'") == [0]


def test_events_that_commit_late_are_told_after_those_that_were_told(post):
    """On PostgreSQL an id is given before the commit: a lower one may come to be seen later."""
    post.write("a:1", "b:2", "a:3")
    post.direct.change("UPDATE outbox SET id = 1000 + id WHERE subject = '1'")
    post.run()
    assert post.heard.subjects() == ["2", "3", "1"]
    assert post.direct.column("SELECT position FROM outbox ORDER BY position") == [1, 2, 3]


def test_many_events_wait_behind_one_and_follow_it_in_order(post):
    post.heard.refuses = lambda _, event: event.repository == "a"
    post.write(*(f"{'ab'[number % 2]}:{number}" for number in range(450)))
    post.run()
    assert len(post.waiting()) == 1
    post.heard.subjects()
    post.heard.refuses = lambda *_: False
    post.direct.clock.turn(seconds=2)
    while post.run():
        pass
    assert post.heard.subjects() == [str(number) for number in range(0, 450, 2)]


def test_a_running_dispatcher_tells_soon_and_rests_without_writing(direct, monkeypatch):
    monkeypatch.setattr("registry.events.dispatcher._PLACE_SECONDS", 0.02)

    class Awaited(Heard):
        def tell(self, consumer, event):
            super().tell(consumer, event)
            came.set()

    came = threading.Event()
    post = Post(direct, Awaited("one"))
    dispatcher = post.dispatcher()
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        for number in range(3):
            came.clear()
            post.write(f"a:{number}")
            assert came.wait(5)
    finally:
        dispatcher.stop()
        thread.join()
    assert post.heard.subjects() == ["0", "1", "2"]


def test_a_slow_consumer_keeps_no_other_waiting(direct):
    go, fast = threading.Event(), threading.Event()

    class Slow(Heard):
        def tell(self, consumer, event):
            if consumer == "slow":
                assert go.wait(20)
            super().tell(consumer, event)
            if consumer == "fast" and event.subject == "2":
                fast.set()

    post = Post(direct, Slow("fast", "slow"))
    post.run()
    dispatcher = post.dispatcher()
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        post.write("a:1")
        post.write("a:2")
        assert fast.wait(10)
        assert not [one for one in post.heard.heard if one[0] == "slow"]
        go.set()
    finally:
        go.set()
        dispatcher.stop()
        thread.join()


def test_thousands_of_events_are_told_in_a_second(post, record_property):
    """The figure is only printed: the machine is shared."""
    post.database.write(
        lambda connection: [post._record(connection, f"r{number % 50}", str(number)) for number in range(2000)]
    )
    started = time.perf_counter()
    told = post.run()
    record_property("events_a_second", round(told / (time.perf_counter() - started)))
    assert told == 2000


def test_a_dead_letter_that_is_told_again_is_told_by_itself(post):
    post.terms = RetryTerms(attempts=1)
    post.heard.refuses = lambda _, event: event.subject == "1"
    post.write("a:1", "a:2")
    post.run()
    assert post.heard.subjects() == ["1", "2"]
    events, actor = post.direct.services.events, post.direct.actor
    (letter,) = events.letters(actor, "one", 10, 0).items
    assert (letter.event.subject, letter.attempts) == ("1", 1)
    events.redeliver(actor, letter.id)
    post.terms = RetryTerms(attempts=2)
    post.write("a:3")
    post.run()
    assert sorted(post.heard.subjects()) == ["1", "3"]  # what is told by itself holds back nothing
    post.heard.refuses = lambda *_: False
    post.direct.clock.turn(seconds=2)
    post.run()
    assert (post.heard.subjects(), post.waiting()) == (["1"], [])


def test_a_replay_tells_the_same_sequence_again_whatever_waited(post):
    post.heard.refuses = lambda _, event: event.subject == "3"
    post.write(*(f"{'ab'[number % 2]}:{number}" for number in range(8)))
    post.run()
    post.heard.refuses = lambda *_: False
    for start in range(9):
        post.heard.subjects()
        assert post.direct.services.events.replay(post.direct.actor, "one", after=min(start, 8)) == start
        post.run()
        assert post.heard.subjects() == [str(number) for number in range(start, 8)]
    assert post.waiting() == []


def test_a_replay_while_events_are_told_is_not_overwritten(post):
    post.write("a:1", "a:2")
    post.run()

    def sent_back(*_):
        post.heard.refuses = lambda *_: False
        post.direct.services.events.replay(post.direct.actor, "one", after=0)

    post.heard.subjects()
    post.heard.refuses = sent_back
    post.write("a:3")
    post.run()
    assert post.heard.subjects() == ["3", "1", "2", "3"]


def trim(post, days=14):
    return OutboxTrim(post.database, days * DAY).run()


def test_a_replay_while_a_repository_catches_up_leaves_nothing_out(post):
    post.heard.refuses = lambda _, event: event.subject == "1"
    post.write("a:1", "a:2", "a:3", "a:4")
    post.run()
    post.heard.subjects()
    sent_back = []

    def refuse(_consumer, event):
        if event.subject == "3" and not sent_back:
            sent_back.append(post.direct.services.events.replay(post.direct.actor, "one", after=1))
            post.heard.subjects()
        return event.subject == "4" and len(sent_back) == 1

    post.heard.refuses = refuse
    post.direct.clock.turn(seconds=60)
    post.run()
    sent_back.append(0)
    post.direct.clock.turn(seconds=60)
    post.run()
    assert post.heard.subjects() == ["4", "1", "2", "3", "4", "4"]


def test_a_dispatcher_that_failed_a_thousand_times_goes_on(direct, monkeypatch):
    dispatcher = Post(direct, Heard("one")).dispatcher()
    turns, pauses = [], []

    def turn(_pool):
        turns.append(1)
        if len(turns) == 1_100:
            dispatcher.stop()
        raise Unavailable

    monkeypatch.setattr(dispatcher, "_turn", turn)
    monkeypatch.setattr(dispatcher._stop, "wait", pauses.append)
    dispatcher.run()
    assert len(turns) == 1_100
    assert max(pauses) == pauses[-1] == 30


def test_old_events_are_forgotten_once_they_were_told(post):
    post.write("a:1")
    post.run()
    post.direct.clock.turn(ms=14 * DAY)
    assert trim(post) == 0
    post.direct.clock.turn(ms=1)
    post.write("a:2")
    post.run()
    assert trim(post) == 1
    assert post.direct.column("SELECT subject FROM outbox") == ["2"]
    post.write("a:3")
    post.run()
    assert post.direct.column("SELECT position FROM outbox ORDER BY id") == [2, 3]


def test_who_is_behind_is_waited_for_but_not_for_ever(post):
    post.heard.refuses = lambda _, event: event.repository == "a"
    post.write("a:1", "b:1")
    post.run()
    post.direct.clock.turn(ms=14 * DAY + 1)
    assert trim(post) == 0
    post.direct.clock.turn(ms=14 * DAY)
    assert trim(post) == 2
    post.heard.refuses = lambda *_: False
    post.write("a:2")
    post.run()
    assert post.heard.subjects()[-1:] == ["2"]
    assert post.waiting() == []


def test_a_dead_letter_goes_with_its_event(post):
    post.terms = RetryTerms(attempts=1)
    post.heard.refuses = lambda *_: True
    post.write("a:1")
    post.run()
    trim(post)
    assert len(post.waiting()) == 1
    post.direct.clock.turn(ms=14 * DAY + 1)
    assert trim(post) == 1
    assert post.waiting() == []


def test_pulls_are_forgotten_after_a_day(post):
    post.database.write(
        lambda connection: Outbox.record_pulls(connection, post.direct.clock.now, {("a", "v1", "d"): 2})
    )
    post.write("a:1")
    post.run()
    post.direct.clock.turn(ms=DAY + 1)
    assert trim(post) == 1
    assert post.direct.column("SELECT subject FROM outbox") == ["1"]

"""Jobs: by schedule and by hand, in one worker or many, and what becomes of a run whose worker died."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, event

from registry.access.authorizer import Authorizer
from registry.errors import JobRefused, JobUnknown, Unavailable
from registry.work.jobs import Job
from registry.work.queue import JobQueue
from registry.work.runs import CANCELLED, DONE, FAILED, LEASE_MS, LOST, QUEUED, RUNNING, STOPPING, RunService
from registry.work.worker import RunContext, Worker, carry_out


class House:
    """A queue of three jobs over a test's database."""

    def __init__(self, direct, **jobs):
        self.direct, self.ran = direct, []
        self.results = {"count": 1}
        self.wanted = True
        made = [
            Job("often", "runs often", 5, self._run, wanted=lambda: self.wanted, exclusive=False),
            Job("daily", "runs daily", 86_400, self._run),
        ]
        self.jobs = [job for job in made if job.name in jobs] if jobs else made
        self.queue = JobQueue(direct.services.database, self.jobs)
        self.runs = RunService(direct.services.database, Authorizer(None, direct.services.database.clock_ms), self.jobs)

    def _run(self, context):
        self.ran.append(dict(context.arguments))
        if isinstance(self.results, Exception):
            raise self.results
        return self.results

    def claim(self, holder="one", *names):
        return self.queue.claim(holder, names or self.queue.names)

    def settle(self):
        """Register the jobs, and run all that is due."""
        while (self.claim("first") is None) and not self.direct.column("SELECT count(*) FROM job")[0]:
            pass
        Worker(self.queue, "first").run_due()
        self.ran.clear()
        self.direct.change("DELETE FROM job_run")
        self.direct.change("UPDATE job SET lease_until = 0, holder = ''")

    def ask(self, name="daily", **arguments):
        return self.runs.queue(self.direct.actor, name, arguments)

    def show(self, run):
        return self.runs.show(self.direct.actor, run.id if hasattr(run, "id") else run.run_id)


@pytest.fixture
def house(direct):
    made = House(direct)
    made.settle()
    return made


def go(house, claimed):
    return carry_out(house.queue, claimed, RunContext(claimed, lambda: False))


def test_a_fresh_registry_runs_everything_once(direct):
    house = House(direct)
    assert house.claim() is None
    assert Worker(house.queue, "one").run_due()
    assert len(house.ran) == 2
    assert house.claim() is None


def test_a_job_is_due_again_after_its_time(house):
    assert house.claim() is None
    house.direct.clock.turn(seconds=5)
    claimed = house.claim()
    assert claimed.job.name == "often"
    go(house, claimed)
    assert house.claim() is None
    house.direct.clock.turn(seconds=86_400)
    assert {house.claim().job.name, house.claim().job.name} == {"often", "daily"}


def test_a_scheduled_run_that_did_something_is_on_record(house):
    house.direct.clock.turn(seconds=5)
    go(house, house.claim())
    (run,) = house.runs.runs(house.direct.actor, None, 10, 0).items
    assert (run.job, run.trigger, run.state, run.result) == ("often", "schedule", DONE, {"count": 1})
    assert run.finished_ms == house.direct.clock.now


def test_a_scheduled_run_that_did_nothing_leaves_no_trace(house):
    house.results = {"count": 0, "names": []}
    house.direct.clock.turn(seconds=5)
    go(house, house.claim())
    assert house.runs.runs(house.direct.actor, None, 10, 0).items == []


def test_a_job_with_nothing_to_do_is_not_started(house):
    house.wanted = False
    house.direct.clock.turn(seconds=5)
    assert house.claim() is None
    house.wanted = True
    assert house.claim() is not None


def test_a_run_by_hand_is_kept_though_it_did_nothing(house):
    house.results = {}
    run = house.ask("daily", repository="team/app")
    assert run.state == QUEUED
    go(house, house.claim())
    assert house.ran == [{"repository": "team/app"}]
    assert (house.show(run).state, house.show(run).trigger) == (DONE, "by hand")


def test_an_exclusive_job_runs_in_one_worker(house):
    first, second = house.ask(), house.ask()
    claimed = house.claim("one")
    assert (house.show(first).state, house.show(second).state) == (RUNNING, QUEUED)
    assert house.claim("two") is None
    go(house, claimed)
    assert house.claim("two").run_id == second.id


def test_another_job_waits_for_none(house):
    house.ask("daily")
    house.claim("one")
    house.ask("often")
    assert house.claim("two").job.name == "often"
    house.ask("often")
    assert house.claim("three").job.name == "often"


def test_a_failure_is_told_and_the_job_runs_again(house):
    house.results = ValueError("no luck")
    run = house.ask()
    assert go(house, house.claim()) == ({}, "ValueError: no luck")
    assert (house.show(run).state, house.show(run).error) == (FAILED, "ValueError: no luck")
    house.results = Unavailable("the database does not answer")
    again = house.ask()
    go(house, house.claim())
    assert house.show(again).error == "the database does not answer"


def test_a_run_whose_worker_died_is_lost_and_its_job_free(house):
    run = house.ask()
    claimed = house.claim("dead")
    house.direct.clock.turn(ms=LEASE_MS)
    assert house.queue.recover() == 0
    house.direct.clock.turn(ms=1)
    assert house.queue.recover() == 1
    assert house.show(run).state == LOST
    again = house.ask()
    assert house.claim("alive").run_id == again.id
    assert not house.queue.beat(claimed, 1, 2)
    house.queue.finish(claimed, {"late": 1}, "")
    assert house.show(again).state == RUNNING


def test_heartbeats_keep_a_long_run(house):
    run = house.ask()
    claimed = house.claim()
    for done in range(1, 4):
        house.direct.clock.turn(ms=LEASE_MS - 1)
        assert house.queue.beat(claimed, done, 10)
        assert house.queue.recover() == 0
    assert (house.show(run).done, house.show(run).total) == (3, 10)
    assert house.claim("two", "daily") is None


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_is_asked_to_stop(house):
    waiting = house.ask()
    assert house.runs.cancel(house.direct.actor, waiting.id).state == CANCELLED
    running = house.ask()
    claimed = house.claim()
    assert house.runs.cancel(house.direct.actor, running.id).state == STOPPING
    assert not house.queue.beat(claimed, 0, 0)
    context = RunContext(claimed, lambda: False)
    context.cancelled.set()
    assert context.stopping()
    carry_out(house.queue, claimed, context)
    assert house.show(running).state == CANCELLED
    with pytest.raises(JobRefused):
        house.runs.cancel(house.direct.actor, running.id)


def test_unknown_jobs_and_runs_are_refused_by_name(house):
    with pytest.raises(JobUnknown) as unknown:
        house.ask("weekly")
    assert unknown.value.detail == {"job": "weekly", "jobs": ["daily", "often"]}
    with pytest.raises(JobUnknown):
        house.runs.show(house.direct.actor, 4711)


def test_a_worker_for_what_was_asked_leaves_schedules_alone(house):
    house.direct.clock.turn(seconds=5)
    assert house.queue.claim("me", house.queue.names, asked_only=True) is None
    run = house.ask("daily")
    assert house.queue.claim("me", house.queue.names, asked_only=True).run_id == run.id


def test_the_list_is_paged_and_bounded(house):
    runs = [house.ask("often") for _ in range(5)]
    page = house.runs.runs(house.direct.actor, "often", 2, 0)
    assert ([run.id for run in page.items], page.more) == ([runs[4].id, runs[3].id], True)
    page = house.runs.runs(house.direct.actor, "often", 10, runs[3].id)
    assert ([run.id for run in page.items], page.more) == ([runs[2].id, runs[1].id, runs[0].id], False)
    for _ in range(110):
        house.ask("often")
        go(house, house.claim())
    listed = house.runs.runs(house.direct.actor, "often", 1000, 0).items
    assert sorted(run.state for run in listed) == [DONE] * 100 + [QUEUED] * 5


def test_runs_that_wait_are_not_forgotten_however_many_there_are(house):
    asked = [house.ask("often", number=number) for number in range(120)]
    for _ in asked:
        go(house, house.claim())
    assert [one["number"] for one in house.ran] == list(range(120))


def test_schedules_tell_what_is_next_and_who_runs(house):
    house.ask("daily")
    house.claim("busy")
    shown = {one.job.name: (one.holder, one.due_ms) for one in house.runs.schedules(house.direct.actor)}
    assert shown["daily"] == ("busy", house.direct.clock.now + 86_400_000)
    assert shown["often"][0] == ""


def test_the_worker_runs_what_comes_and_ends_when_told(house):
    ran, seen = threading.Event(), threading.Event()

    def run(context):
        ran.set()
        while not context.stopping():
            seen.wait(0.01)
        return {"stopped": True}

    job = Job("long", "runs until it is stopped", 86_400, run)
    queue = JobQueue(house.direct.services.database, [job])
    worker = Worker(queue, "one", poll_seconds=0.02)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert ran.wait(10)
    worker.stop()
    thread.join(10)
    assert not thread.is_alive()
    assert house.direct.column("SELECT result FROM job_run WHERE job = 'long'") == ['{"stopped": true}']


def test_the_worker_ends_with_the_server_that_started_it(house):
    Worker(house.queue, "one").run(alive=lambda: False)


def test_the_worker_goes_on_when_the_database_does_not_answer(house, monkeypatch):
    failed = threading.Event()
    recover = house.queue.recover

    def failing():
        if not failed.is_set():
            failed.set()
            raise Unavailable("the database does not answer")
        worker.stop()
        return recover()

    monkeypatch.setattr(house.queue, "recover", failing)
    worker = Worker(house.queue, "one", poll_seconds=0.01)
    worker.run()
    assert failed.is_set()


def test_collection_is_a_job(direct):
    names = [one.job.name for one in direct.services.runs.schedules(direct.actor)]
    assert "collection" in names


@pytest.mark.needs_tools
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_run_that_a_worker_takes_while_it_is_cancelled_does_not_go_on(house):
    """SQLite takes one writer at a time."""
    run = house.ask()
    taken = []

    def interrupt(_connection, _cursor, statement, *_others):
        if statement.startswith("UPDATE job_run SET state") and not taken:
            taken.append(None)
            with ThreadPoolExecutor(1) as pool:
                taken.append(pool.submit(house.claim).result())

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        told = house.runs.cancel(house.direct.actor, run.id)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    assert taken == [None, None]
    assert told.state == house.show(run).state == CANCELLED
    assert house.claim() is None

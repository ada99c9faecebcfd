"""Jobs of plugins: listed, scheduled and run like the registry's own, and contained."""

import threading
from datetime import timedelta

import pytest

from registry.errors import JobUnknown
from registry.hooks import PluginJob
from registry.work.runs import DONE, FAILED
from registry.work.worker import Worker


def job(run, name="count", every=None):
    return PluginJob(name, "count things", run, every=every)


@pytest.fixture
def started(with_plugins, make_plugin):
    """Give the function that makes an app whose plugin has one job."""

    def start(run, **options):
        return with_plugins(make_plugin("note", jobs=lambda: [job(run, **options)]))

    return start


def run_by_hand(direct, name="note.count", **arguments):
    run = direct.services.runs.queue(direct.actor, name, arguments)
    Worker(direct.services.queue, "one", asked_only=True).run_due()
    return direct.services.runs.show(direct.actor, run.id)


def test_jobs_are_listed_and_run_by_hand_with_arguments(started):
    def count(run):
        run.progress(1, 2)
        assert not run.stopping()
        assert not hasattr(run, "actor")
        return {"asked": run.arguments["of"]}

    direct = started(count)
    run = run_by_hand(direct, of="tags")
    assert (run.state, run.result, run.done) == (DONE, {"asked": "tags"}, 1)
    (schedule,) = [one for one in direct.services.runs.schedules(direct.actor) if one.job.name == "note.count"]
    assert (schedule.job.about, schedule.job.every_seconds, schedule.due_ms) == ("count things", None, None)


def test_jobs_with_a_schedule_run_when_they_are_due(started):
    ran = []

    def count(run):
        ran.append(dict(run.arguments))
        return {}

    direct = started(count, every=timedelta(hours=1))
    worker = Worker(direct.services.queue, "one")
    while not ran:
        worker.run_due()
    worker.run_due()
    assert ran == [{}]
    direct.clock.turn(seconds=3600)
    worker.run_due()
    assert ran == [{}, {}]


def test_jobs_are_handed_the_plugin_s_context(with_plugins, make_plugin):
    given = []

    def jobs(context):
        given.append(context)
        return []

    with_plugins(make_plugin("note", jobs=jobs))
    assert [context.plugin for context in given] == ["note"]


def test_jobs_may_take_longer_than_a_request_waits_for_a_plugin(with_plugins, make_plugin):
    def count(run):
        threading.Event().wait(0.3)
        return {"counted": 1}

    direct = with_plugins(make_plugin("note", jobs=lambda: [job(count)]), hook_deadline=0.05)
    assert run_by_hand(direct).result == {"counted": 1}


def leave():
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda run: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda run: leave(), "SystemExit: 3"),
        (lambda run: None, "a job returns a mapping of what it did, not NoneType"),
        (lambda run: {"a": object()}, "a job's result is no JSON: Object of type object is not JSON serializable"),
        (lambda run: {"a": [float("nan")]}, "a job's result is no JSON: Out of range float values"),
        (lambda run: {"a": float("-inf")}, "a job's result is no JSON: Out of range float values"),
        (lambda run: run.progress("many"), "ValueError"),
    ],
    ids=["raises", "exits", "nothing", "no JSON", "no number in JSON", "endless", "no number"],
)
def test_jobs_that_break_are_failed_runs_with_the_plugin_s_name(started, run, reason):
    direct = started(run)
    done = run_by_hand(direct)
    assert (done.state, done.result) == (FAILED, {})
    assert done.error.startswith("plugin note failed in job count: ")
    assert reason in done.error
    assert run_by_hand(direct, "history").state == DONE


WRONG = {
    "raises": lambda: 1 / 0,
    "no list": lambda: 7,
    "no job": lambda: ["count"],
    "no name": lambda: [job(lambda run: {}, name="a.b")],
    "one name": lambda: [job(lambda run: {}), job(lambda run: {})],
    "no function": lambda: [job(None)],
    "too often": lambda: [job(lambda run: {}, every=timedelta(0))],
    "no time": lambda: [job(lambda run: {}, every=5)],
}


@pytest.mark.parametrize("jobs", WRONG.values(), ids=WRONG)
def test_jobs_that_cannot_be_listed_are_left_out_and_told(with_plugins, make_plugin, caplog, jobs):
    fine = make_plugin("fine", jobs=lambda: [job(lambda run: {"a": 1})])
    direct = with_plugins(make_plugin("wrong", jobs=jobs), fine)
    assert "plugin wrong" in caplog.text
    assert run_by_hand(direct, "fine.count").state == DONE
    with pytest.raises(JobUnknown):
        run_by_hand(direct, "wrong.count")

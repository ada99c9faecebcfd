"""Records go because of their age, and the chain still holds and says so."""

import pytest
from sqlalchemy import delete

from registry.audit import trim as trimming
from registry.audit.chain import Head
from registry.audit.checking import Checker
from registry.audit.trim import AuditTrim
from registry.events.trim import OutboxTrim
from registry.work.worker import Worker
from tests.support.auditing import kinds

DAY = 86_400_000


@pytest.fixture
def aged(registry, log):
    """Give a registry with ten records of which five are ten days old."""
    for number in range(5):
        registry.user(f"old{number}")  # a user and a key
    log.seal()
    registry.clock.turn(seconds=10 * 86_400)
    for number in range(5):
        registry.user(f"new{number}")
    log.seal()
    return registry


def trim(registry, days=5):
    return AuditTrim(registry.services.database, days * DAY).run()


def test_what_is_old_goes_and_the_rest_is_sound(aged, log):
    before = log.sealed()
    assert trim(aged) == 10
    left = log.sealed()
    assert left[:-1] == before[10:]
    said = left[-1]
    assert (said["kind"], said["principal"], said["reference"]) == ("audit.removed", "job:audit", "10")
    assert said["detail"].items() >= {"position": 10, "hash": before[9]["hash"]}.items()
    assert log.breaks() == []


def test_nothing_old_is_nothing_said(aged, log):
    assert trim(aged, days=30) == 0
    assert trim(aged) == 10
    end = log.sealed()[-1]
    assert trim(aged) == 0
    assert log.sealed()[-1] == end


def test_a_removal_that_was_interrupted_is_sound_and_goes_on(aged, log, monkeypatch):
    monkeypatch.setattr("registry.audit.trim._REMOVE", aged_batches(3))
    left = iter([False, True])
    assert AuditTrim(aged.services.database, 5 * DAY).run(stopping=lambda: next(left)) == 3
    assert log.sealed()[0]["position"] == 4
    assert log.breaks() == []
    assert AuditTrim(aged.services.database, 5 * DAY).run() == 7
    assert log.breaks() == []
    assert kinds(log.sealed()).count("audit.removed") == 1


def aged_batches(size):
    return delete(trimming._RECORD).where(trimming._RECORD.c.position.in_(trimming._OLD.limit(size)))


def test_everything_may_go_but_what_says_so(aged, log):
    aged.clock.turn(seconds=30 * 86_400)
    assert trim(aged) == 20
    assert kinds(log.sealed()) == ["audit.removed"]
    assert log.breaks() == []
    aged.clock.turn(seconds=30 * 86_400)
    assert trim(aged) == 1
    assert kinds(log.sealed()) == ["audit.removed"]
    aged.user("later")
    log.seal()
    assert log.breaks() == []


def test_what_somebody_else_removed_is_found(aged, log):
    trim(aged)
    for position in (11, 15):
        aged.alter("DELETE FROM audit WHERE position <= :position", position=position)
        assert [one.position for one in log.breaks()] == [position + 1]


def test_an_old_head_is_told_to_be_too_old(aged, log):
    old, last_removed = (Head(one["position"], one["hash"]) for one in (log.sealed()[3], log.sealed()[9]))
    trim(aged)
    checker = Checker()
    checker.watch(old, last_removed)
    for record in log.sealed():
        checker.take(record)
    (told,) = checker.breaks()
    assert (told.position, "because of its age" in told.problem, checker.removed) == (4, True, 10)


def test_the_job_removes_what_the_setting_says(aged, log):
    aged.clock.turn(seconds=400 * 86_400)
    aged.chief("POST", "/api/v1/jobs/audit/runs", json={"arguments": {}})
    Worker(aged.services.queue, "worker").run_due()
    assert log.sealed()[0]["position"] > 20
    assert log.breaks() == []


def test_events_wait_for_the_audit_log_however_old_they_are(registry, log):
    registry.push("team/app", "v1")
    services = registry.services
    services.database.write(services.log.place)
    registry.clock.turn(seconds=400 * 86_400)
    assert OutboxTrim(services.database, DAY).run() == 0
    assert {"manifest.pushed", "tag.changed"} <= set(kinds(log.all()))
    assert OutboxTrim(services.database, DAY).run() > 0


def test_what_is_kept_keeps_what_is_behind_it(registry, log):
    for number, time_ms in enumerate((1, 2, DAY, 3)):
        registry.user(f"user{number}")
        registry.alter("UPDATE audit_entry SET time_ms = :at WHERE time_ms > :day", at=time_ms, day=DAY)
        log.seal()
    registry.clock.now = 2 * DAY
    assert trim(registry, days=1) == 4
    assert log.sealed()[0]["position"] == 5
    assert log.breaks() == []

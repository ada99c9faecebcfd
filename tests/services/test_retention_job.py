"""Retention as a job: over every repository that rules decide about, by schedule and by hand."""

import pytest

from registry.errors import PlanOutdated
from registry.names import RepositoryName
from registry.repositories.rules import Scope
from registry.retention.service import RetentionService
from registry.testing.images import image, layer
from registry.work.runs import FAILED
from registry.work.worker import Worker

DAY = 86_400


@pytest.fixture
def three(direct):
    """Fill three repositories with four tags each, a day apart, and give their names."""
    names = ["team/app", "team/base", "other/app"]
    for name in names:
        for tag in "abcd":
            direct.push(image(layer({"f": f"{name} {tag}".encode()})), tag, repository=RepositoryName.parse(name))
            direct.clock.turn(seconds=1)
    return names


def rule(direct):
    direct.services.rules.create(direct.actor, "few", "retention", Scope(namespace="team"), {"keep": {"last": 2}})


def tags(direct, name):
    return "".join(direct.services.tags.list(direct.actor, RepositoryName.parse(name), 100, "").items)


def run(direct, **arguments):
    """Run the job by hand; return its state and result."""
    services = direct.services
    asked = services.runs.queue(direct.actor, "retention", arguments)
    Worker(services.queue, "worker").run_due()
    return services.runs.show(direct.actor, asked.id)


def test_a_run_takes_every_repository_that_a_rule_decides_about(direct, three):
    rule(direct)
    found = run(direct)
    assert [tags(direct, name) for name in three] == ["cd", "cd", "abcd"]
    plans = dict(
        direct.rows(
            "SELECT repository.name, plan.id FROM retention_plan plan JOIN repository ON repository.id = repository_id"
        )
    )
    assert found.result == {
        "named": 4,
        "removed_tags": 4,
        "removed_manifests": 0,
        "skipped": 0,
        "plans": plans,
        "failed": {},
    }
    assert set(plans) == {"team/app", "team/base"}


def test_a_run_may_take_one_repository_and_may_be_dry(direct, three):
    rule(direct)
    dry = run(direct, dry_run=True).result
    assert (dry["named"], dry["removed_tags"]) == (4, 0)
    assert [tags(direct, name) for name in three] == ["abcd", "abcd", "abcd"]
    plan = direct.services.retention.describe(direct.actor, direct.repository, dry["plans"]["team/app"])
    assert plan.counts == {"tag remove": 2, "tag keep": 2}
    assert run(direct, repository="team/base", dry_run="true").result["removed_tags"] == 0
    assert run(direct, repository="team/base").result["removed_tags"] == 2
    assert [tags(direct, name) for name in three] == ["abcd", "cd", "abcd"]


def test_a_schedule_runs_it_once_a_day_where_there_are_rules(direct, three):
    worker = Worker(direct.services.queue, "worker")
    worker.run_due()
    assert tags(direct, "team/app") == "abcd"
    rule(direct)
    direct.clock.turn(seconds=DAY + 1)
    worker.run_due()
    assert tags(direct, "team/app") == "cd"
    direct.push(image(layer({"f": b"new"})), "e")
    direct.clock.turn(seconds=DAY // 2)
    worker.run_due()
    assert tags(direct, "team/app") == "cde"
    direct.clock.turn(seconds=DAY // 2 + 1)
    worker.run_due()
    assert tags(direct, "team/app") == "de"


def test_the_first_rule_does_not_act_the_moment_it_is_made(direct, three):
    worker = Worker(direct.services.queue, "worker")
    worker.run_due()  # makes the job known
    worker.run_due()
    direct.clock.turn(seconds=DAY // 2)
    rule(direct)
    worker.run_due()
    assert tags(direct, "team/app") == "abcd"
    direct.clock.turn(seconds=DAY // 2 + 1)
    worker.run_due()
    assert tags(direct, "team/app") == "cd"


@pytest.mark.parametrize(
    "arguments", [{"repository": 1}, {"dry_run": "no"}, {"repositories": "a"}, {"repository": "A"}]
)
def test_odd_arguments_fail_the_run_and_say_so(direct, three, arguments):
    rule(direct)
    found = run(direct, **arguments)
    assert found.state == FAILED
    assert "retention takes" in found.error or "invalid repository name" in found.error
    assert tags(direct, "team/app") == "abcd"


def test_what_fails_in_one_repository_leaves_the_others(direct, three, monkeypatch):
    rule(direct)
    real = RetentionService.run

    def failing(self, actor, repository, plan_id, **more):
        if repository.value == "team/app":
            raise PlanOutdated("the rules have changed")
        return real(self, actor, repository, plan_id, **more)

    monkeypatch.setattr(RetentionService, "run", failing)
    found = run(direct).result
    assert found["failed"] == {"team/app": "the rules have changed"}
    assert [tags(direct, name) for name in three] == ["abcd", "cd", "abcd"]


def test_an_unknown_repository_is_told(direct, three):
    found = run(direct, repository="team/none")
    assert (found.state, found.error) == (FAILED, "repository name not known to registry")

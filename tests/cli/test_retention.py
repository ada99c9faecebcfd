"""``moorage retention`` on a data folder."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from registry.access.actors import Actor
from registry.cli import connecting, main, retention
from registry.repositories.rules import Scope
from registry.testing.apps import quick_folder, running_app
from tests.support.api import Api
from tests.support.doc_worlds import made, push_aged

PAGE = Path(__file__).resolve().parents[2] / "docs" / "retention.md"


@pytest.fixture
def app(blank):
    with quick_folder() as folder, running_app(folder / "data", blank=blank) as app:
        push_aged(app)
        yield app


def call(app, *args, code=0, stdin=None):
    data = str(app.extensions["moorage"].settings.data)
    result = CliRunner().invoke(main, [*args, "--data", data], prog_name="moorage", input=stdin)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def rule(app, name, **definition):
    app.extensions["moorage"].rules.create(Actor(), name, "retention", Scope(), definition)


def test_a_plan_is_listed_and_its_run_removes_just_that(app):
    rule(app, "few-of-main", select=["main-*"], keep={"last": 2})
    told = call(app, "retention", "plan", "team/app")
    assert re.search(r"main-101 +remove +few-of-main +behind the newest 2 of 4", told)
    assert "main-104" not in told
    assert "plan 1 removes 3 of 10 tags and 0 of 2 untagged manifests" in told
    assert "moorage retention run team/app --plan 1" in told
    everything = call(app, "retention", "show", "team/app", "1", "--all")
    assert re.search(r"main-104 +keep +few-of-main +1st newest of 2 kept", everything)
    done = call(app, "retention", "run", "team/app", "--plan", "1", "--yes")
    told = "removed 3 tags and 0 untagged manifests\nto take one back: moorage tag restore team/app TAG\n"
    assert done == told
    assert re.search(r"1 +\S+ +over +3 of 3 +0", call(app, "retention", "plans", "team/app"))
    again = call(app, "retention", "run", "team/app", "--plan", "1", "--yes", code=1)
    assert "this plan was carried out" in again
    assert call(app, "retention", "run", "team/app") == "removed 0 tags and 0 untagged manifests\n"


def test_a_run_asks_and_removes_nothing_without_an_answer(app):
    rule(app, "few-of-main", select=["main-*"], keep={"last": 2})
    told = call(app, "retention", "run", "team/app", code=2)
    assert "Remove 3 tags and 0 untagged manifests of team/app? Nobody is here to answer: say --yes" in told
    found = json.loads(call(app, "retention", "plans", "team/app", "--json"))
    assert [(one["state"], one["run"]["done"]) for one in found] == [("ready", 0)]


def test_a_run_lists_what_it_will_remove_before_it_asks(app, monkeypatch):
    rule(app, "few-of-main", select=["main-*"], keep={"last": 2})
    for module in (connecting, retention):
        monkeypatch.setattr(module, "somebody_is_there", lambda: True)
    told = call(app, "retention", "run", "team/app", stdin="n\n", code=1)
    listed, asked = told.find("main-101"), told.find("Remove 3 tags")
    assert 0 < listed < asked


def test_who_has_no_rule_yet_is_told_how_to_try_one(app):
    assert "there is no rule of retention yet; try one: --draft" in call(app, "retention", "plan", "team/app")
    made = call(app, "rule", "add", "few", '{"keep": {"last": 100}}', "--kind", "retention")
    assert "moorage retention plan REPOSITORY" in made
    assert "a daily job removes what no rule keeps" in made
    assert "no rule of retention" not in call(app, "retention", "plan", "team/app")


def test_what_a_run_left_alone_is_told(app):
    rule(app, "few-of-main", select=["main-*"], keep={"last": 3})
    call(app, "retention", "plan", "team/app")
    Api(app.test_client()).push("team/app", made("other"), "main-101")
    told = call(app, "retention", "run", "team/app", "--plan", "1", "--yes")
    assert re.search(r"main-101 +it was moved, deleted or has ended since", told)


def test_programs_get_json(app):
    rule(app, "few-of-main", select=["main-*"], keep={"last": 3})
    plan = json.loads(call(app, "retention", "plan", "team/app", "--all", "--json"))
    assert (plan["tags"], len(plan["entries"])) == ({"remove": 2, "keep": 3, "not_covered": 5}, 12)
    done = json.loads(call(app, "retention", "run", "team/app", "--yes", "--json"))
    assert (done["done"], done["total"], done["removed_tags"]) == (2, 2, 2)


@pytest.mark.parametrize("text", ["x", "=1", "a=", "a=[]", "a={"])
def test_a_draft_that_is_none_is_a_mistake_of_usage(app, text):
    assert "--draft: expected NAME= and a JSON object" in call(
        app, "retention", "plan", "team/app", "--draft", text, code=2
    )


def test_a_draft_that_cannot_be_used_names_the_field(app):
    told = call(app, "retention", "plan", "team/app", "--draft", 'a={"keep": {"last": 0}}', code=1)
    assert "keep.last must be a whole number" in told


def test_the_definitions_on_the_page_are_accepted(app):
    definitions = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert definitions
    for number, definition in enumerate(definitions):
        rule(app, f"rule-{number}", **json.loads(definition))

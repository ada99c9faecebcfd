"""``moorage retention`` on a data folder, and that docs/retention.md shows what it prints."""

import json
import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from registry.access.actors import Actor
from registry.cli import connecting, main, retention
from registry.repositories.rules import Scope
from registry.testing.apps import blank_data, quick_folder, running_app
from tests.support.api import Api
from tests.support.images import artifact, image, layer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "retention.md"
DAY = 86_400_000
# The repository of docs/retention.md: tags with their age and their last pull, in days.
TAGS = {
    "latest": (1, 0),
    "main-101": (60, None),
    "main-102": (40, 5),
    "main-103": (20, None),
    "main-104": (2, None),
    "pr-12": (45, 2),
    "pr-17": (3, None),
    "v1.0": (400, 90),
    "v1.1": (200, 1),
}
UNTAGGED = {"old": 30, "new": 2}


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    return blank_data(tmp_path_factory.mktemp("blank") / "data")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)


def made(name):
    return image(layer({"f": name.encode()}))


@pytest.fixture
def app(blank):
    with quick_folder() as folder, running_app(folder / "data", blank=blank) as app:
        api = Api(app.test_client())
        for name in TAGS:
            api.push("team/app", made(name), name)
        for name in UNTAGGED:
            api.push("team/app", made(name), made(name).digest)
        signed = made("main-101")
        api.push("team/app", artifact("text/x"), signed.digest.replace(":", "-") + ".sig")
        age(app)
        yield app


def age(app):
    """Let what was pushed just now be as old as the page says."""
    database = app.extensions["moorage"].database

    def work(connection):
        now = database.now(connection)
        connection.execute(text("UPDATE manifest SET lease_until = 0"))
        for name, (days, pulled) in TAGS.items():
            values = {"name": name, "start": now - days * DAY, "digest": made(name).digest}
            connection.execute(text("UPDATE tag SET lifetime_start_ms = :start WHERE name = :name"), values)
            values["pulled"] = None if pulled is None else now - pulled * DAY
            connection.execute(text("UPDATE manifest SET last_pulled_at = :pulled WHERE digest = :digest"), values)
        for name, days in UNTAGGED.items():
            values = {"created": now - days * DAY, "digest": made(name).digest}
            connection.execute(text("UPDATE manifest SET created_ms = :created WHERE digest = :digest"), values)
        connection.execute(
            text("UPDATE tag SET lifetime_start_ms = :start WHERE name LIKE 'sha256-%'"), {"start": now - 60 * DAY}
        )

    database.write(work)


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


def examples():
    """Return the commands of the page, each with the output that stands below it."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL)
    return [(block.partition("\n")[0].removeprefix("$ "), block.partition("\n")[2]) for block in blocks]


def plain(told):
    """Return lines as the page shows them: columns apart, digests cut short, each plan the first."""
    told = re.sub(r"(sha256[:-][0-9a-f]{6})[0-9a-f]{58}", r"\1…", told)
    told = re.sub(r"^plan [0-9]+ ", "plan 1 ", told, flags=re.MULTILINE)
    return [re.sub(r" {2,}", "  ", line.strip()) for line in told.splitlines() if line.strip("─ ")]


def test_the_page_shows_what_commands_print(app):
    assert examples()
    for command, told in examples():
        assert plain(call(app, *shlex.split(command)[1:])) == plain(told)


def test_the_definitions_on_the_page_are_accepted(app):
    definitions = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert definitions
    for number, definition in enumerate(definitions):
        rule(app, f"rule-{number}", **json.loads(definition))

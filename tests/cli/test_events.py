"""``moorage events`` on a data folder: what it prints, for people and for programs."""

import json

import pytest
from click.testing import CliRunner

from registry.cli import main
from registry.cli.tailing import events_of
from registry.db.models import EventConsumer, EventDelivery
from registry.testing.apps import quick_folder, running_app
from registry.testing.images import image, layer
from tests.support.api import Api

A, B = (image(layer({"f": text})) for text in (b"a", b"b"))


@pytest.fixture
def app(blank):
    with quick_folder() as folder, running_app(folder / "data", blank=blank) as app:
        api = Api(app.test_client())
        api.push("team/app", A, "v1")
        api.push("team/app", B, "v1")
        services = app.extensions["moorage"]
        services.database.write(services.log.place)
        services.database.write(fill)
        yield app


def fill(connection):
    connection.execute(EventConsumer.__table__.insert(), {"name": "hooks/a", "position": 6})
    row = {"repository": "team/app", "alone": False, "attempts": 16, "first_ms": 0, "due_ms": 0, "dead_ms": 5}
    connection.execute(
        EventDelivery.__table__.insert(), {"consumer": "hooks/a", "position": 5, "error": "500 of a", **row}
    )


@pytest.fixture
def run(app):
    def run(*words, code=0):
        data = app.extensions["moorage"].settings.data
        done = CliRunner().invoke(main, ["events", *words, "--data", str(data)])
        assert done.exit_code == code, done.output
        return done.output

    return run


def test_events_are_listed(run):
    lines = run("list", "--type", "tag.", "--repository", "team/app").splitlines()
    assert [line.split()[2:] for line in lines if "tag.changed" in line] == [["tag.changed", "team/app", "v1"]] * 2
    (event,) = json.loads(run("list", "--after", "4", "--limit", "1", "--json"))
    assert (event["specversion"], event["subject"], int(event["sequence"])) == ("1.0", "v1", 5)
    assert len(json.loads(run("list", "--type", "org.moorage.blob.pushed", "--json"))) == 4
    assert json.loads(run("list", "--since", "2100-01-01", "--json")) == []


def test_events_are_followed(run):
    first, _ = run("tail", "--after", "4", "--count", "2").splitlines()
    assert first.startswith("5  ")
    assert "org.moorage.tag.changed  team/app  v1" in first
    lines = run("tail", "--after", "0", "--type", "tag.", "--count", "2", "--json").splitlines()
    assert [json.loads(line)["data"]["digest"] for line in lines] == [A.digest, B.digest]


def test_consumers_are_listed_and_sent_back(run):
    assert "hooks/a" in run("consumers")
    assert json.loads(run("replay", "hooks/a", "--after", "2", "--json")) == {"consumer": "hooks/a", "position": 2}
    assert json.loads(run("consumers", "--json"))[0]["position"] == 2
    assert json.loads(run("replay", "hooks/a", "--since", "1970-01-02", "--json"))["position"] == 0


@pytest.mark.parametrize("words", [(), ("--after", "1", "--since", "2h")])
def test_a_replay_says_from_where(run, words):
    assert "say from where" in run("replay", "hooks/a", *words, code=2)


def test_an_unknown_consumer_is_refused_with_what_there_is(run):
    assert "moorage events consumers" in run("replay", "nobody", "--after", "0", code=1)


def test_dead_letters_are_listed_told_again_and_dropped(run):
    (line,) = [line for line in run("dead", "list").splitlines() if "hooks/a" in line]
    assert line.split()[:2] == ["1", "hooks/a"]
    assert "500 of a" in line
    assert json.loads(run("dead", "list", "--consumer", "other", "--json")) == []
    assert run("dead", "redeliver", "1") == "letter 1 is told again\n"
    assert "moorage events dead list" in run("dead", "drop", "1", code=1)


def test_a_dead_letter_is_dropped(run):
    assert run("dead", "drop", "1") == "letter 1 is dropped\n"


def test_server_sent_events_are_read_as_they_are_written():
    lines = ["retry: 2000", "", ":", "", "id: 7", "event: x", 'data: {"a": ": b"}', "", "id: 8", "data: {}", ""]
    assert list(events_of(lines)) == [("7", {"a": ": b"}), ("8", {})]

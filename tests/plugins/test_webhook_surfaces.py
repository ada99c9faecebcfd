"""What people use of the webhooks: ``moorage webhooks``, and ``/webhooks``."""

import json

import pytest
from click.testing import CliRunner
from flask import Flask

import moorage_webhooks
from moorage_webhooks.sending import Deliveries
from moorage_webhooks.settings import Declared, Settings
from moorage_webhooks.subscriptions import Subscription, Subscriptions
from registry.hooks import EgressRefused
from tests.support.plugin_parts import made_event, memory_context, nobody_there

URL = "https://ci.example.org/hook"
PATH = "/webhooks/subscriptions"


@pytest.fixture
def context():
    declared = Declared(name="audit", url="https://audit.example.org/", secret="f" * 16)
    return memory_context("webhooks", Settings(attempts=1, subscriptions=(declared,)))


@pytest.fixture
def run(context):
    [command] = moorage_webhooks.cli_commands(lambda: context)

    def run(*arguments, fails=0):
        done = CliRunner().invoke(command, arguments)
        assert done.exit_code == fails, done.output
        return done.output

    return run


@pytest.fixture
def client(context):
    app = Flask(__name__)
    for pages in moorage_webhooks.blueprints(context):
        app.register_blueprint(pages)
    return app.test_client()


@pytest.fixture
def dead_one(context):
    """Have one delivery that is dead, to a receiver that is back."""
    Subscriptions(context).add(Subscription("ci", URL, ("f" * 16,)))
    context.egress.answers[URL] = 500
    Deliveries(context).tell(Subscriptions(context).get("ci"), made_event())
    del context.egress.answers[URL]
    return made_event().id


def test_add_prints_the_secret_once(run, context):
    output = run("add", "ci", URL, "--type", "org.moorage.tag.*", "--repository", "a/*", "--repository", "b")
    secret = Subscriptions(context).get("ci").keys[0]
    assert output == f"subscribed ci\nsecret: {secret}\n"
    shown = json.loads(run("show", "ci", "--json"))
    assert (shown["types"], shown["repositories"]) == (["org.moorage.tag.*"], ["a/*", "b"])
    for line in (
        run("list"),
        run("list", "--json"),
        run("show", "ci"),
        run("show", "ci", "--json"),
        run("deliveries", "ci"),
    ):
        assert secret not in line


def test_a_secret_that_is_given_is_not_printed(run, context):
    assert run("add", "ci", URL, "--secret", "s" * 20) == "subscribed ci\n"
    assert Subscriptions(context).get("ci").keys == ("s" * 20,)


def test_lists_are_aligned(run):
    run("add", "ci", URL)
    assert run("list").splitlines() == [
        "name   url                          types  repositories  declared  enabled  paused",
        "audit  https://audit.example.org/   *      *             yes       yes",
        "ci     https://ci.example.org/hook  *      *             no        yes",
    ]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("add", "ci", "ftp://x"), "url: a URL starts with"),
        (("add", "ci", "http://x"), "url: x is no host"),
        (("add", "CI", URL), "name: "),
        (("add", "audit", URL), "declared in the settings"),
        (("remove", "audit"), "declared in the settings"),
        (("rotate", "audit"), "declared in the settings"),
        *(((verb, "none"), "nobody is subscribed as 'none'") for verb in ("show", "remove", "pause", "resume", "test")),
        (("deliveries", "none"), "nobody is subscribed as 'none'"),
        (("redeliver", "audit", "f" * 32), "audit has no delivery of event"),
    ],
)
def test_what_cannot_be_is_told(run, context, arguments, reason):
    context.egress.answers["http://x"] = EgressRefused("x is no host")
    output = run(*arguments, fails=1)
    assert output.startswith("Error: ")
    assert reason in output


def test_pause_resume_rotate_and_remove(run, context):
    run("add", "ci", URL)
    assert run("pause", "ci") == "paused ci\n"
    assert "paused by hand" in run("show", "ci")
    assert run("resume", "ci") == "resumed ci\n"
    assert run("rotate", "ci") == f"secret: {Subscriptions(context).get('ci').keys[0]}\n"
    assert len(Subscriptions(context).get("ci").keys) == 2
    assert run("rotate", "ci", "--finish") == "ci is signed with its newest secret alone\n"
    assert len(Subscriptions(context).get("ci").keys) == 1
    assert run("remove", "ci") == "removed ci\n"
    assert list(context.store.keys()) == []


def test_test_tells_whether_it_arrived(run, context):
    run("add", "ci", URL)
    assert ": answered 204, " in run("test", "ci")
    context.egress.answers[URL] = nobody_there()
    assert ": Connection refused, " in run("test", "ci", fails=1)
    states = [one["state"] for one in json.loads(run("deliveries", "ci", "--json"))]
    assert states == ["failed", "delivered"]
    assert len(json.loads(run("deliveries", "ci", "--json", "--limit", "1"))) == 1


def test_redeliver_sends_all_that_is_dead(run, dead_one):
    assert dead_one in run("deliveries", "ci", "--dead")
    assert f"{dead_one}: answered 204, " in run("redeliver", "ci", "--dead")
    assert dead_one not in run("deliveries", "ci", "--dead")
    assert run("redeliver", "ci", "--dead") == ""
    assert f"{dead_one}: answered 204, " in run("redeliver", "ci", dead_one)


@pytest.mark.parametrize("arguments", [("ci",), ("ci", "f" * 32, "--dead")])
def test_redeliver_wants_one_thing(run, dead_one, arguments):
    assert "give the id of an event, or --dead" in run("redeliver", *arguments, fails=2)


def test_subscriptions_over_http(client, context):
    made = client.post(PATH, json={"name": "ci", "url": URL, "types": ["a.*"], "repositories": ["r/*"]})
    assert made.status_code == 201
    secret = Subscriptions(context).get("ci").keys[0]
    shown = {
        "name": "ci",
        "url": URL,
        "types": ["a.*"],
        "repositories": ["r/*"],
        "paused": "",
        "declared": False,
        "enabled": True,
        "secrets": 1,
    }
    assert made.json == shown | {"secret": secret}
    assert client.get(f"{PATH}/ci").json == shown
    assert [one["name"] for one in client.get(PATH).json["items"]] == ["audit", "ci"]
    assert client.post(f"{PATH}/ci/pause", json={}).json["paused"] == "paused by hand"
    assert client.post(f"{PATH}/ci/resume", json={}).json["paused"] == ""
    new = client.post(f"{PATH}/ci/rotate", json={}).json
    assert Subscriptions(context).get("ci").keys == (new["secret"], secret)
    assert client.post(f"{PATH}/ci/rotate", json={"finish": True}).json == shown
    assert client.post(f"{PATH}/ci/test", json={}).json["state"] == "delivered"
    assert len(client.get(f"{PATH}/ci/deliveries").json["items"]) == 1
    assert client.delete(f"{PATH}/ci").status_code == 204
    assert list(context.store.keys()) == []


def test_dead_deliveries_over_http(client, dead_one):
    [entry] = client.get(f"{PATH}/ci/deliveries?state=dead").json["items"]
    assert entry["event"] == dead_one
    assert client.post(f"{PATH}/ci/redeliver", json={"event": dead_one}).json["state"] == "delivered"
    assert client.get(f"{PATH}/ci/deliveries?state=dead").json["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "reason"),
    [
        ("post", "", [], 400, "SUBSCRIPTION_INVALID", "a JSON object is expected"),
        ("post", "", {"name": "ci"}, 400, "SUBSCRIPTION_INVALID", "url: a text is expected"),
        ("post", "", {"name": 1, "url": URL}, 400, "SUBSCRIPTION_INVALID", "name: a text is expected"),
        ("post", "", {"name": "ci", "url": URL, "types": "x"}, 400, "SUBSCRIPTION_INVALID", "types: a list of texts"),
        ("post", "", {"name": "ci", "url": URL, "other": 1}, 400, "SUBSCRIPTION_INVALID", "a JSON object is expected"),
        ("post", "", {"name": "ci", "url": URL, "secret": "x"}, 400, "SUBSCRIPTION_INVALID", "secret: 16 to 255"),
        ("delete", "/audit", None, 400, "SUBSCRIPTION_INVALID", "declared in the settings"),
        ("get", "/none", None, 404, "SUBSCRIPTION_UNKNOWN", "nobody is subscribed as 'none'"),
        ("get", "/none/deliveries", None, 404, "SUBSCRIPTION_UNKNOWN", "nobody is subscribed as 'none'"),
        ("post", "/audit/redeliver", {"event": "x"}, 404, "SUBSCRIPTION_UNKNOWN", "no delivery of event 'x'"),
        ("post", "/audit/redeliver", {}, 400, "SUBSCRIPTION_INVALID", "event: a text is expected"),
    ],
)
def test_what_cannot_be_is_told_over_http(client, method, path, body, status, code, reason):
    response = client.open(PATH + path, method=method.upper(), json=body)
    assert response.status_code == status
    [error] = response.json["errors"]
    assert error["code"] == code
    assert reason in error["message"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None]
)
def test_a_web_page_cannot_make_a_browser_change_anything(client, context, kind):
    body = json.dumps({"name": "ci", "url": URL})
    for path in ("", "/audit/pause", "/audit/test", "/audit/redeliver"):
        response = client.post(PATH + path, data=body, headers={"Content-Type": kind} if kind else {})
        assert response.status_code == 415
        assert response.json["errors"][0]["code"] == "UNSUPPORTED_MEDIA_TYPE"
    assert (list(context.store.keys()), context.egress.sent) == ([], [])

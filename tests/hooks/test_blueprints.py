"""Blueprints of plugins: served beside the registry's own pages, which they can neither hide nor break."""

import pytest
from flask import Blueprint, abort, redirect, request, url_for

from registry.errors import Denied
from registry.hooks.manager import PluginError


def pages(*rules, name="pages", view=lambda **given: given, **options):
    made = Blueprint(name, __name__)
    for number, rule in enumerate(rules):
        made.add_url_rule(rule, f"view{number}", view, **options)
    return made


@pytest.fixture
def served(with_plugins, make_plugin):
    """Give the function that makes a client of an app whose plugin has these blueprints."""

    def start(*blueprints, name="note"):
        return with_plugins(make_plugin(name, blueprints=lambda: list(blueprints))).app.test_client()

    return start


def test_blueprints_are_served_with_the_plugin_s_context(with_plugins, make_plugin):
    def blueprints(context):
        return [pages("/note/<path:repository>", view=lambda repository: {context.plugin: repository})]

    client = with_plugins(make_plugin("note", blueprints=blueprints)).app.test_client()
    assert client.get("/note/team/app").json == {"note": "team/app"}
    assert client.get("/v2/").status_code == 200


def test_blueprints_build_the_urls_of_their_views(served):
    def view(repository):
        return [url_for(".view0", repository="other/app", page=2), url_for(".view0", repository=repository)]

    client = served(pages("/note/<path:repository>", view=view))
    for _ in range(2):
        assert client.get("/note/team/app").json == ["/note/other/app?page=2", "/note/team/app"]


@pytest.mark.parametrize("rule", ["/v2/x", "/v2", "/api/v1/x", "/token", "/health/mine", "/<path:all>", "/<name>/x"])
def test_blueprints_stay_out_of_the_registry_s_own_paths(served, rule):
    with pytest.raises(PluginError, match="plugin note claims the path"):
        served(pages(rule))


@pytest.mark.parametrize("other", ["/note/<name>", "/note/<path:rest>", "/note/<int:x>/"])
def test_blueprints_with_one_route_stop_the_start_with_both_names(with_plugins, make_plugin, other):
    first = make_plugin("first", blueprints=lambda: [pages("/note/<name>")])
    second = make_plugin("second", blueprints=lambda: [pages(other, name="other")])
    with pytest.raises(PluginError, match=r"path /note/.* is claimed by two plugins: first and second"):
        with_plugins(first, second)


def test_blueprints_may_share_a_path_for_other_methods_and_a_name(with_plugins, make_plugin):
    get = make_plugin("get", blueprints=lambda: [pages("/note", view=lambda: "got", methods=["GET"])])
    post = make_plugin("post", blueprints=lambda: [pages("/note", view=lambda: "posted", methods=["POST"])])
    client = with_plugins(get, post).app.test_client()
    assert (client.get("/note").text, client.post("/note").text) == ("got", "posted")


def leave():
    raise SystemExit(3)


@pytest.mark.parametrize("view", [lambda: 1 / 0, leave, lambda: None], ids=["raises", "exits", "nothing"])
def test_blueprints_that_break_are_a_500_that_names_the_plugin_in_the_log_and_the_next_request_works(
    served, view, caplog
):
    client = served(pages("/note", view=view), pages("/fine", name="fine", view=lambda: "fine"))
    answer = client.get("/note")
    assert (answer.status_code, answer.content_type) == (500, "application/problem+json")
    assert "plugin note" in caplog.text
    assert client.get("/fine").text == "fine"
    assert client.get("/v2/").status_code == 200


@pytest.mark.parametrize("when", ["before_request", "after_request", "teardown_request"])
def test_blueprints_that_break_around_a_view_break_their_own_requests_alone(served, when, caplog):
    broken = pages("/note", view=lambda: "done")
    getattr(broken, when)(lambda *given: leave())
    client = served(broken, pages("/fine", name="fine", view=lambda: "fine"))
    answer = client.get("/note")
    assert answer.status_code == (200 if when == "teardown_request" else 500)
    assert "plugin note failed in blueprints: SystemExit: 3" in caplog.text
    assert client.get("/fine").text == "fine"
    assert client.get("/v2/").status_code == 200


def test_blueprints_refuse_as_they_like(served):
    def view(how):
        if how == "denied":
            raise Denied("not you")
        if how == "mine":
            raise KeyError(how)
        if how == "moved":
            return redirect("/elsewhere")
        if how == "whole":
            abort(418, response=None)
        return abort(int(how), "gone for good")

    made = pages("/note/<how>", view=view)
    made.register_error_handler(KeyError, lambda error: ("mine", 409))
    client = served(made)
    gone = client.get("/note/410")
    assert (gone.status_code, gone.content_type) == (410, "application/problem+json")
    assert (gone.json["detail"], gone.json["status"]) == ("gone for good", 410)
    denied = client.get("/note/denied")
    assert (denied.status_code, denied.json["code"]) == (403, "DENIED")
    assert (client.get("/note/mine").status_code, client.get("/note/mine").text) == (409, "mine")
    assert client.get("/note/moved").headers["Location"] == "/elsewhere"
    assert client.get("/note/whole").status_code == 418


def test_blueprints_whose_page_ends_with_a_slash_are_found_without_it(served):
    answer = served(pages("/note/")).get("/note")
    assert (answer.status_code, answer.headers["Location"].endswith("/note/")) == (308, True)


def everywhere(method):
    made = pages("/note")
    handler = (KeyError,) if method == "register_app_error" else ()
    if handler:
        made.app_errorhandler(KeyError)(lambda error: "mine")
    else:
        getattr(made, method)(lambda *given: None)
    return made


WRONG = {
    "raises": lambda: 1 / 0,
    "no list": lambda: 7,
    "no blueprint": lambda: ["pages"],
    "every request": lambda: [everywhere("before_app_request")],
    "every answer": lambda: [everywhere("after_app_request")],
    "every error": lambda: [everywhere("register_app_error")],
}


@pytest.mark.parametrize("blueprints", WRONG.values(), ids=WRONG)
def test_blueprints_that_cannot_be_mounted_are_left_out_and_told(with_plugins, make_plugin, caplog, blueprints):
    fine = make_plugin("fine", blueprints=lambda: [pages("/fine", view=lambda: request.path)])
    client = with_plugins(make_plugin("wrong", blueprints=blueprints), fine).app.test_client()
    assert "plugin wrong" in caplog.text
    assert client.get("/fine").text == "/fine"
    assert client.get("/note").status_code == 404
    assert client.get("/v2/").status_code == 200

"""Who is asked about credentials and about denials, and what is read of the answers."""

from datetime import UTC, datetime

import pluggy
import pytest

from registry.errors import PrincipalInvalid
from registry.hooks import AuthorizationRequest, Denial, Identity, LoginCredentials, specs
from registry.hooks.authenticating import Asked, Logins
from registry.hooks.authorizing import Denials, Refusal
from registry.hooks.calls import Calls

SHOWN = LoginCredentials("ann", "hunter2-hunter2", "192.0.2.1")


def request(action="pull"):
    time = datetime(2026, 1, 2, tzinfo=UTC)
    return AuthorizationRequest("ann", "user", action, "team/app", "", None, ["dev"], "", time)


@pytest.fixture
def calls_of():
    """Give the function that makes the calls of some plugins."""

    def make(*plugins):
        manager = pluggy.PluginManager("moorage")
        manager.add_hookspecs(specs)
        for plugin in plugins:
            manager.register(plugin, plugin.__name__)
        return Calls(manager)

    return make


def check_name(name):
    if not name.isalnum():
        raise PrincipalInvalid("a name is of letters")


def test_authenticate_is_asked_in_turn_until_one_knows(calls_of, make_plugin):
    asked = []

    def no(credentials, context):
        asked.append((credentials.name, credentials.password, context))

    plugins = [
        make_plugin("one", authenticate=no),
        make_plugin("two", authenticate=lambda: Identity("ann", ["dev"])),
        make_plugin("three", authenticate=lambda: asked.append("three")),
        make_plugin("none", label_actions=lambda: ()),
    ]
    logins = Logins(calls_of(*plugins), lambda name: f"context of {name}", check_name)
    assert logins.plugins == ["one", "two", "three"]
    assert logins.ask(logins.plugins, SHOWN) == Asked(Identity("ann", ("dev",)), "two")
    assert asked == [("ann", "hunter2-hunter2", "context of one")]
    assert logins.ask(["one", "three"], SHOWN) == Asked(refused=True)


def test_authenticate_that_fails_is_told_beside_those_that_refuse(calls_of, make_plugin):
    plugins = [
        make_plugin("bad", authenticate=lambda: 1 / 0),
        make_plugin("odd", authenticate=lambda: Identity("no name")),
        make_plugin("no", authenticate=lambda: None),
        make_plugin("yes", authenticate=lambda: Identity("ann")),
    ]
    calls = calls_of(*plugins)
    logins = Logins(calls, lambda name: None, check_name)
    assert logins.ask(["bad", "odd"], SHOWN) == Asked(failed="bad")
    assert logins.ask(["bad", "no"], SHOWN) == Asked(failed="bad", refused=True)
    assert logins.ask(logins.plugins, SHOWN).plugin == "yes"
    (odd,) = [one for one in calls.tallies if (one.plugin, one.hook) == ("odd", "authenticate")]
    assert odd.last_error == "it returned an Identity whose name is none: a name is of letters"


def test_authenticate_does_not_ask_who_is_blocked(calls_of, make_plugin):
    calls = calls_of(make_plugin("one", authenticate=lambda: Identity("ann")))
    logins = Logins(calls, lambda name: None, check_name)
    calls.guards["one"].agree(off="", blocked="for now")
    assert logins.plugins == []
    assert logins.ask(["one"], SHOWN) == Asked()


def test_authorize_asks_all_about_what_nobody_refused_yet(calls_of, make_plugin):
    told = []

    def first(requests):
        return [Denial("no\npushes") if one.action == "push" else None for one in requests]

    def second(requests, context):
        told.append((requests, context))

    denials = Denials(
        calls_of(make_plugin("first", authorize=first), make_plugin("second", authorize=second)), lambda name: name
    )
    asked = [request("push"), request("pull")]
    assert denials.of(asked) == [Refusal("first", "no\\npushes"), None]
    assert told == [((asked[1],), "second")]
    assert denials.of(asked[:1]) == [Refusal("first", "no\\npushes")]
    assert len(told) == 1


def test_authorize_that_fails_refuses_all(calls_of, make_plugin):
    calls = calls_of(make_plugin("bad", authorize=lambda requests: [None]))
    denials = Denials(calls, lambda name: None)
    assert denials.of([request(), request()]) == [Refusal("bad", failed=True)] * 2
    (tally,) = [one for one in calls.tallies if one.hook == "authorize"]
    assert tally.last_error == "it returned 1 answers to 2 requests"
    assert denials.of([request()]) == [None]


def test_authorize_that_nobody_implements_asks_nobody(calls_of, make_plugin):
    assert not Denials(calls_of(make_plugin("other", label_actions=lambda: ())), lambda name: None).asks


def test_what_crosses_cannot_be_changed_and_hides_the_password():
    teams = ["dev"]
    identity = Identity("ann", teams)
    teams.append("admins")
    assert identity.teams == ("dev",)
    assert request().teams == ("dev",)
    assert "hunter2" not in repr(SHOWN)
    for value in (identity, SHOWN, request(), Denial("no")):
        with pytest.raises((AttributeError, TypeError)):
            value.name = "other"

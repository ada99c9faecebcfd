"""How plugins did: added up in the database, followed by every process, and shown."""

import pytest

from registry.access.actors import Actor
from registry.errors import PluginUnknown, RequestInvalid
from registry.hooks import crumbs
from registry.hooks.calls import PluginBroke, PluginOff
from registry.hooks.crumbs import Death
from registry.testing.images import simple_image

ACTOR = Actor("ada")


def fail(services, plugin, times):
    for _ in range(times):
        with pytest.raises(PluginBroke):
            services.hooks.calls.call(plugin, "event_happened", event=None, context=None)


@pytest.fixture
def two(with_plugins, make_plugin):
    """Give the services of two processes of one registry, with a plugin that breaks."""
    return [with_plugins(make_plugin("bad", event_happened=lambda: 1 / 0)).services for _ in range(2)]


def test_what_processes_count_is_added_up(two):
    one, other = two
    fail(one, "bad", 2)
    fail(other, "bad", 3)
    for services in two:
        services.caretaker.flush()
        services.caretaker.flush()
    health = {row.hook: row for row in one.plugin_blocks.cared_for(ACTOR)["bad"].health}["event_happened"]
    assert (health.calls, health.failures) == (5, 5)
    assert health.last_error == "ZeroDivisionError: division by zero"
    assert health.last_error_ms > 0
    fail(one, "bad", 1)
    one.caretaker.flush()
    assert [row.failures for row in one.plugin_blocks.cared_for(ACTOR)["bad"].health if row.failures] == [6]


def test_what_one_process_switched_off_is_off_in_all_until_it_is_unblocked(two):
    one, other = two
    one.hooks.calls.guards["bad"].switch_off("four of its threads hang")
    for services in two:
        services.caretaker.follow()
    with pytest.raises(PluginOff, match="four of its threads hang"):
        other.hooks.calls.call("bad", "event_happened", event=None, context=None)
    block = one.plugin_blocks.cared_for(ACTOR)["bad"].block
    assert block is not None
    assert (block.automatic, block.actor) == (True, "moorage")
    other.plugin_blocks.unblock(ACTOR, "bad")
    one.caretaker.follow()
    assert not one.hooks.calls.guards["bad"].off
    fail(one, "bad", 1)


def test_a_new_start_gives_those_another_chance_that_were_switched_off_and_nobody_else(two):
    one, other = two
    one.hooks.calls.guards["bad"].switch_off("it hangs")
    one.plugin_blocks.block(ACTOR, "keep", "not now")
    one.caretaker.follow()
    other.plugin_blocks.start_anew()
    one.caretaker.follow()
    assert one.hooks.calls.guards["bad"].off == ""
    assert one.hooks.calls.guards["keep"].blocked == "not now"


def test_an_operator_s_block_stands_over_what_the_registry_switches_off(two):
    one, other = two
    one.plugin_blocks.block(ACTOR, "bad", "it is being mended")
    other.hooks.calls.guards["bad"].switch_off("it hangs")
    other.caretaker.follow()
    assert other.hooks.calls.guards["bad"].blocked == "it is being mended"
    assert "bad" not in other.hooks.calls.plugins("event_happened")


def test_who_is_unknown_or_called_anyway_cannot_be_blocked_or_unblocked(two):
    service = two[0].plugin_blocks
    with pytest.raises(PluginUnknown):
        service.block(ACTOR, "nobody", "why")
    with pytest.raises(PluginUnknown, match="not blocked"):
        service.unblock(ACTOR, "bad")
    with pytest.raises(RequestInvalid, match="say why"):
        service.block(ACTOR, "bad", "  ")


def test_the_api_shows_health_and_takes_blocks(with_plugins, make_plugin):
    direct = with_plugins(make_plugin("bad", event_happened=lambda: 1 / 0))
    fail(direct.services, "bad", 1)
    direct.services.caretaker.flush()
    client = direct.app.test_client()
    assert client.put("/api/v1/plugins/bad/block", json={"reason": "it breaks"}).status_code == 204
    (shown,) = [one for one in client.get("/api/v1/plugins").json["items"] if one["name"] == "bad"]
    assert (shown["state"], shown["block"]["reason"], shown["block"]["by"]) == ("blocked", "it breaks", "anonymous")
    assert [(one["hook"], one["failures"]) for one in shown["health"]] == [("event_happened", 1)]
    checks = {check["name"]: check for check in client.get("/health/ready").json["checks"]}
    assert checks["plugins"]["ok"]
    assert checks["plugins"]["detail"].startswith("bad is blocked: it breaks; bad failed in event_happened")
    assert client.delete("/api/v1/plugins/bad/block").status_code == 204
    assert client.delete("/api/v1/plugins/bad/block").status_code == 404
    assert client.put("/api/v1/plugins/nobody/block", json={"reason": "why"}).status_code == 404


@pytest.fixture
def dying(with_plugins, make_plugin, monkeypatch):
    """Give the services of a process with the plugins a, b and c, and the function that lets neighbours die in some."""
    services = with_plugins(*(make_plugin(name, event_happened=lambda: None) for name in "abc")).services
    recent = []

    def die(plugins):
        recent.append(Death(len(recent), [(plugin, "event_happened") for plugin in plugins]))
        monkeypatch.setattr(crumbs, "bury", lambda _: recent[-1:])
        monkeypatch.setattr(crumbs, "recent", lambda _: list(recent))
        services.caretaker.follow()
        return "".join(name for name in "abc" if services.hooks.calls.guards[name].off)

    return services, die


@pytest.mark.parametrize(
    ("died_in", "off", "failures"),
    [
        (["a", "a"], "", "aa"),
        (["a", "a", "a"], "a", "aaa"),
        (["ab", "ac", "a"], "a", "aa"),
        (["ab", "a", "a"], "a", "aa"),
        (["ab", "ab", "a"], "a", "a"),
        (["ab", "a", "ab"], "a", "aa"),
        (["ab", "ab"], "", ""),
        (["ab", "ab", "ab"], "ab", ""),
        (["abc", "abc", "abc"], "abc", ""),
        (["abc", "ab", "ab"], "ab", ""),
        (["ab", "bc", "ac"], "", "b"),
        (["a", "b", "c"], "", "abc"),
        (["ab", "c", "c", "c"], "c", "ccc"),
    ],
)
def test_three_neighbours_that_died_in_a_plugin_switch_it_off_and_who_ran_beside_it_is_spared(
    dying, died_in, off, failures
):
    services, die = dying
    went = [die(plugins) for plugins in died_in]
    assert went == [""] * (len(died_in) - 1) + [off]
    health = services.plugin_blocks.cared_for(ACTOR)
    counted = {name: sum(row.failures for row in health[name].health) for name in "abc"}
    assert counted == {name: failures.count(name) for name in "abc"}


def test_where_deaths_cannot_be_told_apart_all_that_were_at_work_are_named(dying, caplog):
    services, die = dying
    die("ab")
    assert "process 0 died while in a.event_happened or b.event_happened" in caplog.text
    die("ab")
    die("ab")
    reason = "3 processes died in it or in b, the last one in event_happened"
    assert services.hooks.calls.guards["a"].off == reason


def test_events_of_a_plugin_that_is_not_called_wait_for_it(with_plugins, make_plugin):
    heard = []
    plugin = make_plugin("hears", event_happened=lambda event: heard.append(event.subject))
    direct = with_plugins(plugin)
    services = direct.services
    dispatcher = services.dispatcher("a worker")
    dispatcher.run_due()  # it hears from now on
    services.plugin_blocks.block(ACTOR, "hears", "for now")
    direct.push(simple_image("a"), "v1")
    dispatcher.run_due()
    assert heard == []
    services.plugin_blocks.unblock(ACTOR, "hears")
    dispatcher.run_due()
    assert "v1" in heard
    heard.clear()
    services.hooks.calls.guards["hears"].switch_off("it hangs")
    direct.push(simple_image("b"), "v2")
    dispatcher.run_due()
    services.plugin_blocks.unblock(ACTOR, "hears")
    dispatcher.run_due()
    assert "v2" in heard

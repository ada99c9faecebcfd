"""The hostile matrix: whatever one plugin does in any hook is contained, and told by its name."""

import inspect
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import FunctionType, MappingProxyType
from typing import Any

import pytest

from registry.digest import Digest
from registry.errors import Denied
from registry.hooks import (
    AuthorizationRequest,
    BlobReference,
    Descriptor,
    Layer,
    LoginCredentials,
    ManifestPush,
    ParsedManifest,
    TagChange,
    TagPull,
    specs,
)
from registry.hooks.calls import PluginBroke, PluginOff

HOOKS = sorted(
    name for name, value in vars(specs).items() if isinstance(value, FunctionType) and hasattr(value, "moorage_spec")
)
ANSWERING = ("authenticate", "authorize")
"""They refuse by what they return: whatever they raise is a failure."""
DIGEST = Digest.of(b"x")


def manifest() -> ParsedManifest:
    blob = BlobReference(Descriptor("text/plain", DIGEST, 1, annotations={"a": "b"}))
    return ParsedManifest(b"{}", "text/plain", b"{}", blobs=[blob], children=[blob.descriptor], annotations={"a": "b"})


def asked(tag: str) -> AuthorizationRequest:
    time = datetime(2026, 1, 2, tzinfo=UTC)
    return AuthorizationRequest("ann", "user", "pull", "team/app", tag, tag, ["dev"], "192.0.2.1", time)


def arguments(hook: str) -> dict[str, Any]:
    """Return what a hook is called with; what no hook changes is None."""
    labels = MappingProxyType({"a": "b"})
    layers = (Layer(DIGEST, 1, urls=["http://example.org"]),)
    known = {
        "manifest": manifest(),
        "push": ManifestPush("team/app", DIGEST, manifest(), labels, layers, ("v1",), "somebody"),
        "change": TagChange("team/app", "v1", DIGEST, None, manifest(), labels, "somebody"),
        "pull": TagPull("team/app", "v1", DIGEST, manifest(), labels),
        "credentials": LoginCredentials("ann", "hunter2-hunter2", "192.0.2.1"),
        "requests": (asked("v1"), asked("v2")),
        "taken": MappingProxyType({"id": DIGEST}),
        "payload": b"{}",
        "media_type": "text/plain",
    }
    return {name: known.get(name) for name in inspect.signature(getattr(specs, hook)).parameters}


class Rude(BaseException):
    """Not even an Exception."""


class Unspeakable(Exception):
    """Its words fail, too."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def exits() -> None:
    raise SystemExit(3)


def is_rude() -> None:
    raise Rude("out of my way")


def is_unspeakable() -> None:
    raise Unspeakable


def recurses() -> None:
    recurses()


def leaves_early() -> None:
    raise GeneratorExit


BAD: Mapping[str, Callable[[], object]] = {
    "raises": lambda: 1 / 0,
    "exits": exits,
    "rude": is_rude,
    "unspeakable": is_unspeakable,
    "recurses": recurses,
    "leaves": leaves_early,
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("way", BAD)
def test_what_a_plugin_raises_is_contained_and_counted_against_it(make_plugin, calls_of, hook, way):
    good = make_plugin("good", **{hook: lambda: ["fine"]})
    calls = calls_of(make_plugin("bad", **{hook: BAD[way]}), good)
    for _ in range(3):
        with pytest.raises(PluginBroke, match=f"plugin bad failed in {hook}: "):
            calls.call("bad", hook, **arguments(hook))
        assert calls.call("good", hook, **arguments(hook)) == ["fine"]
    assert failures(calls) == {("bad", hook): 3}


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hanging_plugin_is_given_up_and_switched_off_at_its_fourth_lost_thread(make_plugin, calls_of, released, hook):
    good = make_plugin("good", **{hook: lambda: ["fine"]})
    calls = calls_of(make_plugin("bad", **{hook: lambda: released.wait(30)}), good, deadline=0.02)
    for _ in range(4):
        with pytest.raises(PluginBroke, match=f"plugin bad failed in {hook}: it did not answer in"):
            calls.call("bad", hook, **arguments(hook))
    with pytest.raises(PluginOff, match="4 of its threads hang"):
        calls.call("bad", hook, **arguments(hook))
    assert calls.call("good", hook, **arguments(hook)) == ["fine"]
    assert failures(calls) == {("bad", hook): 4}
    assert not calls.guards["good"].off


@pytest.mark.parametrize("hook", HOOKS)
def test_a_plugin_that_changes_what_it_is_given_changes_nothing_for_others(make_plugin, calls_of, hook):
    def spoil(value: Any, seen: int = 0) -> None:
        """Try to change a value, and all in it."""
        if isinstance(value, bytes | str | int | None) or seen > 4:
            return
        for name in getattr(type(value), "__slots__", ()):
            with pytest.raises((AttributeError, TypeError)):
                setattr(value, name, None)
            spoil(getattr(value, name), seen + 1)
        if isinstance(value, Mapping):
            with pytest.raises(TypeError):
                value["changed"] = "yes"  # type: ignore[index] # that is what a plugin may try
        elif isinstance(value, list | tuple):
            with pytest.raises((TypeError, AttributeError)):
                value.append("changed")  # type: ignore[union-attr] # that is what a plugin may try
            for one in value:
                spoil(one, seen + 1)

    given = arguments(hook)
    parameters = ", ".join(given)
    implementation = eval(  # a plugin takes its arguments by their names
        f"lambda {parameters}: [spoil(one) for one in ({parameters},)] and None" if given else "lambda: None",
        {"spoil": spoil},
    )
    calls = calls_of(make_plugin("bad", **{hook: implementation}))
    calls.call("bad", hook, **given)
    assert given == arguments(hook)


@pytest.mark.parametrize("hook", HOOKS)
def test_an_answer_is_read_inside_of_the_call(make_plugin, calls_of, hook):
    def lazily() -> Any:
        yield 1
        raise SystemExit(1)

    calls = calls_of(make_plugin("bad", **{hook: lazily}))
    with pytest.raises(PluginBroke, match=f"plugin bad failed in {hook}: SystemExit"):
        calls.call("bad", hook, list, **arguments(hook))


@pytest.mark.parametrize("hook", HOOKS)
def test_threads_that_a_plugin_leaves_are_counted_against_it(calls_of, released, hook):
    code = f"""
import threading
from registry.hooks import hookimpl

def wait():
    released.wait(30)

@hookimpl
def {hook}():
    for _ in range(20):
        threading.Thread(target=wait, daemon=True).start()
"""
    plugin = type(threading)("leaky")
    vars(plugin)["released"] = released
    exec(code, vars(plugin))
    calls = calls_of(plugin)
    assert calls.call("leaky", hook, **arguments(hook)) is None
    calls.look_after()
    assert failures(calls) == {("leaky", "threads"): 1}
    calls.look_after()
    assert failures(calls) == {("leaky", "threads"): 1}, "the same threads are counted once"


@pytest.mark.parametrize("hook", HOOKS)
def test_plugins_that_call_each_other_in_a_circle_are_stopped(make_plugin, calls_of, hook):
    def again() -> Any:
        return calls.call("bad", hook, **arguments(hook))

    calls = calls_of(make_plugin("bad", **{hook: again}), deadline=5.0)
    with pytest.raises(PluginBroke, match="in a circle"):
        again()
    assert calls.guards["bad"].lost == 0


@pytest.mark.parametrize("hook", ANSWERING)
def test_what_refuses_by_its_answer_and_raises_has_failed(make_plugin, calls_of, hook):
    def refuse() -> None:
        raise Denied("not today")

    calls = calls_of(make_plugin("bad", **{hook: refuse}))
    with pytest.raises(PluginBroke, match=f"plugin bad failed in {hook}: Denied"):
        calls.call("bad", hook, **arguments(hook))
    assert failures(calls) == {("bad", hook): 1}


def test_what_is_raised_where_a_password_was_told_is_told_without_its_words(make_plugin, calls_of, caplog):
    def tell(credentials: LoginCredentials) -> None:
        raise RuntimeError(credentials.password) from ValueError(credentials.password)

    calls = calls_of(make_plugin("leaky", authenticate=tell))
    with pytest.raises(PluginBroke) as broke:
        calls.call("leaky", "authenticate", **arguments("authenticate"))
    (tally,) = [one for one in calls.tallies if one.hook == "authenticate"]
    told = str(broke.value), caplog.text, tally.last_error, repr(arguments("authenticate"))
    assert not any("hunter2" in text for text in told)
    assert f"RuntimeError at {__name__}:" in tally.last_error


@pytest.mark.parametrize("hook", [hook for hook in HOOKS if hook not in ANSWERING])
def test_what_a_plugin_refuses_on_purpose_passes_and_is_no_failure(make_plugin, calls_of, hook):
    def refuse() -> None:
        raise Denied("not today")

    calls = calls_of(make_plugin("strict", **{hook: refuse}))
    for _ in range(2):
        with pytest.raises(Denied, match="not today"):
            calls.call("strict", hook, **arguments(hook))
    assert failures(calls) == {}


def failures(calls: Any) -> dict[tuple[str, str], int]:
    return {(one.plugin, one.hook): one.failures for one in calls.tallies if one.failures}

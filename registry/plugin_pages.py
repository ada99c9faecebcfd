"""The blueprints of plugins: pages and endpoints beside the registry's own, which they can neither hide nor break.

They are for who may administer the registry: a plugin is told nothing about who asks.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from flask import Blueprint, Flask, Response, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from registry.access.actions import Action
from registry.access.ruling import RULE
from registry.audit.entries import ALLOWED, encode
from registry.audit.notes import PAGE
from registry.blueprints._asking import actor
from registry.blueprints._errors import render
from registry.blueprints._http import services
from registry.errors import RegistryError
from registry.hooks.calls import Calls, PluginBroke
from registry.hooks.collecting import Contexts, answers
from registry.hooks.facade import PluginFailed
from registry.hooks.manager import PluginError

OURS = ("v2", "api", "token", "health", "login")
"""First parts of paths that are the registry's alone."""
_HOOK = "blueprints"
_EVERYWHERE = (
    "before_request_funcs",
    "after_request_funcs",
    "teardown_request_funcs",
    "error_handler_spec",
    "url_value_preprocessors",
    "url_default_functions",
)
_METHODS_OF_ALL = {"HEAD", "OPTIONS"}
_READING = _METHODS_OF_ALL | {"GET"}
_CLIENT_ERROR, _LONGEST_PATH = 400, 256
_log = logging.getLogger(__name__)


def mount(app: Flask, calls: Calls, contexts: Contexts) -> Mapping[str, str]:
    """Register the blueprints of every plugin, and return the plugin of each by the blueprint's name.

    Raises :class:`PluginError` where a path is one of ours, or two plugins claim it.
    """
    claims = [("moorage", rule) for rule in app.url_map.iter_rules()]
    owners: dict[str, str] = {}
    for plugin, blueprints in answers(calls, _HOOK, _read, lambda name: {"context": contexts(name)}):
        for blueprint, rules in blueprints:
            for rule in rules:
                _refuse_claimed(plugin, rule, claims)
                claims.append((plugin, rule))
            before = set(app.blueprints)
            name = blueprint.name if blueprint.name not in app.blueprints else f"{plugin}_{blueprint.name}"
            app.register_blueprint(blueprint, name=name.replace(".", "_"))
            for added in set(app.blueprints) - before:
                owners[added] = plugin
                _contain(app, calls, plugin, added)
    return owners


def _read(answer: Iterable[object]) -> Sequence[tuple[Blueprint, list[Rule]]]:
    """Return blueprints with their rules, as each is alone."""
    found = []
    for blueprint in answer:
        if not isinstance(blueprint, Blueprint):
            raise TypeError(f"blueprints returns a list of flask.Blueprint, not of {type(blueprint).__name__}")
        trial = _empty()
        trial.register_blueprint(blueprint)
        if everywhere := [name for name in _EVERYWHERE if _of_all(trial, name) != _of_all(_empty(), name)]:
            raise ValueError(
                f"blueprint {blueprint.name} acts on requests that are not its own ({', '.join(everywhere)}): use "
                "before_request and errorhandler, not before_app_request and app_errorhandler"
            )
        found.append((blueprint, list(trial.url_map.iter_rules())))
    return found


def _of_all(app: Flask, name: str) -> object:
    """Return what an app does on every request, and not for one blueprint."""
    found = getattr(app, name).get(None)
    if isinstance(found, Mapping):
        return {code: set(kinds) for code, kinds in found.items() if kinds}
    return list(found or ())


def _empty() -> Flask:
    return Flask("trial", static_folder=None)


def _refuse_claimed(plugin: str, rule: Rule, claims: Iterable[tuple[str, Rule]]) -> None:
    first = rule.rule.lstrip("/").partition("/")[0]
    if first in OURS or "<" in first:
        what = "is the registry's own" if first in OURS else "starts with a part that matches everything"
        raise PluginError(f"plugin {plugin} claims the path {rule.rule}, which {what}")
    for other, taken in claims:
        if _shape(taken) == _shape(rule) and _verbs(taken) & _verbs(rule):
            raise PluginError(f"the path {rule.rule} is claimed by two plugins: {other} and {plugin}")


def _shape(rule: Rule) -> str:
    return re.sub(r"<[^>]*>", "<>", rule.rule).rstrip("/")


def _verbs(rule: Rule) -> set[str]:
    return (rule.methods or set()) - _METHODS_OF_ALL or _METHODS_OF_ALL


def _contain(app: Flask, calls: Calls, plugin: str, name: str) -> None:
    """Let whatever a blueprint runs fail by the name of its plugin."""
    passes: tuple[type[BaseException], ...] = (HTTPException, *_handled(app, name))
    for endpoint, view in app.view_functions.items():
        if endpoint.rpartition(".")[0] == name:
            app.view_functions[endpoint] = _contained(calls, plugin, _answering(app, view), passes)
    for functions in (app.before_request_funcs, app.after_request_funcs):
        functions[name] = [_contained(calls, plugin, function, passes) for function in functions.get(name, ())]
    app.before_request_funcs[name].insert(0, _for_administrators)
    app.after_request_funcs.setdefault(name, []).append(partial(_keep, plugin))
    app.teardown_request_funcs[name] = [
        _told(_contained(calls, plugin, function, ())) for function in app.teardown_request_funcs.get(name, ())
    ]
    for handlers in app.error_handler_spec.get(name, {}).values():
        for kind, handler in handlers.items():
            handlers[kind] = _contained(calls, plugin, handler, (HTTPException,))


def _for_administrators() -> Response | None:
    """Answer who may not administer the registry, before anything of the plugin runs; its pages ask nobody."""
    try:
        services().access.authorizer.require(actor(), Action.ADMIN, None)
    except RegistryError as error:
        return render(error)
    return None


def _keep(plugin: str, response: Response) -> Response:
    """Note for the audit log what was changed by a page, as far as its method and answer tell."""
    if request.method not in _READING and response.status_code < _CLIENT_ERROR:
        detail = encode({"method": request.method, "path": request.path[:_LONGEST_PATH]})
        admin, rule = Action.ADMIN.value, RULE.get()
        services().notes.note(actor(), PAGE, ALLOWED, reference=plugin, action=admin, rule=rule, detail=detail)
    return response


def _handled(app: Flask, name: str) -> Iterator[type[BaseException]]:
    """Yield the errors that a blueprint handles itself."""
    for kinds in app.error_handler_spec.get(name, {}).values():
        yield from kinds


def _answering(app: Flask, view: Callable[..., Any]) -> Callable[..., Any]:
    """Make a view's answer where its plugin is known: it may be none."""

    @wraps(view)
    def call(**arguments: object) -> Response:
        return app.make_response(view(**arguments))

    return call


def _contained(
    calls: Calls, plugin: str, function: Callable[..., Any], passes: tuple[type[BaseException], ...]
) -> Callable[..., Any]:
    @wraps(function)
    def call(*given: object, **arguments: object) -> object:
        try:
            return calls.run(plugin, _HOOK, partial(function, *given, **arguments), passes=passes, endless=True)
        except PluginBroke as error:
            raise PluginFailed(str(error), detail={"plugin": plugin}) from error

    return call


def _told(function: Callable[..., Any]) -> Callable[..., Any]:
    """Log what goes wrong after the answer: nobody waits for it any more."""

    @wraps(function)
    def call(*given: object) -> None:
        try:
            function(*given)
        except Exception:  # noqa: BLE001 - whatever a plugin raises is its own failure
            _log.exception("a request was answered, and then this went wrong")

    return call

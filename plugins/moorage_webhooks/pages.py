"""``/webhooks``: the same as ``moorage webhooks``, as JSON over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Any

from flask import Blueprint, Response, jsonify, request

from moorage_webhooks import signing
from moorage_webhooks.journal import Journal
from moorage_webhooks.sending import Deliveries
from moorage_webhooks.subscriptions import Subscription, SubscriptionInvalid, Subscriptions
from registry.hooks import PluginContext

_JSON = "application/json"
_LISTED = 100
_FIELDS = {"name", "url", "secret", "types", "repositories"}
Answer = Response | tuple[Response, int]


class _NotJSON(ValueError):
    """A change that a web page of anybody could ask a browser for: without the type, browsers do not ask first."""


def webhooks_pages(context: PluginContext) -> Blueprint:  # noqa: C901 - a view a route, and no branches
    """Make the blueprint."""
    # Long: a view a route, and no logic of its own.
    pages = Blueprint("webhooks", __name__, url_prefix="/webhooks/subscriptions")
    subscriptions = Subscriptions(context)

    @pages.before_request
    def only_json() -> None:
        if request.method == "POST" and request.mimetype != _JSON:
            raise _NotJSON(f"send Content-Type: {_JSON}")

    @pages.after_request
    def keep_nowhere(answer: Response) -> Response:
        answer.headers["Cache-Control"] = "no-store"  # some hold a secret
        return answer

    @pages.get("")
    def listed() -> Answer:
        return jsonify({"items": [one.shown() for one in subscriptions.all()]})

    @pages.post("")
    def added() -> Answer:
        made = subscriptions.add(_wanted(request.get_json(silent=True)))
        return jsonify(made.shown() | {"secret": made.keys[0]}), 201

    @pages.get("/<name>")
    def shown(name: str) -> Answer:
        return jsonify(subscriptions.get(name).shown())

    @pages.delete("/<name>")
    def removed(name: str) -> Answer:
        subscriptions.remove(name)
        Journal(context).forget(name)
        return Response(status=204)

    @pages.post("/<name>/pause")
    def paused(name: str) -> Answer:
        subscriptions.pause(name, "paused by hand")
        return jsonify(subscriptions.get(name).shown())

    @pages.post("/<name>/resume")
    def resumed(name: str) -> Answer:
        subscriptions.resume(name)
        return jsonify(subscriptions.get(name).shown())

    @pages.post("/<name>/rotate")
    def rotated(name: str) -> Answer:
        finish = _object(request.get_json(silent=True), {"finish"}).get("finish") is True
        new = subscriptions.rotate(name, finish=finish)
        return jsonify(subscriptions.get(name).shown() | ({"secret": new} if new else {}))

    @pages.post("/<name>/test")
    def tested(name: str) -> Answer:
        return jsonify(Deliveries(context).test(name))

    @pages.get("/<name>/deliveries")
    def deliveries(name: str) -> Answer:
        subscriptions.get(name)
        journal = Journal(context)
        found = journal.dead(name) if request.args.get("state") == "dead" else journal.entries(name)
        return jsonify({"items": list(islice(found, _LISTED))})

    @pages.post("/<name>/redeliver")
    def redelivered(name: str) -> Answer:
        return jsonify(Deliveries(context).again(name, _text(request.get_json(silent=True), "event", {"event"})))

    pages.register_error_handler(_NotJSON, lambda error: _refusal(415, "UNSUPPORTED_MEDIA_TYPE", error))
    pages.register_error_handler(SubscriptionInvalid, lambda error: _refusal(400, "SUBSCRIPTION_INVALID", error))
    pages.register_error_handler(LookupError, lambda error: _refusal(404, "SUBSCRIPTION_UNKNOWN", error))
    return pages


def _refusal(status: int, code: str, error: Exception) -> Answer:
    return jsonify({"errors": [{"code": code, "message": str(error), "detail": {}}]}), status


def _wanted(body: object) -> Subscription:
    secret = _text(body, "secret", _FIELDS, default="") or signing.new_secret()
    return Subscription(
        _text(body, "name", _FIELDS),
        _text(body, "url", _FIELDS),
        (secret,),
        _texts(body, "types"),
        _texts(body, "repositories"),
    )


def _object(body: object, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(body, dict) or not set(body) <= known:
        raise SubscriptionInvalid(f"a JSON object is expected, with {', '.join(sorted(known))}")
    return body


def _text(body: object, field: str, known: set[str], default: str | None = None) -> str:
    value = _object(body, known).get(field, default)
    if not isinstance(value, str):
        raise SubscriptionInvalid(f"{field}: a text is expected")
    return value


def _texts(body: object, field: str) -> tuple[str, ...]:
    value = _object(body, _FIELDS).get(field, ["*"])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise SubscriptionInvalid(f"{field}: a list of texts is expected")
    return tuple(value)

"""Tokens for clients, and the keys that prove them.

Sources: Docker, "Token Authentication Specification", "Oauth2 Token Authentication"; RFC 6749, 4.3 and 6; RFC 7517, 5;
RFC 8693, 2.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from flask import Blueprint, Response, request

from registry.access.actors import Actor, Kind
from registry.access.granting import Given, Wanted
from registry.blueprints._asking import actor, anybody
from registry.blueprints._forms import read_form
from registry.blueprints._http import Answer, services, text_argument
from registry.errors import AuthenticationOff, RequestInvalid, Unauthorized

blueprint = Blueprint("tokens", __name__)
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TYPES = "urn:ietf:params:oauth:token-type:"


@blueprint.get("/token")
def token() -> Response:
    """Give a token to who shows a name and a password or key, and to nobody for what everybody may do."""
    _require_authentication()
    renewable = request.args.get("offline_token", "").lower() in ("true", "1")
    wanted = Wanted.parse(request.args.getlist("scope"))
    given = services().access.tokens.give(_somebody(), wanted, renewable=renewable, client=text_argument("client_id"))
    return _answer(given, "token")


@blueprint.post("/token")
def oauth2_token() -> Response:
    """Give a token for a password, for a refresh token, or for a token of an issuer that is trusted."""
    _require_authentication()
    form = read_form()
    wanted = Wanted.parse([form.get("scope", "")])
    nobody = anybody()
    tokens, authenticator = services().access.tokens, services().access.authenticator
    kind = form.get("grant_type", "")
    if kind == "refresh_token":
        given = tokens.renew(nobody, form.get("refresh_token", ""), wanted)
        return _answer(given, "access_token", form.get("refresh_token", ""))
    if kind == _EXCHANGE and authenticator is not None:
        known = authenticator.exchange(_subject(form), form.get("username"), nobody)
        return _answer(tokens.give(known, wanted), "access_token", issued_type=f"{_TYPES}access_token")
    if kind != "password" or authenticator is None:
        kinds = f"grant_type is password, refresh_token or {_EXCHANGE}"
        raise RequestInvalid(kinds, detail={"grant_type": kind[:64]})
    known = authenticator.login(form.get("username", ""), form.get("password", ""), nobody)
    renewable = form.get("access_type") == "offline"
    given = tokens.give(known, wanted, renewable=renewable, client=form.get("client_id", ""))
    return _answer(given, "access_token")


@blueprint.get("/.well-known/jwks.json")
def keys() -> Response:
    """Publish the keys that prove this registry's tokens."""
    _require_authentication()
    body = {"keys": list(services().access.token_keys.published())}
    headers = {"Cache-Control": "public, max-age=60"}
    return Answer(json.dumps(body), content_type="application/jwk-set+json", headers=headers)


def _require_authentication() -> None:
    if services().access.authenticator is None:
        raise AuthenticationOff


def _somebody() -> Actor:
    """Return who asks; a token is not had for a token, or it would never end."""
    found = actor()
    if found.granted is not None or (found.token and found.kind is not Kind.ANONYMOUS):
        raise Unauthorized("a token is given for a password or an API key")
    return found


def _subject(form: dict[str, str]) -> str:
    """Return the token that is to be exchanged (RFC 8693, 2.1)."""
    allowed = {
        "subject_token_type": [f"{_TYPES}jwt", f"{_TYPES}id_token"],
        "requested_token_type": ["", f"{_TYPES}access_token"],
        "actor_token": [""],
    }
    for name, values in allowed.items():
        if form.get(name, "") not in values:
            expected = " or ".join(value or "left out" for value in values)
            raise RequestInvalid(f"{name} must be {expected}", detail={name: form.get(name, "")[:64]})
    return form.get("subject_token", "")


def _answer(given: Given, name: str, refresh: str = "", issued_type: str = "") -> Response:
    body: dict[str, object] = {name: given.token, "expires_in": given.expires_in}
    if name == "token":
        body["access_token"] = given.token
        body["issued_at"] = datetime.fromtimestamp(given.issued, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    else:
        body["scope"] = " ".join(f"repository:{one}:{','.join(actions)}" for one, actions in given.granted.items())
        body["token_type"] = "Bearer"  # noqa: S105 - a type, no password
    if issued_type:
        body["issued_token_type"] = issued_type
    if given.refresh_token or refresh:
        body["refresh_token"] = given.refresh_token or refresh
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return Answer(json.dumps(body), content_type="application/json", headers=headers)

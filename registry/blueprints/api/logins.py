"""Logins of command lines: somebody allows them in a browser, and they get an API key (as RFC 8628 does)."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._asking import base_url
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._keys import MadeKey, made_key
from registry.blueprints.api._operations import Reply, operation
from registry.errors import (
    LoginDenied,
    LoginExpired,
    LoginPending,
    LoginPolled,
    PrincipalInvalid,
    ProviderUnknown,
)

blueprint = Blueprint("api_logins", __name__, url_prefix=PREFIX)
_LONGEST_SECONDS = 36_500 * 86_400


class LoginWish(Body):
    """Who asks to be logged in: the name of its ``host`` is shown to who is to allow it.

    The key is good for ``expires_in_seconds``, or for as long as the registry allows.
    """

    host: str
    expires_in_seconds: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST_SECONDS)] | None = None


class Login(msgspec.Struct):
    """A login that waits for somebody to allow it at ``page``, where ``user_code`` is asked for.

    ``page_with_code`` spares typing it. ``poll_secret`` is for who asked alone, who may poll every ``interval`` seconds
    until ``expires_in`` seconds are over.
    """

    user_code: str
    page: str
    page_with_code: str
    poll_secret: str
    expires_in: int
    interval: int


class LoginPoll(Body):
    """The secret of a login."""

    poll_secret: Annotated[str, msgspec.Meta(max_length=128)]


@operation(blueprint, "POST", "/logins", status=201, errors=(ProviderUnknown,))
def request_login(actor: Actor, wanted: LoginWish) -> Reply[Login]:
    """Ask to be logged in."""
    lives_ms = None if wanted.expires_in_seconds is None else wanted.expires_in_seconds * 1000
    made = services().access.login_requests.create(actor, wanted.host, lives_ms)
    page = f"{base_url()}/login"
    with_code = f"{page}?{urlencode({'code': made.user_code})}"
    login = Login(made.user_code, page, with_code, made.poll_secret, made.expires_in, made.interval)
    return Reply(login, secret=True)


@operation(
    blueprint,
    "POST",
    "/logins/poll",
    status=201,
    errors=(LoginPending, LoginPolled, LoginExpired, LoginDenied, PrincipalInvalid),
)
def poll_login(actor: Actor, wanted: LoginPoll) -> Reply[MadeKey]:
    """Take the key of a login, once somebody has allowed it. The codes of refusals are those of RFC 8628, 3.5."""
    return made_key(services().access.login_requests.poll(actor, wanted.poll_secret))

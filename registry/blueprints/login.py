"""The pages of logins: for people, in browsers, without scripts.

Sources: OpenID Connect Core 1.0, 3.1.2; RFC 8628, 3.3; RFC 6265bis, 4.1.3 (``__Host-``); W3C CSP Level 3;
OWASP Cross-Site Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, render_template, request

from registry.access.login_steps import LIVES_MS
from registry.blueprints._asking import anybody, client_address
from registry.blueprints._forms import read_form
from registry.blueprints._http import Answer, drain_body, services, text_argument
from registry.errors import LoginInvalid, RegistryError
from registry.setting_values import show_duration

_TEMPLATES = Path(__file__).parent.parent / "_templates"
blueprint = Blueprint("login", __name__, url_prefix="/login", template_folder=str(_TEMPLATES))
_CONFIRM = "/login/-/confirm"
_CODE = re.compile(r"[A-Za-z]{4}[ -]?[A-Za-z]{4}")
_SAME_SITE = "same-origin"
_OK, _SEE_OTHER = 200, 303


@blueprint.get("", strict_slashes=False)
def choose() -> Response:
    """Ask for the code of a command line where the address has none, and lead to the providers."""
    access = services().access
    access.providers.require_any()
    code = text_argument("code").strip()
    if code and _CODE.fullmatch(code) is None:
        raise LoginInvalid("a code is eight letters, such as WDJB-MJHT")
    return _page("choose", providers=list(access.providers.all.values()), code=code.upper())


@blueprint.get("/<provider>")
def begin(provider: str) -> Response:
    """Send a browser to a provider."""
    page, browser = services().access.browser_logins.begin(anybody(), provider, text_argument("code"))
    return _sent(page, browser)


@blueprint.get("/<provider>/callback")
def callback(provider: str) -> Response:
    """Take a browser back from a provider; what it brings does not stay in its address."""
    answer = {name: text_argument(name) for name in request.args}
    browser = services().access.browser_logins.finish(anybody(), provider, _browser(), answer)
    return _sent(_CONFIRM, browser)


@blueprint.get("/-/confirm")
def ask() -> Response:
    """Ask who has logged in whether that was meant."""
    login = services().access.browser_logins.confirmation(_browser())
    return _page("confirm", login=login, lives=show_duration(login.lives_ms // 1000), here=client_address())


@blueprint.post("/-/confirm")
def confirm() -> Response:
    """Take the answer, from that page alone."""
    if request.headers.get("Sec-Fetch-Site", _SAME_SITE) != _SAME_SITE:
        raise LoginInvalid("this answer comes from another site")
    form, browser = read_form(), _browser()
    allow = form.get("answer") == "allow"
    key = services().access.browser_logins.confirm(anybody(), browser, form.get("token", ""), allow=allow)
    response = _page("done", allowed=allow, key=key)
    response.delete_cookie(_cookie(), path="/", secure=_secure(), httponly=True, samesite="Lax")
    return response


@blueprint.errorhandler(RegistryError)
def refuse(error: RegistryError) -> Response:
    """Tell people what went wrong, and how to go on."""
    drain_body()
    response = _page("refused", status=error.http_status, error=error)
    response.headers.update(error.headers)
    return response


def _secure() -> bool:
    """Tell whether browsers come over TLS; they do, but on a machine of its own."""
    return services().settings.external_url.startswith("https:")


def _cookie() -> str:
    """Return the cookie's name: with that prefix, no other host and no plain connection can set it."""
    return "__Host-moorage-login" if _secure() else "moorage-login"


def _browser() -> str:
    """Return the browser's secret, empty where it has none."""
    return request.cookies.get(_cookie(), "")


def _sent(where: str, browser: str) -> Response:
    """Send a browser somewhere else, and let it keep its secret for the time of a login."""
    response = Answer(status=_SEE_OTHER, headers={**_headers(), "Location": where})
    # Lax, as it is brought along when a provider sends the browser back.
    response.set_cookie(
        _cookie(), browser, max_age=LIVES_MS // 1000, path="/", secure=_secure(), httponly=True, samesite="Lax"
    )
    return response


def _page(name: str, *, status: int = _OK, **values: object) -> Response:
    page = render_template(f"login/{name}.html", host=services().settings.external_url, **values)
    return Answer(page, status=status, content_type="text/html; charset=utf-8", headers=_headers())


def _headers() -> dict[str, str]:
    return {
        "Content-Security-Policy": _policy(),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


@cache
def _policy() -> str:
    """Return what pages may do: show themselves with their own style, and send their forms here."""
    style = (_TEMPLATES / "login" / "style.css").read_bytes().removesuffix(b"\n")
    allowed = base64.b64encode(hashlib.sha256(style).digest()).decode()
    rest = "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    return f"default-src 'none'; style-src 'sha256-{allowed}'; {rest}"

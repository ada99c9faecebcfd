"""Who asks, from where, and under which address the registry is known to them."""

from __future__ import annotations

import re
from dataclasses import replace

from flask import request

from registry.access.actions import Action
from registry.access.actors import OPERATOR, Actor
from registry.access.authentication import Credentials
from registry.access.conditions import is_address
from registry.access.ruling import RULE
from registry.audit.entries import ALLOWED
from registry.audit.notes import PULL
from registry.blueprints._http import services
from registry.names import RepositoryName

_KNOWN = "moorage.known"
OPERATOR_ENVIRON = "moorage.operator"
"""In the environ of requests that this machine's operator makes without a server; no header can put it there."""
_HOST = re.compile(r"(?:[A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")


def actor() -> Actor:
    """Return who asks; raises :class:`~registry.errors.Unauthorized` for credentials that are not right."""
    environ = request.environ
    known: Actor | None = environ.get(_KNOWN)
    if known is not None:
        return known
    nobody = anybody()
    authenticator = services().access.authenticator
    if OPERATOR_ENVIRON in environ:  # whom no plugin refuses, with authentication or without
        found = replace(nobody, principal=OPERATOR)
    elif authenticator is None:
        found = nobody
    else:
        shown = environ.get("HTTP_AUTHORIZATION", "")
        found = authenticator.known(Credentials(shown, nobody.address, nobody.user_agent, nobody.request_id))
    environ[_KNOWN] = found
    environ["moorage.actor"] = found.principal
    return found


def note_pull(repository: RepositoryName, reference: str = "", digest: str = "") -> None:
    """Note for the audit log who pulled a manifest, or (without ``reference``) blobs."""
    detail = f'{{"digest":"{digest}"}}' if digest else '{"blobs":true}'
    services().notes.note(
        actor(),
        PULL,
        ALLOWED,
        repository=repository.value,
        reference=reference,
        action=Action.PULL.value,
        rule=RULE.get(),
        detail=detail,
    )


def anybody() -> Actor:
    """Return who asks as long as no credentials are looked at."""
    environ = request.environ
    agent, request_id = environ.get("HTTP_USER_AGENT", ""), environ.get("moorage.request_id", "")
    return Actor(address=client_address(), user_agent=agent, request_id=request_id)


def client_address() -> str:
    """Return the client's address: the last of those that proxies tell which is none of a trusted proxy.

    What is no address was not told by one: what is before it is not believed. The access log tells it, too.
    """
    found = _client_address()
    request.environ["moorage.address"] = found
    return found


def _client_address() -> str:
    address: str = request.environ.get("REMOTE_ADDR", "")
    trusted = services().trusted_proxies
    if not trusted.hold(address):
        return address
    for text in reversed(request.environ.get("HTTP_X_FORWARDED_FOR", "").split(",")):
        told = text.strip()
        if not is_address(told):
            break
        address = told
        if not trusted.hold(told):
            break
    return address


def base_url() -> str:
    """Return the URL under which clients reach the registry: as it is set, else as this one asked."""
    settings = services().settings
    if settings.external_url:
        return settings.external_url
    environ = request.environ
    scheme = environ.get("wsgi.url_scheme", "http")
    if services().trusted_proxies.hold(environ.get("REMOTE_ADDR", "")):
        scheme = {"http": "http", "https": "https"}.get(environ.get("HTTP_X_FORWARDED_PROTO", ""), scheme)
    host = environ.get("HTTP_HOST", "")
    if _HOST.fullmatch(host) is None:
        host = f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"
    return f"{scheme}://{host}"

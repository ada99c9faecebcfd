"""How clients are told to show who they are (RFC 9110, 11.6.1; RFC 6750, 3; Docker, "Token Authentication")."""

from __future__ import annotations

from collections.abc import Iterator

from flask import current_app, request

from registry.blueprints._asking import base_url
from registry.blueprints._http import services
from registry.blueprints._problems import PAGES, is_ours
from registry.errors import NameInvalid, Unauthorized
from registry.names import RepositoryName

_REALM = "moorage"


def challenges(error: Unauthorized) -> Iterator[str]:
    """Yield the challenges of a refusal.

    Below /v2 there is one: container clients that see another beside that for tokens use the password each time.
    """
    basic = services().settings.challenge == "basic"
    if basic or is_ours(request.path) or request.blueprint in current_app.extensions[PAGES]:
        yield f'Basic realm="{_REALM}", charset="UTF-8"'
    if basic:
        return
    external = services().access.terms.external
    realm = external.realm if external else f"{base_url()}/token"
    parts = [f'realm="{realm}"', f'service="{(external or services().access.terms).service}"']
    if error.wanted:
        parts.append(f'scope="{error.wanted}{_of_mount()}"')
    if error.reason:
        parts.append(f'error="{error.reason}"')
    yield f"Bearer {','.join(parts)}"


def _of_mount() -> str:
    """Return the scope that a mount needs beside that of its target: to pull from its source."""
    try:
        source = RepositoryName.parse(request.args.get("from", "")) if "mount" in request.args else None
    except NameInvalid:
        source = None
    return f" repository:{source}:pull" if source else ""

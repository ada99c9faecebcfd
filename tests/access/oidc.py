"""A registry at which people log in by a provider, and what both are called."""

from contextlib import contextmanager
from urllib.parse import urlencode

from registry.setting_providers import OidcProvider
from tests.support.asking import world
from tests.support.browsing import browser_of
from tests.support.issuer import UP

ADDRESS = "http://localhost"
CLIENT = "moorage"
ALICE = {"sub": "248289761001", "preferred_username": "alice", "email": "alice@example.org", "email_verified": True}


def provider(issuer, name="company", **more):
    values = {"client_id": CLIENT, "allow_anybody": not {"allowed_domains", "required_claims"} & more.keys(), **more}
    return OidcProvider(name=name, issuer=issuer.url, **values)


@contextmanager
def house(folder, *providers, clock=None, **more):
    """Give a registry whose people log in at providers."""
    named = {one.name: one for one in providers}
    with world(folder, clock, external_url=ADDRESS, oidc=named, **more) as made:
        yield made


def browser(made, address=""):
    """Return a browser of its own, which comes from ``address``."""
    return browser_of(
        made.app.test_client(), ADDRESS, **({"environ_overrides": {"REMOTE_ADDR": address}} if address else {})
    )


def calm(issuer, made=None):
    """Let an issuer do what it should again, at the time of a registry."""
    issuer.be(UP)
    issuer.stop_lying()
    issuer.answer()
    issuer.person(**ALICE)
    issuer.at(None if made is None else made.clock.now // 1000)


def login(name="company", **query):
    return f"{ADDRESS}/login/{name}" + (f"?{urlencode(query)}" if query else "")


def back(issuer, at, name="company"):
    """Return the URL that the provider sends a browser back to, which was sent to it by ``at``."""
    sent = at.go(login(name), until=issuer.url)
    return at.ask("GET", sent.next).next

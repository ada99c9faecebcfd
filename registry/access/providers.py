"""Providers at which people log in: where a browser is sent, and who it was that came back.

Sources: OpenID Connect Core 1.0, 3.1; RFC 6749, 2.3.1 and 4.1; RFC 7636 (PKCE); RFC 9207 (mix-up); RFC 9700, 2.1.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode, urlsplit

from registry.access.issuers import Getting, IssuerFailed, IssuerInvalid, Issuers, check_issuer
from registry.access.jwks import TokenRefused
from registry.errors import LoginInvalid, LoginRefused, ProviderFailed, ProviderUnknown
from registry.hooks.egress import EgressFailed, EgressRefused, EgressResponse
from registry.setting_providers import OidcProvider

TIMEOUT_SECONDS = 10.0
AT_ONCE = 16
"""How many requests of one process wait for providers: a slow one must not take the threads that serve blobs."""
_OK, _ERRORS_OF_CLIENTS = 200, range(400, 500)
_LONGEST_CODE, _LONGEST_TOLD = 4096, 256
_BASIC, _POST = "client_secret_basic", "client_secret_post"
_AT_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512}
_LONGEST_SUBJECT = 255
_log = logging.getLogger(__name__)


class Reaching(Getting, Protocol):
    """Asks other hosts, and sends them something: the client of :mod:`registry.egress`."""

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> EgressResponse:
        """Return the answer; raises :class:`EgressRefused`, :class:`EgressFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """What a browser was sent to a provider with: what comes back must fit it."""

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Sent:
        """Make one: 256 bits of chance each."""
        return cls(*(secrets.token_urlsafe(32) for _ in range(3)))

    @property
    def challenge(self) -> str:
        """What proves the verifier later on (RFC 7636, 4.2)."""
        return _unpadded(hashlib.sha256(self.verifier.encode()).digest())


@dataclass(frozen=True, slots=True)
class Person:
    """Who logged in at a provider: its subject, which alone says who it is, and what else it says of them."""

    provider: OidcProvider
    subject: str
    claims: Mapping[str, Any]


class Providers:
    """Sends people to providers, and finds out who they are."""

    def __init__(self, providers: Mapping[str, OidcProvider], issuers: Issuers, egress: Reaching, address: str) -> None:
        """Speak for the registry that browsers find at ``address``."""
        self.all = providers
        self._issuers = issuers
        self._egress = egress
        self._address = address
        self._few = threading.BoundedSemaphore(AT_ONCE)

    def require_any(self) -> None:
        """Raise :class:`ProviderUnknown` where people log in nowhere."""
        if not self.all:
            raise ProviderUnknown("nobody logs in by a browser here: no provider is set ([oidc.NAME])")

    def find(self, name: str) -> OidcProvider:
        """Return a provider; raises :class:`ProviderUnknown`."""
        if (found := self.all.get(name)) is None:
            raise ProviderUnknown(f"nobody logs in at {name[:64]!r} here", detail={"provider": name[:64]})
        return found

    def redirect_uri(self, provider: OidcProvider) -> str:
        """Return where a provider sends browsers back to: a place of its own, so that none speaks for another."""
        return f"{self._address}/login/{provider.name}/callback"

    def page(self, provider: OidcProvider, sent: Sent) -> str:
        """Return the URL of the provider's page; raises :class:`ProviderFailed`."""
        with self._turn(provider):
            endpoint = self._endpoint(provider, "authorization_endpoint")
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": self.redirect_uri(provider),
            "scope": " ".join(provider.scopes),
            "state": sent.state,
            "nonce": sent.nonce,
            "code_challenge": sent.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(asked)}"

    def code(self, provider: OidcProvider, answer: Mapping[str, str]) -> str:
        """Return the code of what a browser brought back; raises :class:`LoginRefused`, :class:`LoginInvalid`.

        A provider that says who it is must be the one that was asked (RFC 9207, 2.4).
        """
        says_who = self._document(provider).get("authorization_response_iss_parameter_supported") is True
        if (says_who or "iss" in answer) and answer.get("iss") != provider.issuer:
            raise LoginInvalid("the answer is of another provider than the one that was asked: begin anew")
        if "error" in answer:
            told = _told(answer["error"], answer.get("error_description", ""))
            raise LoginRefused(f"{provider.title} did not log you in: {told}")
        code = answer.get("code", "")
        if not 1 <= len(code) <= _LONGEST_CODE:
            raise LoginInvalid(f"{provider.title} sent you back without a code: begin anew")
        return code

    def person(self, provider: OidcProvider, code: str, sent: Sent) -> Person:
        """Return who it is that a code is for.

        Raises :class:`LoginRefused`, :class:`ProviderFailed`.
        """
        with self._turn(provider):
            given = self._exchange(provider, code, sent)
            return self._proved(provider, sent, given)

    @contextmanager
    def _turn(self, provider: OidcProvider) -> Iterator[None]:
        """Let a few ask at once, and refuse the others at once."""
        if not self._few.acquire(blocking=False):
            raise _failed(provider, f"{AT_ONCE} other logins are waiting already")
        try:
            yield
        finally:
            self._few.release()

    def _proved(self, provider: OidcProvider, sent: Sent, given: Mapping[str, Any]) -> Person:
        """Return who an ID token is about."""
        token = given.get("id_token")
        if not isinstance(token, str):
            raise ProviderFailed(f"{provider.title} gave no ID token")
        try:
            claims = self._issuers.verify(token, provider.issuer, provider.client_id)
            _check(claims, provider.client_id, sent.nonce)
            _check_access_token(token, claims, given.get("access_token"))
        except TokenRefused as error:
            raise _failed(provider, f"its ID token proves nothing: {error}") from error
        except (IssuerFailed, IssuerInvalid) as error:
            raise _failed(provider, str(error)) from error
        return Person(provider, claims["sub"], claims)

    def _exchange(self, provider: OidcProvider, code: str, sent: Sent) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri(provider),
            "code_verifier": sent.verifier,
        }
        url, (shown, headers) = self._endpoint(provider, "token_endpoint"), self._client(provider)
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            answer = self._egress.post(url, urlencode({**form, **shown}).encode(), headers, TIMEOUT_SECONDS)
        except (EgressRefused, EgressFailed) as error:
            raise _failed(provider, f"{url}: {error}") from error
        given = _object(answer.body) if not answer.truncated else None
        if answer.status == _OK and given is not None:
            return given
        why = (given or {}).get("error")
        if answer.status in _ERRORS_OF_CLIENTS and why == "invalid_grant":
            raise LoginRefused(f"{provider.title} takes this login for done or expired: begin anew")
        told = _told(why, given.get("error_description")) if given else "no JSON object within bounds"
        raise _failed(provider, f"{url} answered {answer.status}: {told}")

    def _client(self, provider: OidcProvider) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Return what tells who this registry is, in the form and in the headers (RFC 6749, 2.3.1)."""
        try:
            secret = provider.secret()
        except (OSError, ValueError) as error:
            raise _failed(provider, f"the client's secret cannot be read: {error}") from error
        named = {"client_id": provider.client_id}
        if not secret:
            return named, {}
        methods = self._document(provider).get("token_endpoint_auth_methods_supported", [_BASIC])
        if isinstance(methods, list) and _BASIC not in methods and _POST in methods:
            return {**named, "client_secret": secret}, {}
        pair = f"{quote_plus(provider.client_id)}:{quote_plus(secret)}"
        return named, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}

    def _endpoint(self, provider: OidcProvider, name: str) -> str:
        url = self._document(provider).get(name)
        try:
            check_issuer(url if isinstance(url, str) else "", query=True)
        except IssuerInvalid as error:
            raise _failed(provider, f"its {name} is wrong: {error}") from error
        if urlsplit(str(url)).scheme == "http" and urlsplit(provider.issuer).scheme != "http":
            raise _failed(provider, f"its {name} is not https")
        return str(url)

    def _document(self, provider: OidcProvider) -> Mapping[str, Any]:
        try:
            return self._issuers.document(provider.issuer)
        except (IssuerFailed, IssuerInvalid) as error:
            raise _failed(provider, str(error)) from error


def _check(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    """Raise :class:`TokenRefused` unless an ID token answers what was asked (OpenID Connect Core, 3.1.3.7)."""
    found, subject, audience = claims.get("nonce"), claims.get("sub"), claims.get("aud")
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(errors="replace"), nonce.encode()):
        raise TokenRefused("it answers another login (nonce)")
    several = isinstance(audience, list) and len(audience) > 1
    if (several or "azp" in claims) and claims.get("azp") != client_id:
        raise TokenRefused("it was given to another client (azp)")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _LONGEST_SUBJECT or not subject.isprintable():
        raise TokenRefused("it names no subject (sub)")


def _check_access_token(token: str, claims: Mapping[str, Any], access: object) -> None:
    """Raise :class:`TokenRefused` where an ID token was given with another access token (Core, 3.1.3.8).

    The signature of the token was proven before, and its header with it.
    """
    if "at_hash" not in claims or not isinstance(access, str):
        return
    head = token.partition(".")[0]
    algorithm = str(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["alg"])
    digest = _AT_HASHES.get(algorithm[-3:], hashlib.sha512)(access.encode()).digest()  # Ed25519 goes with SHA-512
    if claims["at_hash"] != _unpadded(digest[: len(digest) // 2]):
        raise TokenRefused("it was given with another access token (at_hash)")


def _failed(provider: OidcProvider, told: str) -> ProviderFailed:
    """Return what people are told where a provider fails, and leave it to the log as well."""
    _log.warning("people cannot log in at %s: %s", provider.name, told)
    advice = "try again later; passwords and API keys go on being good"
    return ProviderFailed(f"{provider.title} does not answer as it should: {told}; {advice}")


def _object(data: bytes) -> Mapping[str, Any] | None:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _told(error: object, description: object) -> str:
    """Return what a provider says went wrong, as far as that is text (RFC 6749, 5.2)."""
    parts = [one[:_LONGEST_TOLD] for one in (error, description) if isinstance(one, str) and one.isprintable() and one]
    return ": ".join(parts) or "it does not say why"


def _unpadded(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

"""An issuer of OpenID Connect, in a process of its own: it knows everybody, and lies or falls silent when it is told to.

Started as a program, this file is the issuer; :class:`Issuer` starts one, and speaks to it. It publishes a discovery
document and its keys, logs a chosen person in at once (authorization code with PKCE), and signs whatever tests want.
"""

import base64
import hashlib
import http.client
import json
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests.support.ports import free_port, is_open
from tests.support.processes import Child

_ROOT = Path(__file__).resolve().parents[2]
_CONTROL = "/control/"
UP, DOWN, HANGING, BROKEN, MOVED, HUGE, GARBLED = "up", "down", "hanging", "broken", "moved", "huge", "garbled"
"""How it answers: as it should; not at all; never; with 500; with a redirect; without an end; with what is no JSON."""
LIVES_SECONDS = 600


class Issuer:
    """An issuer that runs while the context lasts. Its address and keys are kept over a restart of the process."""

    def __init__(self, folder: Path, *, path: str = "", algorithm: str = "RS256") -> None:
        """Keep a log in ``folder``; ``path`` is that of the issuer's URL, without a slash at its end."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self._algorithm = algorithm
        folder.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            [sys.executable, "-m", "tests.support.issuer", str(self.port), path],
            folder / f"issuer-{self.port}.log",
            ready=lambda: is_open(self.port),
            cwd=_ROOT,
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.__exit__(kind, error, trace)

    def start(self) -> None:
        """Start the process, with a key."""
        self._child.start()
        self.rotate()

    def stop(self) -> None:
        """End the process: nobody listens there any more."""
        self._child.stop()

    def rotate(self, algorithm: str = "", *, keep: bool = True, kid: str | None = "") -> str:
        """Sign with a new key from now on and return its id; ``keep`` the old ones published. None: a key without id."""
        asked = {"algorithm": algorithm or self._algorithm, "keep": keep, "kid": kid}
        return str(self._control("rotate", asked)["kid"])

    def be(self, how: str) -> None:
        """Answer as one of UP, DOWN, HANGING, BROKEN, MOVED, HUGE, GARBLED from now on."""
        self._control("be", {"how": how})

    def lie(self, **members: object) -> None:
        """Replace members of the discovery document (None: leave out) until :meth:`stop_lying`."""
        self._control("lie", members)

    def stop_lying(self) -> None:
        """Publish the true document and keys again."""
        self._control("lie", {})
        self._control("publish", {"keys": None})

    def publish(self, keys: object) -> None:
        """Publish this in place of the keys."""
        self._control("publish", {"keys": keys})

    def person(self, **claims: object) -> None:
        """Log this person in from now on: the claims of the ID tokens, ``sub`` among them."""
        self._control("person", claims)

    def answer(self, *, members: Mapping[str, object] | None = None, **claims: object) -> None:
        """Put ``claims`` into ID tokens over what is true from now on, and ``members`` into answers with tokens."""
        self._control("answer", {"members": members or {}, "claims": claims})

    def client(self, client_id: str, secret: str = "") -> None:
        """Know a client by this secret; one that was not told of needs none."""
        self._control("client", {"id": client_id, "secret": secret})

    def at(self, seconds: int | None) -> None:
        """Let it be that time, in seconds since 1970; None: what the system says."""
        self._control("at", {"seconds": seconds})

    def sign(
        self, claims: Mapping[str, object] | None = None, *, header: Mapping[str, object] | None = None, **more: object
    ) -> str:
        """Return a token of ``claims`` and ``more``, beside ``iss``, ``iat``, ``nbf`` and ``exp``; None: left out."""
        return str(self._control("sign", {"claims": {**(claims or {}), **more}, "header": header or {}})["token"])

    def key(self) -> dict[str, Any]:
        """Return the private key that signs now, as JWK: for forgers who know it."""
        return self._control("key", {})

    def jwks(self) -> dict[str, Any]:
        """Return the true keys."""
        return self._control("jwks", {})

    def hits(self) -> dict[str, int]:
        """Return how often each path was asked for."""
        return self._control("hits", {})

    def _control(self, what: str, told: Mapping[str, object]) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("POST", _CONTROL + what, json.dumps(told))
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == http.client.OK, body
            return dict(json.loads(body))
        finally:
            connection.close()


def _generate(algorithm: str) -> Key:
    if algorithm.startswith(("RS", "PS")):
        return RSAKey.generate_key(2048)
    if algorithm in ("EdDSA", "Ed25519"):
        return OKPKey.generate_key("Ed25519")
    return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm])


class _State:
    """All that the issuer knows and was told."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.turn = threading.Condition()
        self.how = UP
        self.lies: dict[str, object] = {}
        self.published: object = None
        self.keys: list[tuple[str, str | None, Key]] = []
        self.claims: dict[str, object] = {"sub": "person-1"}
        self.over: dict[str, dict[str, object]] = {"members": {}, "claims": {}}
        self.clients: dict[str, str] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.granted: dict[str, dict[str, object]] = {}
        self.seconds: int | None = None
        self.hits: dict[str, int] = {}

    def now(self) -> int:
        return int(time.time()) if self.seconds is None else self.seconds

    def document(self) -> dict[str, object]:
        made: dict[str, object] = {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": sorted({algorithm for algorithm, _, _ in self.keys}),
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "scopes_supported": ["openid", "profile", "email", "groups"],
        }
        return {name: value for name, value in {**made, **self.lies}.items() if value is not None}

    def jwks(self) -> dict[str, object]:
        keys = []
        for algorithm, kid, key in reversed(self.keys):
            named: dict[str, Any] = {} if kid is None else {"kid": kid}
            keys.append({**key.as_dict(private=False), **named, "use": "sig", "alg": algorithm})
        return {"keys": keys}

    def sign(self, claims: Mapping[str, object], header: Mapping[str, object]) -> str:
        algorithm, kid, key = self.keys[-1]
        now = self.now()
        times = {"iss": self.url, "iat": now, "nbf": now, "exp": now + LIVES_SECONDS, "jti": secrets.token_hex(8)}
        all_claims = {name: value for name, value in {**times, **claims}.items() if value is not None}
        head = {"typ": "JWT", "kid": kid, **header, "alg": algorithm}
        head = {name: value for name, value in head.items() if value is not None}
        return jwt.encode(head, all_claims, key, algorithms=[algorithm], default_type=None)

    def told(self, what: str, told: dict[str, Any]) -> object:  # noqa: C901 - a word a case
        """Do what a test says."""
        match what:
            case "rotate":
                key = _generate(told["algorithm"])
                kid = key.thumbprint() if told["kid"] == "" else told["kid"]
                self.keys = [*(self.keys if told["keep"] else []), (told["algorithm"], kid, key)]
                return {"kid": kid}
            case "be":
                self.how = told["how"]
                self.turn.notify_all()
            case "lie":
                self.lies = told
            case "publish":
                self.published = told["keys"]
            case "person":
                self.claims = told
            case "answer":
                self.over = told
            case "client":
                self.clients[told["id"]] = told["secret"]
            case "at":
                self.seconds = told["seconds"]
            case "sign":
                return {"token": self.sign(told["claims"], told["header"])}
            case "key":
                algorithm, kid, key = self.keys[-1]
                return {**key.as_dict(private=True), "kid": kid, "alg": algorithm}
            case "jwks":
                return self.jwks()
            case "hits":
                return self.hits
        return {}

    def authorize(self, asked: dict[str, str]) -> str:
        """Log the person in, and return where to send the browser (RFC 6749, 4.1.1; RFC 7636, 4.3; RFC 9207)."""
        if asked.get("response_type") != "code" or not asked.get("redirect_uri") or not asked.get("client_id"):
            raise ValueError("invalid_request")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        state = {"state": asked["state"]} if "state" in asked else {}
        joint = "&" if urlsplit(asked["redirect_uri"]).query else "?"
        return asked["redirect_uri"] + joint + urlencode({"code": code, "iss": self.url, **state})

    def exchange(self, form: dict[str, str]) -> dict[str, object]:
        """Return tokens for a code, once (RFC 6749, 4.1.3; RFC 7636, 4.6)."""
        asked = self.codes.pop(form.get("code", ""), None)
        if form.get("grant_type") != "authorization_code" or asked is None:
            raise ValueError("invalid_grant")
        if any(form.get(name) != asked[name] for name in ("client_id", "redirect_uri")):
            raise ValueError("invalid_grant")
        if self.clients.get(form["client_id"], "") not in ("", form.get("client_secret", "")):
            raise ValueError("invalid_client")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proof = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if "code_challenge" in asked and (asked.get("code_challenge_method"), asked["code_challenge"]) != (
            "S256",
            proof,
        ):
            raise ValueError("invalid_grant")
        nonce = {"nonce": asked["nonce"]} if "nonce" in asked else {}
        access = secrets.token_urlsafe(16)
        self.granted[access] = self.claims
        token = self.sign({**self.claims, **nonce, "aud": form["client_id"], **self.over["claims"]}, {})
        given = {"access_token": access, "token_type": "Bearer", "expires_in": LIVES_SECONDS, "id_token": token}
        return {**given, **self.over["members"]}


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    state: _State
    path_of_issuer: str

    def do_GET(self) -> None:
        """Publish, log in, or tell about a person."""
        parts, state = urlsplit(self.path), self.state
        with state.turn:
            state.hits[parts.path] = state.hits.get(parts.path, 0) + 1
            if not self._answers():
                return
            asked = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
            match parts.path.removeprefix(self.path_of_issuer):
                case "/.well-known/openid-configuration":
                    self._send(200, state.document())
                case "/jwks":
                    self._send(200, state.jwks() if state.published is None else state.published)
                case "/authorize":
                    try:
                        self._send(302, {}, Location=state.authorize(asked))
                    except ValueError as error:
                        self._send(400, {"error": str(error)})
                case "/userinfo":
                    found = state.granted.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
                    self._send(401 if found is None else 200, found or {"error": "invalid_token"})
                case _:
                    self._send(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Do what a test says, or exchange a code."""
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        state = self.state
        with state.turn:
            if self.path.startswith(_CONTROL):
                self._send(200, state.told(self.path.removeprefix(_CONTROL), json.loads(body)))
                return
            state.hits[self.path] = state.hits.get(self.path, 0) + 1
            if not self._answers():
                return
            if self.path.removeprefix(self.path_of_issuer) != "/token":
                self._send(404, {"error": "not found"})
                return
            try:
                self._send(200, state.exchange({**self._basic(), **dict(parse_qsl(body))}))
            except ValueError as error:
                self._send(401 if str(error) == "invalid_client" else 400, {"error": str(error)})

    def _basic(self) -> dict[str, str]:
        kind, _, text = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "basic":
            return {}
        name, _, secret = base64.b64decode(text).decode().partition(":")
        return {"client_id": name, "client_secret": secret}

    def _answers(self) -> bool:
        """Tell whether to answer as one should; else that was done otherwise."""
        state = self.state
        match state.how:
            case "up":
                return True
            case "hanging":
                state.turn.wait_for(lambda: state.how != HANGING)
            case "broken":
                self._send(500, {"error": "server_error"})
            case "moved":
                self._send(302, {}, Location=f"{state.url}/elsewhere")
            case "huge":
                self._send(200, {"keys": [], "more": "x" * (1 << 20)})
            case "garbled":
                self._send(200, None, raw=b"<html>not found</html>")
        self.close_connection = True
        return False

    def _send(self, status: int, body: object, *, raw: bytes = b"", **headers: str) -> None:
        data = raw or json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _serve(port: int, path: str) -> None:
    _Handler.state, _Handler.path_of_issuer = _State(f"http://127.0.0.1:{port}{path}"), path
    ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), sys.argv[2])

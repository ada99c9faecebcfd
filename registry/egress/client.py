"""The client: a URL is parsed, its host resolved and checked once, and the answer read within bounds."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import httpcore
import httpx

from registry.egress.addresses import Address, AddressRules
from registry.egress.connecting import Deadline, PinnedBackend
from registry.egress.resolving import Resolver, SystemResolver
from registry.hooks.egress import EgressFailed, EgressRefused, EgressResponse

BODY_LIMIT = 1 << 16
"""Most bytes of an answer's body that are read."""
URL_LIMIT = 2048

_PORTS = {"http": 80, "https": 443}
_MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9_.-]+")
_NAME, _VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[\t\x20-\x7e]*")
_OURS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent", "expect"}


@dataclass(frozen=True, slots=True)
class _Target:
    url: httpx.URL
    port: int

    @property
    def literal(self) -> Address | None:
        """The address that the URL itself gives, if it gives one."""
        try:
            return ipaddress.ip_address(self.url.host)
        except ValueError:
            return None


class EgressClient:
    """Implements :class:`~registry.hooks.Egress`. A connection serves one request: the next is checked anew."""

    def __init__(
        self,
        allow: Sequence[str] = (),
        ca_file: Path | None = None,
        *,
        private: bool = False,
        resolve: Resolver | None = None,
    ) -> None:
        """Take what to ``allow`` (networks, addresses, hosts), and a PEM file of authorities to trust as well.

        ``private`` allows this machine and private networks, too: for URLs that an administrator chose.
        """
        self._rules = AddressRules(allow, private=private)
        self._ca_file = ca_file
        self._resolve = resolve or SystemResolver()

    def check(self, url: str) -> None:
        """Raise :class:`EgressRefused` for a URL of the wrong form, or with an address that is not allowed."""
        target = _parsed(url)
        if target.literal is not None:
            self._rules.check(target.url.host, [target.literal])

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> EgressResponse:
        """Send a request; see :class:`~registry.hooks.Egress`."""
        return self._send("POST", url, body, headers, timeout_seconds)

    def get(self, url: str, timeout_seconds: float) -> EgressResponse:
        """Ask for a document, within the bounds of :meth:`post`."""
        return self._send("GET", url, b"", {"Accept": "application/json"}, timeout_seconds)

    def _send(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float
    ) -> EgressResponse:
        target, deadline = _parsed(url), Deadline(timeout_seconds)
        request = httpcore.Request(
            method,
            httpcore.URL(
                scheme=target.url.scheme.encode(),
                host=target.url.raw_host,
                port=target.port,
                target=target.url.raw_path,
            ),
            headers=self._headers(target.url, len(body), headers),
            content=body,
        )
        addresses = self._addresses(target, deadline)
        connection = httpcore.HTTPConnection(
            request.url.origin,
            ssl_context=self._tls if target.url.scheme == "https" else None,
            network_backend=PinnedBackend(addresses, deadline),
        )
        try:
            return _answer(connection.handle_request(request))
        except httpcore.TimeoutException as error:
            raise EgressFailed(f"no answer within {timeout_seconds:g} s") from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise EgressFailed(str(error) or "the connection was closed before an answer came") from error
        finally:
            connection.close()

    def _addresses(self, target: _Target, deadline: Deadline) -> Sequence[Address]:
        host, literal = target.url.host, target.literal
        addresses = [literal] if literal else self._resolve(target.url.raw_host.decode(), deadline.left(EgressFailed))
        self._rules.check(host, addresses)
        return addresses

    def _headers(self, url: httpx.URL, length: int, given: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        for name, value in given.items():
            if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OURS:
                raise ValueError(f"no header that can be given: {name!r}")
        ours = {
            "Host": url.netloc.decode(),
            "User-Agent": "moorage",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Length": str(length),
        }
        return [(name.encode(), value.encode()) for name, value in {**ours, **given}.items()]

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context


def _parsed(url: str) -> _Target:
    if len(url) > URL_LIMIT or not url.isprintable() or " " in url:
        raise EgressRefused(f"a URL has {URL_LIMIT} characters at most, and no blanks among them")
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise EgressRefused(f"no URL: {error}") from error
    if parts.scheme not in _PORTS or not parts.host:
        raise EgressRefused("a URL starts with http:// or https:// and a host")
    if parts.userinfo:
        raise EgressRefused("a URL holds no user name or password")
    port = _PORTS[parts.scheme] if parts.port is None else parts.port
    if not 1 <= port <= _MAX_PORT:
        raise EgressRefused(f"no port: {port}")
    target = _Target(parts, port)
    if target.literal is None and not _HOST.fullmatch(parts.raw_host.decode()):
        raise EgressRefused(f"no host: {parts.host}")
    return target


def _answer(response: httpcore.Response) -> EgressResponse:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    body = bytearray()
    for piece in response.iter_stream():
        body += piece
        if len(body) > BODY_LIMIT:
            break
    return EgressResponse(response.status, headers, bytes(body[:BODY_LIMIT]), len(body) > BODY_LIMIT)

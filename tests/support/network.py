"""A guard that keeps quick tests off the network."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class NetworkRefusedError(RuntimeError):
    """A quick test spoke to something that is not on this machine."""


def is_loopback(host: object) -> bool:
    """Tell whether a host given to a socket call stays on this machine."""
    if host in (None, "", "localhost", b"localhost"):
        return True
    text = host.decode() if isinstance(host, bytes) else str(host)
    try:
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


@contextmanager
def loopback_only() -> Iterator[None]:
    """Refuse to connect, send or resolve off loopback while the context lasts."""
    real_resolve = socket.getaddrinfo

    def guarded(name: str) -> Any:
        real = getattr(socket.socket, name)

        def call(self: socket.socket, *args: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                _refuse_unless_loopback(args[-1][0])
            return real(self, *args)

        return call

    def resolve(host: Any, *args: Any, **named: Any) -> Any:
        _refuse_unless_loopback(host)
        return real_resolve(host, *args, **named)

    replaced = {name: guarded(name) for name in ("connect", "connect_ex", "sendto")}
    inherited = {name for name in replaced if name not in vars(socket.socket)}
    originals = {name: getattr(socket.socket, name) for name in replaced}
    for name, call in replaced.items():
        setattr(socket.socket, name, call)
    setattr(socket, "getaddrinfo", resolve)  # noqa: B010 - a plain assignment does not type-check
    try:
        yield
    finally:
        setattr(socket, "getaddrinfo", real_resolve)  # noqa: B010
        for name, call in originals.items():
            if name in inherited:
                delattr(socket.socket, name)
            else:
                setattr(socket.socket, name, call)


def _refuse_unless_loopback(host: object) -> None:
    if not is_loopback(host):
        raise NetworkRefusedError(f"a test that is not marked needs_tools may not speak to {host!r}")

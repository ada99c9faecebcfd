"""How a plugin speaks to the world outside: through one client, which goes only where it may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class EgressRefused(ValueError):
    """The registry does not send anything there: a URL of the wrong form, or an address that is not allowed.

    The message says which, and which setting would allow it. Nothing was sent.
    """


class EgressFailed(RuntimeError):
    """No answer came: nobody there, a bad certificate, a closed connection, or not in time.

    The other side may have got the request all the same.
    """


@dataclass(frozen=True, slots=True)
class EgressResponse:
    """What the other side answered. A redirect is an answer like any other: it is never followed.

    Names of ``headers`` are in lower case. ``body`` is the first 64 KiB at most; ``truncated`` tells that there was
    more.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool


class Egress(Protocol):
    """The one way out of the registry.

    Every host name is resolved once for a request, every address is checked, and the connection goes to the very
    address that was checked. Loopback, private, link-local, multicast and reserved addresses, and those of cloud
    metadata services, are refused unless the setting ``egress_allow`` names them. Proxies of the environment are not
    used.
    """

    def check(self, url: str) -> None:
        """Raise :class:`EgressRefused` for what could never be sent, without asking the network.

        A host name passes here: what it stands for is known only when something is sent.
        """

    def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float) -> EgressResponse:
        """Send a request and return the answer, whatever its status.

        ``timeout_seconds`` is for everything together, from the resolution of the name to the last byte of the
        answer. Raises :class:`EgressRefused`, :class:`EgressFailed`, or :class:`ValueError` for headers that are none.
        """

"""Which addresses may be spoken to.

What is refused are the special-purpose blocks of the IANA registries (RFC 6890 and later), multicast, the forms of
IPv6 that carry an address of IPv4, and the addresses under which clouds hand out credentials.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from registry.hooks.egress import EgressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SPECIAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        # IPv4: "this network", private, shared, loopback, link-local, IETF, documentation, 6to4 relays, benchmarks,
        # multicast, reserved.
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
        # IPv6: all but 2000::/3 (global unicast), and of that Teredo and the like, documentation, 6to4.
        *("::/3", "4000::/2", "8000::/1", "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"),
    )
)
_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
    )
)
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_LOW_32 = 0xFFFFFFFF


class AddressRules:
    """What may be spoken to beyond the public addresses: ``allow`` holds networks, addresses, and host names."""

    def __init__(self, allow: Iterable[str]) -> None:
        """Read the list; a text that is no network or address is a host name."""
        self._networks: list[_Network] = []
        self._hosts: set[str] = set()
        for text in allow:
            try:
                self._networks.append(ipaddress.ip_network(text, strict=False))
            except ValueError:
                self._hosts.add(text.lower().rstrip("."))

    def check(self, host: str, addresses: Sequence[Address]) -> None:
        """Raise :class:`EgressRefused` unless every address of the host may be spoken to.

        All of them, not one: else whoever answers for the name chooses which is tried.
        """
        for address in addresses:
            if not self._permits(host.lower().rstrip("."), address):
                named = f"{host} ({address})" if host != str(address) else host
                raise EgressRefused(
                    f"{named} is no public address: the setting egress_allow would allow it, by network or host name"
                )

    def _permits(self, host: str, address: Address) -> bool:
        if _within(address, self._networks):
            carried = _carried(address)
            return carried is None or self._permits(host, carried)
        if _within(address, _METADATA):  # a name is not enough: whoever answers for it would get credentials
            return False
        return host in self._hosts or not _within(address, _SPECIAL)


def _within(address: Address, networks: Iterable[_Network]) -> bool:
    return any(address in network for network in networks)


def _carried(address: Address) -> Address | None:
    """Return the address of IPv4 that one of IPv6 leads to, if any."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & _LOW_32)
    return address.ipv4_mapped or address.sixtofour

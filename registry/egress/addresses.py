"""Which addresses may be spoken to.

What is refused are the special-purpose blocks of the IANA registries (RFC 6890 and later), multicast, the forms of
IPv6 that carry an address of IPv4, and the addresses under which clouds hand out credentials.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence

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
_NEVER_BY_NAME = tuple(
    ipaddress.ip_network(text)
    for text in (
        # Where clouds hand out credentials, and local NAT64, of which only its operator knows what an address carries.
        "169.254.0.0/16",
        "fe80::/10",
        "fd00:ec2::/32",
        "100.100.100.200/32",
        "192.0.0.192/32",
        "168.63.129.16/32",
        "64:ff9b:1::/48",
    )
)
_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)
# Compatible, mapped, translated, NAT64.
_ENDING_IN_IPV4 = tuple(
    ipaddress.ip_network(text)
    for text in ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48")
)
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFCFFFFFF
_LOW_32 = 0xFFFFFFFF


class AddressRules:
    """What may be spoken to beyond the public addresses: ``allow`` holds networks, addresses, and host names.

    ``private`` adds this machine and private networks, but never where clouds hand out credentials.
    """

    def __init__(self, allow: Iterable[str], *, private: bool = False) -> None:
        """Read the list; a text that is no network or address is a host name."""
        self._private = private
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
        return self._permits_itself(host, address) and all(
            self._permits_itself(host, carried) for carried in _carried(address)
        )

    def _permits_itself(self, host: str, address: Address) -> bool:
        if _within(address, self._networks):
            return True
        if _within(address, _NEVER_BY_NAME):  # whoever answers for the name would get credentials
            return False
        if self._private and _within(address, _PRIVATE):
            return True
        return host in self._hosts or not _within(address, _SPECIAL)


def _within(address: Address, networks: Iterable[_Network]) -> bool:
    return any(address in network for network in networks)


def _carried(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the addresses of IPv4 that one of IPv6 leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    ends_in_ipv4 = _within(address, _ENDING_IN_IPV4) and number > 1  # "::" and "::1" carry none
    if ends_in_ipv4 or (number >> 32) & _ISATAP_MASK == _ISATAP:
        yield ipaddress.IPv4Address(number & _LOW_32)
    if address.sixtofour:
        yield address.sixtofour
    yield from address.teredo or ()

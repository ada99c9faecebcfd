"""Which addresses are spoken to, and which never without a setting."""

import ipaddress

import pytest

from registry.egress.addresses import AddressRules
from registry.hooks import EgressRefused

PUBLIC = [
    "1.1.1.1",
    "93.184.216.34",
    "172.15.255.255",
    "172.32.0.1",
    "100.63.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
]
REFUSED = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.0.1", "100.64.0.1", "100.100.100.200", "192.0.0.1", "192.0.0.192", "192.0.2.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "192.88.99.1", "168.63.129.16", "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1"),
    *("fd00:ec2::254", "fd12:3456::1", "ff02::1", "ff0e::1", "::ffff:127.0.0.1", "::ffff:1.1.1.1", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::101:101", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:101:101::", "2001::1"),
    *("2001:db8::1", "2001:10::1", "2001:20::1", "3fff::1", "100::1", "5f00::1", "4000::1", "2620:4f:8000::1"),
]


def check(address, *allow, host="hooks.example.org"):
    AddressRules(allow).check(host, [ipaddress.ip_address(address)])


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_spoken_to(address):
    check(address)


@pytest.mark.parametrize("address", REFUSED)
def test_an_address_that_is_not_public_is_refused_with_the_setting_that_would_allow_it(address):
    with pytest.raises(EgressRefused, match=r"hooks\.example\.org \(.*egress_allow"):
        check(address)


@pytest.mark.parametrize(
    ("address", "allow"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3", "hooks.example.org"),
        ("10.1.2.3", "Hooks.Example.org."),
        ("fd12::1", "fd00::/8"),
        ("169.254.1.1", "169.254.1.1"),
    ],
)
def test_what_the_setting_names_is_spoken_to(address, allow):
    check(address, allow)


@pytest.mark.parametrize(
    ("address", "allow"),
    [
        ("10.1.2.3", "10.1.2.4"),
        ("10.1.2.3", "example.org"),
        ("::ffff:10.0.0.1", "hooks.example.com"),
        ("169.254.169.254", "hooks.example.org"),
        ("168.63.129.16", "hooks.example.org"),
        ("64:ff9b::7f00:1", "64:ff9b::/96"),
        ("2002:7f00:1::", "2002::/16"),
        ("::ffff:127.0.0.1", "::/0"),
    ],
)
def test_nothing_more_than_the_setting_names_is_spoken_to(address, allow):
    with pytest.raises(EgressRefused):
        check(address, allow)


def test_a_form_that_carries_another_address_is_spoken_to_where_both_are_allowed():
    check("64:ff9b::101:101", "64:ff9b::/96")
    check("64:ff9b::a00:1", "64:ff9b::/96", "10.0.0.0/8")
    check("::ffff:10.0.0.1", "hooks.example.org")
    check("64:ff9b:1::101:101", "64:ff9b:1::/48")
    check("::1", "::1")


@pytest.mark.parametrize(
    "address",
    [
        *("::ffff:169.254.169.254", "::ffff:168.63.129.16", "::ffff:100.100.100.200"),  # mapped
        "::ffff:0:169.254.169.254",  # translated
        *("64:ff9b::169.254.169.254", "64:ff9b:1::169.254.169.254", "64:ff9b:1:a9fe:a9:fe00::"),  # NAT64
        *("2002:a9fe:a9fe::", "2002:a83f:8110::1"),  # 6to4
        *("2001:0:a9fe:a9fe::", "2001::5601:5601"),  # Teredo: of the server, of the client
        "::169.254.169.254",  # compatible
        *("2606:4700::5efe:169.254.169.254", "fd12::200:5efe:169.254.169.254"),  # ISATAP
    ],
)
def test_a_name_does_not_allow_a_form_that_carries_an_address_of_credentials(address):
    with pytest.raises(EgressRefused):
        check(address, "hooks.example.org")


def test_a_public_address_that_carries_a_private_one_is_refused():
    with pytest.raises(EgressRefused):
        check("2606:4700::5efe:10.0.0.1")
    check("2606:4700::5efe:10.0.0.1", "10.0.0.0/8")


def test_one_bad_address_among_good_ones_refuses_the_host():
    addresses = [ipaddress.ip_address(text) for text in ("1.1.1.1", "10.0.0.1")]
    with pytest.raises(EgressRefused, match=r"10\.0\.0\.1"):
        AddressRules(()).check("hooks.example.org", addresses)

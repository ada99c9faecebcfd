"""Admission while plugins fail, are switched off and are blocked."""

import pytest

from registry.access.actors import Actor
from registry.errors import Denied
from registry.hooks import Denied as Refused
from registry.testing.images import simple_image

IMAGE = simple_image("a")
ADA = Actor("ada")


def refuse():
    raise Refused("not this one")


@pytest.fixture
def faults():
    """Give what the plugin does next; nothing means that it admits."""
    return []


@pytest.fixture
def direct(with_plugins, make_plugin, faults):
    """Give a registry with a tag, whose pulls two plugins admit."""

    def admit():
        if faults:
            faults[0]()

    direct = with_plugins(make_plugin("shaky", admit_pull=admit), make_plugin("easy", admit_pull=lambda: None))
    direct.push(IMAGE, "v1")
    return direct


def test_a_failure_is_no_verdict_that_is_kept(direct, faults):
    faults.append(lambda: 1 / 0)
    for _ in range(2):
        with pytest.raises(Denied, match="refused, as the plugin shaky failed"):
            direct.get("v1")
    faults.clear()
    assert direct.get("v1").payload == IMAGE.data


def test_a_blocked_plugin_s_refusals_do_not_outlive_it(direct, faults):
    faults.append(refuse)
    with pytest.raises(Denied, match="refused by shaky: not this one"):
        direct.get("v1")
    direct.services.plugin_blocks.block(ADA, "shaky", "it refuses everything")
    assert direct.get("v1").payload == IMAGE.data


def test_what_was_pulled_while_a_plugin_was_blocked_is_decided_again_afterwards(direct, faults):
    direct.services.plugin_blocks.block(ADA, "shaky", "for now")
    direct.get("v1")
    faults.append(refuse)
    direct.services.plugin_blocks.unblock(ADA, "shaky")
    with pytest.raises(Denied, match="refused by shaky: not this one"):
        direct.get("v1")


def test_a_plugin_that_is_switched_off_keeps_admission_closed(direct):
    direct.services.hooks.calls.guards["shaky"].switch_off("it hangs")
    with pytest.raises(Denied, match="refused, as the plugin shaky failed"):
        direct.get("v1")
    assert direct.get(IMAGE.digest).payload == IMAGE.data

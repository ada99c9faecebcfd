"""A signed image gets the tag that its label names: once, and only then."""

import pytest
from registry.hooks import EmitEvent
from registry.testing.contracts import LabelActionContract, ObserverContract
from registry.testing.images import Blob, artifact, image, layer

import moorage_promote
from moorage_promote import KEY, WISH

SIGNATURE = moorage_promote.Settings().signatures[0]
WISHED = image(layer({"file": b"1"}), labels={KEY: "stable"})


class TestLabel(LabelActionContract):
    plugin = moorage_promote
    understood = {(KEY, "stable"): [EmitEvent(WISH, {"tag": "stable"})]}
    refused = [(KEY, ""), (KEY, "not a tag"), (KEY, "x" * 200)]


class TestObserver(ObserverContract):
    plugin = moorage_promote


@pytest.fixture
def moorage_plugins():
    return [moorage_promote]


def sign(client, subject=WISHED):
    client.push("team/app", artifact(SIGNATURE, Blob(b"a signature"), subject=subject))


def test_the_tag_comes_with_the_signature(moorage_client, moorage_worker):
    moorage_client.push("team/app", WISHED, "v1")
    moorage_worker()
    assert moorage_client.tags("team/app") == ["v1"]
    sign(moorage_client)
    moorage_worker()
    assert moorage_client.digest("team/app", "stable") == WISHED.digest
    assert moorage_client.tag_details("team/app", "stable")["actor"].startswith("plugin:")


def test_a_signature_that_came_first_counts(moorage_client, moorage_worker):
    moorage_client.push("team/app", WISHED)
    sign(moorage_client)
    moorage_client.push("team/app", WISHED, "v1")
    moorage_worker()
    assert moorage_client.tags("team/app") == ["stable", "v1"]


def test_other_referrers_and_other_images_do_not_count(moorage_client, moorage_worker):
    other = moorage_client.push("team/app", image(layer({"file": b"2"})), "v2")
    moorage_client.push("team/app", WISHED, "v1")
    moorage_client.push("team/app", artifact("application/spdx+json", Blob(b"{}"), subject=WISHED))
    sign(moorage_client, other)
    moorage_worker()
    assert moorage_client.tags("team/app") == ["v1", "v2"]


def test_a_tag_that_was_moved_on_is_not_moved_back(moorage_client, moorage_worker):
    moorage_client.push("team/app", WISHED, "v1")
    sign(moorage_client)
    moorage_worker()
    newer = moorage_client.push("team/app", image(layer({"file": b"2"})), "stable")
    moorage_client.push("team/app", artifact(SIGNATURE, Blob(b"a second signature"), subject=WISHED))
    moorage_worker()
    assert moorage_client.digest("team/app", "stable") == newer.digest

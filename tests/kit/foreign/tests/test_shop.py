"""The shop ships its catalogue to a registry."""

import urllib.request

import pytest

from registry.testing.client import Refused
from registry.testing.images import Blob, artifact, image, layer

CATALOGUE = artifact("application/vnd.example.catalogue", Blob(b"boots, rope", "text/plain"))


def ship(url: str) -> bool:
    """Stand for the code under test, which only knows an address."""
    with urllib.request.urlopen(f"{url}/v2/", timeout=10) as answer:
        return answer.status == 200


@pytest.mark.parametrize("run", range(6))
def test_each_test_has_a_registry_of_its_own(timed, run):
    server = timed("moorage_server")
    assert ship(server.url)
    with server.client() as client:
        assert client.catalog() == []
        client.push("shop/catalogue", CATALOGUE, "today")
        assert client.everything("shop/catalogue", "today") == CATALOGUE.everything()


def test_without_a_network(moorage_client, moorage_clock):
    moorage_client.push("shop/app", image(layer({"app": b"1"}), labels={"quay.expires-after": "2d"}), "v1")
    moorage_clock.advance(days=3)
    with pytest.raises(Refused, match="MANIFEST_UNKNOWN"):
        moorage_client.digest("shop/app", "v1")


def test_a_registry_whose_disk_is_full(moorage_client, moorage_faults):
    moorage_faults.fail("write")
    with pytest.raises(Refused) as refused:
        moorage_client.push("shop/catalogue", CATALOGUE, "today")
    assert refused.value.status == 503


def test_arithmetic():
    assert 1 + 1 == 2

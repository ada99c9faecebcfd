"""Clients fetch blobs from the store where the registry sends them: S3 itself answers, by the URL that is signed."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import Blob, image, layer, simple_image
from tests.support.images import layout_blobs
from tests.support.ports import PATIENCE, wait_until
from tests.support.server import MoorageServer
from tests.support.services import Containerd, Dockerd

pytestmark = pytest.mark.needs_tools

TEMPORARY_REDIRECT = 307


@pytest.fixture(scope="module")
def server(s3_gateway, tmp_path_factory) -> Iterator[MoorageServer]:
    """A registry that sends every client to the store, for blobs of every length, and logs all it can."""
    settings = {
        **s3_gateway.settings(s3_gateway.create_bucket("redirects"), "some/prefix"),
        "MOORAGE_STORAGE_REDIRECT": "always",
        "MOORAGE_STORAGE_REDIRECT_MIN": "1",
        "MOORAGE_LOG_LEVEL": "debug",
    }
    with MoorageServer(tmp_path_factory.mktemp("redirects") / "data", workers=2, env=settings) as running:
        yield running
    assert "X-Amz-Signature=" not in running.log.read_text().replace("X-Amz-Signature=********", "")


@pytest.fixture(scope="module")
def registry(server):
    with httpx.Client(base_url=server.url, timeout=30, follow_redirects=True) as client:
        yield RegistryClient(client)


@pytest.fixture
def sent(server, registry, repository):
    """Push an image; at the end, every blob of it was asked for, and none was given by the registry."""
    made = registry.push(repository, simple_image(repository), "1")
    yield made
    path = f"/v2/{repository}/blobs/"

    def asked():
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if f'"{path}' in line]
        return {(line["path"].removeprefix(path), line["status"]) for line in lines if line["method"] == "GET"}

    wanted = {(blob.digest, TEMPORARY_REDIRECT) for blob in made.blobs}
    wait_until(lambda: wanted <= asked(), PATIENCE, "the log tells that every blob was fetched from the store")
    assert asked() == wanted


def test_crane(command, sent, ref, tmp_path):
    command("crane", "--insecure")("pull", "--format=oci", f"{ref}:1", tmp_path / "out")
    assert layout_blobs(tmp_path / "out") == sent.everything()


def test_skopeo(command, sent, ref, tmp_path):
    command("skopeo", "--insecure-policy")("copy", "--src-tls-verify=false", f"docker://{ref}:1", f"oci:{tmp_path}/out")
    assert layout_blobs(tmp_path / "out").items() <= sent.everything().items()


def test_podman(container_tool, image_store, sent, ref):
    podman = container_tool("podman", "--tmpdir", f"{image_store}/tmp")
    podman("pull", f"{ref}:1")
    assert podman("images", "--no-trunc", "-q").strip() == sent.config.digest
    podman("rmi", "--all", "--force")


def test_docker(command, server, sent, ref):
    with Dockerd(insecure_registries=(server.host,)) as daemon:
        docker = command("docker", DOCKER_HOST=f"unix://{daemon.socket}")
        docker("pull", f"{ref}:1")
        assert sent.config.digest in docker("image", "ls", "--no-trunc", "-q")


def test_containerd(command, sent, ref):
    with Containerd() as daemon:
        images = command("ctr", "-a", str(daemon.socket), "images")
        images("pull", "--plain-http", "--snapshotter", "native", f"{ref}:1")
        assert sent.digest in images("ls")


def test_oras_and_regctl(command, sent, ref, tmp_path):
    command("oras")("copy", "--from-plain-http", "--to-oci-layout", f"{ref}:1", f"{tmp_path}/oras:1")
    assert layout_blobs(tmp_path / "oras").items() >= sent.everything().items()


def test_a_large_layer_and_a_range_of_it(registry, repository, server):
    made = image(layer({"f": bytes(range(256)) * 40_000}))
    registry.push(repository, made, "1")
    blob: Blob = made.blobs[1]
    path = f"{server.url}/v2/{repository}/blobs/{blob.digest}"
    with httpx.Client() as client:
        told = client.get(path)
        assert told.status_code == TEMPORARY_REDIRECT
        query = parse_qs(urlsplit(told.headers["Location"]).query)
        assert query["X-Amz-Expires"] == ["300"]
        part = client.get(path, headers={"Range": "bytes=70-89"}, follow_redirects=True)
    assert (part.status_code, part.content) == (206, blob.data[70:90])
    assert part.headers["Content-Type"] == "application/octet-stream"

"""Clients fetch blobs from the store where the registry sends them: S3 itself answers, by the URL that is signed."""

import json
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import Blob, image, layer, simple_image
from tests.support.access import AUTHENTICATION, PASSWORD, prepare
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


@pytest.fixture(scope="module")
def guarded(s3_gateway, tmp_path_factory):
    """A registry that asks who everybody is, before a store that has a host name of its own."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    prepare(data, {"pushers": {"to": ["user:ann"], "role": "push"}}, users=("ann",))
    settings = {
        **AUTHENTICATION,
        **s3_gateway.settings(s3_gateway.create_bucket("guarded")),
        "MOORAGE_S3_PUBLIC_ENDPOINT_URL": f"http://localhost:{s3_gateway.port}",
        "MOORAGE_STORAGE_REDIRECT": "127.0.0.0/8",
        "MOORAGE_STORAGE_REDIRECT_MIN": "1",
    }
    with MoorageServer(data, threads=8, env=settings) as running:
        yield running


@pytest.mark.parametrize("client", ["crane", "skopeo"])
def test_who_logs_in_at_the_registry_sends_the_store_no_credentials(command, guarded, repository, tmp_path, client):
    sent, ref = simple_image(repository), f"{guarded.host}/{repository}:1"
    with httpx.Client(base_url=guarded.url, auth=("ann", PASSWORD), timeout=30) as http:
        RegistryClient(http).push(repository, sent, "1")
        told = http.get(f"/v2/{repository}/blobs/{sent.config.digest}")
        assert told.headers["Location"].startswith("http://localhost:")
    if client == "crane":
        crane = command("crane", "--insecure")
        crane("auth", "login", guarded.host, "-u", "ann", "-p", PASSWORD)
        crane("pull", "--format=oci", ref, tmp_path / "out")
    else:
        flags = ("--src-tls-verify=false", "--src-creds", f"ann:{PASSWORD}")
        command("skopeo", "--insecure-policy")("copy", *flags, f"docker://{ref}", f"oci:{tmp_path}/out")
    assert layout_blobs(tmp_path / "out").items() >= {blob.digest: blob.data for blob in sent.blobs}.items()
    with httpx.Client(base_url=guarded.url) as nobody:
        refused = nobody.get(f"/v2/{repository}/blobs/{sent.config.digest}")
    assert (refused.status_code, refused.headers.get("Location")) == (401, None)

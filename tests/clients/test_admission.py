"""The reason why a plugin refuses reaches the screen of whoever pushes or pulls, whatever the client."""

import httpx
import pytest

from registry.testing.client import RegistryClient
from registry.testing.images import DOCKER, simple_image
from tests.support.images import write_layout
from tests.support.server import MoorageServer
from tests.support.services import Dockerd

pytestmark = pytest.mark.needs_tools

REASON = "no cargo without a bill of lading, see https://harbour.example/rules"
SAID = f"refused by harbour: {REASON}"
PLUGIN = f"""
from registry.hooks import Denied, hookimpl

REASON = {REASON!r}

@hookimpl
def admit_manifest(push):
    if "refused" in push.repository:
        raise Denied(REASON)
    return ["lading is optional here"]

@hookimpl
def admit_pull(pull):
    if pull.tag.startswith(("locked", "0.0.")):
        raise Denied(REASON)
"""
HTTP = "--plain-http"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder from which Python finds the plugin as if it were installed."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "harbour.py").write_text(PLUGIN)
    about = folder / "harbour-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: harbour\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[moorage]\nharbour = harbour\n")
    return folder


@pytest.fixture(scope="module")
def server(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("admission") / "data"
    with MoorageServer(folder, threads=8, env={"PYTHONPATH": str(installed)}) as running:
        yield running


@pytest.fixture(scope="module")
def registry(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield RegistryClient(client)


@pytest.fixture
def layout(repository, tmp_path):
    """An image that clients push."""
    return write_layout(tmp_path / "in", simple_image(repository), names=["1"])


@pytest.fixture
def locked(registry, repository, ref):
    """An image that may be pulled by its digest alone."""
    registry.push(repository, simple_image(repository), "locked")
    return f"{ref}:locked"


def screen(done):
    """Return all that a client that failed has shown, on one line."""
    assert done.returncode, done.stdout
    return " ".join((done.stdout + done.stderr).split())


def test_docker_tells_why(command, server, registry, repository, ref, build_context):
    with Dockerd(insecure_registries=(server.host,)) as daemon:
        docker = command("docker", DOCKER_HOST=f"unix://{daemon.socket}", BUILDKIT_PROGRESS="plain")
        docker("build", "-t", f"{ref}/refused:1", build_context)
        assert SAID in screen(docker.run("push", f"{ref}/refused:1"))
        registry.push(repository, simple_image(repository, DOCKER), "locked")
        assert SAID in screen(docker.run("pull", f"{ref}:locked"))
        docker("tag", f"{ref}/refused:1", f"{ref}:1")
        docker("push", f"{ref}:1")


def test_podman_tells_why(container_tool, image_store, layout, ref, locked):
    podman = container_tool("podman", "--tmpdir", f"{image_store}/tmp")
    image = podman("pull", f"oci:{layout}:1").split()[-1]
    assert SAID in screen(podman.run("push", image, f"{ref}/refused:1"))
    assert SAID in screen(podman.run("pull", locked))
    podman("push", image, f"{ref}:1")


def test_skopeo_tells_why(command, layout, ref, locked, tmp_path):
    skopeo = command("skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), _CONTAINERS_ROOTLESS_UID="1000")
    push = ["copy", "--dest-tls-verify=false", f"oci:{layout}:1"]
    assert SAID in screen(skopeo.run(*push, f"docker://{ref}/refused:1"))
    pulled = skopeo.run("copy", "--src-tls-verify=false", f"docker://{locked}", f"oci:{tmp_path / 'out'}:1")
    assert SAID in screen(pulled)
    skopeo(*push, f"docker://{ref}:1")


def test_crane_tells_why(command, layout, ref, locked, tmp_path):
    crane = command("crane", "--insecure")
    assert SAID in screen(crane.run("push", layout, f"{ref}/refused:1"))
    assert SAID in screen(crane.run("pull", locked, tmp_path / "out.tar"))
    crane("push", layout, f"{ref}:1")


def test_oras_tells_why_and_shows_warnings(command, ref, locked):
    oras = command("oras")
    oras.home.mkdir()
    (oras.home / "cargo.txt").write_text("cargo")
    assert SAID in screen(oras.run("push", HTTP, f"{ref}/refused:1", "cargo.txt:text/plain"))
    assert SAID in screen(oras.run("pull", HTTP, locked))
    pushed = oras.run("push", HTTP, f"{ref}:1", "cargo.txt:text/plain")
    assert pushed.returncode == 0
    assert "harbour: lading is optional here" in pushed.stdout + pushed.stderr


def test_helm_tells_why(command, registry, repository, ref, tmp_path):
    helm = command("helm")
    chart = tmp_path / "boat"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: boat\nversion: 1.2.3\n")
    helm("package", chart, "--destination", tmp_path)
    archive = tmp_path / "boat-1.2.3.tgz"
    assert SAID in screen(helm.run("push", archive, f"oci://{ref}/refused", HTTP))
    helm("push", archive, f"oci://{ref}", HTTP)
    registry.push(f"{repository}/boat", simple_image(repository), "0.0.1")
    assert SAID in screen(helm.run("pull", f"oci://{ref}/boat", "--version", "0.0.1", HTTP))

"""The image, built from deploy/Containerfile and run as deploy/compose says: from the files to a push through nginx.

Neither Debian's base image nor networks of containers can be had where tests run: the base is made of what is installed
here, and the containers share this machine's network.
"""

import json
import re
import shutil
import subprocess
import tempfile
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
import yaml

from registry.testing.images import simple_image
from tests.support.commands import Command
from tests.support.images import layout_blobs, write_layout
from tests.support.local_image import build
from tests.support.ports import PATIENCE, free_port, is_open, wait_until
from tests.support.proxies import DEPLOY, Nginx
from tests.support.tools import require_root, tool

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(900)]

IMAGE = "localhost/moorage"
PASSWORD = "correct horse battery"
LIMIT = 400 * 1000 * 1000
# What this machine may allow is less than podman asks for by itself.
LIMITS = ("--ulimit", "nofile=1024:16384", "--ulimit", "nproc=1024:4096", "--no-healthcheck")
SERVICES = yaml.safe_load((DEPLOY / "compose/compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def store():
    """A folder for images; its path must be short."""
    require_root()
    folder = Path(tempfile.mkdtemp(prefix="moorage-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def flags(store):
    """Where images are kept. vfs copies all of one for each container, and works everywhere."""
    kind = subprocess.run(["stat", "-f", "-c", "%T", store], capture_output=True, text=True, check=True).stdout.strip()
    driver = "overlay" if kind in ("ext2/ext3", "xfs") else "vfs"
    return ("--root", f"{store}/root", "--runroot", f"{store}/run", "--storage-driver", driver)


@pytest.fixture(scope="module")
def podman(store, flags):
    """podman, whose store has the image."""
    build(Command(tool("buildah"), store / "home", flags, timeout=600), store, IMAGE)
    running = Command(tool("podman"), store / "home", (*flags, "--cgroup-manager", "cgroupfs"), timeout=120)
    yield running
    running("rm", "--all", "--force", "--time", "5")


def ready(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health/ready").status_code == HTTPStatus.OK
    except httpx.HTTPError:
        return False


@dataclass
class Composed:
    """What compose would start, on this machine's network and with what a test puts in place of addresses."""

    podman: Command
    env: dict[str, str]
    prefix: str

    def flags(self, name, **more):
        service = SERVICES[name]
        assert all(service[key] for key in ("read_only", "cap_drop", "security_opt", "tmpfs"))
        words = ["--network", "host", "--read-only", "--name", f"{self.prefix}-{name}", *LIMITS]
        words += [word for one in service["cap_drop"] for word in ("--cap-drop", one)]
        words += [word for one in service["security_opt"] for word in ("--security-opt", one.partition(":")[0])]
        words += [word for one in service["tmpfs"] for word in ("--tmpfs", one)]
        settings = {**service["environment"], **self.env, **more}
        assert not [value for value in settings.values() if "${" in value]
        return [*words, *(word for one in settings.items() for word in ("--env", "=".join(one)))]

    def run(self, name):
        return self.podman("run", "--rm", *self.flags(name), IMAGE, *SERVICES[name]["command"])

    def start(self, name, **more):
        return self.podman("run", "--detach", *self.flags(name, **more), IMAGE, *SERVICES[name]["command"]).strip()


@pytest.fixture
def composed(podman, postgres, s3_gateway):
    name = f"image-{uuid.uuid4().hex[:8]}"
    env = {
        "MOORAGE_EXTERNAL_URL": "",
        "MOORAGE_TRUSTED_PROXIES": "127.0.0.1",
        "MOORAGE_DATABASE_URL": postgres.create_database(name),
        "PGPASSWORD": "unused",
        **s3_gateway.settings(s3_gateway.create_bucket(name)),
    }
    return Composed(podman, env, name)


def test_the_image_is_what_it_says(podman):
    (about,) = json.loads(podman("image", "inspect", IMAGE))
    config = about["Config"]
    assert config["User"] == "65532:65532"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Volumes"] == {"/var/lib/moorage": {}}
    assert config["Labels"]["org.opencontainers.image.title"] == "Moorage"
    assert about["Size"] < LIMIT
    mounted = podman("image", "mount", IMAGE).strip()
    files = {str(path.relative_to(mounted)) for path in Path(mounted).rglob("*")}
    podman("image", "unmount", IMAGE)
    assert "opt/moorage/bin/moorage" in files
    outside = [name for name in files if "site-packages/" not in name]
    assert not [name for name in outside if Path(name).name in {"source", "tests", ".git", "moorage.db"}]


def test_from_the_files_to_a_push_through_nginx(composed, podman, tmp_path):
    composed.run("migrate")
    ports = [free_port(), free_port()]
    names = [f"registry-{number}" for number in (1, 2)]
    made = [
        composed.start(name, MOORAGE_LISTEN=f"127.0.0.1:{port}", MOORAGE_WORKERS="1")
        for name, port in zip(names, ports, strict=True)
    ]
    worker = composed.start("worker")
    for port in ports:
        wait_until(lambda port=port: ready(port), PATIENCE, "the replica is ready")
    podman("exec", "-i", made[0], "moorage", "user", "add", "ann", "--admin", "--password-stdin", stdin=PASSWORD)

    with Nginx(replicas=ports) as proxy:
        crane = Command(tool("crane"), tmp_path / "home", (), {"SSL_CERT_FILE": str(proxy.authority)})
        crane("auth", "login", "-u", "ann", "--password-stdin", proxy.host, stdin=PASSWORD)
        sent = simple_image("an operator's first")
        crane("push", write_layout(tmp_path / "in", sent), f"{proxy.host}/team/app:1")
        crane("pull", "--format=oci", f"{proxy.host}/team/app:1", tmp_path / "out")
        assert layout_blobs(tmp_path / "out") == sent.everything()

    wait_until(lambda: "the worker runs" in everything_told(podman, worker), PATIENCE, "the worker's first words")
    for container in (*made, worker):
        assert podman("exec", container, "id", "-u").strip() == "65532"
        podman.refused("exec", container, "touch", "/opt/moorage/x")
        podman("stop", "--time", "45", container)
        (about,) = json.loads(podman("container", "inspect", container))
        assert about["State"]["ExitCode"] == 0, everything_told(podman, container)
    assert not any(map(is_open, ports))


def everything_told(podman, container):
    done = podman.run("logs", container)
    return done.stdout + done.stderr


def health_checks():
    image = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    return {"image": json.loads(image[1]), "compose": SERVICES["registry-1"]["healthcheck"]["test"][1:]}


@pytest.mark.parametrize("whose", ["image", "compose"])
def test_the_health_check_tells_a_server_from_none(podman, whose):
    """In a network of its own the server has the port that the check is for."""
    words = ("--detach", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", *LIMITS)
    container = podman("run", *words, "--env", "MOORAGE_AUTHENTICATION=true", IMAGE, "serve", "--workers", "1").strip()
    check = health_checks()[whose]
    wait_until(lambda: podman.run("exec", container, *check).returncode == 0, PATIENCE, "the container is healthy")
    elsewhere = [word.replace("5000", "5001") for word in check]
    assert podman.run("exec", container, *elsewhere).returncode == 1
    podman("stop", container)


def test_without_access_control_it_does_not_start(podman):
    told = podman.refused("run", "--rm", "--network", "none", "--read-only", "--tmpfs", "/tmp", *LIMITS, IMAGE)
    assert "without access control" in told

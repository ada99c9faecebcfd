"""Every client logs in: as who may push, who may only pull, a robot, nobody; and is told why it may not.

The robot logs in with its key, and with a token of an issuer that is trusted, as a CI job does.

The repositories of ``team`` are for who is named in a rule; those of ``open`` may be pulled by everybody.
"""

import json
import re
import time

import httpx
import pytest

from registry.app import create_app
from registry.settings import load_settings
from registry.testing.client import RegistryClient
from registry.testing.images import DOCKER, simple_image
from tests.support.access import AUTHENTICATION, OPERATOR_ACTOR, PASSWORD, prepare
from tests.support.images import write_layout
from tests.support.issuer import Issuer
from tests.support.server import MoorageServer
from tests.support.services import Containerd, Dockerd

pytestmark = pytest.mark.needs_tools

RULES = {
    "builders": {"to": ["user:builder", "robot:team+ci"], "on": ["team/*", "open/*"], "role": "push"},
    "readers": {"to": ["user:reader"], "on": ["team/*"], "role": "pull"},
    "public": {"to": ["anonymous"], "on": ["open/*"], "role": "pull"},
}
EXPIRED = "the API key has expired"
NARROW = "the scopes of this API key do not include push on team/{name}"
WHY = "reader may not push on team/{name}: role push is missing"
HTTP = "--plain-http"
OLDEST_ROOTLESS = {"_CONTAINERS_ROOTLESS_UID": "1000"}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server that asks who everybody is, and the texts of its keys, with the token of a job that is the robot."""
    data = tmp_path_factory.mktemp("login") / "data"
    with Issuer(data.parent) as issuer:
        trust = {"issuer": issuer.url, "audiences": ["moorage"], "claims": {"repository": ["acme/app"]}}
        made = prepare(
            data,
            RULES,
            users=("builder", "reader", "gone"),
            robots=(("team", "ci"),),
            disabled=("gone",),
            trusts={"job": ("team+ci", trust)},
        )
        job = issuer.sign(aud="moorage", repository="acme/app", exp=int(time.time()) + 86_400)
        keys = {**made.keys, **worn_keys(data), "job": job}
        with MoorageServer(data, threads=8, env=AUTHENTICATION) as running:
            yield running, keys


def worn_keys(data):
    """Make keys of the builder that are good for nothing any more, and one that is good for pulls."""
    app = create_app(load_settings({"data": str(data)}, AUTHENTICATION))
    services = app.extensions["moorage"]
    made = services.access.keys
    rotated = made.create(OPERATOR_ACTOR, "builder", "rotated")
    made.rotate(OPERATOR_ACTOR, "builder", rotated.key.prefix, overlap_ms=0)
    found = {
        "expired": made.create(OPERATOR_ACTOR, "builder", "expired", lives_ms=0).text,
        "rotated": rotated.text,
        "narrow": made.create(OPERATOR_ACTOR, "builder", "narrow", ["pull"]).text,
    }
    services.database.close_idle()
    return found


@pytest.fixture
def server(house):
    return house[0]


@pytest.fixture
def keys(house):
    return house[1]


@pytest.fixture
def name(repository):
    return repository.partition("/")[2]


@pytest.fixture
def team(server, name):
    return f"{server.host}/team/{name}"


@pytest.fixture
def public(server, name):
    """An image that everybody may pull."""
    with httpx.Client(base_url=server.url, auth=("builder", PASSWORD), timeout=30) as client:
        RegistryClient(client).push(f"open/{name}", simple_image(name, DOCKER), "1")
    return f"{server.host}/open/{name}:1"


@pytest.fixture
def layout(name, tmp_path):
    return write_layout(tmp_path / "in", simple_image(name), names=["1"])


def screen(done):
    """Return all that a client that failed has shown, on one line."""
    assert done.returncode, done.stdout
    return " ".join((done.stdout + done.stderr).split())


def check(login, push, pull, name, keys, *, expired=EXPIRED):
    """Log in as each party; ``push`` and ``pull`` return what came of it.

    Some clients push nothing that is there already, so ``push`` is given a tag of its own each time. ``expired`` is
    what the client shows of why a key is refused that is good for nothing any more.
    """
    for worn in ("expired", "rotated"):
        said = screen(login("builder", keys[worn]))
        assert expired in said, said
    assert login("builder", "wrong password").returncode
    assert login("gone", PASSWORD).returncode
    assert login("builder", PASSWORD).returncode == 0
    assert (done := push("1")).returncode == 0, done.stderr
    assert login("reader", PASSWORD).returncode == 0
    assert (done := pull()).returncode == 0, done.stderr
    said = screen(push("2"))
    assert WHY.format(name=name) in said, said
    assert login("builder", keys["narrow"]).returncode == 0
    assert (done := pull()).returncode == 0, done.stderr
    said = screen(push("4"))
    assert NARROW.format(name=name) in said, said
    for tag, secret in {"3": "team+ci", "5": "job"}.items():
        assert login("team+ci", keys[secret]).returncode == 0
        assert (done := push(tag)).returncode == 0, done.stderr


def test_docker(command, server, team, public, name, keys, build_context):
    with Dockerd(insecure_registries=(server.host,)) as daemon:
        docker = command("docker", DOCKER_HOST=f"unix://{daemon.socket}", BUILDKIT_PROGRESS="plain")
        docker("pull", public)
        docker("build", "-t", f"{team}:1", build_context)
        check(
            lambda user, password: docker.run("login", "-u", user, "--password-stdin", server.host, stdin=password),
            lambda _: docker.run("push", f"{team}:1"),
            lambda: docker.run("pull", f"{team}:1"),
            name,
            keys,
        )


def test_podman(container_tool, image_store, server, team, public, name, keys, layout):
    podman = container_tool("podman", "--tmpdir", f"{image_store}/tmp")
    podman("pull", public)
    image = podman("pull", f"oci:{layout}:1").split()[-1]
    auth = f"--authfile={image_store}/auth.json"
    check(
        lambda user, password: podman.run("login", auth, "-u", user, "--password-stdin", server.host, stdin=password),
        lambda _: podman.run("push", auth, image, f"{team}:1"),
        lambda: podman.run("pull", auth, f"{team}:1"),
        name,
        keys,
        expired="invalid username/password",
    )


def test_skopeo(command, server, team, public, name, keys, layout, tmp_path):
    skopeo = command("skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), **OLDEST_ROOTLESS)
    auth = f"--authfile={tmp_path}/auth.json"
    skopeo("copy", "--src-tls-verify=false", f"docker://{public}", f"oci:{tmp_path / 'out'}:0")
    check(
        lambda user, password: skopeo.run(
            "login", auth, "--tls-verify=false", "-u", user, "--password-stdin", server.host, stdin=password
        ),
        lambda _: skopeo.run("copy", auth, "--dest-tls-verify=false", f"oci:{layout}:1", f"docker://{team}:1"),
        lambda: skopeo.run("copy", auth, "--src-tls-verify=false", f"docker://{team}:1", f"oci:{tmp_path / 'out'}:1"),
        name,
        keys,
        expired="invalid username/password",
    )


def test_crane(command, server, team, public, name, keys, layout, tmp_path):
    crane = command("crane", "--insecure")
    crane("pull", public, tmp_path / "public.tar")

    def login(user, password):
        done = crane.run("auth", "login", "-u", user, "--password-stdin", server.host, stdin=password)
        return done if done.returncode else crane.run("catalog", server.host)  # it asks nobody by itself

    check(
        login,
        lambda tag: crane.run("push", layout, f"{team}:{tag}"),
        lambda: crane.run("pull", f"{team}:1", tmp_path / "out.tar"),
        name,
        keys,
    )


def test_oras(command, server, team, public, name, keys):
    oras = command("oras")
    oras("manifest", "fetch", HTTP, public)
    (oras.home / "cargo.txt").write_text("cargo")
    check(
        lambda user, password: oras.run("login", HTTP, "-u", user, "--password-stdin", server.host, stdin=password),
        lambda _: oras.run("push", HTTP, f"{team}:1", "cargo.txt:text/plain"),
        lambda: oras.run("pull", HTTP, f"{team}:1", "-o", "out"),
        name,
        keys,
    )


def test_regctl(command, server, team, public, name, keys, layout):
    regctl = command("regctl", "--host", f"reg={server.host},tls=disabled")
    regctl("manifest", "get", public)
    check(
        lambda user, password: regctl.run("registry", "login", "-u", user, "--pass-stdin", server.host, stdin=password),
        lambda tag: regctl.run("image", "copy", f"ocidir://{layout}:1", f"{team}:{tag}"),
        lambda: regctl.run("image", "copy", f"{team}:1", "ocidir://out:1"),
        name,
        keys,
        expired="unauthorized",
    )


def test_helm(command, server, team, name, keys, tmp_path):
    helm = command("helm")
    chart = tmp_path / "boat"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: boat\nversion: 1.2.3\n")
    helm("package", chart, "--destination", tmp_path)
    (tmp_path / "out").mkdir()
    check(
        lambda user, password: helm.run(
            "registry", "login", HTTP, "-u", user, "--password-stdin", server.host, stdin=password
        ),
        lambda _: helm.run("push", tmp_path / "boat-1.2.3.tgz", f"oci://{team}", HTTP),
        lambda: helm.run("pull", f"oci://{team}/boat", "--version", "1.2.3", HTTP, "-d", tmp_path / "out"),
        f"{name}/boat",
        keys,
    )


def test_cosign(command, server, team, name, keys):
    cosign = command("cosign", COSIGN_PASSWORD="", COSIGN_YES="true")
    cosign("generate-key-pair")
    with httpx.Client(base_url=server.url, auth=("builder", PASSWORD), timeout=30) as client:
        sent = RegistryClient(client).push(f"team/{name}", simple_image(name), "1")
    flags = ["--allow-http-registry", "--key", "cosign.key", "--tlog-upload=false", "--use-signing-config=false"]

    def login(user, password):
        done = cosign.run("login", "-u", user, "--password-stdin", server.host, stdin=password)
        return done if done.returncode else command_crane.run("catalog", server.host)

    command_crane = command("crane", "--insecure", DOCKER_CONFIG=str(cosign.home / ".docker"))
    check(
        login,
        lambda _: cosign.run("sign", *flags, f"{team}@{sent.digest}"),
        lambda: cosign.run(
            "verify", "--allow-http-registry", "--key", "cosign.pub", "--insecure-ignore-tlog=true", f"{team}:1"
        ),
        name,
        keys,
    )


def test_containerd(command, server, team, public, name, keys):
    with httpx.Client(base_url=server.url, auth=("builder", PASSWORD), timeout=30) as client:
        RegistryClient(client).push(f"team/{name}", simple_image(name), "1")
    with Containerd() as daemon:
        images = command("ctr", "-a", str(daemon.socket), "images")
        pull = ["pull", "--plain-http", "--snapshotter", "native"]
        images(*pull, public)
        assert "401" in screen(images.run(*pull, f"{team}:1"))
        assert images.run(*pull, "-u", "builder:wrong", f"{team}:1").returncode
        images(*pull, "-u", f"reader:{PASSWORD}", f"{team}:1")
        push = ["push", "--plain-http"]
        said = screen(images.run(*push, "-u", f"reader:{PASSWORD}", f"{team}:2", f"{team}:1"))
        assert "403" in said
        assert "403" in screen(images.run(*push, "-u", f"builder:{keys['narrow']}", f"{team}:3", f"{team}:1"))
        for worn in ("expired", "rotated"):
            assert "401" in screen(images.run(*push, "-u", f"builder:{keys[worn]}", f"{team}:2", f"{team}:1"))
        for secret in ("team+ci", "job"):
            images(*push, "-u", f"team+ci:{keys[secret]}", f"{team}:2", f"{team}:1")


def test_the_log_of_the_server_holds_no_secret(server, keys):
    text = server.log.read_text()
    assert PASSWORD not in text
    assert not [key for key in keys.values() if key in text or re.split(r"[_.]", key)[-1] in text]
    answers = [json.loads(line) for line in text.splitlines() if '"status"' in line]
    assert not [answer for answer in answers if answer["status"] >= 500]

"""A token that expires in the middle of a push is had anew, and the push goes on."""

import json
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.testing.images import image, layer
from tests.support.access import AUTHENTICATION, PASSWORD, prepare
from tests.support.commands import Command
from tests.support.images import write_layout
from tests.support.scale import scaled
from tests.support.server import MoorageServer
from tests.support.services import Dockerd
from tests.support.slow_proxy import slow_proxy
from tests.support.tools import tool

pytestmark = [pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(900)]

LIFETIME, LASTS = 60, 75
"""Seconds that a token lives, and that a push takes. No client takes less than a minute for granted."""
SIZE = 2 << 30
RULES = {"pushers": {"to": ["user:ann"], "on": ["team/*"], "role": "push"}}


def test_a_token_expires_in_the_middle_of_a_push(tmp_path, record_property):
    size = scaled(SIZE)
    prepare(tmp_path / "data", RULES, users=("ann",))
    settings = {**AUTHENTICATION, "MOORAGE_TOKEN_LIFETIME": f"{LIFETIME}s", "MOORAGE_BODY_TIMEOUT": "120s"}
    big = os.urandom(size)
    layout = write_layout(tmp_path / "in", image(layer({"big": big}, gzipped=False)), names=["1"])
    (tmp_path / "context").mkdir()
    (tmp_path / "context" / "big").write_bytes(big)
    (tmp_path / "context" / "Dockerfile").write_text("FROM scratch\nCOPY big /\n")
    with (
        MoorageServer(tmp_path / "data", threads=8, env=settings) as server,
        slow_proxy(server.port, size / LASTS) as port,
        Dockerd(insecure_registries=(f"127.0.0.1:{port}",)) as daemon,
    ):
        host = f"127.0.0.1:{port}"

        def client(name: str, *flags: str, **env: str) -> Command:
            return Command(tool(name), tmp_path / f"{name}-home", flags, env, timeout=600)

        docker = client("docker", DOCKER_HOST=f"unix://{daemon.socket}")
        crane, oras = client("crane", "--insecure"), client("oras")
        skopeo = client("skopeo", "--insecure-policy", _CONTAINERS_ROOTLESS_UID="1000")
        docker("build", "-t", f"{host}/team/docker:1", tmp_path / "context")
        for call, words in ((docker, ("login",)), (crane, ("auth", "login")), (oras, ("login", "--plain-http"))):
            call(*words, "-u", "ann", "--password-stdin", host, stdin=PASSWORD)
        pushes = {
            "docker": lambda: docker("push", f"{host}/team/docker:1"),
            "crane": lambda: crane("push", layout, f"{host}/team/crane:1"),
            "oras": lambda: oras("copy", "--from-oci-layout", f"{layout}:1", "--to-plain-http", f"{host}/team/oras:1"),
            "skopeo": lambda: skopeo(
                *("copy", "--dest-tls-verify=false", "--dest-compress=false", "--dest-creds", f"ann:{PASSWORD}"),
                *(f"oci:{layout}:1", f"docker://{host}/team/skopeo:1"),
            ),
        }
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda push: push(), pushes.values()))
        answers = [json.loads(line) for line in server.log.read_text().splitlines() if '"status"' in line]
    for name in pushes:
        own = [one for one in answers if one["repository"] == f"team/{name}"]
        longest = max(one["ms"] for one in own) / 1000
        assert longest > LIFETIME, f"{name} took {longest:.0f} s for its longest request"
        assert [one["status"] for one in own if one["method"] == "PUT"][-1] == 201, name
        renewed = sum(one["status"] == 401 for one in own)
        record_property(
            "figure", f"{name}: {size >> 20} MiB in {longest:.0f} s, a token of {LIFETIME} s; {renewed} x 401"
        )

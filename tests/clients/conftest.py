"""One server for the whole session, and for each test a repository of its own in it."""

import http
import json
import re
import shutil
import tempfile
import uuid
from pathlib import Path

import httpx
import pytest

from registry.testing.client import RegistryClient
from tests.support.commands import Command
from tests.support.server import MoorageServer
from tests.support.tools import require_root, tool


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with MoorageServer(tmp_path_factory.mktemp("clients") / "data", workers=2, threads=8) as running:
        yield running
    # Clients try again, so a failure of the server's need not fail any of them.
    answers = [json.loads(line) for line in running.log.read_text().splitlines() if '"status"' in line]
    assert answers
    assert [answer for answer in answers if answer["status"] >= http.HTTPStatus.INTERNAL_SERVER_ERROR] == []


@pytest.fixture(scope="session")
def registry(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield RegistryClient(client)


@pytest.fixture
def repository(request):
    """The name of a repository that no other test, and no other run, uses."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"clients/{name}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def ref(server, repository):
    """The repository's name as a client writes it, without a tag."""
    return f"{server.host}/{repository}"


@pytest.fixture
def command(tmp_path):
    """Make a program found by name ready to be called, at home in the test's folder."""

    def make(name, *flags, **env):
        return Command(tool(name), tmp_path / f"{name}-home", flags, env)

    return make


@pytest.fixture
def image_store():
    """A folder for the images of podman and buildah; its path must be short."""
    require_root()
    folder = Path(tempfile.mkdtemp(prefix="moorage-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def container_tool(command, image_store, server):
    """Make podman or buildah ready to be called, with a store of its own and our server known to it."""
    known = image_store / "registries.conf"
    known.write_text(f'[[registry]]\nlocation = "{server.host}"\ninsecure = true\n')
    folders = ["--root", f"{image_store}/root", "--runroot", f"{image_store}/run"]

    def make(name, *flags, **env):
        settings = {"CONTAINERS_REGISTRIES_CONF": str(known), **env}
        return command(name, *folders, "--storage-driver", "vfs", *flags, **settings)

    return make


@pytest.fixture
def build_context(tmp_path, repository):
    """A folder to build an image from; what is in it no other test has."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "cargo.txt").write_text(repository)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY cargo.txt /hold/cargo.txt\nLABEL port=Kiel\n")
    return folder

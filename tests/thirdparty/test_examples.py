"""The examples as strangers install them: from wheels, against a running server, and gone again."""

import shutil
from contextlib import contextmanager

import httpx
import pytest

from registry.testing.client import Refused, RegistryClient
from registry.testing.images import Blob, artifact, image, layer, to_json
from tests.support.directory import DIRECTORY_PASSWORD, Directory
from tests.support.ports import PATIENCE, wait_until
from tests.support.server import MoorageServer
from tests.thirdparty.building import EXAMPLES, run

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(600)]

MODULE = Blob(b"\0asm\x01\0\0\0", "application/wasm")
CONFIG = Blob(to_json({"architecture": "wasm", "os": "wasip2"}), "application/vnd.wasm.config.v0+json")
SIGNATURE = "application/vnd.dev.sigstore.bundle.v0.3+json"


@contextmanager
def running(server):
    """Give a client of a server, which runs meanwhile."""
    with server, httpx.Client(base_url=server.url) as http:
        yield RegistryClient(http)


def test_there_are_four():
    assert [path.name for path in EXAMPLES] == ["moorage-fsspec", "moorage-ldap", "moorage-promote", "moorage-wasm"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_its_own_tests_pass_where_it_is_installed(example, python, tmp_path):
    shutil.copytree(example / "tests", tmp_path / "tests")
    shutil.copy(example / "pyproject.toml", tmp_path)
    printed = run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "pythonpath=", cwd=tmp_path)
    assert " passed" in printed


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_check_has_nothing_to_say(example, python, tmp_path):
    shutil.copytree(example, tmp_path / "it")
    assert "nothing to change" in run(python, "-m", "registry", "plugins", "check", "it", cwd=tmp_path)


def test_they_work_together_and_leave_what_is_stored(python, wheels, tmp_path):
    server = MoorageServer(tmp_path / "data", python=python, cwd=tmp_path, worker=True)
    module = artifact("", MODULE, config=CONFIG)
    wished = image(layer({"file": b"1"}), labels={"org.example.promote-when-signed": "stable"})
    with running(server) as client:
        client.push("team/module", module, "v1")
        assert client.labels("team/module", module.digest)["org.example.wasm.os"]["value"] == "wasip2"
        with pytest.raises(Refused, match="one layer"):
            client.push("team/module", artifact("", Blob(b"none", "text/plain"), config=CONFIG), "v2")
        client.push("team/app", wished, "v1")
        client.push("team/app", artifact(SIGNATURE, Blob(b"a signature"), subject=wished))
        wait_until(lambda: "stable" in client.tags("team/app"), PATIENCE, "the signed image is promoted")
        assert client.digest("team/app", "stable") == wished.digest
    names = ["moorage-wasm", "moorage-promote"]
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", *names)
    with running(server) as client:
        assert client.everything("team/module", "v1") == module.everything()
        assert client.everything("team/app", "stable") == wished.everything()
        client.push("team/module", artifact("", Blob(b"none", "text/plain"), config=CONFIG), "v2")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", *(wheels[name.replace("-", "_")] for name in names))


def test_users_of_a_directory_log_in(python, tmp_path):
    with Directory() as directory:
        settings = {f"MOORAGE_PLUGIN_LDAP_{name.upper()}": value for name, value in directory.settings().items()}
        env = {"MOORAGE_AUTHENTICATION": "true", **settings}
        with MoorageServer(tmp_path / "data", python=python, cwd=tmp_path, env=env) as server:
            asked = [("alice", DIRECTORY_PASSWORD), ("alice", "wrong"), ("*", DIRECTORY_PASSWORD)]
            answers = [httpx.get(f"{server.url}/v2/", auth=shown).status_code for shown in asked]
            assert answers == [200, 401, 401]
            shown = httpx.get(f"{server.url}/token", auth=asked[0], params={"scope": "registry:catalog:*"}).json()
            listed = httpx.get(f"{server.url}/v2/_catalog", headers={"Authorization": f"Bearer {shown['token']}"})
            assert listed.json() == {"repositories": []}


def test_blobs_lie_where_fsspec_is_told(python, wheels, tmp_path):
    url = f"fsspec:file://{tmp_path / 'blobs'}"
    server = MoorageServer(tmp_path / "data", python=python, cwd=tmp_path, env={"MOORAGE_STORAGE_URL": url})
    pushed = image(layer({"file": b"1"}))
    with running(server) as client:
        client.push("team/app", pushed, "v1")
    assert len(list((tmp_path / "blobs" / "blobs").iterdir())) == len(pushed.blobs)
    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "moorage-fsspec")
    with pytest.raises(AssertionError, match="no plugin offers storage for fsspec"), server:
        pass
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", wheels["moorage_fsspec"])
    with running(server) as client:
        assert client.everything("team/app", "v1") == pushed.everything()

"""Bad plugins of access in a server of several processes: nobody is let in, or allowed, by one that fails."""

import os
import subprocess
import sys
from functools import partial

import httpx
import pytest

from registry.testing.images import simple_image
from tests.isolation.installed import install
from tests.support.access import AUTHENTICATION, PASSWORD, prepare
from tests.support.ports import PATIENCE, wait_until
from tests.support.processes import ChildFailedError
from tests.support.server import MoorageServer

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(300)]

IMAGE = simple_image("healthy")
ANN = ("ann", PASSWORD)
WAYS = {
    "raises": "raise ZeroDivisionError('no')",
    "sleeps": "time.sleep(30)",
    "exits": "raise SystemExit(3)",
    "leaks": "[threading.Thread(target=hang, daemon=True).start() for _ in range(20)]; raise OSError",
    "rubbish": "return 7",
    "mutates": "told.name = told[0] = 'admin'",
    "recurses": "HOOK(told)",
    "dies": "os._exit(3)",
}
"""What each plugin does, as a statement inside of the hook."""


@pytest.fixture
def serving(tmp_path):
    """Give the function that makes a server with one plugin, whose calls may take a second; ann is a user of its own."""

    def make(way, hook, **settings):
        told = {"authenticate": "credentials", "authorize": "requests"}[hook]
        statement = WAYS.get(way, "pass").replace("HOOK", hook).replace("told", told)
        head = "raise ImportError('no')\n" if way == "import" else ""
        env = install(tmp_path / "plugins", {way: f"{head}@hookimpl\ndef {hook}({told}):\n    {statement}\n"})
        prepare(tmp_path / "data", {"all": {"to": ["everybody"], "role": "admin"}}, users=("ann",))
        return MoorageServer(
            tmp_path / "data", workers=2, env={**env, **AUTHENTICATION, "MOORAGE_HOOK_DEADLINE": "1", **settings}
        )

    return make


def asked(server, name, password, path="/v2/"):
    """Return the answer, or None where the process died."""
    try:
        return httpx.get(f"{server.url}{path}", auth=(name, password), timeout=30)
    except httpx.HTTPError:
        return None


def enters(server):
    answer = asked(server, *ANN)
    assert answer is None or answer.status_code == 200, answer.text
    return answer is not None


def failures(server, plugin, hook):
    """Return how often a plugin failed, as the server's own machine knows it."""
    with httpx.Client() as client:
        answer = client.get(f"{server.url}/api/v1/plugins", auth=ANN)
    health = {one["name"]: one.get("health", []) for one in answer.json()["items"]}
    return sum(one["failures"] for one in health[plugin] if one["hook"] == hook)


def locally(server, plugin_folder, *words):
    """Run a command on the server's own machine, as its operator."""
    argv = [sys.executable, "-m", "registry", "plugins", *words, "--data", str(server.data)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin_folder), *sys.path])}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("way", [*WAYS, "import"])
def test_a_bad_source_of_users_lets_nobody_in_and_keeps_nobody_out(serving, way):
    with serving(way, "authenticate") as server:
        for number in range(6):
            answer = asked(server, f"stranger{number}", "a password of theirs")
            if way == "import":
                assert answer.status_code == 401
            elif way == "dies":
                assert answer is None or answer.status_code == 503
            else:
                assert answer.status_code == 503
                assert answer.json()["errors"][0]["detail"] == {"plugin": way, "hook": "authenticate"}
            wait_until(partial(enters, server), PATIENCE, "who is known here is let in")
        if way not in ("import", "dies"):
            wait_until(lambda: failures(server, way, "authenticate") > 0, PATIENCE, "the failures are kept")
        log = server.log.read_text()
        assert "a password of theirs" not in log
        assert way == "import" or f"plugin {way}" in log


@pytest.mark.parametrize("way", WAYS)
def test_a_bad_denial_refuses_all_until_the_operator_blocks_it(serving, way, tmp_path):
    with serving(way, "authorize") as server:
        for _ in range(6):
            answer = asked(server, *ANN, "/v2/_catalog")
            assert answer is None or answer.status_code == 403, answer.text
            if answer is not None:
                assert answer.json()["errors"][0]["detail"]["plugin"] == way
        wait_until(lambda: asked(server, *ANN) is not None, PATIENCE, "the server is there")
        told = locally(server, tmp_path / "plugins", "block", way, "--reason", "it is being mended")
        assert way in told

        def pulled():
            answer = asked(server, *ANN, "/v2/_catalog")
            return answer is not None and answer.status_code == 200

        wait_until(lambda: all(pulled() for _ in range(4)), PATIENCE, "all go on without it")


def test_a_denial_that_cannot_be_imported_does_not_apply(serving):
    with serving("import", "authorize") as server:
        assert asked(server, *ANN, "/v2/_catalog").status_code == 200


def test_a_denial_that_is_required_keeps_the_server_from_starting_without_it(serving):
    server = serving("import", "authorize", MOORAGE_REQUIRED_PLUGINS="import")
    with pytest.raises(ChildFailedError, match="required plugins are not active: import"):
        server.start()

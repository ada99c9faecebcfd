"""Logins over real servers, two at a time: any of them goes on with what another one began; and what a key is then for.

The command line is a process of its own; a browser without scripts does what its user would do.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest

from registry.schema import upgrade
from registry.testing.client import RegistryClient
from registry.testing.images import simple_image
from tests.access.oidc import ADDRESS, ALICE, CLIENT, back, browser, house, provider
from tests.support.access import AUTHENTICATION, prepare
from tests.support.asking import CHIEF
from tests.support.browsing import browser_of, browser_over
from tests.support.commands import Command
from tests.support.images import write_layout
from tests.support.issuer import DOWN, UP, Issuer
from tests.support.ports import free_port
from tests.support.server import MoorageServer
from tests.support.services import Dockerd
from tests.support.tools import tool

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

RULES = {"builders": {"to": ["team:builders"], "on": ["team/*"], "role": "push"}}
GROUPS = ["staff", "others"]


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer"), path="/realms/staff") as running:
        running.person(**ALICE, groups=GROUPS)
        running.client(CLIENT, "hush")
        yield running


@contextmanager
def pair(folder, issuer, **more):
    """Give two servers over the same data, with the address of the first one for both."""
    port, data = free_port(), folder / "data"
    env = {
        **AUTHENTICATION,
        "MOORAGE_EXTERNAL_URL": f"http://127.0.0.1:{port}",
        "MOORAGE_OIDC_COMPANY_ISSUER": issuer.url,
        "MOORAGE_OIDC_COMPANY_CLIENT_ID": CLIENT,
        "MOORAGE_OIDC_COMPANY_CLIENT_SECRET": "hush",
        "MOORAGE_OIDC_COMPANY_GROUPS_CLAIM": "groups",
        "MOORAGE_OIDC_COMPANY_TEAMS": '{"staff": "builders"}',
        "MOORAGE_OIDC_COMPANY_REQUIRED_CLAIMS": '{"groups": ["staff"]}',
        "MOORAGE_OIDC_COMPANY_DISPLAY_NAME": "The Company",
        **more,
    }
    prepare(data, RULES, teams=("builders",), env=env)
    with MoorageServer(data, port=port, env=env) as one, MoorageServer(data, env=env) as other:
        yield one, other


@pytest.fixture(scope="module")
def servers(tmp_path_factory, issuer):
    with pair(tmp_path_factory.mktemp("servers"), issuer) as made:
        yield made


@contextmanager
def logging_in(server, home, *words):
    """Start `moorage login`, and give it with the address that it tells."""
    env = {**os.environ, "XDG_CONFIG_HOME": str(home)}
    argv = [sys.executable, "-m", "registry", "login", "--server", server.url, *words]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            told = next(line.strip() for line in process.stderr if "/login?code=" in line)
            yield process, told
        finally:
            process.kill()


def allow(address, answer="allow"):
    with httpx.Client(timeout=30) as client:
        at = browser_over(client)
        page = at.go(address)
        assert [link for link in page.links if "company" in link], page.text
        asked = at.go(page.links[0])
        assert "logged in as alice" in asked.words, asked.words
        return at.press(asked, answer).words


def key_by_command_line(server, home, *words):
    with logging_in(server, home, "--print-key", *words) as (process, address):
        assert "Allowed" in allow(address)
        out, told = process.communicate(timeout=60)
    assert process.returncode == 0, told
    assert "logged in as alice" in told
    return out.strip()


def moorage(server, home, *words):
    env = {**os.environ, "XDG_CONFIG_HOME": str(home)}
    argv = [sys.executable, "-m", "registry", *words, "--server", server.url]
    return subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_line_logs_in_at_one_server_and_its_user_at_another(servers, tmp_path):
    one, other = servers
    key = key_by_command_line(other, tmp_path)
    for server in servers:
        assert httpx.get(f"{server.url}/v2/", auth=("alice", key)).status_code == 200
    who = json.loads(moorage(other, tmp_path, "access", "whoami", "--json").stdout)
    assert (who["principal"], who["teams"]) == ("alice", ["builders"])
    assert json.loads(moorage(one, tmp_path, "access", "whoami", "--json").stdout)["principal"] == "anonymous", (
        "the key is for the server that gave it"
    )
    done = moorage(other, tmp_path, "logout")
    assert "logged out alice" in done.stdout, done.stderr
    assert httpx.get(f"{one.url}/v2/", auth=("alice", key)).status_code == 401


def test_a_browser_that_began_at_one_server_is_finished_by_another(servers, issuer):
    one, other = servers
    with httpx.Client(timeout=30) as client:
        at = browser_over(client)
        page = at.go(f"{other.url}/login/company")
        assert page.url == f"{one.url}/login/-/confirm"
        again = at.go(f"{other.url}/login/-/confirm")
        assert "logged in as alice" in again.words
        assert "The Company" in again.words
        assert "mk_" in at.press(again, "allow").words
        assert at.press(page, "allow").status == 400


def test_a_refusal_reaches_who_waits(servers, tmp_path):
    with logging_in(servers[0], tmp_path) as (process, address):
        assert "Refused" in allow(address, "deny")
        _, told = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the login was refused" in told
    assert not list(tmp_path.rglob("logins.json"))


def test_the_registry_goes_on_while_the_provider_is_down(servers, issuer, tmp_path):
    one, _ = servers
    key = key_by_command_line(one, tmp_path)
    issuer.be(DOWN)
    try:
        with httpx.Client(timeout=30) as client:
            assert browser_over(client).go(f"{one.url}/login/company/callback?state=x&code=y").status == 400
        with httpx.Client(base_url=one.url, auth=("alice", key), timeout=30) as client:
            RegistryClient(client).push("team/app", simple_image("while it is down"), "v1")
        assert httpx.get(f"{one.url}/health/ready").status_code == 200
    finally:
        issuer.be(UP)


def test_the_log_holds_no_secret(servers, issuer, tmp_path):
    key = key_by_command_line(servers[0], tmp_path)
    for server in servers:
        text = server.log.read_text()
        assert "/login/company/callback" in text or server is servers[1]
        for secret in (key, "hush", "poll_secret"):
            assert secret not in text, secret
        assert set(re.findall(r"(?:code|state)=([^&\s\"]*)", text)) <= {"********"}
        answers = [json.loads(line) for line in text.splitlines() if '"status"' in line]
        assert not [answer for answer in answers if answer["status"] >= 500]


@pytest.mark.needs_tools
def test_servers_over_postgresql(postgres, issuer, tmp_path):
    url = postgres.create_database("logins")
    with pair(tmp_path, issuer, MOORAGE_DATABASE_URL=url) as made:
        one, other = made
        key = key_by_command_line(other, tmp_path)
        assert httpx.get(f"{one.url}/v2/", auth=("alice", key)).status_code == 200
        test_a_browser_that_began_at_one_server_is_finished_by_another(made, issuer)
    postgres.drop_database("logins")


def at_once(*works):
    """Run all at the same time, and return what each returned."""
    barrier, found = threading.Barrier(len(works)), []

    def run(work):
        barrier.wait()
        found.append(work())

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return sorted(found)


@pytest.mark.needs_tools
def test_each_step_is_good_once_on_postgresql(postgres, issuer, tmp_path):
    url = postgres.create_database("steps")
    more = {"database_url": url, "storage_url": "memory:"}
    with house(tmp_path, provider(issuer, client_secret="hush"), **more) as made:
        upgrade(made.app)
        made.clock.now = int(time.time() * 1000)
        client = made.app.test_client()
        at = browser_of(client, ADDRESS)

        def clients(count, path, **given):
            """Return what asks, with the cookie of that browser, from several at once."""
            cookie = client.get_cookie("moorage-login").value
            works = []
            for _ in range(count):
                own = made.app.test_client()
                own.set_cookie("moorage-login", cookie)
                works.append(lambda own=own: own.open(path, **given).status_code)
            return works

        answer = made.client.post("/api/v1/logins", json={"host": "box"})
        asked = json.loads(answer.data)
        url_back = at.go(f"{ADDRESS}/login/company?code={asked['user_code']}", until=issuer.url).next
        callback = at.ask("GET", url_back).next.removeprefix(ADDRESS)
        other = browser(made)
        second = back(issuer, other)
        # The same person comes for the first time, by two browsers, and each by several connections.
        both = [*clients(3, callback), lambda: other.ask("GET", second).status]
        found = at_once(*both)
        assert found == [303, 303, 400, 400]
        assert [one.name for one in made.access.principals.list(CHIEF, robots=False, limit=9, last="").items] == [
            "alice"
        ]
        # Whichever finished has the cookie; a browser of its own goes on from there.
        at = browser_of(client, ADDRESS)
        page = at.go(f"{ADDRESS}/login/company?code={asked['user_code']}")
        form = {**page.fields, "answer": "allow"}
        kind = "application/x-www-form-urlencoded"
        answers = clients(4, "/login/-/confirm", method="POST", data=form, content_type=kind)
        assert at_once(*answers) == [200, 400, 400, 400]
        poll = {"path": "/api/v1/logins/poll", "method": "POST", "json": {"poll_secret": asked["poll_secret"]}}
        assert at_once(*clients(4, **poll)) == [201, 400, 400, 400]
        assert [one.name for one in made.access.keys.list(CHIEF, "alice")] == ["login on box"]
        made.access.principals.delete(CHIEF, "alice")
    postgres.drop_database("steps")


# What the key is for


@pytest.mark.needs_tools
def test_crane_pushes_with_the_key_of_a_login(servers, tmp_path):
    server = servers[0]
    crane = Command(tool("crane"), tmp_path / "home", ["--insecure"])
    key = key_by_command_line(server, tmp_path)
    crane("auth", "login", "-u", "alice", "--password-stdin", server.host, stdin=key)
    layout = write_layout(tmp_path / "in", simple_image("by crane"), names=["1"])
    crane("push", layout, f"{server.host}/team/crane:1")
    assert "403 Forbidden" in crane.refused("push", layout, f"{server.host}/other/crane:1")
    assert moorage(server, tmp_path, "logout").returncode == 0
    assert crane.refused("push", layout, f"{server.host}/team/crane:2")


@pytest.mark.needs_tools
def test_docker_logs_in_with_the_key_of_a_login(servers, tmp_path):
    server = servers[0]
    with Dockerd(insecure_registries=(server.host,)) as daemon:
        docker = Command(tool("docker"), tmp_path / "home", env={"DOCKER_HOST": f"unix://{daemon.socket}"})
        key = key_by_command_line(server, tmp_path)
        assert "Succeeded" in docker("login", "-u", "alice", "--password-stdin", server.host, stdin=f"{key}\n")
        with httpx.Client(base_url=server.url, auth=("alice", key), timeout=30) as client:
            RegistryClient(client).push("team/docker", simple_image("by docker"), "1")
        docker("pull", f"{server.host}/team/docker:1")
        assert moorage(server, tmp_path, "logout").returncode == 0
        assert docker.refused("login", "-u", "alice", "--password-stdin", server.host, stdin=f"{key}\n")

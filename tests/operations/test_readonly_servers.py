"""The switch over real processes: two servers and a worker follow it within two seconds, on either database."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from registry.testing.images import simple_image
from tests.operations.conftest import command
from tests.support.commands import Command
from tests.support.images import write_layout
from tests.support.ports import PATIENCE, wait_until
from tests.support.pushers import Ledger, Pusher, pushing
from tests.support.server import MoorageServer
from tests.support.tools import tool

pytestmark = pytest.mark.needs_tools
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path):
    """Give the settings that all processes share."""
    data = tmp_path / "shared"
    data.mkdir()
    env = {"MOORAGE_UPLOAD_DEADLINE": "1", "MOORAGE_STORAGE_URL": f"file://{data / 'storage'}"}
    if request.param == "sqlite":
        yield {**env, "MOORAGE_DATABASE_URL": f"sqlite:///{data / 'moorage.db'}"}
        return
    postgres = request.getfixturevalue("postgres")
    yield {**env, "MOORAGE_DATABASE_URL": postgres.create_database("readonly")}
    postgres.drop_database("readonly")


def test_clients_show_the_reason(tmp_path):
    """What crane says; Docker shows the status of an answer of 503 alone, and asks again five times before."""
    with MoorageServer(tmp_path / "data") as server:
        crane = Command(tool("crane"), tmp_path / "home", ["--insecure"])
        layout = write_layout(tmp_path / "in", simple_image("crane"))
        crane("push", layout, f"{server.host}/team/app:1")
        readonly({}, "on", "--reason", "the database moves", "--wait", folder=tmp_path / "data")
        told = crane.refused(
            "push", write_layout(tmp_path / "other", simple_image("other")), f"{server.host}/team/app:2"
        )
        assert "the registry is read-only: the database moves (switched by operator)" in told
        assert crane("ls", f"{server.host}/team/app") == "1\n"
        crane("pull", f"{server.host}/team/app:1", tmp_path / "image.tar")


@pytest.fixture
def servers(place, tmp_path):
    """Give two servers of several processes over one database, one with a worker."""
    with (
        MoorageServer(tmp_path / "one", workers=2, env=place, worker=True) as one,
        MoorageServer(tmp_path / "two", workers=2, env=place) as two,
    ):
        yield one, two


def readonly(place, *arguments, folder):
    return command("readonly", *arguments, "--data", str(folder), env=place)


def written(place, folder):
    """Return all that is in the database but what changes with the switch."""
    code = (
        "import sys; from registry.cli.common import read_settings; from registry.cli.local import opened_app\n"
        "from tests.operations.conftest import rows_of\n"
        "with opened_app(read_settings({'data': sys.argv[1]})) as app:\n"
        "    print(rows_of(app.extensions['moorage'].database))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, env=command.env(place), capture_output=True, check=True
    )
    return done.stdout


def wait_until_open(client):
    """Wait until every process of a server takes writes again: each follows the switch by itself."""

    def answers():
        return {client.post("/v2/team/asked/blobs/uploads/").status_code for _ in range(8)}

    wait_until(lambda: answers() == {202}, PATIENCE, "all take writes again")


def test_nothing_is_written_by_anybody_once_it_is_settled_and_all_goes_on_afterwards(place, servers, tmp_path, figure):
    one, two = servers
    ledger = Ledger()
    with pushing(one.url, ledger, lasting=True), pushing(two.url, ledger, seed=1, lasting=True):
        ledger.wait_for(40)
        answer = readonly(place, "on", "--reason", "the database moves", "--wait", "--json", folder=tmp_path / "one")
        assert '"settled": true' in answer
        kept, acknowledged = written(place, tmp_path / "one"), ledger.acknowledged
        refused = ledger.refused[503]
        wait_until(lambda: ledger.refused[503] > refused + 50, PATIENCE, "pushes are refused")
        for server in servers:
            with httpx.Client(base_url=server.url, timeout=PATIENCE) as client:
                job = client.post("/api/v1/jobs/collection/runs", json={})
                assert (job.status_code, "the database moves" in job.text) == (503, True)
                assert client.get("/v2/_catalog").status_code == 200
                checks = client.get("/health/ready").json()["checks"]
                assert "read-only: the database moves" in {check["detail"] for check in checks}
        assert (written(place, tmp_path / "one"), ledger.acknowledged) == (kept, acknowledged)
        assert any("read-only: the database moves (switched by operator)" in text for text in ledger.texts)
        readonly(place, "off", folder=tmp_path / "one")
        ledger.wait_for(acknowledged + 40)
    with httpx.Client(base_url=two.url, timeout=PATIENCE) as client:
        wait_until_open(client)
        run = client.post("/api/v1/jobs/collection/runs", json={}).json()["id"]
        wait_until(lambda: client.get(f"/api/v1/runs/{run}").json()["finished"], PATIENCE, "the worker works again")
        assert client.get(f"/api/v1/runs/{run}").json()["state"] == "DONE"
    figure(ledger.summary(one.url))


def test_an_upload_over_two_servers_goes_on_where_it_stood(place, servers, tmp_path):
    one, two = servers
    ledger = Ledger()
    data = b"0123456789" * 1000
    with (
        httpx.Client(base_url=one.url, timeout=PATIENCE) as first,
        httpx.Client(base_url=two.url, timeout=PATIENCE) as second,
    ):
        pusher = Pusher(first, ledger)
        location = pusher.patch(pusher.begin(), data[:4000])
        readonly(place, "on", "--reason", "a while", "--wait", folder=tmp_path / "one")
        assert second.patch(location, content=data[4000:]).status_code == 503
        readonly(place, "off", folder=tmp_path / "one")
        wait_until_open(second)
        Pusher(second, ledger).finish_late(location, data, data[4000:])
    assert not ledger.lost(one.url)

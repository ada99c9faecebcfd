"""What every fault is tried on: a registry in processes of its own, and a client of it."""

import httpx
import pytest

from tests.support.ports import PATIENCE
from tests.support.pushers import Ledger, Pusher
from tests.support.server import MoorageServer

SHORT_DEADLINE = {"MOORAGE_UPLOAD_DEADLINE": "1"}


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def server(tmp_path):
    with MoorageServer(tmp_path / "data", workers=2, threads=8, env=SHORT_DEADLINE) as running:
        yield running


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as opened:
        yield opened


@pytest.fixture
def pusher(client, ledger):
    return Pusher(client, ledger)

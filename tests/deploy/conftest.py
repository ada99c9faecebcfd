"""Two replicas over one PostgreSQL and one S3 service, and each of the proxies of deploy/ before them."""

import contextlib
import json
import ssl
import uuid

import httpx
import pytest

from tests.support.access import AUTHENTICATION, PASSWORD, prepare
from tests.support.commands import Command
from tests.support.proxies import PROXIES
from tests.support.server import MoorageServer
from tests.support.tools import tool

RULES = {"pushers": {"to": ["user:ann"], "role": "maintain"}}
PROXY_ADDRESS, CLIENT_ADDRESS = "127.0.0.1", "127.0.0.2"
"""From where proxies reach the replicas, and another of this machine's addresses, from where a client comes."""


@pytest.fixture(scope="module")
def parts(postgres, s3_gateway, tmp_path_factory):
    """The settings of replicas: a database with the user ann, and a bucket."""
    name = f"deploy-{uuid.uuid4().hex[:8]}"
    settings = {
        **AUTHENTICATION,
        **s3_gateway.settings(s3_gateway.create_bucket(name)),
        "MOORAGE_DATABASE_URL": postgres.create_database(name),
        "MOORAGE_TRUSTED_PROXIES": PROXY_ADDRESS,
        "MOORAGE_ALLOW_SPARSE": "true",
    }
    prepare(tmp_path_factory.mktemp("prepared") / "data", RULES, users=("ann",), env=settings)
    return settings


@pytest.fixture(scope="module")
def replicas(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(MoorageServer(folder / name, workers=1, env=parts)) for name in ("one", "two")]


@pytest.fixture(scope="module", params=PROXIES)
def proxy(request, replicas):
    with PROXIES[request.param](replicas=[replica.port for replica in replicas]) as running:
        yield running


@pytest.fixture
def connect(proxy):
    """Make an httpx client of the proxy, logged in as ann."""
    with contextlib.ExitStack() as stack:

        def make(address="", **more):
            context = ssl.create_default_context(cafile=str(proxy.authority))
            transport = httpx.HTTPTransport(verify=context, local_address=address or None)
            more = {"auth": ("ann", PASSWORD), **more}
            return stack.enter_context(
                httpx.Client(base_url=f"https://{proxy.host}", transport=transport, timeout=60, **more)
            )

        yield make


@pytest.fixture
def crane(proxy, tmp_path):
    """crane, which trusts the proxy's certificate and is logged in as ann."""
    made = Command(tool("crane"), tmp_path / "home", (), {"SSL_CERT_FILE": str(proxy.authority)}, timeout=110)
    made("auth", "login", "-u", "ann", "--password-stdin", proxy.host, stdin=PASSWORD)
    return made


@pytest.fixture
def answered(replicas):
    """Return what a replica's access log has of requests whose path has some text in it."""

    def lines(replica, text):
        told = (json.loads(line) for line in replica.log.read_text().splitlines() if '"log": "access"' in line)
        return [line for line in told if text in line["path"]]

    return lines

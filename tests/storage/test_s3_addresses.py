"""How a service is found and believed, and who the registry is to it: addresses, authorities, credentials."""

import contextlib
import datetime as dt
import json
import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from registry.hooks import Outcome, StorageError
from registry.storage.s3_driver import S3Storage
from registry.storage.trials import try_driver
from registry.testing.contracts.pieces import fetch, pattern, store
from tests.support.certificates import make_pair
from tests.support.services import VersityGateway

pytestmark = pytest.mark.needs_tools

STS_ANSWER = """\
<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{secret}</SecretAccessKey><SessionToken></SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>
"""


def options(gateway, **more):
    return {
        "endpoint_url": gateway.endpoint_url,
        "region": gateway.region,
        "access_key_id": gateway.access_key,
        "secret_access_key": gateway.secret_key,
        **more,
    }


def lacking(driver):
    return {one.call: one.answer for one in try_driver(driver) if one.outcome is not Outcome.OK}


@pytest.fixture
def any_localhost(monkeypatch):
    """Let every name below localhost be this machine, as resolvers of browsers do; return those that were asked for."""
    real, asked = socket.getaddrinfo, set()

    def resolve(host, *args, **named):
        asked.add(host)
        return real("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


def test_the_bucket_may_be_a_part_of_the_host(any_localhost):
    with VersityGateway(flags=("--virtual-domain", "s3.localhost")) as gateway:
        url = f"http://s3.localhost:{gateway.port}"
        path = S3Storage.from_url("s3://in-the-host", options(gateway))
        path._bucket._client.create_bucket(Bucket="in-the-host")
        driver = S3Storage.from_url(
            "s3://in-the-host/p", options(gateway, endpoint_url=url, addressing_style="virtual")
        )
        assert lacking(driver) == {}
        assert "in-the-host.s3.localhost" in any_localhost
        assert "in-the-host.s3.localhost" in driver.url_of("0" * 32, "text/plain", 60)


def test_clients_may_know_the_service_by_another_address(s3_gateway):
    bucket = s3_gateway.create_bucket("public-address")
    public = f"http://localhost:{s3_gateway.port}"
    driver = S3Storage.from_url(f"s3://{bucket}", options(s3_gateway, public_endpoint_url=public))
    assert lacking(driver) == {}
    assert driver.url_of(store(driver, b"data"), "text/plain", 60).startswith(public)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Make a certificate of 127.0.0.1 that nobody knows."""
    return make_pair(tmp_path_factory.mktemp("tls"))


def test_a_service_is_believed_by_an_authority_of_ones_own(certificate):
    cert, key = map(str, certificate)
    with VersityGateway(flags=("--cert", cert, "--key", key)) as gateway:
        there = {"endpoint_url": f"https://127.0.0.1:{gateway.port}"}
        driver = S3Storage.from_url("s3://over-tls", options(gateway, **there, ca_bundle=cert))
        driver._bucket._client.create_bucket(Bucket="over-tls")
        assert lacking(driver) == {}
        assert fetch(driver, store(driver, pattern(9 << 20))) == pattern(9 << 20)
        with pytest.raises(StorageError, match=r"(?i)certificate"):
            S3Storage.from_url("s3://over-tls", options(gateway, **there)).check()


@pytest.fixture
def tokens(s3_gateway):
    """A service that gives keys for a web identity, and notes what it was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked.append({name: values[0] for name, values in form.items()})
            until = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
            text = STS_ANSWER.format(
                key=s3_gateway.access_key, secret=s3_gateway.secret_key, until=until.isoformat()
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def storage_check(tmp_path, s3_gateway, bucket, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MOORAGE_", "AWS_"))}
    settings = s3_gateway.settings(bucket)
    del settings["MOORAGE_S3_ACCESS_KEY_ID"], settings["MOORAGE_S3_SECRET_ACCESS_KEY"]
    aws = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path), **env}
    argv = [sys.executable, "-m", "registry", "storage", "check", "--data", str(tmp_path / "data"), "--json"]
    done = subprocess.run(argv, env={**kept, **settings, **aws}, capture_output=True, text=True, check=False)
    return {call["call"]: call for call in json.loads(done.stdout)}


def test_a_web_identity_gets_its_keys_from_the_service_of_tokens(tmp_path, s3_gateway, tokens):
    url, asked = tokens
    (tmp_path / "token").write_text("signed-by-the-cluster")
    calls = storage_check(
        tmp_path,
        s3_gateway,
        s3_gateway.create_bucket("web-identity"),
        AWS_ROLE_ARN="arn:aws:iam::123456789012:role/registry",
        AWS_WEB_IDENTITY_TOKEN_FILE=str(tmp_path / "token"),
        AWS_ENDPOINT_URL_STS=url,
    )
    # The keys of this service have no token, and it takes no URL with an empty one.
    assert {name for name, call in calls.items() if call["outcome"] != "ok"} <= {"presigned URL"}
    assert calls["presigned URL"]["answer"] in ("", "a signed URL is answered with 400 InvalidToken")
    (form,) = asked
    assert form["Action"] == "AssumeRoleWithWebIdentity"
    assert form["WebIdentityToken"] == "signed-by-the-cluster"
    assert form["RoleArn"] == "arn:aws:iam::123456789012:role/registry"


@pytest.mark.parametrize("where", ["variables", "file"])
def test_keys_come_from_where_the_sdk_looks(tmp_path, s3_gateway, where):
    keys = {"AWS_ACCESS_KEY_ID": s3_gateway.access_key, "AWS_SECRET_ACCESS_KEY": s3_gateway.secret_key}
    if where == "file":
        lines = "".join(f"{name.lower()} = {value}\n" for name, value in keys.items())
        (tmp_path / "credentials").write_text(f"[default]\n{lines}")
        keys = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    calls = storage_check(tmp_path, s3_gateway, s3_gateway.create_bucket(f"keys-from-{where}"), **keys)
    assert {name: call["answer"] for name, call in calls.items() if call["outcome"] != "ok"} == {}


def test_no_keys_at_all_are_told(tmp_path, s3_gateway):
    (call,) = storage_check(tmp_path, s3_gateway, "no-matter").values()
    assert (call["outcome"], call["answer"]) == (
        "failed",
        "cannot reach bucket no-matter: Unable to locate credentials",
    )


def test_keys_of_a_stranger_are_told(s3_gateway):
    bucket = s3_gateway.create_bucket("strangers")
    driver = S3Storage.from_url(f"s3://{bucket}", options(s3_gateway, secret_access_key="wrong"))
    with contextlib.closing(driver._bucket._client):
        found = lacking(driver)
    assert "SignatureDoesNotMatch" in found["PutObject"]

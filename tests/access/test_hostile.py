"""What clients send to be known by, at its worst: never a fault, and nothing of it comes back."""

import base64
import random
import re
import shutil

import pytest
from flask import request

from registry.blueprints._asking import client_address
from registry.testing.apps import quick_folder
from tests.support.asking import PASSWORD, basic, world

EVIL = "evil.example"
CHALLENGE = re.compile(
    r'Bearer realm="http://localhost/token",service="moorage"(,scope="[a-z0-9:/*,._ -]+")?(,error="[a-z_]+")?'
)


@pytest.fixture(scope="module")
def town(shared):
    shared.user("alice", PASSWORD)
    shared.rule("alice", "user:alice", role="admin")
    return shared


def b64(data):
    return base64.b64encode(data).decode()


HEADERS = {
    "no base64": "Basic !!!",
    "base64 cut": "Basic YWxpY2U6",
    "no padding": "Basic YWxpY2U6eA",
    "url-safe": "Basic _-_-",
    "nothing": "Basic",
    "space": "Basic ",
    "no colon": "Basic " + b64(b"alice"),
    "colon alone": "Basic " + b64(b":"),
    "no name": "Basic " + b64(b":" + PASSWORD.encode()),
    "no password": "Basic " + b64(b"alice:"),
    "NUL in the name": "Basic " + b64(b"ali\0ce:x"),
    "NUL in the password": "Basic " + b64(b"alice:" + PASSWORD.encode() + b"\0"),
    "latin-1": "Basic " + b64("jörg:wört".encode("latin-1")),
    "utf-8": "Basic " + b64("jörg:wört".encode()),
    "utf-16": "Basic " + b64("alice:x".encode("utf-16")),
    "surrogates": "Basic " + b64(b"\xed\xa0\x80:\xed\xa0\x80"),
    "newlines": "Basic " + b64(b"a\r\nb:c\r\nd"),
    "1 MiB": "Basic " + b64(b"alice:" + b"x" * (1 << 20)),
    "1 MiB of name": "Basic " + b64(b"x" * (1 << 20) + b":x"),
    "a long password that starts right": "Basic " + b64(b"alice:" + PASSWORD.encode() + b"x" * 9000),
    "a key's sign": "Basic " + b64(b"alice:mk_"),
    "another scheme": "Digest username=alice",
    "Negotiate": "Negotiate abc",
    "scheme alone": "Bearer",
    "scheme of letters": "x" * 5000,
    "twice": f"Basic {b64(b'alice:x')}, Basic {b64(b'alice:x')}",
    "not ASCII": "Basic \xff\xfe",
    "comma": ",",
    "operator": "Basic " + b64(b"operator:" + PASSWORD.encode()),
    "anonymous": "Basic " + b64(b"anonymous:"),
    "SQL": "Basic " + b64(b"alice' OR '1'='1:x"),
    "job": "Basic " + b64(b"job:retention"),
    "LIKE": "Basic " + b64(b"%:x"),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/token"), ("GET", "/v2/"), ("GET", "/api/v1/jobs"), ("PUT", "/v2/a/b/manifests/x")]
)
def test_credentials_that_are_none(town, kind, method, path):
    town.services.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM login_failure"))
    answer = town.client.open(path, method=method, headers={"Authorization": HEADERS[kind]})
    assert answer.status_code == 401, answer.text
    challenges = answer.headers.getlist("WWW-Authenticate")
    assert all(CHALLENGE.fullmatch(one) or one.startswith("Basic realm=") for one in challenges)
    assert challenges
    assert len(answer.data) < 1000


FORMS = [
    b"", b"x", b"=", b"&&&", b"grant_type", b"grant_type=", b"grant_type=password", b"grant_type=password&username=alice",
    b"grant_type=password&username=%00&password=%00", b"grant_type=password&username=%ff&password=%ff",
    b"grant_type=password&username=alice&password=" + b"x" * 60_000, b"grant_type=refresh_token",
    b"grant_type=refresh_token&refresh_token=mr_" + b"A" * 48, b"grant_type=refresh_token&refresh_token=%00",
    b"grant_type=refresh_token&refresh_token=%ed%a0%80", b"grant_type=client_credentials", b"\xff\xfe\x00", b"x" * 70_000,
    b"&".join(b"a=b" for _ in range(5000)), b"grant_type=password&grant_type=refresh_token&username=alice&password=x",
    b"grant_type=password&username=alice&password=x&scope=" + b"repository:a:pull%20" * 100,
    b"grant_type=password&username=alice&password=x&scope=%00", b"grant_type=password&%00=%00", b"grant_type[]=password", b'{"grant_type": "password"}',
]  # fmt: skip


@pytest.mark.parametrize("body", FORMS, ids=range(len(FORMS)))
def test_forms_that_are_none(town, body):
    town.services.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM login_failure"))
    for kind in ("application/x-www-form-urlencoded", "application/json", "", "multipart/form-data; boundary=x"):
        answer = town.client.post("/token", data=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 401, 429), answer.text


SCOPES = [
    "", "x", ":", "::", ":::", "repository", "repository:", "repository::pull", "repository:a", "repository:a:",
    "repository:a:PULL", "repository:A:pull", "repository:../a:pull", "repository:a\0b:pull", "repository:a:pull,,push",
    "repository:*:pull", "repository:" + "a" * 10_000 + ":pull", "registry:catalog:*", "registry:other:*",
    "repository(plugin):a:pull", "repository():a:pull", "unknown:a:pull", "repository:a:b:c:pull", "repository:host:5000/a:pull",
    "repository:as-of.x/a:pull", " ".join(["repository:a:pull"] * 65), "repository:a:delete,push,pull,pull,*", "\N{SNOWMAN}",
    'repository:a":pull', "repository:a:pull,admin,list,none", "repository:a/:pull", "repository:/a:pull",
]  # fmt: skip


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: ascii(scope)[:40])
def test_scopes_that_are_none(town, scope):
    for header in ({}, town.as_("alice")):
        answer = town.client.get("/token", query_string={"scope": scope}, headers=header)
        assert answer.status_code in (200, 400), answer.text
        form = {"grant_type": "password", "username": "alice", "password": PASSWORD, "scope": scope}
        assert town.client.post("/token", data=form).status_code in (200, 400)


def test_random_bytes_as_credentials(town):
    chance = random.Random(7)
    for _ in range(300):
        kind = chance.choice(("Basic ", "Bearer ", "basic ", ""))
        text = "".join(
            chr(chance.choice((chance.randrange(32, 127), chance.randrange(160, 256))))
            for _ in range(chance.randrange(60))
        )
        if chance.random() < 0.5 and kind:
            text = b64(chance.randbytes(chance.randrange(40)))
        answer = town.client.get("/v2/", headers={"Authorization": kind + text})
        assert answer.status_code in (401, 429), (kind, text)


@pytest.mark.parametrize(
    "host",
    [
        f'{EVIL}"', f"{EVIL}, Basic realm=x", f"{EVIL}/path", f"{EVIL}\t", "a" * 300, f"user@{EVIL}", "", " ", "[::1", "[evil]",
        "a:99999999", "a\x7fb", "é.example", f"{EVIL}?x", f"{EVIL}#x", "%0d%0a", "a b", f"{EVIL};x", "x\\y",
    ],
)  # fmt: skip
def test_an_odd_host_is_not_in_the_realm(town, host):
    answer = town.client.get("/v2/", environ_overrides={"HTTP_HOST": host})
    assert answer.status_code in (400, 401)
    if answer.status_code == 401:
        assert re.fullmatch(
            r'Bearer realm="http://localhost(:80)?/token",service="moorage"', answer.headers["WWW-Authenticate"]
        )
    assert EVIL not in str(answer.headers)


def test_the_realm_is_where_the_registry_is_said_to_be(folder):
    with world(folder, external_url="https://registry.example.org") as app:
        answer = app.client.get("/v2/", headers={"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "gopher"})
        realm = 'realm="https://registry.example.org/token",service="https://registry.example.org"'
        assert answer.headers["WWW-Authenticate"] == f"Bearer {realm}"


PROXIES = [
    # what the socket says, what is forwarded, and who it is
    ("203.0.113.9", "10.9.9.9", "203.0.113.9"),
    ("127.0.0.1", "10.9.9.9", "10.9.9.9"),
    ("127.0.0.1", "10.9.9.9, 198.51.100.1", "198.51.100.1"),
    ("127.0.0.1", "10.9.9.9, 192.168.1.1", "10.9.9.9"),
    ("127.0.0.1", "192.168.1.2, 192.168.1.1", "192.168.1.2"),
    ("127.0.0.1", "", "127.0.0.1"),
    ("127.0.0.1", "nonsense", "127.0.0.1"),
    ("127.0.0.1", "10.9.9.9, nonsense, 192.168.1.1", "192.168.1.1"),
    ("127.0.0.1", "x" * 10_000, "127.0.0.1"),
    ("127.0.0.1", ",,,", "127.0.0.1"),
    ("127.0.0.1", "\0", "127.0.0.1"),
    ("127.0.0.1", "10.9.9.9:1234", "127.0.0.1"),
    ("127.0.0.1", "2001:db8::1", "2001:db8::1"),
    ("::ffff:127.0.0.1", "10.9.9.9", "10.9.9.9"),
    ("", "10.9.9.9", ""),
]


@pytest.fixture(scope="module")
def proxied(blank):
    with quick_folder() as folder:
        shutil.copy(blank / "moorage.db", folder)
        with world(folder, trusted_proxies=("127.0.0.0/8", "192.168.0.0/16")) as app:
            app.user("alice")
            app.rule("inside", "user:alice", role="pull", networks=["10.0.0.0/8"])
            app.push("team/app", "v1")
            yield app


@pytest.mark.parametrize(("socket", "forwarded", "client"), PROXIES)
def test_an_address_is_believed_from_trusted_proxies_alone(proxied, socket, forwarded, client):
    environ = {"REMOTE_ADDR": socket, "HTTP_X_FORWARDED_FOR": forwarded}
    with proxied.app.test_request_context("/v2/", environ_overrides=environ):
        assert client_address() == client
        assert request.environ["moorage.address"] == client  # as the access log has it
    answer = proxied.client.get("/v2/team/app/tags/list", headers=proxied.as_("alice"), environ_overrides=environ)
    assert answer.status_code == (200 if client.startswith("10.") else 403)
    wrong = proxied.client.get("/v2/", headers=basic("alice", "wrong"), environ_overrides=environ)
    assert wrong.status_code in (401, 429)


@pytest.mark.parametrize(
    ("socket", "proto", "scheme"),
    [("127.0.0.1", "https", "https"), ("127.0.0.1", "http", "http"), ("127.0.0.1", "gopher", "http"),
     ("127.0.0.1", 'https"', "http"), ("203.0.113.9", "https", "http"), ("127.0.0.1", "https, http", "http")],
)  # fmt: skip
def test_a_scheme_is_believed_from_trusted_proxies_alone(proxied, socket, proto, scheme):
    environ = {"REMOTE_ADDR": socket, "HTTP_X_FORWARDED_PROTO": proto, "HTTP_X_FORWARDED_HOST": EVIL}
    answer = proxied.client.get("/v2/", environ_overrides=environ)
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="{scheme}://localhost/token"')
    assert EVIL not in str(answer.headers)

"""Bytes that are no HTTP, sent to a real server: one refusal or a closed connection, and no second answer."""

import http.client
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import attacks
from tests.support.framings import SMUGGLED, exchange, framings
from tests.support.server import MoorageServer

pytestmark = pytest.mark.needs_tools

FRAMINGS = list(framings())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with MoorageServer(folder / "data", workers=2, threads=4) as running:
        yield running
    assert {path.name for path in folder.iterdir()} == {"data", "data.log"}
    assert "Traceback" not in running.log.read_text()


def test_there_are_enough_cases():
    assert len({name for name, _ in FRAMINGS}) == len(FRAMINGS) >= 60
    assert len({sent for _, sent in FRAMINGS}) == len(FRAMINGS)


def ask(server, method, target):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, target)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_broken_framing_gets_one_refusal_or_none(server):
    uploads = [ask(server, "POST", "/v2/a/b/blobs/uploads/").headers["Location"] for _ in FRAMINGS]

    def attack(case, upload):
        return exchange(server.port, case[1].replace(b"/UPLOAD", upload.encode()))

    with ThreadPoolExecutor(8) as pool:
        told = dict(zip(FRAMINGS, pool.map(attack, FRAMINGS, uploads), strict=True))
    wrong = {
        name: [(answer.status, answer.body[:200]) for answer in answers]
        for (name, _), answers in told.items()
        if len(answers) > 1 or not all(answer.is_refusal() for answer in answers)
    }
    assert wrong == {}
    # Most of them are told why; were all connections just closed, the above would prove nothing.
    assert sum(len(answers) == 1 for answers in told.values()) > len(FRAMINGS) / 2
    # Nothing of a broken body was kept.
    assert {ask(server, "GET", upload).headers["Range"] for upload in uploads} == {"0-0"}
    assert server.is_ready()


POST = b"POST /v2/a/b/blobs/uploads/ HTTP/1.1\r\nHost: registry\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (SMUGGLED, [200]),
        (SMUGGLED * 3, [200, 200, 200]),
        (POST + b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED, [202]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), [202]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n" + SMUGGLED, [202, 200]),
        (POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n" + SMUGGLED, [202, 200]),
        (b"GET http://evil.example/v2/ HTTP/1.1\r\nHost: registry\r\n\r\n", [200]),
        (b"GET http://evil.example/v2/a/tags/list HTTP/1.1\r\nHost: registry\r\n\r\n", [404]),
        (b"GET /v2/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: registry\r\n\r\n", [404]),
        (b"GET /v2/../../etc/passwd HTTP/1.1\r\nHost: registry\r\n\r\n", [404]),
        (b"GET //evil.example/v2/ HTTP/1.1\r\nHost: registry\r\n\r\n", [404]),
        (b"GET /v2/nobody%2fb/tags/list HTTP/1.1\r\nHost: registry\r\n\r\n", [404]),
        (b"GET /v2/ HTTP/1.0\r\n\r\n", [200]),
    ],
)
def test_what_is_odd_but_well_formed_gets_as_many_answers_as_requests(server, sent, statuses):
    answers = exchange(server.port, sent)
    assert [answer.status for answer in answers] == statuses
    for answer in answers:
        assert b"evil.example" not in answer.head + answer.body.replace(b'"path": "/evil.example', b"")
        assert b"text/html" not in answer.head.lower()


def test_encodings_reach_a_real_server_undecoded_and_are_refused(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    for name, method, target in attacks.encodings():
        connection.request(method, target)
        answer = connection.getresponse()
        body = answer.read()
        assert 400 <= answer.status < 500, (name, body)
        assert answer.headers["Content-Type"] == "application/json", name
        (error,) = json.loads(body)["errors"]
        assert set(error) == {"code", "message", "detail"}, name
    connection.close()
    assert json.loads(_get(server, "/v2/_catalog")) == {"repositories": []}


def _get(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", path)
    body = connection.getresponse().read()
    connection.close()
    return body

"""The client: what it refuses to send, where it connects, and when it stops waiting."""

import ipaddress
import re
import socket
import ssl
import threading
import time

import pytest
from cryptography import x509

from registry.egress.addresses import AddressRules
from registry.egress.client import BODY_LIMIT, EgressClient
from registry.hooks import EgressFailed, EgressRefused
from tests.support.certificates import make_pair
from tests.support.listening import OK, Listener, answering, read_request
from tests.support.ports import PATIENCE, free_port

RESOLVE = socket.getaddrinfo
LOOPBACK = ("127.0.0.0/8",)


def post(client, url, *, body=b"{}", headers=None, timeout=PATIENCE):
    return client.post(url, body, headers or {}, timeout)


def resolving(*answers):
    """Return a resolver that gives one answer after another, and the hosts it was asked for."""
    asked, left = [], list(answers)

    def resolve(host, seconds):
        asked.append(host)
        return [ipaddress.ip_address(text) for text in left.pop(0)]

    return resolve, asked


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_SET",
            "javascript:alert(1)",
            "",
            "//x/y",
        ),
        *(
            "http://",
            "http:///x",
            "http://:80/",
            "https://user@example.org/",
            "https://user:pw@example.org/",
            "example.org",
        ),
        *(
            "http://example.org:0/",
            "http://example.org:65536/",
            "http://example.org:x/",
            "http://h/\r\nX: y",
            "http://h/ x",
        ),
        *(
            "http://127.0.0.1/",
            "http://127.1.2.3:8080/",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "https://10.0.0.1",
        ),
        *(
            "http://169.254.169.254/latest/meta-data",
            "http://[::ffff:127.0.0.1]/",
            "http://[fe80::1%25eth0]/",
            "http://[1",
        ),
        *(
            "http://127\u30020\u30020\u30021/",
            "http://example.org\\@127.0.0.1/",
            "http://h/" + "x" * 2048,
            "http://\x00/",
        ),
    ],
)
def test_a_url_that_could_never_be_sent_is_refused_without_asking_the_network(url):
    resolve, asked = resolving()
    client = EgressClient(resolve=resolve)
    with pytest.raises(EgressRefused):
        client.check(url)
    with pytest.raises(EgressRefused):
        post(client, url)
    assert asked == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "localhost"])
def test_other_ways_to_write_loopback_are_refused_once_resolved(monkeypatch, host):
    monkeypatch.setattr("socket.getaddrinfo", RESOLVE)  # a number asks no network
    with Listener() as canary, pytest.raises(EgressRefused, match=r"no public address|Invalid IPv4"):
        post(EgressClient(), f"http://{host}:{canary.port}/")
    assert canary.hits == 0


def test_a_request_arrives_with_body_headers_and_the_name_that_was_asked_for():
    seen = []

    def answer(connection):
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nX-One: a\r\nx-one: b\r\nContent-Length: 2\r\n\r\nok")

    resolve, _ = resolving(["127.0.0.1"])
    with Listener(answer) as receiver:
        url = f"http://hooks.example.org:{receiver.port}/a/b?c=d#e"
        client = EgressClient(LOOPBACK, resolve=resolve)
        response = post(client, url, body=b'{"a":1}', headers={"Content-Type": "application/json"})
    assert (response.status, response.body, response.truncated) == (202, b"ok", False)
    assert response.headers["x-one"] == "a, b"
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert body == b'{"a":1}'
    lines = head.decode().split("\r\n")
    assert lines[0] == "POST /a/b?c=d HTTP/1.1"
    wanted = {f"Host: hooks.example.org:{receiver.port}", "User-Agent: moorage", "Content-Type: application/json"}
    assert wanted <= set(lines)


def test_a_name_that_changes_between_check_and_use_reaches_nobody():
    resolve, asked = resolving(["1.1.1.1"], ["127.0.0.1"])
    with Listener() as canary:
        client = EgressClient(resolve=resolve)
        # The guard of the quick tests refuses the connection to the address that was checked: it was pinned.
        with pytest.raises(RuntimeError, match=r"1\.1\.1\.1|no answer|unreachable"):
            post(client, f"http://rebinds.example.org:{canary.port}/", timeout=1)
        assert asked == ["rebinds.example.org"]
        with pytest.raises(EgressRefused, match=r"127\.0\.0\.1"):
            post(client, f"http://rebinds.example.org:{canary.port}/")
    assert canary.hits == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_and_is_not_followed(status):
    with Listener() as canary:
        moved = f"HTTP/1.1 {status} Moved\r\nLocation: {canary.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with Listener(answering(moved)) as receiver:
            response = post(EgressClient(LOOPBACK), receiver.url)
    assert (response.status, response.headers["location"]) == (status, canary.url)
    assert (receiver.hits, canary.hits) == (1, 0)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    with Listener() as proxy, Listener() as receiver:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        assert post(EgressClient(LOOPBACK), receiver.url).status == 204
    assert (proxy.hits, receiver.hits) == (0, 1)


def dripping(listener, pieces):
    def answer(connection):
        read_request(connection)
        for piece in pieces:
            connection.sendall(piece)
            if listener().stopped.wait(0.02):
                return

    return answer


def endless(start, piece):
    yield start
    while True:
        yield piece


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000",
    ],
)
def test_a_slow_drip_ends_at_the_deadline(start):
    receiver = Listener(dripping(lambda: receiver, endless(start, b"0")))
    with receiver, pytest.raises(EgressFailed, match=r"no answer within 0\.3 s"):
        post(EgressClient(LOOPBACK), receiver.url, timeout=0.3)


def test_a_receiver_that_accepts_and_says_nothing_ends_at_the_deadline():
    receiver = Listener(lambda _: receiver.stopped.wait(PATIENCE))
    with receiver, pytest.raises(EgressFailed, match="no answer within"):
        post(EgressClient(LOOPBACK), receiver.url, timeout=0.2)


def test_a_receiver_that_does_not_read_ends_at_the_deadline():
    receiver = Listener(lambda _: receiver.stopped.wait(PATIENCE))
    with receiver, pytest.raises(EgressFailed, match="no answer within"):
        post(EgressClient(LOOPBACK), receiver.url, body=b"x" * (32 << 20), timeout=0.5)


def test_a_tls_handshake_that_never_ends_is_ended_by_the_deadline():
    receiver = Listener(lambda _: receiver.stopped.wait(PATIENCE))
    with receiver, pytest.raises(EgressFailed, match="no answer within"):
        post(EgressClient(LOOPBACK), receiver.url.replace("http:", "https:"), timeout=0.3)


def test_a_name_that_nobody_answers_for_ends_at_the_deadline(monkeypatch):
    release = threading.Event()
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: release.wait(PATIENCE) and [])
    started = time.monotonic()
    with pytest.raises(EgressFailed, match="was not resolved within"):
        post(EgressClient(), "http://slow.example.org/", timeout=0.1)
    assert time.monotonic() - started < PATIENCE / 2
    release.set()


def test_an_unknown_name_is_told(monkeypatch):
    def unknown(*_, **__):
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr("socket.getaddrinfo", unknown)
    with pytest.raises(EgressFailed, match=r"gone\.example\.org could not be resolved: Name or service not known"):
        post(EgressClient(), "http://gone.example.org/")


def test_no_more_of_a_body_is_read_than_the_limit():
    def answer(connection):
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:  # ends when the client has had enough
            connection.sendall(b"x" * 65536)

    with Listener(answer) as receiver:
        response = post(EgressClient(LOOPBACK), receiver.url)
    assert (len(response.body), response.truncated) == (BODY_LIMIT, True)


@pytest.mark.parametrize(
    "raw",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200\r\nx" * 9000],
)
def test_an_answer_that_is_none_is_told(raw):
    with Listener(answering(raw)) as receiver, pytest.raises(EgressFailed):
        post(EgressClient(LOOPBACK), receiver.url)


def test_nobody_there_is_told():
    with pytest.raises(EgressFailed, match="refused"):
        post(EgressClient(LOOPBACK), f"http://127.0.0.1:{free_port()}/")


def test_an_early_answer_is_heard_although_the_body_was_not_read():
    def answer(connection):
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        connection.shutdown(1)
        while connection.recv(1 << 20):
            pass

    with Listener(answer) as receiver:
        assert post(EgressClient(LOOPBACK), receiver.url, body=b"x" * (8 << 20)).status == 413


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\r\nY: b"}, {"X Y": "a"}, {"": "a"}, {"Host": "b"}, {"content-length": "0"}, {"Connection": "x"}],
)
def test_headers_that_would_change_the_request_are_refused(headers):
    with Listener() as receiver, pytest.raises(ValueError, match="no header that can be given"):
        post(EgressClient(LOOPBACK), receiver.url, headers=headers)
    assert receiver.hits == 0


def made_certificate(folder, *names):
    """Return the PEM file of a certificate for these names, which is its own authority, and the server's context."""
    certificate, private = make_pair(folder, names=names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private)
    return certificate, context


def test_a_certificate_is_checked_against_the_name_although_the_address_is_pinned(tmp_path):
    authority, context = made_certificate(tmp_path, x509.DNSName("hooks.example.org"))
    asked = []
    context.sni_callback = lambda connection, name, _: asked.append(name)
    resolve, _ = resolving(["127.0.0.1"], ["127.0.0.1"], ["127.0.0.1"])
    with Listener(answering(OK), context) as receiver:
        trusting = EgressClient(LOOPBACK, authority, resolve=resolve)
        assert post(trusting, f"https://hooks.example.org:{receiver.port}/").status == 204
        assert asked == ["hooks.example.org"]
        with pytest.raises(EgressFailed, match=re.compile("hostname mismatch", re.IGNORECASE)):
            post(trusting, f"https://other.example.org:{receiver.port}/")
        with pytest.raises(EgressFailed, match="certificate verify failed"):
            post(EgressClient(LOOPBACK, resolve=resolve), f"https://hooks.example.org:{receiver.port}/")


def test_a_certificate_may_be_for_an_address(tmp_path):
    authority, context = made_certificate(tmp_path, x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
    with Listener(answering(OK), context) as receiver:
        assert post(EgressClient(LOOPBACK, authority), receiver.url).status == 204


def test_a_document_is_asked_for_without_a_body():
    seen = []

    def answer(connection):
        seen.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with Listener(answer) as receiver:
        response = EgressClient(private=True).get(f"http://127.0.0.1:{receiver.port}/a?b", PATIENCE)
    assert (response.status, response.body) == (200, b"{}")
    assert seen[0].startswith(b"GET /a?b HTTP/1.1\r\n")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        *(("10.1.2.3", True), ("172.16.0.1", True), ("192.168.1.1", True), ("127.0.0.1", True), ("::1", True)),
        *(("fd12::1", True), ("8.8.8.8", True)),
        *(("169.254.169.254", False), ("fe80::1", False), ("fd00:ec2::254", False), ("100.100.100.200", False)),
        *(("168.63.129.16", False), ("192.0.0.192", False), ("100.64.0.1", False), ("0.0.0.0", False)),
        *(("224.0.0.1", False), ("::ffff:169.254.169.254", False), ("64:ff9b::a9fe:a9fe", False)),
    ],
)
def test_private_networks_are_allowed_but_not_where_clouds_hand_out_credentials(address, allowed):
    rules = AddressRules([], private=True)
    if allowed:
        rules.check("issuer.internal", [ipaddress.ip_address(address)])
        return
    with pytest.raises(EgressRefused):
        rules.check("issuer.internal", [ipaddress.ip_address(address)])

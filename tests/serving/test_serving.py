"""The server: slow clients keep nobody waiting, deadlines hold, and stopping loses no answer."""

import contextlib
import datetime as dt
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from gunicorn.http.body import LengthReader
from gunicorn.http.unreader import SocketUnreader

from registry.errors import RequestInvalid
from registry.serving.connection import HEAD_LIMIT, Kind, kind_of
from registry.serving.failures import failure_of
from registry.serving.messages import BodyReader, BodyTimeout
from registry.serving.options import gunicorn_options
from registry.serving.pool import Pool
from registry.serving.tls import refuse_unusable_tls
from registry.settings import Settings, SettingsError
from tests.support.ports import PATIENCE, free_port, is_open, wait_until
from tests.support.processes import Child
from tests.support.serving_app import BIG, FILE

ROOT = Path(__file__).resolve().parents[2]
GET = b"GET /v2/quick HTTP/1.1\r\nHost: x\r\n\r\n"


def server(folder, port, **settings):
    plain = {"listen": f"127.0.0.1:{port}", "workers": 1, "threads": 1, "header_timeout": "500ms"}
    chosen = {**plain, "body_timeout": "500ms", "log_format": "json", **settings}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_")}
    module = "tests.support.serving_app"
    argv = [sys.executable, "-m", "gunicorn", "-c", str(ROOT / f"{module.replace('.', '/')}.py"), f"{module}:app"]
    return Child(
        argv=argv,
        log=folder / "server.log",
        ready=lambda: is_open(port),
        env={**inherited, **{f"MOORAGE_{name.upper()}": str(value) for name, value in chosen.items()}},
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    port, folder = free_port(), tmp_path_factory.mktemp("server")
    with server(folder, port) as child:
        yield port, child


@pytest.fixture
def port(running):
    return running[0]


@contextlib.contextmanager
def connected(port, first=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=8) as client:
        client.sendall(first)
        yield client


def read_all(client):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := client.recv(1 << 20):
            data += piece
    return data


def exchange(port, raw):
    with connected(port, raw) as client:
        return read_all(client)


def get(port, path="/v2/quick", timeout=8):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"GET /v2/a/manifests/b HTTP/1.1\r\n\r\n", Kind.QUICK),
        (b"HEAD /v2/a/blobs/b HTTP/1.1\r\nHost: x\r\n\r\n", Kind.QUICK),
        (b"GET /v2/a/blobs/b HTTP/1.1\r\n\r\n", Kind.DOWNLOAD),
        (b"GET /v2/a/%62lobs/b HTTP/1.1\r\n\r\n", Kind.DOWNLOAD),
        (b"GET /health/ready HTTP/1.1\r\n\r\n", Kind.DOWNLOAD),
        (b"GET http://x/v2/ HTTP/1.1\r\n\r\n", Kind.DOWNLOAD),
        (b"GET /v2/a HTTP/1.1\r\nContent-Length: 5\r\n\r\n", Kind.WRITE),
        (b"GET /v2/a HTTP/1.1\r\ntransfer-ENCODING : chunked\r\n\r\n", Kind.WRITE),
        (b"HEAD /v2/a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", Kind.WRITE),
        (b"DELETE /v2/a/manifests/b HTTP/1.1\r\n\r\n", Kind.WRITE),
        (b"get /v2/a HTTP/1.1\r\n\r\n", Kind.WRITE),
        (b"GET /v2/a HTTP/1.1\n\n", Kind.WRITE),
        (b"\r\n\r\nGET /v2/a HTTP/1.1", Kind.WRITE),
    ],
)
def test_only_what_is_known_to_be_quick_is_quick(head, kind):
    assert kind_of(head) is kind


def test_a_pool_grows_to_its_limit_and_shrinks():
    gate, done = threading.Semaphore(0), []

    def work(item):
        gate.acquire()
        done.append(item)

    pool = Pool("test", 3, work, idle_seconds=0.05)
    for item in range(5):
        pool.submit(item)
    assert pool.threads == 3
    gate.release(5)
    wait_until(lambda: len(done) == 5, 5, "all work is done")
    wait_until(lambda: pool.threads == 0, 5, "idle threads end")
    gate.release()
    pool.submit(5)
    wait_until(lambda: len(done) == 6, 5, "a thread is started again")


class Request:
    """What a reader needs of a request: a body of announced length that comes from a socket."""

    def __init__(self, length, sock):
        self.body = SimpleNamespace(reader=LengthReader(SocketUnreader(sock), length))
        self.closed = False

    def force_close(self):
        self.closed = True


@pytest.fixture
def pair():
    client, server_side = socket.socketpair()
    server_side.settimeout(0.05)
    with client, server_side:
        yield client, server_side


def read_body(reader):
    while reader.read(8):
        pass


@pytest.mark.parametrize(("cut", "raised"), [(True, RequestInvalid), (False, BodyTimeout)])
def test_half_a_body_is_never_a_body(pair, cut, raised):
    client, server_side = pair
    request = Request(8, server_side)
    client.sendall(b"half")
    if cut:
        client.close()
    with pytest.raises(raised) as caught:
        read_body(BodyReader(request))
    assert type(caught.value) is raised
    assert request.closed


def test_received_bytes_are_counted_and_not_those_of_the_next_request(pair):
    client, server_side = pair
    request = Request(8, server_side)
    client.sendall(b"12345678GET")
    read_body(BodyReader(request))
    assert request.received == 8
    assert not request.closed
    assert server_side.recv(9) == b"GET"


def test_an_unknown_failure_tells_nothing():
    assert failure_of(RuntimeError("secret")) == (500, "internal error")


def test_slow_clients_keep_nobody_waiting(port):
    with contextlib.ExitStack() as stack:
        openings = [
            (40, b""),
            (20, GET[:-2]),
            (30, b"PUT /v2/a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"),
            (5, GET.replace(b"quick", b"big")),
            (20, b"GET /v2/blobs/big HTTP/1.1\r\nHost: x\r\n\r\n"),
        ]
        for count, opening in openings:
            for _ in range(count):
                stack.enter_context(connected(port, opening))
        started = time.monotonic()
        for _ in range(20):
            assert get(port, timeout=2) == (200, b"ok")
        assert time.monotonic() - started < 2


def test_a_sleeping_write_and_download_hold_no_quick_request(port):
    with (
        connected(port, b"POST /v2/sleep?1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        connected(port, b"GET /sleep?1 HTTP/1.1\r\nHost: x\r\n\r\n"),
    ):
        started = time.monotonic()
        assert get(port) == (200, b"ok")
        assert time.monotonic() - started < 0.9


def test_an_unfinished_head_meets_its_deadline(port):
    with connected(port, GET[:-2]) as client:
        started = time.monotonic()
        for _ in range(4):
            time.sleep(0.05)
            client.sendall(b"X: y\r\n")
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"][0]["code"] == "UNSUPPORTED"
    assert 0.4 < time.monotonic() - started < 3


def test_a_silent_connection_is_closed_without_a_word(port):
    assert exchange(port, b"") == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 9\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf"])
def test_a_stalled_body_is_a_408_and_the_end_of_the_connection(port, framing):
    answer = exchange(port, b"PUT /v2/a HTTP/1.1\r\nHost: x\r\n" + framing)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: 9\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nhalf\r\n",
    ],
)
def test_a_cut_or_broken_body_is_a_400(port, framing):
    with connected(port, b"PUT /v2/a HTTP/1.1\r\nHost: x\r\n" + framing) as client:
        client.shutdown(socket.SHUT_WR)
        answer = read_all(client)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Connection: close" in answer


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GET /v2/ HTTP/1.1\nHost: x\n\n", 400),
        (b"GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nAccept: x\r\n\r\n", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
        (b"PUT /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET /v2/" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nA: " + b"b" * (HEAD_LIMIT + 9), 431),
        (b"GET /v2/ HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", 417),
    ],
)
def test_malformed_requests_get_one_answer_in_the_specifications_form(port, raw, status):
    answer = exchange(port, raw + GET)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1 ") == 1
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["errors"]


def test_requests_sent_at_once_are_answered_in_order(port):
    last = GET.replace(b"Host: x", b"Host: x\r\nConnection: close")
    put = b"PUT /v2/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    answer = exchange(port, GET + put + GET.replace(b"quick", b"chunked") + last)
    assert answer.count(b"HTTP/1.1 20") == 4
    assert [answer.index(part) for part in (b"ok", b"201 Created", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")] == sorted(
        answer.index(part) for part in (b"ok", b"201 Created", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    )


def test_an_answer_larger_than_the_socket_takes_arrives_whole(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    for _ in range(2):
        connection.request("GET", "/v2/big")
        answer = connection.getresponse()
        time.sleep(0.2)
        assert answer.read() == b"z" * BIG
    connection.close()


def test_a_file_is_sent_from_where_it_stands(port):
    assert get(port, "/v2/blobs/file") == (200, FILE[5:-5])
    head = exchange(port, b"HEAD /file HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.endswith(b"Content-Length: 999990\r\n\r\n")


def test_an_answer_that_ends_early_ends_the_connection(port):
    assert exchange(port, GET.replace(b"quick", b"short") + GET).count(b"HTTP/1.1 ") == 1


def test_an_unread_body_is_no_next_request(port):
    raw = b"PUT /v2/unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(GET), GET)
    last = GET.replace(b"Host: x", b"Host: x\r\nConnection: close")
    assert exchange(port, raw + last).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_an_unread_body_that_is_too_long_to_skip_is_announced_as_the_end(port, framing):
    body = b"x" * 100_000
    length, chunked = b"Content-Length: %d" % len(body), b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    how, sent = (length, body) if framing == "length" else (b"Transfer-Encoding: chunked", chunked)
    with connected(port, b"PUT /v2/unread HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n%b" % (how, sent)) as client:
        answer = read_all(client)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close" in answer


def test_a_chunked_body_that_was_read_keeps_the_connection(port):
    raw = b"PUT /v2/write HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    last = GET.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = exchange(port, raw + last)
    assert b"Connection: close" not in answer.partition(b"201 Created")[2].partition(b"HTTP/1.1 200")[0]
    assert answer.count(b"HTTP/1.1 ") == 2


def test_a_failing_app_is_a_500_without_its_cause(port):
    status, body = get(port, "/v2/broken")
    assert (status, b"as told" in body) == (500, False)


def test_forwarded_headers_are_not_believed(port, running):
    exchange(port, b"GET /v2/seen HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 9.9.9.9\r\nConnection: close\r\n\r\n")
    child = running[1]
    wait_until(lambda: "/v2/seen" in child.log.read_text(), 5, "the access log has the request")
    lines = [json.loads(line) for line in child.log.read_text().splitlines() if '"/v2/seen"' in line]
    assert [(line["remote"], line["status"], line["bytes_out"]) for line in lines] == [("127.0.0.1", 200, 2)]
    assert lines[0]["id"]


def test_stopping_loses_no_answer_and_takes_no_more(tmp_path):
    port = free_port()
    with server(tmp_path, port) as child, connected(port, GET) as idle:
        assert idle.recv(999).endswith(b"ok")
        with connected(port, b"POST /v2/sleep?0.8 HTTP/1.1\r\nHost: x\r\n\r\n") as busy:
            wait_until(lambda: get(port) == (200, b"ok"), 5, "the request runs")
            os.kill(child.pid, signal.SIGTERM)
            wait_until(lambda: not is_open(port), 5, "nothing is accepted")
            answer = read_all(busy)
        assert answer.endswith(b"ok")
        assert b"Connection: close" in answer
        assert read_all(idle) == b""
        wait_until(lambda: not child.running, 5, "the server ends")
        assert child.stop() == 0
        assert "Traceback" not in child.log_tail()


def test_an_open_address_on_gunicorns_own_command_line_is_refused(monkeypatch):
    monkeypatch.setattr("registry.serving.options.configure", lambda _: None)
    starting = gunicorn_options(Settings())["on_starting"]
    starting(SimpleNamespace(cfg=SimpleNamespace(address=[("127.0.0.1", 1), ("::1", 1), "/run/x"])))
    for address in (("0.0.0.0", 1), ("::", 1)):
        with pytest.raises(SettingsError, match="refusing to listen"):
            starting(SimpleNamespace(cfg=SimpleNamespace(address=[address])))


def test_a_fork_leaves_connections_to_its_parent():
    told = []
    app = SimpleNamespace(extensions={"moorage": SimpleNamespace(after_fork=lambda: told.append(True))})
    arbiter = SimpleNamespace(app=SimpleNamespace(wsgi=lambda: app), SIG_QUEUE=SimpleQueue())
    gunicorn_options(Settings())["post_fork"](arbiter, SimpleNamespace())
    assert told == [True]


TOLD_EARLY = """
import os, signal, sys
from registry.cli import main
from registry.serving import options

def after_fork(arbiter, worker):
    fork(arbiter, worker)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    os.kill(os.getppid(), signal.SIGTERM)
    os.read(read, 1)  # the server tells this process to end before it can take signals

fork, options.after_fork = options.after_fork, after_fork
main(["serve", "--no-worker", "--workers", "1", *sys.argv[1:]])
"""


def test_a_process_that_is_told_to_end_before_it_can_take_signals_ends(tmp_path):
    argv = [sys.executable, "-c", TOLD_EARLY, "--data", str(tmp_path / "data"), "--listen", f"127.0.0.1:{free_port()}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MOORAGE_")}
    env["MOORAGE_GRACEFUL_TIMEOUT"] = "1h"
    done = subprocess.run(argv, env=env, cwd=ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    assert "SIGKILL" not in done.stderr


def test_tls_is_served_and_a_silent_handshake_is_closed(tmp_path, certificate):
    port = free_port()
    cert, key = certificate
    with server(tmp_path, port, tls_cert=cert, tls_key=key):
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("localhost", port, timeout=8, context=context)
        for path, body in (("/v2/quick", b"ok"), ("/v2/big", b"z" * BIG), ("/v2/blobs/file", FILE[5:-5])):
            connection.request("GET", path)
            assert connection.getresponse().read() == body
        connection.request("PUT", "/v2/a", body=b"x" * 300_000)
        assert connection.getresponse().read() == b"300000"
        connection.close()
        assert exchange(port, b"\x16\x03\x01") == b""


def test_a_client_that_speaks_tls_to_a_plain_port_is_refused_at_once_and_the_log_says_so(tmp_path):
    port = free_port()
    with server(tmp_path, port, header_timeout="1h") as serving:
        context = ssl.create_default_context()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sock, pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname="localhost")
        wait_until(lambda: "it speaks TLS, and this port plain HTTP" in serving.log.read_text(), PATIENCE, "it is told")


def test_files_of_tls_that_cannot_work_are_told_before_the_start(tmp_path, certificate, monkeypatch):
    monkeypatch.setattr("registry.serving.options.configure", lambda _: None)
    cert, key = (Path(name) for name in certificate)
    private = load_pem_private_key(key.read_bytes(), None)
    locked, other = tmp_path / "locked.pem", tmp_path / "other.pem"
    locked.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"hush")))
    plain = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other.write_bytes(plain)
    refuse_unusable_tls(Settings())
    refuse_unusable_tls(Settings(tls_cert=cert, tls_key=key))
    for wrong_cert, wrong_key, told in (
        (key, key, "key.pem holds no certificate"),
        (cert, cert, "cert.pem holds no private key"),
        (cert, other, "other.pem is not the key of the certificate"),
        (cert, locked, "locked.pem is encrypted"),
        (cert, tmp_path / "gone", "cannot be read: No such file"),
    ):
        settings = Settings(tls_cert=wrong_cert, tls_key=wrong_key)
        with pytest.raises(SettingsError, match=told):
            refuse_unusable_tls(settings)
        with pytest.raises(SettingsError, match=told):
            gunicorn_options(settings)["on_starting"](SimpleNamespace(cfg=SimpleNamespace(address=[])))


@pytest.fixture
def certificate(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")

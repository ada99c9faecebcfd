"""TLS as servers need it for years: certificates are renewed while connections go on, and what is broken is told."""

import http.client
import os
import shutil
import signal
import socket
import ssl
import threading
import time

import pytest

from registry.certificates import ending
from tests.serving.test_serving import server
from tests.support.certificates import KEYS, der_of, make_pair
from tests.support.ports import PATIENCE, free_port, wait_until
from tests.support.processes import children
from tests.support.serving_app import BIG

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

WORKERS = 2


def client_context(**limits):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for name, value in limits.items():
        setattr(context, name, value)
    return context


def connect(port, context=None):
    plain = socket.create_connection(("127.0.0.1", port), timeout=8)
    return (context or client_context()).wrap_socket(plain, server_hostname="localhost")


def shown(port):
    """Return the certificate that a new connection is shown, and the process that shows it."""
    with connect(port) as found:
        return found.getpeercert(binary_form=True)


def shows(port, cert, times=12):
    """Tell whether many connections in turn, so both workers, are shown a certificate."""
    return all(shown(port) == der_of(cert) for _ in range(times))


class Files:
    """The certificate's files as a name that leads elsewhere after each renewal, as those of Kubernetes and certbot."""

    def __init__(self, folder, kind):
        self._folder = folder
        self._count = 0
        self.renew(kind)
        self.cert, self.key = (folder / "now" / name for name in ("cert.pem", "key.pem"))

    def renew(self, kind):
        self.put(*make_pair(self._folder / f"pair-{self._count}", kind))

    def put(self, cert, key):
        self._count += 1
        folder = self._folder / f"set-{self._count}"
        folder.mkdir(parents=True)
        shutil.copy(cert, folder / "cert.pem")
        shutil.copy(key, folder / "key.pem")
        (self._folder / "next").symlink_to(folder)
        (self._folder / "next").rename(self._folder / "now")


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path / "tls", "ec")


@pytest.fixture
def secured(tmp_path, files):
    port = free_port()
    chosen = {"workers": WORKERS, "threads": 2, "tls_cert": files.cert, "tls_key": files.key, "body_timeout": "60s"}
    with server(tmp_path, port, **chosen) as child:
        wait_until(lambda: len(children(child.pid)) == WORKERS, PATIENCE, "both workers run")
        yield port, child


def log_of(child):
    return child.log.read_text()


def test_a_renewed_certificate_is_shown_by_every_worker_and_nothing_in_flight_is_dropped(secured, files):
    port, child = secured
    processes = children(child.pid)
    for kind in ("rsa", "ec"):
        kept = http.client.HTTPSConnection("localhost", port, timeout=60, context=client_context())
        kept.request("GET", "/v2/quick")
        assert kept.getresponse().read() == b"ok"
        pushing, pulling = connect(port), connect(port)
        pushing.sendall(b"PUT /v2/a HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        pulling.sendall(b"GET /v2/big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        first = pulling.recv(1000)
        files.renew(kind)
        wait_until(lambda: shows(port, files.cert), PATIENCE, f"the {kind} certificate is shown")
        pushing.sendall(b"x" * 100_000)
        assert pushing.recv(1000).startswith(b"HTTP/1.1 201")
        assert len(read_all(pulling, first).partition(b"\r\n\r\n")[2]) == BIG
        pushing.close()
        kept.request("GET", "/v2/quick")
        assert kept.getresponse().read() == b"ok"
        kept.close()
    assert children(child.pid) == processes
    assert log_of(child).count("new connections are shown the certificate") >= 2 * WORKERS


def read_all(connection, found):
    with connection:
        while data := connection.recv(1 << 20):
            found += data
    return found


def test_many_connect_while_it_is_renewed_and_all_are_answered(secured, files):
    port, _ = secured
    failed, stop, count = [], threading.Event(), [0]

    def ask():
        while not stop.is_set():
            connection = http.client.HTTPSConnection("localhost", port, timeout=60, context=client_context())
            try:
                connection.request("GET", "/v2/quick")
                assert connection.getresponse().read() == b"ok"
                count[0] += 1
            except (OSError, http.client.HTTPException, AssertionError) as error:
                failed.append(repr(error))
            finally:
                connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for kind in ("rsa", "ec"):
        files.renew(kind)
        wait_until(lambda: shows(port, files.cert), PATIENCE, f"the {kind} certificate is shown")
    stop.set()
    for thread in threads:
        thread.join()
    assert count[0] > 0
    assert failed == []


@pytest.mark.parametrize("fault", ["mismatched", "empty", "gone", "no key"])
def test_a_pair_that_cannot_be_used_is_told_and_the_one_before_goes_on(secured, files, tmp_path, fault):
    port, child = secured
    before = der_of(files.cert)
    cert, key = make_pair(tmp_path / "other", "rsa")
    if fault == "gone":
        files.cert.unlink()
    else:
        empty = tmp_path / "empty.pem"
        empty.write_text("")
        files.put(
            empty if fault == "empty" else cert,
            {"mismatched": files.key.resolve(), "no key": cert}.get(fault, key),
        )
    told = {
        "mismatched": "is not the key of the certificate",
        "empty": "holds no certificate",
        "gone": "cannot be read",
        "no key": "holds no private key",
    }[fault]
    wait_until(lambda: log_of(child).count(told) == WORKERS, PATIENCE, "both workers tell what is wrong")
    assert "the certificate is not renewed" in log_of(child)
    assert {shown(port) for _ in range(12)} == {before}
    # A worker that takes another's place has what could be used last, though the files are broken.
    old = children(child.pid)
    os.kill(old[0], signal.SIGKILL)
    wait_until(lambda: len(set(children(child.pid)) - set(old)) == 1, PATIENCE, "another worker runs")
    assert {shown(port) for _ in range(12)} == {before}
    files.put(cert, key)
    wait_until(lambda: shows(port, cert), PATIENCE, "the good pair is shown")
    assert child.running


def test_versions_before_1_2_and_protocols_other_than_http_1_1_are_not_spoken(secured):
    port, _ = secured
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = client_context(minimum_version=version, maximum_version=version)
        context.set_alpn_protocols(["h2", "http/1.1"])
        with connect(port, context) as found:
            assert found.version() == version.name.replace("_", ".")
            assert found.selected_alpn_protocol() == "http/1.1"
    with pytest.warns(DeprecationWarning, match="is deprecated"):
        old = client_context(minimum_version=ssl.TLSVersion.TLSv1, maximum_version=ssl.TLSVersion.TLSv1_1)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(port, old)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize(
    ("age", "days", "told"),
    [
        (60, 30, ""),
        (76, 13.9, "should have been renewed"),
        (1, 5, ""),
        (5, 1, "should have been renewed"),
        (90, -0.1, "ended on"),
    ],
)
def test_the_end_of_a_certificate_is_told_in_time(tmp_path, kind, age, days, told):
    cert, _ = make_pair(tmp_path, kind, age=age, days=days)
    found = ending(cert, now_ms())
    assert (told in found) if told else found == ""


def now_ms():
    return time.time_ns() // 1_000_000

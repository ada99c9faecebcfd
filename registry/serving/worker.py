"""Gunicorn's threaded worker, rebuilt around one rule: a connection holds a thread only while a request runs.

The main thread accepts and watches deadlines. A few threads wait for the sockets of all connections, gather heads
without blocking, and answer quick requests on the spot, so that those cost no way from thread to thread. Every
other request goes to the threads of its kind.
"""

from __future__ import annotations

# Long: one worker, whose connections, threads and deadlines know of one another.
import errno
import signal
import socket
import threading
import time
from queue import SimpleQueue
from typing import Any, ClassVar

from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from registry.serving import readiness
from registry.serving.balance import Balance
from registry.serving.connection import Arrival, Connection, Kind, kind_of
from registry.serving.exchange import Exchange
from registry.serving.failures import answer_of
from registry.serving.messages import send_some
from registry.serving.pool import Pool
from registry.serving.tls import Certificate

_CLOSING = 2.0
"""Seconds that a client gets to close its side, so that the end of the last answer is not lost (RFC 9112, 9.6)."""
_STOP_LINGER = 0.5
"""Seconds that idle connections of a stopping worker get for a request that is on its way."""
_STOP_TICK = 0.05
_WAIT = 3600.0
_HOLD, _HOLDS = 0.0005, 20
"""Seconds that a worker with more connections than another leaves a new one alone, and how often at most."""
_TOO_LARGE = (431, "the request's head is too large")
_ENDINGS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
_OUT_OF_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Pools:
    """The threads for what is not quick; stands where gunicorn has its executor."""

    def __init__(self, worker: Worker) -> None:
        """Make no thread yet."""
        self._pools = {
            kind: Pool[Connection](kind.value, worker.transfer_threads, worker.work)
            for kind in (Kind.WRITE, Kind.DOWNLOAD)
        }

    def submit(self, connection: Connection) -> None:
        """Run the request at hand; a quick one comes here where it would keep others waiting."""
        self._pools[Kind.WRITE if connection.kind is Kind.WRITE else Kind.DOWNLOAD].submit(connection)

    def shutdown(self, wait: bool = True) -> None:  # noqa: FBT001, FBT002 - the signature gunicorn calls
        """Leave the threads: they end with the process."""


class Worker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """See the module. A subclass sets the timeouts, in seconds, and the number of threads."""

    header_timeout: ClassVar[float] = 10.0
    body_timeout: ClassVar[float] = 30.0
    transfer_threads: ClassVar[int] = 128
    balance: ClassVar[Balance | None] = None
    certificate: ClassVar[Certificate] = Certificate()
    early_signals: SimpleQueue[int] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed on to gunicorn's worker
        """Start with no connection."""
        self._connections: set[Connection] = set()
        self._held = 0
        # Who takes a connection out of here owns it: taking out is one atomic step.
        self._parked: dict[int, Connection] = {}
        super().__init__(*args, **kwargs)
        self.certificate.open(self.cfg, self.log)

    @property
    def nr_conns(self) -> int:
        """How many connections there are; gunicorn's loop asks."""
        return len(self._connections)

    @nr_conns.setter
    def nr_conns(self, count: int) -> None:
        """Ignore gunicorn's own counting."""

    def get_thread_pool(self) -> Pools:
        """Make what the threads need; gunicorn calls this after the fork."""
        self._exchange = Exchange(self)
        self._readiness = readiness.make()
        return Pools(self)

    def init_signals(self) -> None:
        """Take signals, also one that came since the fork, which the inherited handler has queued for nobody."""
        super().init_signals()
        while self.early_signals is not None and not self.early_signals.empty():
            if self.early_signals.get() in _ENDINGS:
                self.alive = False

    def run(self) -> None:
        """Serve until told to stop, and then as long as requests run, within the graceful timeout."""
        self._tell()
        for _ in range(self.cfg.threads):
            threading.Thread(target=self._read, name=Kind.QUICK.value, daemon=True).start()
        super().run()

    # The main thread: accepting and deadlines.

    def accept(self, listener: Any) -> None:  # noqa: ANN401 - gunicorn's listener
        """Take a new connection, and wait for its first request; leave it to a worker that has fewer for a moment."""
        if self._held < _HOLDS and self.balance is not None and self.balance.is_heavier(self.age):
            self._held += 1
            time.sleep(_HOLD)
            return
        self._held = 0
        try:
            client, address = listener.accept()
            connection = Connection(self.cfg, client, address, listener.getsockname(), self.certificate.context)
        except OSError as error:
            if error.errno in _OUT_OF_FILES:
                self.log.error("cannot accept connections: %s", error)  # noqa: TRY400 - the reason says it all
                self._shed()
            return
        self._connections.add(connection)
        self._tell()
        self._park(connection, self.header_timeout, new=True)
        if self.nr_conns >= self.worker_connections:
            self._shed()

    def _tell(self) -> None:
        if self.balance is not None and self.alive:
            self.balance.tell(self.age, self.nr_conns)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - the signature gunicorn calls
        """Start or stop accepting; a stopping worker also closes its listeners, so that clients go elsewhere."""
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            if self.balance is not None:
                self.balance.leave(self.age)
            for listener in self.sockets:
                listener.close()

    def _shed(self) -> None:
        """Make room by dropping the connection that has waited longest."""
        with_time = ((item.deadline, fd) for fd, item in list(self._parked.items()))
        descriptor = min(with_time, default=(0.0, -1))[1]
        if (oldest := self._parked.pop(descriptor, None)) is not None:
            self._drop(oldest)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for connections and messages; a stopping worker looks more often whether all is done."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, _STOP_TICK))

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - the signature gunicorn calls
        """Close connections that waited too long; gunicorn calls this once a second at least."""
        self.certificate.look(self.cfg, self.log)
        now = time.monotonic()
        for descriptor, connection in list(self._parked.items()):
            if not force and connection.deadline > now:
                continue
            if self._parked.pop(descriptor, None) is not connection:
                continue
            if force or connection.closing:
                self._drop(connection)
            else:
                self._time_is_up(connection)

    def _time_is_up(self, connection: Connection) -> None:
        """End a connection, unless its request is there, and the machine was too busy to read it."""
        arrival = connection.receive()
        if arrival is Arrival.COMPLETE:
            connection.kind = kind_of(connection.head)
            self.tpool.submit(connection)
        elif arrival is Arrival.TOO_LARGE:
            self._refuse(connection, *_TOO_LARGE)
        elif connection.head and arrival is not Arrival.CLOSED:
            self._refuse(connection, 408, "the request's head did not arrive in time")
        else:
            self._drop(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        deadline = min(deadline, time.monotonic() + _STOP_LINGER)
        for connection in list(self._parked.values()):
            connection.deadline = min(connection.deadline, deadline)

    # Any thread: what becomes of a connection that it owns.

    def _park(self, connection: Connection, seconds: float, *, new: bool = False) -> None:
        """Wait for the client without a thread, for ``seconds`` at most."""
        if not self.alive and not connection.closing:
            seconds = min(seconds, _STOP_LINGER)
        connection.deadline = time.monotonic() + seconds
        self._rearm(connection, new=new)

    def _rearm(self, connection: Connection, *, new: bool = False) -> None:
        descriptor = connection.sock.fileno()
        self._parked[descriptor] = connection
        try:
            self._readiness.watch(descriptor, new=new)
        except OSError:
            if self._parked.pop(descriptor, None) is connection:
                self._drop(connection)

    def _refuse(self, connection: Connection, status: int, reason: str) -> None:
        """Answer a head that never became a request."""
        try:
            send_some(connection.sock, answer_of(status, reason))
        except OSError:
            self.log.debug("a refusal did not reach %s", connection.client)
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        """End a connection: nothing more is sent, and the client may close its side."""
        try:
            connection.sock.shutdown(socket.SHUT_WR)
            connection.sock.settimeout(0)
        except (OSError, ValueError):
            self._drop(connection)
            return
        connection.closing = True
        self._park(connection, _CLOSING)

    def _drop(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._tell()
        util.close(connection.sock)

    # The threads of quick requests.

    def _read(self) -> None:
        """Take whatever socket can be read, for ever."""
        while True:
            descriptor = self._readiness.wait(_WAIT)
            connection = self._parked.pop(descriptor, None) if descriptor is not None else None
            if connection is None:
                continue  # dropped by the main thread in the same moment
            try:
                self._readable(connection)
            except Exception:
                self.log.exception("a connection failed")
                self._drop(connection)

    def _readable(self, connection: Connection) -> None:
        if connection.closing:
            if connection.discard():
                self._rearm(connection)
            else:
                self._drop(connection)
            return
        begun = bool(connection.head)
        arrival = connection.receive()
        if arrival is Arrival.COMPLETE:
            connection.kind = kind_of(connection.head)
            if connection.kind is Kind.QUICK:
                self._after(connection, kept=self._exchange.serve(connection))
            else:
                self.tpool.submit(connection)
        elif arrival is Arrival.CLOSED:
            self._drop(connection)
        elif arrival is Arrival.TOO_LARGE:
            self._refuse(connection, *_TOO_LARGE)
        elif arrival is Arrival.PARTIAL and not begun:
            self._park(connection, self.header_timeout)
        else:
            self._rearm(connection)

    # All threads: requests.

    def work(self, connection: Connection) -> None:
        """Serve a request that may take its time; never raises."""
        kept = False
        try:
            connection.sock.settimeout(self.body_timeout)
            kept = self._flush(connection) if connection.unsent else self._exchange.serve(connection)
            connection.sock.settimeout(0)
        except OSError:
            kept = False
        self._after(connection, kept=kept)

    def _after(self, connection: Connection, *, kept: bool) -> None:
        """Pass on a connection whose request was answered."""
        if connection.unsent:
            self.tpool.submit(connection)
        elif not kept:
            self._close(connection)
        elif connection.has_head():
            connection.kind = kind_of(connection.head)
            self.tpool.submit(connection)
        else:
            self._park(connection, self.header_timeout if connection.head else self.cfg.keepalive)

    def _flush(self, connection: Connection) -> bool:
        """Send what the thread of a quick request could not; return whether the connection goes on."""
        try:
            send_some(connection.sock, connection.unsent)
        finally:
            connection.unsent = bytearray()
        return connection.between_requests

    def is_last(self) -> bool:
        """Tell whether an answer sent now is the last one of its connection."""
        return not self.alive or not self.cfg.keepalive

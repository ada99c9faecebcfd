"""Gunicorn's configuration for given settings; the one place that knows its options."""

from __future__ import annotations

import gc
import resource
from pathlib import Path
from typing import Any

from registry.logs import configure, logger_class
from registry.serving.balance import Balance
from registry.serving.tls import Certificate, refuse_unusable_tls, secured
from registry.serving.worker import Worker
from registry.settings import Settings, refuse_open_listen

REQUEST_LINE = 8190
HEADER_COUNT = 100
HEADER_SIZE = 16 * 1024
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a heartbeat file there never waits for a disk
_BOOT_FAILED, _LOAD_FAILED = 253, 254
"""Statuses by which a process ends the whole server; gunicorn's own, 3 and 4, are those of any library that exits."""
_CONNECTIONS = 4000
_FILES = 16384


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """Return what gunicorn is to be told; every name is an option of gunicorn's."""
    balance = Balance()
    limits = {
        "header_timeout": settings.header_timeout,
        "body_timeout": settings.body_timeout,
        "transfer_threads": settings.transfer_threads,
        "balance": balance,
        "certificate": Certificate(),
    }
    options: dict[str, Any] = {
        "bind": settings.listen,
        "worker_class": type("MoorageWorker", (Worker,), limits),
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_connections": _CONNECTIONS,
        "keepalive": int(settings.keep_alive),
        "graceful_timeout": max(1, round(settings.graceful_timeout)),
        "timeout": 60,
        "preload_app": True,
        "proc_name": "moorage",
        "logger_class": logger_class(settings),
        "loglevel": settings.log_level,
        "certfile": str(settings.tls_cert) if settings.tls_cert else None,
        "keyfile": str(settings.tls_key) if settings.tls_key else None,
        "ssl_context": secured,
        "on_starting": lambda arbiter: _starting(settings, arbiter),
        "post_fork": after_fork,
        "worker_exit": _before_exit,
        "child_exit": lambda _arbiter, worker: balance.leave(worker.age),
        **_BOUNDS,
    }
    if _SHARED_MEMORY.is_dir():
        options["worker_tmp_dir"] = str(_SHARED_MEMORY)
    return options


_BOUNDS: dict[str, Any] = {
    "limit_request_line": REQUEST_LINE,
    "limit_request_fields": HEADER_COUNT,
    "limit_request_field_size": HEADER_SIZE,
    # Nobody may tell us who the client is or how it came: what depends on that is set, not guessed.
    "forwarded_allow_ips": "",
    "forwarder_headers": "",
    "secure_scheme_headers": {},
    "proxy_protocol": "off",
    # Every leniency of the parser is a difference that requests can be smuggled through.
    "header_map": "drop",
    "permit_obsolete_folding": False,
    "strip_header_spaces": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
    "casefold_http_method": False,
    "http_protocols": "h1",
    "http2_cleartext": "off",
    # The C parser, used by itself where it is installed, takes two blanks in a request line for one.
    "http_parser": "python",
    # Its place would be one file a user, which two servers of one user would share.
    "control_socket_disable": True,
}


def _starting(settings: Settings, arbiter: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, which has no stubs
    """Refuse addresses that a command line of gunicorn's own may have added, and TLS that cannot work."""
    configure(settings)
    refuse_unusable_tls(settings)
    _allow_many_files()
    arbiter.WORKER_BOOT_ERROR, arbiter.APP_LOAD_ERROR = _BOOT_FAILED, _LOAD_FAILED
    for address in arbiter.cfg.address:
        if isinstance(address, tuple):
            host = f"[{address[0]}]" if ":" in address[0] else address[0]
            refuse_open_listen(settings, f"{host}:{address[1]}")
    # What is there by now stays, in all processes: looking through it for garbage would copy it to each of them.
    gc.freeze()


def _allow_many_files() -> None:
    """Lift the limit of open files, which is made for programs that serve nobody, as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _before_exit(_arbiter: object, worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker, which has no stubs
    """Keep what is only in the process's memory."""
    services = getattr(worker.wsgi, "extensions", {}).get("moorage")
    if services is not None:
        services.before_exit()


def after_fork(arbiter: Any, worker: Any) -> None:  # noqa: ANN401 - gunicorn's objects, which have no stubs
    """Leave the parent process its connections to database and storage, and hear what it was told meanwhile."""
    worker.early_signals = arbiter.SIG_QUEUE
    extensions = getattr(arbiter.app.wsgi(), "extensions", {})
    if (services := extensions.get("moorage")) is not None:
        services.after_fork()

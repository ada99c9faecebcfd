"""``moorage serve``."""

from __future__ import annotations

import errno
import hashlib
import logging
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from rich.console import Console
from rich.markup import escape

from registry import schema
from registry.access.first import NAME as FIRST
from registry.cli.common import read_settings, safe_mode_flag, settings_flags
from registry.cli.opening import open_app, told
from registry.errors import RegistryError
from registry.logs import configure, is_human
from registry.serving.companion import Companion
from registry.serving.options import gunicorn_options
from registry.serving.tls import refuse_unusable_tls
from registry.setting_sources import PREFIX
from registry.settings import Settings, SettingsError, refuse_open_listen

_EPILOG = """\b
Examples:
  moorage serve
  moorage serve --listen 127.0.0.1:8080 --data /var/lib/moorage
  moorage serve --tls-cert cert.pem --tls-key key.pem
  moorage serve --authentication --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem
  MOORAGE_DATABASE_URL=postgresql+psycopg://moorage@db/moorage moorage serve

All other settings are variables or lines of moorage.toml; `moorage config show` lists them.
"""


_ADD_FIRST = "moorage user add NAME --admin"


@click.command("serve", epilog=_EPILOG)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen (default: 127.0.0.1:5000).")
@settings_flags
@click.option("--workers", metavar="N", help="Server processes (default: one a core).")
@click.option("--threads", metavar="N", help="Threads of a process for small requests (default: 2).")
@click.option("--tls-cert", metavar="FILE", help="TLS certificate and its chain (PEM).")
@click.option("--tls-key", metavar="FILE", help="Key of the TLS certificate (PEM).")
@click.option(
    "--worker/--no-worker", default=None, help="Run a worker beside it, for collection and other jobs (default)."
)
@safe_mode_flag
@click.option(
    "--authentication", is_flag=True, default=None, help="Ask clients who they are, and let rules say what they may do."
)
@click.option(
    "--insecure-anonymous",
    is_flag=True,
    default=None,
    help="Let everybody who reaches the server push and delete; needed to listen on other than loopback addresses.",
)
def command(**flags: object) -> None:
    """Run the registry until it is told to stop (Ctrl-C or SIGTERM).

    Makes the data folder, brings the database's schema up to date, and says how to push a first image.
    """
    settings = read_settings(flags)
    try:
        refuse_open_listen(settings)
        refuse_unusable_tls(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    refuse_taken_address(settings.listen)
    with told():
        configure(settings)
        app = open_app(settings)
        schema.upgrade(app)
    start_plugins_anew(app)
    let_somebody_in(settings, app)
    run(settings, app, companion_of(settings, flags))


def let_somebody_in(settings: Settings, app: Flask) -> None:
    """Make the first administrator where nobody could log in, and tell the password to people this once.

    A log for programs is kept, and no place for a password: there it is only told how to make one.
    """
    if not settings.authentication:
        return
    services = app.extensions["moorage"]
    first = services.access.first
    if is_human(settings):
        password = first.ensure()
        if password is not None:
            console = Console(stderr=True, highlight=False)
            console.print("\n[bold]The first administrator[/], who may do everything, told this once:")
            console.print(f"  user      {FIRST}\n  password  [bold]{password}[/]")
            console.print(f"  another password: moorage user passwd {FIRST}; others: {_ADD_FIRST}", soft_wrap=True)
    else:
        warn_of_nobody(app)
    services.database.close_idle()


def warn_of_nobody(app: Flask) -> None:
    """Log how to make an administrator, where nobody could log in."""
    access = app.extensions["moorage"].access
    if access.terms.authentication and access.first.missing():
        logging.getLogger(__name__).warning("nobody can log in yet: make an administrator with %s", _ADD_FIRST)


def companion_of(settings: Settings, flags: Mapping[str, object]) -> Companion | None:
    """Return the worker to run beside the server, told where the data is as the server was; None where none can be."""
    if not settings.worker:
        return None
    if settings.storage_url.startswith("memory:"):
        logging.getLogger(__name__).warning("nothing is collected: no other process can reach a storage in memory")
        return None
    given = {name: str(flags[name]) for name in ("config", "data", "database_url", "storage_url") if flags.get(name)}
    variables = {f"{PREFIX}{name.upper()}": value for name, value in given.items()}
    return Companion(["--safe-mode"] if flags.get("safe_mode") else [], variables, settings.graceful_timeout)


def run(settings: Settings, app: Flask, companion: Companion | None) -> None:
    """Serve ``app``; returns never, but ends with SystemExit."""
    options = options_of(settings)
    if companion is not None:
        ready = options["when_ready"]

        def when_ready(arbiter: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, which has no types
            ready(arbiter)
            companion.start()

        options["when_ready"] = when_ready
        options["on_exit"] = lambda _arbiter: companion.end()

    class Server(BaseApplication):  # type: ignore[misc] # gunicorn has no types
        def load_config(self) -> None:
            for name, value in options.items():
                self.cfg.set(name, value)

        def load(self) -> Flask:
            return app

    Server().run()


def options_of(settings: Settings) -> dict[str, Any]:
    """Return gunicorn's options, with which it tells where it listens when it does."""
    return {**gunicorn_options(settings), "when_ready": lambda arbiter: announce(settings, arbiter)}


def options_under_gunicorn(settings: Settings) -> dict[str, Any]:
    """Return the options for ``gunicorn wsgi:app``, which applies no migrations and so tells of those it lacks."""
    options = options_of(settings)
    starting, ready = options["on_starting"], options["when_ready"]

    def on_starting(arbiter: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, which has no types
        try:
            starting(arbiter)
        except SettingsError as error:
            raise SystemExit(f"Error: {error}") from None

    def when_ready(arbiter: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, which has no types
        ready(arbiter)
        warn_of_pending(arbiter.app.wsgi())

    return {**options, "on_starting": on_starting, "when_ready": when_ready}


def warn_of_pending(app: Flask) -> None:
    """Log what keeps the database from serving, and which command mends it."""
    log = logging.getLogger(__name__)
    try:
        pending = schema.status(app).pending
    except RegistryError as error:
        log.warning("%s; clients get 503 until it does", error.message)
        return
    app.extensions["moorage"].database.close_idle()
    if pending:
        log.warning("the database lacks migrations (%s): run moorage db upgrade", ", ".join(pending))
    else:
        warn_of_nobody(app)
        start_plugins_anew(app)


def start_plugins_anew(app: Flask) -> None:
    """Give plugins that were switched off another chance, before any process is forked."""
    services = app.extensions["moorage"]
    services.plugin_blocks.start_anew()
    services.caretaker.count_told()
    services.database.close_idle()


def refuse_taken_address(listen: str) -> None:
    """Raise a usable message where nothing can listen on an address; gunicorn would try for five seconds first."""
    if listen.startswith("unix:"):
        _refuse_path(listen, Path(listen.removeprefix("unix:")))
        return
    host, _, port = listen.rpartition(":")
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {listen}: {_advice(error, host, int(port))}") from None


def _refuse_path(listen: str, path: Path) -> None:
    if not path.parent.is_dir():
        raise click.ClickException(f"cannot listen on {listen}: there is no folder {path.parent}")
    if path.exists() and not path.is_socket():
        raise click.ClickException(f"cannot listen on {listen}: {path} is there, and is no socket")


def _advice(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"another program listens there (`ss -ltnp` or `lsof -i :{port}` says which). "
            f"Stop it, or choose another port: moorage serve --listen {host}:{port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"only root may use port {port}; choose one above 1023 with --listen"
    return f"{host} is no address of this machine ({error.strerror}); choose another with --listen"


def announce(settings: Settings, arbiter: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, which has no types
    """Say where the registry listens, where its data is, and how to use it."""
    place = str(arbiter.LISTENERS[0]).replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104 - for display
    shown = {item.name: str(item.value) for item in settings.describe()}
    if not is_human(settings):
        places = {name: shown[name] for name in ("data", "database_url", "storage_url")}
        logging.getLogger(__name__).info("listening on %s", place, extra=places)
        return
    console = Console(stderr=True, highlight=False)
    console.print(f"\n[bold]Moorage[/] listens on [bold cyan]{escape(place)}[/]  (Ctrl-C stops it)")
    if settings.external_url:
        console.print(f"  {'clients':9} {escape(settings.external_url)}", soft_wrap=True)
    for name in ("data", "database_url", "storage_url"):
        console.print(f"  {name.partition('_')[0]:9} {escape(shown[name])}", soft_wrap=True)
    if settings.insecure_anonymous and not settings.authentication:
        console.print("  [yellow]Everybody who reaches this address can push and delete.[/]", soft_wrap=True)
    console.print("\nA first push, to copy and paste:")
    for line in first_push(settings.external_url or place, login=settings.authentication):
        console.print(f"  [green]{escape(line)}[/]", soft_wrap=True)
    console.print()


def first_push(url: str, *, login: bool = False) -> list[str]:
    """Return commands that push a first image to a registry, one for each common client, after a ``login``."""
    if url.startswith("unix:"):
        return [f"curl --unix-socket {url.removeprefix('unix:')} http://localhost/v2/"]
    scheme, _, place = url.partition("://")
    image, plain = f"{place}/alpine", scheme == "http"
    digest = f"sha256:{hashlib.sha256(b'hello').hexdigest()}"
    user = "-u USER " if login else ""
    return [
        *([f"docker login {place}    # and so for podman, skopeo and crane"] if login else []),
        f"docker pull alpine && docker tag alpine {image} && docker push {image}",
        f"podman pull alpine && podman push{' --tls-verify=false' if plain else ''} alpine {image}",
        f"skopeo copy{' --dest-tls-verify=false' if plain else ''} docker://alpine docker://{image}",
        f"crane copy{' --insecure' if plain else ''} alpine {image}",
        f"curl -i {user}--data-binary hello '{url}/v2/hello/blobs/uploads/?digest={digest}'",
    ]

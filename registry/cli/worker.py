"""``moorage worker``."""

from __future__ import annotations

import logging
import os
import signal
import threading

import click

from registry.cli.common import read_settings, safe_mode_flag, settings_flags
from registry.cli.opening import open_app, told
from registry.logs import configure
from registry.schema import status
from registry.work.worker import Worker, new_holder

_EPILOG = """\b
Examples:
  moorage worker --data /var/lib/moorage
  moorage worker --once
"""


_LOWEST = 19


@click.command("worker", epilog=_EPILOG)
@settings_flags
@click.option("--once", is_flag=True, help="Run what is due now, and end: with code 1 if something failed.")
@safe_mode_flag
@click.option("--beside", type=int, hidden=True, help="The process of the server that this worker ends with.")
def command(*, once: bool, beside: int | None, **flags: object) -> None:
    """Run jobs: collection, retention and whatever else needs no request (Ctrl-C or SIGTERM ends it).

    `moorage serve` starts one worker by itself. Start more of them, or one beside gunicorn, with this command: any
    number of workers share the work, on any machine that reaches the database and the storage.
    """
    settings = read_settings(flags)
    with told():
        configure(settings)
        app = open_app(settings)
        if pending := status(app).pending:
            raise click.ClickException(f"the database lacks migrations ({', '.join(pending)}): run moorage db upgrade")
    if beside:
        os.nice(_LOWEST)  # what clients wait for comes first on a machine that they share
    holder, services = new_holder(), app.extensions["moorage"]
    services.caretaker.count_told()
    services.caretaker.start()
    services.notes.start()
    worker, dispatcher = Worker(services.queue, holder), services.dispatcher(holder)
    signal.signal(signal.SIGTERM, lambda *_: worker.stop())
    # Ctrl-C reaches the whole group of a server: it ends its worker itself, once requests are done.
    signal.signal(signal.SIGINT, signal.SIG_IGN if beside else lambda *_: worker.stop())
    if once:
        with told():
            sound = worker.run_due()
            services.notes.flush()
            dispatcher.run_due()
            services.caretaker.stop()
        raise SystemExit(0 if sound else 1)
    logging.getLogger(__name__).info("the worker runs %s", ", ".join(sorted(services.queue.names)))
    thread = threading.Thread(target=dispatcher.run, name="dispatcher")
    thread.start()
    try:
        worker.run((lambda: os.getppid() == beside) if beside else (lambda: True))
    finally:
        dispatcher.stop()
        thread.join()
        services.notes.flush()
        services.caretaker.stop()

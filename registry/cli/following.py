"""Runs of jobs, followed to their end with a progress bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from registry.cli.client import Client

_POLL_SECONDS = 0.25
_UNCLAIMED_SECONDS = 10
_SILENT_SECONDS = 60


def run_job(client: Client, job: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """Run a job and return its run once it is over; a run that failed is an error.

    On a local data folder this process carries the run out itself, unless a worker takes it first.
    """
    run: dict[str, Any] = client.send("POST", f"/jobs/{job}/runs", {"arguments": dict(arguments)})
    return follow(client, run)


def progress_bar() -> Progress:
    """Return a bar for stderr, which shows nothing where nobody is looking."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def follow(client: Client, run: dict[str, Any]) -> dict[str, Any]:
    """Wait until a run is over, and show how far it is where somebody is looking."""
    warned_at, silent_at = time.monotonic() + _UNCLAIMED_SECONDS, time.monotonic() + _SILENT_SECONDS
    with progress_bar() as bar, client.working():
        task = bar.add_task(run["job"], total=None)
        while run["finished"] is None:
            time.sleep(_POLL_SECONDS)
            heard, run = run["heard"], client.get(f"/runs/{run['id']}")
            bar.update(task, completed=run["done"], total=run["total"] or None)
            if run["state"] == "QUEUED" and time.monotonic() > warned_at:
                click.echo("no worker has taken this run yet: is one running? (moorage worker)", err=True)
                warned_at = float("inf")
            if run["heard"] != heard or run["state"] == "QUEUED":
                silent_at = time.monotonic() + _SILENT_SECONDS
            elif time.monotonic() > silent_at:
                click.echo(
                    f"its worker has not been heard of since {heard}: has it stopped, or is the disk full? Ctrl-C ends"
                    f" the waiting; moorage job show {run['id']} tells what became of the run",
                    err=True,
                )
                silent_at = float("inf")
    if run["error"]:
        raise click.ClickException(f"{run['job']} failed: {run['error']}")
    return run

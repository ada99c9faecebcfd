"""``moorage job``: what runs beside the requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag
from registry.cli.connecting import print_fields, print_items, with_client
from registry.repositories.lives import length_text

if TYPE_CHECKING:
    from registry.cli.client import Client

_RUN_COLUMNS = {
    "run": "id",
    "job": "job",
    "state": "state",
    "by": "by",
    "started": "started",
    "finished": "finished",
    "what came of it": "told",
}


@click.group("job")
def command() -> None:
    """Look at jobs, run them now, and stop them."""


@command.command("list", short_help="List the jobs.", epilog="\b\nExample:\n  moorage job list")
@with_client
@json_flag
def list_jobs(client: Client, *, as_json: bool) -> None:
    """List all jobs, and when each runs next."""
    columns = {
        "job": "name",
        "what it does": "about",
        "every": "every",
        "next": "next",
        "runs in worker": "holder",
    }
    found = client.get("/jobs")["items"]
    print_items(found if as_json else [_job_for_people(job) for job in found], columns, as_json=as_json)


@command.command(
    "runs", short_help="List runs.", epilog="\b\nExamples:\n  moorage job runs\n  moorage job runs --job collection"
)
@with_client
@click.option("--job", metavar="NAME", help="Only those of this job.")
@json_flag
def list_runs(client: Client, *, job: str | None, as_json: bool) -> None:
    """List runs, newest first; scheduled ones that found nothing to do are not kept."""
    found = list(client.items("/runs", {"job": job}))
    print_items(found if as_json else [_run_for_people(run) for run in found], _RUN_COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a run.", epilog="\b\nExample:\n  moorage job show 17")
@with_client
@click.argument("run", type=click.IntRange(1))
@json_flag
def show_run(client: Client, run: int, *, as_json: bool) -> None:
    """Show a run: how far it is, and what came of it."""
    print_fields(client.get(f"/runs/{run}"), as_json=as_json)


@command.command(
    "run", short_help="Run a job now.", epilog="\b\nExamples:\n  moorage job run collection\n  moorage job run scrub"
)
@with_client
@click.argument("job")
@click.option("--argument", "given", metavar="NAME=VALUE", multiple=True, help="Something that the job is told.")
@json_flag
def run_now(client: Client, job: str, *, given: tuple[str, ...], as_json: bool) -> None:
    """Run a job now, and wait for its end."""
    from registry.cli.following import run_job  # noqa: PLC0415 - only who runs a command waits for its imports

    arguments = dict(_argument(text) for text in given)
    print_fields(run_job(client, job, arguments), as_json=as_json)


@command.command("cancel", short_help="Stop a run.", epilog="\b\nExample:\n  moorage job cancel 17")
@with_client
@click.argument("run", type=click.IntRange(1))
def cancel_run(client: Client, run: int) -> None:
    """Take a waiting run out of the queue, or ask a running one to stop; what it did stays done."""
    click.echo(f"run {run} is {client.send('POST', f'/runs/{run}/cancel')['state']}")


def _job_for_people(job: dict[str, Any]) -> dict[str, Any]:
    if job["every_seconds"] is None:
        return {**job, "every": "when asked for"}
    is_due = job["next"] is not None and datetime.fromisoformat(job["next"]) <= datetime.now(UTC)
    every = length_text(round(job["every_seconds"] * 1000))
    return {**job, "every": every, "next": "once there is something to do" if is_due else job["next"]}


def _run_for_people(run: dict[str, Any]) -> dict[str, Any]:
    figures = {name: value for name, value in run["result"].items() if isinstance(value, int) and value}
    told = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in figures.items())
    return {**run, "by": run["actor"] if run["trigger"] == "by hand" else run["trigger"], "told": run["error"] or told}


def _argument(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise FlagRefused(f"--argument: expected NAME=VALUE, not {text!r}")
    return name, value

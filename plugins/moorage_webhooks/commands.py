"""``moorage webhooks``: subscriptions, and what became of deliveries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import click

from moorage_webhooks import signing
from moorage_webhooks.journal import Journal
from moorage_webhooks.sending import DELIVERED, Deliveries
from moorage_webhooks.subscriptions import Subscription, SubscriptionInvalid, Subscriptions
from registry.hooks import PluginContext

_DELIVERY_COLUMNS = ("time", "event", "type", "repository", "attempt", "state", "status", "milliseconds", "error")
_COLUMNS = ("name", "url", "types", "repositories", "declared", "enabled", "paused")
_json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_name = click.argument("name")


def webhooks_command(open_context: Callable[[], PluginContext]) -> click.Group:
    """Make the group of commands; ``open_context`` is called by each when it runs."""

    @click.group("webhooks", help="Tell other hosts what happens here, and see whether it arrived.")
    @click.pass_context
    def group(ctx: click.Context) -> None:
        ctx.obj = open_context

    for command in (add, list_all, show, remove, pause, resume, rotate, test, deliveries, redeliver):
        group.add_command(command)
    return group


@contextmanager
def _opened() -> Iterator[PluginContext]:
    """Open the registry, and turn what cannot be into a message."""
    try:
        yield click.get_current_context().obj()
    except (SubscriptionInvalid, LookupError) as error:
        raise click.ClickException(str(error)) from error


@click.command(
    "add",
    short_help="Subscribe a URL to events.",
    epilog="\b\nExample:\n  moorage webhooks add ci https://ci.example.org/hook --repository 'team/*'",
)
@_name
@click.argument("url")
@click.option("--type", "types", multiple=True, metavar="GLOB", help="Types of events; all unless given. Repeatable.")
@click.option("--repository", "repositories", multiple=True, metavar="GLOB", help="Repositories; all unless given.")
@click.option("--secret", envvar="MOORAGE_WEBHOOK_SECRET", metavar="TEXT", help="What signs; made unless given.")
def add(name: str, url: str, types: Sequence[str], repositories: Sequence[str], secret: str | None) -> None:
    """Send events to a URL from now on, and print the secret that signs them: it is never shown again."""
    with _opened() as context:
        keys = (secret or signing.new_secret(),)
        made = Subscription(name, url, keys, tuple(types) or ("*",), tuple(repositories) or ("*",))
        Subscriptions(context).add(made)
    click.echo(f"subscribed {name}")
    if not secret:
        click.echo(f"secret: {keys[0]}")


@click.command("list", short_help="List the subscriptions.")
@_json_flag
def list_all(*, as_json: bool) -> None:
    """List the subscriptions."""
    with _opened() as context:
        _print([one.shown() for one in Subscriptions(context).all()], _COLUMNS, as_json=as_json)


@click.command("show", short_help="Show a subscription.")
@_name
@_json_flag
def show(name: str, *, as_json: bool) -> None:
    """Show a subscription, without its secret."""
    with _opened() as context:
        shown = Subscriptions(context).get(name).shown()
    if as_json:
        click.echo(json.dumps(shown))
        return
    for field, value in shown.items():
        click.echo(f"{field + ':':14}{_cell(value)}")


@click.command("remove", short_help="End a subscription.")
@_name
def remove(name: str) -> None:
    """End a subscription, and forget what became of its deliveries."""
    with _opened() as context:
        Subscriptions(context).remove(name)
        Journal(context).forget(name)
    click.echo(f"removed {name}")


@click.command("pause", short_help="Hold events back.")
@_name
def pause(name: str) -> None:
    """Send nothing more to a subscriber; what happens meanwhile is sent once it is resumed."""
    with _opened() as context:
        Subscriptions(context).pause(name, "paused by hand")
    click.echo(f"paused {name}")


@click.command("resume", short_help="Send events again.")
@_name
def resume(name: str) -> None:
    """Send to a subscriber again, starting with what happened meanwhile."""
    with _opened() as context:
        Subscriptions(context).resume(name)
    click.echo(f"resumed {name}")


@click.command("rotate", short_help="Change a secret.")
@_name
@click.option("--finish", is_flag=True, help="Sign with the new secret alone: the receiver knows it.")
def rotate(name: str, *, finish: bool) -> None:
    """Sign with a new secret and the one before, until --finish; the new one is printed, and never shown again."""
    with _opened() as context:
        new = Subscriptions(context).rotate(name, finish=finish)
    click.echo(f"secret: {new}" if new else f"{name} is signed with its newest secret alone")


@click.command("test", short_help="Send an event that says nothing.")
@_name
def test(name: str) -> None:
    """Send an event that says nothing, to see whether it arrives."""
    with _opened() as context:
        _tell([Deliveries(context).test(name)])


@click.command("deliveries", short_help="List what was sent, and what came of it.")
@_name
@click.option("--dead", is_flag=True, help="Those alone that are not tried again.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1), help="Most that are listed.")
@_json_flag
def deliveries(name: str, *, dead: bool, limit: int, as_json: bool) -> None:
    """List what was sent to a subscriber, newest first, and what came of it."""
    with _opened() as context:
        Subscriptions(context).get(name)
        journal = Journal(context)
        found = list(islice(journal.dead(name) if dead else journal.entries(name), limit))
    _print(found, _DELIVERY_COLUMNS, as_json=as_json)


@click.command("redeliver", short_help="Send an event again, or all dead ones.")
@_name
@click.argument("event", required=False)
@click.option("--dead", is_flag=True, help="Every dead one, oldest first.")
def redeliver(name: str, event: str | None, *, dead: bool) -> None:
    """Send an EVENT once more, under the same id, or all dead ones."""
    if bool(event) == dead:
        raise click.UsageError("give the id of an event, or --dead")
    with _opened() as context:
        Subscriptions(context).get(name)
        sender = Deliveries(context)
        wanted = [event] if event else [entry["event"] for entry in Journal(context).dead(name)][::-1]
        _tell([sender.again(name, str(one)) for one in wanted])


def _tell(entries: Sequence[dict[str, Any]]) -> None:
    """Print what came of requests; a failed one makes the command fail."""
    for entry in entries:
        came = f"answered {entry['status']}" if entry["status"] else entry["error"]
        click.echo(f"{entry['event']}: {came}, {entry['milliseconds']} ms")
    if any(entry["state"] != DELIVERED for entry in entries):
        click.get_current_context().exit(1)


def _print(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(rows))
        return
    cells = [columns, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(len(row[number]) for row in cells) for number in range(len(columns))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "-" if value is None else str(value)

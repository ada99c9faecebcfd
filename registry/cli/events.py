"""``moorage events``: what happened, who heard of it, and who did not."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag
from registry.cli.connecting import REPOSITORY, print_fields, print_items, with_client
from registry.cli.times import MOMENT
from registry.names import RepositoryName

if TYPE_CHECKING:
    from registry.cli.client import Client

_COLUMNS = {"position": "position", "time": "time", "type": "type", "repository": "repository", "about": "subject"}
_CONSUMER_COLUMNS = {
    "consumer": "name",
    "position": "position",
    "behind": "behind",
    "repositories waiting": "waiting",
    "dead letters": "dead",
}
_LETTER_COLUMNS = {
    "letter": "id",
    "consumer": "consumer",
    "position": "position",
    "type": "type",
    "repository": "repository",
    "attempts": "attempts",
    "given up": "died",
    "why": "error",
}
_repository_flag = click.option("--repository", type=REPOSITORY, help="Only those of this repository.")
_type_flag = click.option(
    "--type", "types", metavar="TYPE", multiple=True, help="Only those of this type, or (tag.) of all that begin so."
)
_after_flag = click.option("--after", type=click.IntRange(0), metavar="POSITION", help="Only those behind this one.")
_since_flag = click.option("--since", type=MOMENT, help="Only those since a time, or so long ago: 2h.")
_PREFIX = "org.moorage."


@click.group("events")
def command() -> None:
    """Look at what happened, follow it, tell it again, and look after what nobody took."""


@command.command(
    "list",
    short_help="List events.",
    epilog="\b\nExamples:\n  moorage events list --since 2h\n"
    "  moorage events list --repository team/app --type tag.\n  moorage events list --after 1200 --json",
)
@with_client
@_repository_flag
@_type_flag
@_after_flag
@_since_flag
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@json_flag
def list_events(
    client: Client,
    *,
    repository: RepositoryName | None,
    types: tuple[str, ...],
    after: int | None,
    since: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List events in their order, oldest first."""
    query = _query(repository, types, after, since)
    found: list[dict[str, Any]] = []
    for event in client.items("/events", query):
        found.append(event)
        if len(found) == limit:
            break
    print_items(found if as_json else [_for_people(event) for event in found], _COLUMNS, as_json=as_json)


@command.command(
    "tail",
    short_help="Follow events.",
    epilog="\b\nExamples:\n  moorage events tail\n  moorage events tail --type tag. --json\n"
    "  moorage events tail --after 1200 --count 10",
)
@with_client
@_repository_flag
@_type_flag
@_after_flag
@_since_flag
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after so many.")
@json_flag
def tail(
    client: Client,
    *,
    repository: RepositoryName | None,
    types: tuple[str, ...],
    after: int | None,
    since: datetime | None,
    count: int | None,
    as_json: bool,
) -> None:
    """Print events as they come, one a line, until Ctrl-C; a connection that breaks is made again.

    Without --after and --since it begins at the present. With --json each line is an event of CloudEvents.
    """
    from registry.cli.tailing import follow  # noqa: PLC0415 - only who runs a command waits for its imports

    follow(client, _query(repository, types, after, since), count, as_json=as_json)


@command.command("consumers", short_help="List who hears of events.", epilog="\b\nExample:\n  moorage events consumers")
@with_client
@json_flag
def list_consumers(client: Client, *, as_json: bool) -> None:
    """List who hears of events, and how far each is."""
    print_items(client.get("/events/consumers")["items"], _CONSUMER_COLUMNS, as_json=as_json)


@command.command(
    "replay",
    short_help="Tell a consumer again.",
    epilog="\b\nExamples:\n  moorage events replay webhooks/deploy --since 2h\n"
    "  moorage events replay mirror --after 1200",
)
@with_client
@click.argument("consumer")
@_after_flag
@_since_flag
@json_flag
def replay(client: Client, consumer: str, *, after: int | None, since: datetime | None, as_json: bool) -> None:
    """Tell a consumer once more what it was told, behind a position or since a time, in the same order."""
    if (after is None) == (since is None):
        raise FlagRefused("say from where: --after POSITION or --since TIME, one of them")
    wanted = {"consumer": consumer, "after": after, "since": None if since is None else since.isoformat()}
    found = client.send("POST", "/events/replay", {key: value for key, value in wanted.items() if value is not None})
    print_fields(found, as_json=as_json)


@command.group("dead")
def dead() -> None:
    """Look at dead letters: what a consumer did not take, however often it was told. Redeliver them, or drop them."""


@dead.command(
    "list",
    short_help="List dead letters.",
    epilog="\b\nExamples:\n  moorage events dead list\n  moorage events dead list --consumer webhooks/deploy",
)
@with_client
@click.option("--consumer", metavar="NAME", help="Only those of this consumer.")
@json_flag
def list_letters(client: Client, *, consumer: str | None, as_json: bool) -> None:
    """List dead letters, oldest first."""
    found = list(client.items("/events/dead", {"consumer": consumer}))
    shown = found if as_json else [{**(_for_people(one["event"] or {})), **one} for one in found]
    print_items(shown, _LETTER_COLUMNS, as_json=as_json)


@dead.command(
    "redeliver",
    short_help="Tell a dead letter again.",
    epilog="\b\nExamples:\n  moorage events dead redeliver 17\n  moorage events dead redeliver 17 18",
)
@with_client
@click.argument("letters", type=click.IntRange(1), nargs=-1, required=True)
def redeliver(client: Client, letters: tuple[int, ...]) -> None:
    """Tell a consumer of a dead letter's event again, by itself; a worker does so within seconds."""
    for letter in letters:
        client.send("POST", f"/events/dead/{letter}/redeliver")
        click.echo(f"letter {letter} is told again")


@dead.command("drop", short_help="Forget a dead letter.", epilog="\b\nExample:\n  moorage events dead drop 17")
@with_client
@click.argument("letters", type=click.IntRange(1), nargs=-1, required=True)
def drop(client: Client, letters: tuple[int, ...]) -> None:
    """Forget dead letters."""
    for letter in letters:
        client.send("DELETE", f"/events/dead/{letter}")
        click.echo(f"letter {letter} is dropped")


def _query(
    repository: RepositoryName | None, types: tuple[str, ...], after: int | None, since: datetime | None
) -> dict[str, object]:
    return {
        "repository": repository,
        "type": ",".join(name if name.startswith(_PREFIX) else f"{_PREFIX}{name}" for name in types) or None,
        "after": after,
        "since": None if since is None else since.isoformat(),
    }


def _for_people(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "position": int(event.get("sequence", 0)),
        "time": event.get("time", ""),
        "type": event.get("type", "forgotten").removeprefix(_PREFIX),
        "repository": event.get("repository", ""),
        "subject": event.get("subject", ""),
    }

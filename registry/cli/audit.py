"""``moorage audit``: who did what, and whether the log of that is whole."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import REPOSITORY, print_items, with_client
from registry.cli.times import MOMENT
from registry.errors import InputInvalid

if TYPE_CHECKING:
    from registry.audit.checking import Checker
    from registry.cli.client import Client

F = TypeVar("F", bound=Callable[..., Any])
_COLUMNS = {
    "position": "position",
    "time": "time",
    "what": "what",
    "who": "principal",
    "from": "address",
    "repository": "repository",
    "about": "reference",
    "rule": "rule",
    "times": "count",
}
_FILTERS = (
    click.option("--principal", metavar="NAME", help="Only what this user, robot or `anonymous` did."),
    click.option("--address", metavar="IP", help="Only what came from this address."),
    click.option(
        "--kind", "kinds", metavar="KIND", multiple=True, help="Only this kind, or (policy.) all that begin so."
    ),
    click.option("--repository", type=REPOSITORY, help="Only what was done in this repository."),
    click.option("--outcome", type=click.Choice(["allowed", "denied"]), help="Only what was allowed, or denied."),
    click.option("--since", type=MOMENT, help="Only those since a time, or so long ago: 2h."),
    click.option("--until", type=MOMENT, help="Only those before a time."),
)

_head_flag = click.option(
    "--head", metavar="POSITION:HASH", help="A last record that was known before, and kept elsewhere."
)


def _with_query(function: F) -> F:
    """Give a command the flags that say which records, and the query for them as second argument."""

    @functools.wraps(function)
    def run(client: Client, **options: Any) -> object:  # noqa: ANN401 - as click gives them
        given = {name: options.pop(name) for name in ("principal", "address", "repository", "outcome")}
        times = {name: options.pop(name) for name in ("since", "until")}
        query = {
            **given,
            "kind": ",".join(options.pop("kinds")) or None,
            **{name: None if time is None else time.isoformat() for name, time in times.items()},
        }
        return function(client, query, **options)

    for option in reversed(_FILTERS):
        run = option(run)
    return run  # type: ignore[return-value] # click's decorators return what they are given


@click.group("audit")
def command() -> None:
    """Look at who did what, export it, and check that nothing of it was altered."""


@command.command(
    "list",
    short_help="List records.",
    epilog="\b\nExamples:\n  moorage audit list --since 2h\n  moorage audit list --principal alice --kind policy.\n"
    "  moorage audit list --outcome denied --repository team/app",
)
@with_client
@_with_query
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@json_flag
def list_records(client: Client, query: dict[str, object], *, limit: int, as_json: bool) -> None:
    """List records, newest first."""
    found = list(islice(client.items("/audit", query), limit))
    print_items(found if as_json else [_for_people(record) for record in found], _COLUMNS, as_json=as_json)


@command.command(
    "export",
    short_help="Print records as JSON lines.",
    epilog="\b\nExamples:\n  moorage audit export --since 30d > audit.jsonl\n  moorage audit export > audit.jsonl",
)
@with_client
@_with_query
def export(client: Client, query: dict[str, object]) -> None:
    """Print records as JSON, one a line, oldest first. `moorage audit verify-file` checks an export of all of them."""
    for record in client.items("/audit", {**query, "order": "oldest"}):
        click.echo(json.dumps(record, ensure_ascii=False))


@command.command(
    "verify",
    short_help="Check that nothing was altered.",
    epilog="\b\nExamples:\n  moorage audit verify\n  moorage audit verify --head 1204:9f86d0...",
)
@with_client
@_head_flag
@json_flag
def verify(client: Client, *, head: str | None, as_json: bool) -> None:
    """Check the chain of all records, and print its head. Exit code 1 tells that something is wrong.

    Each record carries the hash of the one before: what was altered, removed, inserted or moved is found. Whoever can
    write to the database could make the end of the chain anew; a --head that you kept elsewhere finds that, too.
    """
    end = client.get("/audit/head")
    records = client.items("/audit", {"order": "oldest"})
    _check(records, [head, f"{end['position']}:{end['hash']}"], end["waiting"], as_json=as_json)


@command.command(
    "verify-file",
    short_help="Check an export.",
    epilog="\b\nExample:\n  moorage audit verify-file audit.jsonl --head 1204:9f86d0...",
)
@click.argument("file", type=click.Path(dir_okay=False))
@_head_flag
@json_flag
def verify_file(file: str, *, head: str | None, as_json: bool) -> None:
    """Check an export of all records as `moorage audit verify` does; no registry is asked."""
    _check(_lines(file), [head], 0, as_json=as_json)


def _check(records: Iterable[dict[str, Any]], heads: Sequence[str | None], waiting: int, *, as_json: bool) -> None:
    from registry.audit.chain import Head  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.audit.checking import Checker  # noqa: PLC0415 - the same

    checker = Checker()
    try:
        checker.watch(*(Head.parse(head) for head in heads if head is not None))
    except InputInvalid as error:
        raise FlagRefused(f"--head: {error.message}") from None
    for record in records:
        checker.take(record)
    _tell(checker, waiting, as_json=as_json)


def _tell(checker: Checker, waiting: int, *, as_json: bool) -> None:
    breaks = checker.breaks()
    if as_json:
        print_json(
            {
                "sound": not breaks,
                "records": checker.count,
                "head": str(checker.last),
                "removed": checker.removed,
                "waiting": waiting,
                "breaks": [{"position": one.position, "problem": one.problem} for one in breaks],
            }
        )
    else:
        for one in breaks:
            click.echo(f"record {one.position}: {one.problem}")
        click.echo(f"{checker.count} records are {'NOT ' if breaks else ''}as they were written")
        if checker.removed:
            click.echo(f"those up to {checker.removed} were removed because of their age")
        if waiting:
            click.echo(f"{waiting} entries wait to be sealed by a worker")
        click.echo(f"head: {checker.last}")
    if breaks:
        raise SystemExit(1)


def _lines(file: str) -> Iterator[dict[str, Any]]:
    try:
        with Path(file).open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                found = json.loads(line)
                if not isinstance(found, dict):
                    raise FlagRefused(f"{file}: line {number} is no record")
                yield found
    except OSError as error:
        raise FlagRefused(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise FlagRefused(f"{file}: {error}") from None


def _for_people(record: dict[str, Any]) -> dict[str, Any]:
    what = record["kind"]
    if what == "denied":
        what = f"denied {record['action']}"
    elif record["outcome"] == "denied":
        what = f"{what} (denied)"
    return {**record, "what": what}

"""``moorage gc``: collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import REPOSITORY, Parsed, print_items, time_text, with_client
from registry.digest import ALGORITHMS
from registry.names import Reference, RepositoryName, parse_reference

if TYPE_CHECKING:
    from registry.cli.client import Client


def _place(text: str) -> tuple[RepositoryName | None, Reference]:
    """Read a tag, a digest, or either behind its repository, as in ``NAME:TAG`` and ``NAME@DIGEST``."""
    head, at_sign, tail = text.partition("@") if "@" in text else text.rpartition(":")
    if not at_sign or head in ALGORITHMS:
        return None, parse_reference(text)
    return RepositoryName.parse(head), parse_reference(tail)


_PLACE: Parsed[tuple[RepositoryName | None, Reference]] = Parsed("tag or digest", _place)


@click.group("gc")
def command() -> None:
    """Free what nothing keeps, and tell why the rest is kept.

    A worker does this all the time; pushes and pulls go on beside it. What was deleted stays restorable for its
    recovery window, and what was just pushed is kept for a grace time.
    """


@command.command(
    "run",
    short_help="Collect now.",
    epilog="\b\nExamples:\n  moorage gc run --dry-run\n  moorage gc run --server http://127.0.0.1:5000",
)
@with_client
@click.option("--dry-run", is_flag=True, help="Only list what would be freed.")
@json_flag
def run(client: Client, *, dry_run: bool, as_json: bool) -> None:
    """Remove what is due now, and wait for the end."""
    if dry_run:
        _preview(client, as_json=as_json)
        return
    from registry.cli.following import run_job  # noqa: PLC0415 - only who runs a command waits for its imports

    done = run_job(client, "collection", {})
    if as_json:
        print_json(done)
    else:
        click.echo(f"freed {_told(done['result'])}")
        if not any(done["result"].values()):
            _tell_next(client)
        if failed := done["result"].get("failed"):
            click.echo(
                f"{failed} could not be looked at, and are tried again later: the server's log says why", err=True
            )


def _preview(client: Client, *, as_json: bool) -> None:
    found = client.get("/collection/preview", {"limit": 10_000})
    if as_json:
        print_json(found)
        return
    if found["removed"]:
        columns = {"kind": "kind", "digest or name": "name", "bytes freed": "bytes"}
        print_items(found["removed"], columns, as_json=False)
    click.echo(f"a run would free {_told(found['freed'])}")
    if not any(found["freed"].values()):
        _tell_next(client)
    if found["more"]:
        click.echo(f"this is what the first {found['looked_at']} reviews free; more is due")


def _tell_next(client: Client) -> None:
    """Say to who expected more when there is something to look at, and where to read why not now."""
    times = [kind["next"] for kind in client.get("/collection")["queue"] if kind["next"] and not kind["due"]]
    if times:
        click.echo(
            f"the next look at anything is at {time_text(min(times))}; why a thing is kept: moorage gc explain NAME:TAG"
        )


@command.command("status", short_help="Tell what waits for collection.", epilog="\b\nExample:\n  moorage gc status")
@with_client
@json_flag
def status(client: Client, *, as_json: bool) -> None:
    """Tell what waits to be looked at, what is about to be freed, and what the last runs did."""
    found = client.get("/collection")
    runs = client.get("/runs", {"job": "collection", "limit": 5})["items"]
    if as_json:
        print_json({**found, "last_runs": runs})
        return
    from rich.filesize import decimal  # noqa: PLC0415 - only who runs a command waits for its imports

    click.echo("To be looked at:")
    print_items(found["queue"], {"kind": "kind", "waiting": "waiting", "due": "due", "next": "next"}, as_json=False)
    stubborn = f" (one has failed {found['attempts']} times)" if found["attempts"] else ""
    click.echo(f"To be freed: {decimal(found['bytes_to_free'])} in {found['deletions']} deletions{stubborn}")
    click.echo("\nLast runs that freed something or were asked for:")
    shown = [{**one, "freed": _told(one["result"]) if one["result"] else one["error"]} for one in runs]
    print_items(shown, {"run": "id", "state": "state", "finished": "finished", "freed": "freed"}, as_json=False)


@command.command(
    "explain",
    short_help="Tell why something is kept.",
    epilog="\b\nExamples:\n  moorage gc explain sha256:...\n  moorage gc explain team/app:v1",
)
@with_client
@click.argument("reference", type=_PLACE)
@click.option("--repository", type=REPOSITORY, help="Only in this repository; a tag needs it.")
@json_flag
def explain(
    client: Client,
    reference: tuple[RepositoryName | None, Reference],
    *,
    repository: RepositoryName | None,
    as_json: bool,
) -> None:
    """Tell by which chain of roots a digest or tag is kept, or when it will go.

    REFERENCE is a digest, or a tag or digest behind its repository: NAME:TAG, NAME@DIGEST.
    """
    named, reference_there = reference
    if named is not None and repository is not None:
        raise FlagRefused(f"{named} names the repository already: leave --repository out")
    query = {"reference": str(reference_there), "repository": named or repository}
    found = client.get("/collection/explain", query)
    if as_json:
        print_json(found)
        return
    click.echo(found["digest"])
    if found["purged"] is not None:
        click.echo(f"  was purged, and may not come back: {found['purged']}")
    if found["state"] != "LIVE":
        click.echo(f"  its bytes are {found['state']}")
    for place in found["places"]:
        click.echo("\n".join(_explained(place)))


def _explained(place: dict[str, Any]) -> list[str]:
    goes = f"goes at {time_text(place['goes'])}" if place["goes"] else "is kept"
    lines = [f"  in {place['repository']} ({place['kind']}): {goes}"]
    for root in place["roots"]:
        until = f"until {time_text(root['until'])}" if root["until"] else "for ever"
        lines.append(f"    {root['kind']}: {root['detail']}, {until}")
        lines += [f"      {'by ' if step else ''}{digest}" for step, digest in enumerate(root["path"]) if step]
    return lines


def _told(freed: dict[str, Any]) -> str:
    from rich.filesize import decimal  # noqa: PLC0415 - only who runs a command waits for its imports

    size = freed.get("bytes", 0)
    counts = [f"{count} {name}" for name, count in freed.items() if count and name not in ("bytes", "keys", "failed")]
    return f"{decimal(size)} ({', '.join(counts) or 'nothing'})"

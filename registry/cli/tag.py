"""``moorage tag``: tags, their history, and their undo."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from registry.cli.common import FlagRefused, json_flag, print_json
from registry.cli.connecting import (
    DIGEST,
    REPOSITORY,
    TAG,
    Parsed,
    at,
    confirm,
    print_fields,
    print_items,
    time_text,
    with_client,
    yes_flag,
)
from registry.cli.times import LENGTH, MOMENT
from registry.names import TagName

if TYPE_CHECKING:
    from registry.cli.client import Client
    from registry.digest import Digest
    from registry.names import RepositoryName

_COLUMNS = {
    "tag": "name",
    "digest": "digest",
    "since": "since",
    "until": "until",
    "immutable": "immutable",
}
_PERIODS = {
    "tag": "name",
    "digest": "digest",
    "since": "since",
    "until": "until",
    "ended": "ended",
    "restorable": "restorable",
    "by": "actor",
}
as_of_flag = click.option("--as-of", type=MOMENT, help="As it was at this time, or so long ago (2h).")


def _beginning(text: str) -> str:
    """Check the name of a tag, or the beginning of names before a star."""
    TagName.parse(text.removesuffix("*"))
    return text


@click.group("tag")
def command() -> None:
    """Look at tags, what they stood for, and change what they stand for.

    A tag that was moved or deleted by mistake comes back with `moorage tag restore`, for as long as the repository's
    recovery window lasts (14 days, unless set otherwise).
    """


@command.command(
    "list",
    short_help="List tags.",
    epilog="\b\nExamples:\n  moorage tag list team/app\n  moorage tag list team/app --as-of 2h",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@as_of_flag
@json_flag
def list_tags(client: Client, repository: RepositoryName, *, as_of: datetime | None, as_json: bool) -> None:
    """List a repository's tags by name, as they are or as they were."""
    found = list(client.items(at(repository, "tags"), {"as_of": _text(as_of)}))
    print_items(found if as_json else [_for_people(tag) for tag in found], _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a tag.", epilog="\b\nExample:\n  moorage tag show team/app v1 --as-of 2h")
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@as_of_flag
@json_flag
def show_tag(
    client: Client, repository: RepositoryName, tag: TagName, *, as_of: datetime | None, as_json: bool
) -> None:
    """Show a tag, as it is or as it was."""
    found = client.get(at(repository, "tags", tag), {"as_of": _text(as_of)})
    print_fields(found if as_json else _for_people(found), as_json=as_json)


@command.command(
    "history",
    short_help="List what tags stood for.",
    epilog="\b\nExamples:\n  moorage tag history team/app v1\n  moorage tag history team/app 'v1.*' --since 1d\n"
    "  moorage tag history team/app --since 1d",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=Parsed("tag", _beginning), required=False)
@click.option("--since", type=MOMENT, help="Only what started after this time, or within so long (1d).")
@click.option("--until", type=MOMENT, help="Only what started before this time.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@json_flag
def history(
    client: Client,
    repository: RepositoryName,
    tag: str | None,
    *,
    since: datetime | None,
    until: datetime | None,
    limit: int,
    as_json: bool,
) -> None:
    """List what a tag, or every tag, stood for: from when to when, why that ended, and whether it can come back.

    With a star at its end, TAG is the beginning of names: 'v1.*'.
    """
    query = {"tag": tag, "since": _text(since), "until": _text(until)}
    found = [item for item, _ in zip(client.items(at(repository, "history"), query), range(limit), strict=False)]
    print_items(found, _PERIODS, as_json=as_json)


@command.command(
    "restore",
    short_help="Put a tag back.",
    epilog="\b\nExamples:\n  moorage tag restore team/app v1\n  moorage tag restore team/app v1 --as-of 2h\n"
    "  moorage tag restore team/app v1 --digest sha256:...",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@click.option("--as-of", type=MOMENT, help="To what it stood for at this time, or so long ago (2h).")
@click.option("--digest", type=DIGEST, help="To this manifest, which it stood for once.")
@json_flag
def restore(
    client: Client,
    repository: RepositoryName,
    tag: TagName,
    *,
    as_of: datetime | None,
    digest: Digest | None,
    as_json: bool,
) -> None:
    """Put a tag back to what it stood for before its last change, at a time, or for a digest.

    A manifest that was deleted comes back with it, with all that it consists of.
    """
    if as_of is not None and digest is not None:
        raise FlagRefused("--as-of and --digest: give one of them")
    wanted = {"as_of": _text(as_of), "digest": None if digest is None else str(digest)}
    _told(client.send("POST", at(repository, "tags", tag, "restore"), wanted), "stands for", as_json=as_json)


@command.command(
    "move", short_help="Point a tag at a manifest.", epilog="\b\nExample:\n  moorage tag move team/app prod sha256:..."
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@click.argument("digest", type=DIGEST)
@json_flag
def move(client: Client, repository: RepositoryName, tag: TagName, digest: Digest, *, as_json: bool) -> None:
    """Make a tag, new or not, stand for a manifest that the repository has."""
    made = client.send("PUT", at(repository, "tags", tag), {"digest": str(digest)})
    _told(made, "stands for", as_json=as_json)


@command.command(
    "expire",
    short_help="Give a tag an end, or none.",
    epilog="\b\nExamples:\n  moorage tag expire team/app nightly --in 2w\n"
    "  moorage tag expire team/app nightly --never",
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@click.option("--in", "within", type=LENGTH, help="It ends so long from now (2w).")
@click.option("--at", "moment", type=MOMENT, help="It ends at this time.")
@click.option("--never", is_flag=True, help="It does not end.")
@json_flag
def expire(
    client: Client,
    repository: RepositoryName,
    tag: TagName,
    *,
    within: timedelta | None,
    moment: datetime | None,
    never: bool,
    as_json: bool,
) -> None:
    """Let a tag end by itself, at a time or never; labels of its image do not change that afterwards."""
    if [within is not None, moment is not None, never].count(True) != 1:
        raise FlagRefused("say when: one of --in, --at and --never")
    end = datetime.now(UTC) + within if within is not None else moment
    made = client.send("PATCH", at(repository, "tags", tag), {"expires": _text(end)})
    if as_json:
        print_json(made)
    else:
        told = f"ends at {time_text(made['until'])}" if made["until"] else "does not end"
        click.echo(f"{made['name']} {told}")


def _protect(client: Client, repository: RepositoryName, tag: TagName, *, immutable: bool, as_json: bool) -> None:
    made = client.send("PATCH", at(repository, "tags", tag), {"immutable": immutable})
    if as_json:
        print_json(made)
    else:
        makers = _for_people(made)["immutable"]
        click.echo(f"{made['name']} is {'not immutable' if makers == 'no' else f'immutable {makers}'}")


@command.command(
    "protect", short_help="Make a tag immutable.", epilog="\b\nExample:\n  moorage tag protect team/app v1.0"
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@json_flag
def protect(client: Client, repository: RepositoryName, tag: TagName, *, as_json: bool) -> None:
    """Make a tag immutable: it cannot be moved, deleted or given an end."""
    _protect(client, repository, tag, immutable=True, as_json=as_json)


@command.command(
    "unprotect", short_help="Let a tag be moved again.", epilog="\b\nExample:\n  moorage tag unprotect team/app v1.0"
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@json_flag
def unprotect(client: Client, repository: RepositoryName, tag: TagName, *, as_json: bool) -> None:
    """Undo `moorage tag protect`; labels and rules may still make the tag immutable."""
    _protect(client, repository, tag, immutable=False, as_json=as_json)


@command.command(
    "delete", short_help="Delete a tag.", epilog="\b\nExample:\n  moorage tag delete team/app nightly --yes"
)
@with_client
@click.argument("repository", type=REPOSITORY)
@click.argument("tag", type=TAG)
@yes_flag
def delete(client: Client, repository: RepositoryName, tag: TagName, *, yes: bool) -> None:
    """Delete a tag; its image and other tags stay, and it can be restored for the recovery window."""
    confirm(f"Delete the tag {tag} of {repository}?", yes=yes)
    client.send("DELETE", at(repository, "tags", tag))
    click.echo(f"deleted {tag}; to undo: moorage tag restore {repository} {tag}")


def _for_people(tag: dict[str, Any]) -> dict[str, Any]:
    """Say in one field whether a tag is immutable, and what makes it so."""
    by_hand, by_label, rule = tag["immutable"], tag["immutable_by_label"], tag["immutable_by_rule"]
    makers = {"by hand": by_hand, "by a label": by_label, f"by the rule {rule}": rule is not None}
    left_out = ("immutable_by_label", "immutable_by_rule")
    shown = {name: value for name, value in tag.items() if name not in left_out}
    return {**shown, "immutable": ", ".join(maker for maker, made_it in makers.items() if made_it) or "no"}


def _told(tag: dict[str, Any], does: str, *, as_json: bool) -> None:
    if as_json:
        print_json(tag)
    else:
        click.echo(f"{tag['name']} {does} {tag['digest']}")


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()

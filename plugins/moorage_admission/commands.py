"""``moorage admission check``: what the rules would say about all that is there already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from itertools import chain
from typing import NamedTuple

import click

from moorage_admission.judging import judge
from moorage_admission.rules import Rule
from registry.hooks import ContentMissing, Digest, PluginContext, RepositoryReader


class Found(NamedTuple):
    """A finding, and where it was made; ``tag`` is empty for one at the manifest as such."""

    repository: str
    tag: str
    digest: str
    rule: str
    action: str
    text: str


def admission_command(open_context: Callable[[], PluginContext]) -> click.Group:
    """Return the command."""

    @click.group("admission", short_help="Rules about what may be pushed.")
    def admission() -> None:
        """Look at what the rules of [[plugins.admission.rules]] say."""

    @admission.command(
        "check",
        short_help="Judge what is there already.",
        epilog="\b\nExample:\n  moorage admission check 'team/*'",
    )
    @click.argument("repositories", metavar="[PATTERN]...", nargs=-1)
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
    def check(repositories: tuple[str, ...], *, as_json: bool) -> None:
        """Tell what the rules would refuse, or warn of, of all that is in the REPOSITORIES, and change nothing.

        The exit code is 1 where something would be refused.
        """
        found = list(look_over(open_context(), repositories))
        if as_json:
            click.echo(json.dumps([one._asdict() for one in found], indent=2))
        else:
            for one in found:
                where = f"{one.repository}:{one.tag}" if one.tag else f"{one.repository}@{one.digest}"
                click.echo(f"{one.action}  {where}  {one.text}")
            click.echo(f"{len(found)} findings", err=True)
        if any(one.action == "deny" for one in found):
            click.get_current_context().exit(1)

    return admission


def look_over(context: PluginContext, patterns: tuple[str, ...]) -> Iterator[Found]:
    """Yield all findings in the repositories that match one of ``patterns`` (none: in all)."""
    for name in context.repositories():
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
            yield from _in_repository(context, context.reader(name))


def _in_repository(context: PluginContext, reader: RepositoryReader) -> Iterator[Found]:
    of_tags = [rule for rule in context.settings.rules if rule.is_about_tags]
    of_all = [rule for rule in context.settings.rules if not rule.is_about_tags]
    places = ((manifest.digest, "") for manifest in reader.manifests()) if of_all else ()
    tags = ((tag.digest, tag.name) for tag in reader.tags()) if of_tags else ()
    for digest, tag in chain(places, tags):
        yield from _at(reader, digest, tag, of_tags if tag else of_all)


def _at(reader: RepositoryReader, digest: Digest, tag: str, rules: list[Rule]) -> Iterator[Found]:
    try:
        manifest = reader.manifest(digest)
    except ContentMissing:  # it went meanwhile, or its format's plugin is not installed
        return
    for one in judge(rules, reader, manifest, reader.labels(digest), tag):
        yield Found(reader.name, tag, str(digest), one.rule, one.action, one.text)

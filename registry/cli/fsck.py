"""``moorage fsck``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from registry.access.actors import OPERATOR, Actor
from registry.cli.common import FlagRefused, json_flag, read_settings, settings_flags
from registry.cli.connecting import REPOSITORY
from registry.errors import NameUnknown

if TYPE_CHECKING:
    from registry.fsck.findings import Finding, Report
    from registry.names import RepositoryName
    from registry.settings import Settings

_EPILOG = """\b
Exit codes:
  0  nothing is wrong (notes are no errors)
  1  errors are left
  2  the command was used wrongly
  3  the check could not be made

\b
Examples:
  moorage fsck --data /var/lib/moorage
  moorage fsck --deep --rate 50 team/app
  moorage fsck --deep --repair --json
"""
_CANNOT = 3
_MIB = 1 << 20


@click.command("fsck", epilog=_EPILOG)
@settings_flags
@click.argument("repositories", metavar="[REPOSITORY]...", type=REPOSITORY, nargs=-1)
@click.option("--deep", is_flag=True, help="Read all bytes again and compare their digests.")
@click.option("--rate", type=click.IntRange(1), metavar="MIB", help="Read at most so many MiB a second, with --deep.")
@click.option("--repair", is_flag=True, help="Mend what can be mended without taking anything away.")
@json_flag
def command(
    *,
    repositories: tuple[RepositoryName, ...],
    deep: bool,
    rate: int | None,
    repair: bool,
    as_json: bool,
    **flags: object,
) -> None:
    """Check what is stored: rows against each other, and against the bytes. Servers may go on running.

    All is checked, or only some repositories and the blobs that they have. --repair puts damaged blobs into
    quarantine, so that the next push of them heals them, queues what collection was never told of, and lets it
    remove bytes that no row knows. It never touches a tag or a manifest.
    """
    if rate is not None and not deep:
        raise FlagRefused("--rate says how fast --deep reads: give both")
    try:
        settings = read_settings(flags)
        report = _Printed(as_json=as_json).run(
            settings, repositories, deep=deep, repair=repair, bytes_a_second=rate and rate * _MIB
        )
    except FlagRefused:
        raise
    except click.ClickException as failure:
        failure.show()
        raise SystemExit(_CANNOT) from None
    raise SystemExit(1 if report.errors else 0)


class _Printed:
    """Runs a check and prints what it finds as it comes: there may be much of it."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._any = False

    def run(self, settings: Settings, repositories: Sequence[RepositoryName], **how: object) -> Report:
        from registry.cli.local import opened_app  # noqa: PLC0415 - only who runs a command waits for its imports
        from registry.cli.opening import told  # noqa: PLC0415 - the same
        from registry.cli.showing import shown_progress  # noqa: PLC0415 - the same

        with opened_app(settings) as app, told(), shown_progress("checking") as progress:
            fsck = app.extensions["moorage"].fsck
            try:
                report: Report = fsck.run(Actor(OPERATOR), repositories, progress=progress, tell=self._tell, **how)
            except NameUnknown as unknown:
                name = unknown.detail["name"] if isinstance(unknown.detail, dict) else ""
                raise FlagRefused(f"there is no repository {name}") from None
        self._end(report)
        return report

    def _tell(self, finding: Finding) -> None:
        told = {
            "severity": str(finding.severity),
            "kind": str(finding.kind),
            "subject": finding.subject,
            "detail": finding.detail,
        }
        if self._as_json:
            self._open()
            click.echo(f"{',' if self._any else ''}\n    {json.dumps(told)}", nl=False)
            self._any = True
        else:
            click.echo(": ".join(told.values()))

    def _open(self) -> None:
        if not self._any:
            click.echo('{\n  "findings": [', nl=False)

    def _end(self, report: Report) -> None:
        kinds = sorted(report.kinds.items())
        if self._as_json:
            self._open()
            counts = [{"severity": str(one), "kind": str(kind), "count": count} for (one, kind), count in kinds]
            rest = {"errors": report.errors, "counts": counts, "checked": dict(report.checked)}
            click.echo("\n  ],\n  " + json.dumps(rest)[1:])
            return
        from registry.cli.tables import show  # noqa: PLC0415 - only who runs a command waits for its imports

        show(("checked", "number"), list(report.checked.items()))
        if kinds:
            show(("severity", "found", "number"), [(one, kind, count) for (one, kind), count in kinds])
        else:
            click.echo("nothing is wrong")

"""``moorage fsck``."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json, read_settings, settings_flags

if TYPE_CHECKING:
    from registry.fsck.findings import Report

_EPILOG = """\b
Exit codes:
  0  nothing is wrong (notes are no errors)
  1  errors are left
  2  the command was used wrongly
  3  the check could not be made

\b
Examples:
  moorage fsck --data /var/lib/moorage
  moorage fsck --deep --repair --json
"""
_CANNOT = 3


@click.command("fsck", epilog=_EPILOG)
@settings_flags
@click.option("--deep", is_flag=True, help="Read all bytes again and compare their digests.")
@click.option("--repair", is_flag=True, help="Mend what can be mended without taking anything away.")
@json_flag
def command(*, deep: bool, repair: bool, as_json: bool, **flags: object) -> None:
    """Check what is stored: rows against each other, and against the bytes. Servers may go on running.

    --repair puts damaged blobs into quarantine, so that the next push of them heals them, queues what collection was
    never told of, and lets it remove bytes that no row knows. It never touches a tag or a manifest.
    """
    from registry.cli.opening import inspected, told  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.schema import status  # noqa: PLC0415 - the same

    settings = read_settings(flags)
    try:
        with told(), inspected(settings) as app:
            _require_schema(status(app).pending)
            with _shown() as progress:
                report = app.extensions["moorage"].fsck.run(deep=deep, repair=repair, progress=progress)
            app.extensions["moorage"].database.close_idle()
    except click.ClickException as failure:
        failure.show()
        raise SystemExit(_CANNOT) from None
    _tell(report, as_json=as_json)
    raise SystemExit(1 if report.errors else 0)


def _require_schema(pending: Sequence[str]) -> None:
    if pending:
        raise click.ClickException(f"the database lacks migrations ({', '.join(pending)}): run moorage db upgrade")


@contextmanager
def _shown() -> Iterator[Callable[[str, int], None]]:
    """Show how far the check is, where somebody is looking."""
    from rich.console import Console  # noqa: PLC0415 - only who runs a command waits for its imports

    if not sys.stderr.isatty():
        yield lambda _what, _count: None
        return
    with Console(stderr=True).status("checking") as line:
        yield lambda what, count: line.update(f"checking {what}: {count}" if count else f"checking {what}")


def _tell(report: Report, *, as_json: bool) -> None:
    found = [
        {"severity": str(one.severity), "kind": one.kind, "subject": one.subject, "detail": one.detail}
        for one in report.findings
    ]
    if as_json:
        print_json({"checked": dict(report.checked), "errors": report.errors, "findings": found})
        return
    for one in found:
        click.echo(f"{one['severity']}: {one['kind']}: {one['subject']}: {one['detail']}")
    looked = ", ".join(f"{count} {what}" for what, count in report.checked.items())
    counts = Counter(one["severity"] for one in found)
    summary = ", ".join(
        f"{count} {severity}{'s' if severity != 'repaired' else ''}" for severity, count in counts.items()
    )
    click.echo(f"checked {looked}: {summary or 'nothing is wrong'}")

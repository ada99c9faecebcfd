"""``moorage storage``: whether the store can do what it has to."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json, read_settings, settings_flags
from registry.setting_values import hide_password

if TYPE_CHECKING:
    from registry.hooks.ports import TriedCall

_EPILOG = """\b
Exit codes:
  0  the store does all that Moorage needs
  1  it does not, or could not be opened
  2  the command was used wrongly

\b
Examples:
  moorage storage check --data /var/lib/moorage
  moorage storage check --storage-url s3://blobs/registry --json
"""


@click.group("storage")
def command() -> None:
    """Look whether the store can do what it has to."""


@command.command("check", short_help="Try every call that the store must know.", epilog=_EPILOG)
@settings_flags
@json_flag
def check(*, as_json: bool, **flags: object) -> None:
    """Try every call that the store must know, on bytes of its own, and leave nothing behind.

    Each call is ok, missing (the store does not know it) or failed, with the store's answer and what Moorage makes the
    call for. Servers may go on running. What is marked as not needed is made up for, as the last column says.
    """
    settings = read_settings(flags)
    from registry.cli.opening import inspected, told  # noqa: PLC0415 - only who runs a command waits for its imports
    from registry.storage.trials import try_driver  # noqa: PLC0415 - the same

    with told(), inspected(settings) as app:
        found = try_driver(app.extensions["moorage"].storage)
        calls = [replace(call, answer=hide_password(call.answer)) for call in found]
    if as_json:
        print_json([asdict(call) for call in calls])
    else:
        _show(calls)
    if any(call.needed and call.outcome != "ok" for call in calls):
        raise SystemExit(1)


def _show(calls: list[TriedCall]) -> None:
    from registry.cli.tables import show  # noqa: PLC0415 - as above

    columns = ("call", "outcome", "needed", "the store's answer", "what it is for")
    show(columns, [(one.call, one.outcome, "yes" if one.needed else "no", one.answer, one.meaning) for one in calls])
    lacking = [one.call for one in calls if one.needed and one.outcome != "ok"]
    click.echo(f"the store lacks {', '.join(lacking)}" if lacking else "the store does all that is needed")

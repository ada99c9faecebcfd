"""The pages of ``moorage``'s commands, from what each says of itself."""

from __future__ import annotations

from collections.abc import Iterator

import click

from registry.cli import main as moorage
from scripts.docs.markdown import fence

_WIDTH = 100
_HEAD = """\
# Commands

All commands answer `--help`. Those with `--server` ask a running server (also by `MOORAGE_SERVER`); without it they
open the data in their own process, with the same [settings](../settings.md) as `moorage serve`, and may do so while it
runs. A server that asks who its clients are is told by the environment (`MOORAGE_USER` and `MOORAGE_PASSWORD`, or
`MOORAGE_API_KEY`), else by what `moorage login` has kept; who opens the data may do everything. `--json` is for
programs; exit code 1 is a refusal, 2 a mistake of usage. What destroys asks first; `--yes` answers it. Generated from
`registry/cli/`.

| command | |
|---|---|
"""


def pages() -> dict[str, str]:
    """Return the pages below ``docs/cli``: the index, and one for each command of ``moorage``."""
    context = click.Context(moorage, info_name="moorage", **moorage.context_settings)
    rows, found = [], {}
    for name in moorage.list_commands(context):
        command = moorage.get_command(context, name)
        if command is not None:
            part = click.Context(command, info_name=name, parent=context)
            found[f"cli/{name}.md"] = "\n".join([f"# moorage {name}\n", *_sections(command, part)])
            rows.append(f"| [`moorage {name}`]({name}.md) | {command.get_short_help_str(_WIDTH)} |\n")
    help_text = f"\n## moorage\n\n{fence('text', _help(moorage, context))}"
    return {"cli/index.md": "".join([_HEAD, *rows, help_text]), **found}


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    yield fence("text", _help(command, context))
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            part = command.get_command(context, name)
            if part is not None:
                inner = click.Context(part, info_name=name, parent=context)
                yield f"## {inner.command_path}\n"
                yield from _sections(part, inner)


def _help(command: click.Command, context: click.Context) -> str:
    formatter = click.HelpFormatter(width=_WIDTH)
    command.format_help(context, formatter)
    return formatter.getvalue().rstrip()

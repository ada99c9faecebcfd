"""The commands of plugins, as ``moorage`` finds and runs them."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import click

from registry.cli.common import PLACE_FLAGS, read_settings
from registry.errors import RegistryError
from registry.hooks.calls import Calls
from registry.hooks.context import PluginContext
from registry.hooks.manager import PluginError
from registry.plugin_commands import commands_of
from registry.plugin_loading import find_plugins

_PATIENCE_SECONDS = 3.0
_PATIENCE_WITH_ONE = 1.0
"""Who lists commands waits no longer for one plugin, so that the others are still listed."""
THREAD = "commands of plugins"
_KEY = "registry.cli.extensions"
Found = Mapping[str, tuple[str, click.Command]]


def load(most_seconds: float = float("inf")) -> Found:
    """Return the plugin and the command by each name that plugins add; raises :class:`click.ClickException`.

    A plugin that does not answer before the deadline of hooks, or ``most_seconds``, is left out.
    """
    settings = read_settings({})
    manager = find_plugins(settings).manager
    try:
        found = commands_of(
            Calls(manager, min(settings.hook_deadline, most_seconds)), lambda plugin: partial(_context, plugin)
        )
    except PluginError as error:
        raise click.ClickException(str(error)) from None
    for _, command in found.values():
        _take_places(command)
    return found


def load_what_can_be() -> Found:
    """Return what :func:`load` does, for lists and completion: nothing where something goes wrong, or takes long."""
    found: dict[str, tuple[str, click.Command]] = {}

    def look() -> None:
        try:
            found.update(load(_PATIENCE_WITH_ONE))
        except (Exception, SystemExit):  # noqa: BLE001 - a list of commands must not end by what a plugin does
            return

    with _quiet():
        thread = threading.Thread(target=look, name=THREAD, daemon=True)
        thread.start()
        thread.join(_PATIENCE_SECONDS)
    return dict(found)


def failure(command: str, error: BaseException) -> click.ClickException:
    """Return what people read of an error that a plugin's command did not handle."""
    if isinstance(error, RegistryError):
        return click.ClickException(error.message)
    where = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"{type(error).__name__}: {error}"
    return click.ClickException(f"the command {command} of a plugin failed: {reason} ({where.filename}:{where.lineno})")


def _context(plugin: str) -> PluginContext:
    """Open the registry that flags and settings name, once for the command that runs."""
    from registry.cli.local import opened_app  # noqa: PLC0415 - a command that needs no registry does not wait for it

    top = click.get_current_context().find_root()
    if _KEY not in top.meta:
        settings = read_settings(top.meta.get(f"{_KEY}.flags", {}))
        app = top.with_resource(opened_app(settings))
        top.meta[_KEY] = app.extensions["moorage"].contexts
    context: PluginContext = top.meta[_KEY](plugin)
    return context


def _take_places(command: click.Command) -> None:
    """Give a command the flags that say where the data is, but for names that it uses itself."""
    taken = {name for param in command.params for name in param.opts}
    for flag in PLACE_FLAGS:
        option = flag(_nothing()).params[0]
        if not taken & set(option.opts):
            option.expose_value, option.callback = False, _keep
            command.params.append(option)


def _nothing() -> click.Command:
    return click.Command(None)


def _keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401 - the signature click calls
    if value is not None:
        context.find_root().meta.setdefault(f"{_KEY}.flags", {})[parameter.name] = value


@contextmanager
def _quiet() -> Iterator[None]:
    """Log nothing: completion and help are no place for what is wrong with a plugin."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)

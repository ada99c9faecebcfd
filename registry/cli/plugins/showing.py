"""``moorage plugins show``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click
from flask import Flask
from sqlalchemy import inspect, select

from registry.blueprints._problems import PAGES
from registry.cli import extensions
from registry.cli.common import json_flag, print_json, read_settings, settings_flags
from registry.cli.opening import inspected, told
from registry.cli.tables import show
from registry.db.base import table
from registry.db.models import PluginHealth
from registry.hooks.calls import PluginBroke
from registry.hooks.configuration import section_of
from registry.hooks.facade import Hooks
from registry.hooks.manager import ACTIVE, Plugins, PluginStatus
from registry.hooks.version import API_VERSION
from registry.plugin_loading import find_plugins, settings_of_plugins
from registry.services import Services
from registry.settings import Settings

_CLAIMS = {
    "media types": "manifest_media_types",
    "label keys": "label_actions",
    "storage": "storage_drivers",
}
"""What is asked of the plugin itself, by what people call it."""


@click.command(
    "show",
    short_help="Show a plugin: what it adds, its settings, and how it does.",
    epilog="\b\nExamples:\n  moorage plugins show expiry\n  moorage plugins show expiry --json",
)
@click.argument("name")
@settings_flags
@json_flag
def command(*, name: str, as_json: bool, **flags: object) -> None:
    """Show a plugin: its version, what it adds, and its settings with their sources.

    Also told: what it uses of the plugin API that will go, and how each of its hooks did, in all processes together.
    """
    settings = read_settings(flags)
    with told():
        plugins = find_plugins(settings)
        status = _found(plugins, name)
        shown = {**_of_status(status), "settings": _settings(plugins, settings, status)}
    try:
        with told(), inspected(settings) as app:
            shown |= _of_app(app, status)
    except click.ClickException as error:
        shown["start"] = f"refused: {error.message}"
    if as_json:
        print_json(shown)
    else:
        show(("field", "value"), list(_lines(shown)), whole=True)


def _found(plugins: Plugins, name: str) -> PluginStatus:
    statuses = {status.name: status for status in plugins.statuses}
    if name in statuses:
        return statuses[name]
    close = difflib.get_close_matches(name, statuses, n=1)
    advice = f"did you mean {close[0]}?" if close else "moorage plugins lists all there are"
    raise click.ClickException(f"there is no plugin {name}; {advice}")


def _of_status(status: PluginStatus) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": status.state,
        "reason": status.reason,
        "from": status.distribution if status.source == "entry point" else status.source,
        "version": status.version,
        "plugin API": f"needs {status.api}, offered {API_VERSION}" if status.api else "",
        "hooks": list(status.hooks),
        "deprecated": list(status.deprecated),
    }


def _settings(plugins: Plugins, settings: Settings, status: PluginStatus) -> list[dict[str, Any]]:
    prefix = f"plugins.{section_of(status.name)}."
    return [
        {"name": one.name.removeprefix(prefix), "value": one.value, "source": one.source, "about": one.help}
        for one in settings_of_plugins(plugins, settings).shown
        if one.name.startswith(prefix)
    ]


def _of_app(app: Flask, status: PluginStatus) -> dict[str, Any]:
    services: Services = app.extensions["moorage"]
    claims = {what: _claimed(services.hooks, status.name, hook) for what, hook in _CLAIMS.items()}
    pages: Mapping[str, str] = app.extensions[PAGES]
    return {
        **{what: found for what, found in claims.items() if found},
        "artifact types": sorted(one for one, owner in services.hooks.artifact_types.items() if owner == status.name),
        "jobs": sorted(name for name in services.queue.names if name.rpartition(".")[0] == status.name),
        "commands": sorted(name for name, (plugin, _) in extensions.load().items() if plugin == status.name),
        "routes": sorted(
            rule.rule for rule in app.url_map.iter_rules() if pages.get(rule.endpoint.rpartition(".")[0]) == status.name
        ),
        "health": _health(services, status.name) if status.state == ACTIVE else [],
    }


def _claimed(hooks: Hooks, plugin: str, hook: str) -> list[str]:
    try:
        answer: list[Any] = hooks.calls.call(plugin, hook, list) or []
    except PluginBroke as error:
        return [f"failed: {error.reason}"]
    return sorted(str(getattr(one, "key", one)) for one in answer)


def _health(services: Services, plugin: str) -> list[dict[str, Any]]:
    """Return how each hook did, as far as it is known: a database without the table knows nothing."""
    statement = select(table(PluginHealth)).where(PluginHealth.plugin == plugin).order_by(PluginHealth.hook)
    with services.database.read() as connection:
        if not inspect(connection).has_table(PluginHealth.__tablename__):
            return []
        rows = connection.execute(statement).all()
    return [
        {
            "hook": row.hook,
            "calls": row.calls,
            "failures": row.failures,
            "seconds": row.micros / 1e6,
            "last_error": row.last_error,
            "last_error_at": datetime.fromtimestamp(row.last_error_ms / 1000, UTC).isoformat()
            if row.last_error_ms
            else None,
        }
        for row in rows
    ]


def _lines(shown: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for name, value in shown.items():
        if name == "settings":
            yield from ((f"setting {one['name']}", f"{one['value']} ({one['source']})") for one in value)
        elif name == "health":
            yield from ((f"health {one['hook']}", _health_line(one)) for one in value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            if value:
                yield name, "\n".join(value)
        elif value:
            yield name, value


def _health_line(one: Mapping[str, Any]) -> str:
    line = f"{one['calls']} calls, {one['failures']} failures, {one['seconds']:.3f} s"
    return f"{line}; {one['last_error_at']}: {one['last_error']}" if one["last_error_at"] else line

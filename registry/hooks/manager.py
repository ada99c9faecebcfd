"""Finding plugins, and telling what became of each.

Order: the built-in ones of :data:`DEFAULT_PLUGINS`, then entry points of the group ``moorage``, then those given
to :func:`~registry.app.create_app`. All pass the same checks. A plugin that fails to load is reported and
skipped, unless it is required.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import Distribution, entry_points

import pluggy

from registry.hooks import specs
from registry.hooks.declarations import DeclarationRefused, check_options, declared_settings, needed_api
from registry.hooks.deprecations import warn_of_deprecated

PROJECT = "moorage"
ENTRY_POINT_GROUP = "moorage"

DEFAULT_PLUGINS = (
    "registry.formats.schema1",
    "registry.formats.schema2",
    "registry.formats.manifest_list",
    "registry.formats.oci_manifest",
    "registry.formats.oci_index",
    "registry.storage.builtin",
)

BUILT_IN = "built-in"
ACTIVE, BLOCKED, FAILED = "active", "blocked", "failed"
_log = logging.getLogger(__name__)


class PluginError(RuntimeError):
    """The start-up is refused; the message names the plugins at fault."""


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """What became of one plugin.

    ``source`` is ``built-in``, ``entry point`` or ``argument``; ``state`` is ``active``, ``blocked`` or
    ``failed``, then with the ``reason``; ``hooks`` names the hooks that it implements, and ``api`` the version of the
    plugin API that it needs, as far as it could be asked; ``deprecated`` says what it uses that will go.
    """

    name: str
    source: str
    distribution: str
    version: str
    state: str
    reason: str = ""
    hooks: tuple[str, ...] = ()
    api: str = ""
    deprecated: tuple[str, ...] = ()


@dataclass(slots=True)
class Plugins:
    """The plugin manager, the status of every plugin that was found, and the classes of the settings of active ones."""

    manager: pluggy.PluginManager
    statuses: list[PluginStatus] = field(default_factory=list)
    settings: dict[str, type] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    source: str
    load: Callable[[], object]
    distribution: str = "moorage"
    version: str = ""


def create_plugin_manager(
    plugins: Sequence[object] = (),
    *,
    blocked: Collection[str] = (),
    required: Collection[str] = (),
    safe_mode: bool = False,
) -> Plugins:
    """Load every plugin and return what became of each.

    A plugin is blocked or required by its entry-point name (built-in ones by the last part of their module's
    name). Raises :class:`PluginError` where a required plugin is missing, blocked or failed. In ``safe_mode`` nothing
    is loaded but the built-in ones, and nothing else is required.
    """
    found = Plugins(pluggy.PluginManager(PROJECT))
    found.manager.add_hookspecs(specs)
    for candidate in [*_built_in(), *_installed(), *_given(plugins)]:
        if safe_mode and candidate.source != BUILT_IN:
            reason = "safe mode: only what is built in is loaded"
            found.statuses.append(replace(_status_of(candidate), state=BLOCKED, reason=reason))
        else:
            found.statuses.append(_register(found, candidate, blocked))
    if safe_mode:
        left = [status.name for status in found.statuses if status.source != BUILT_IN]
        _log.warning("safe mode: these plugins are not loaded, and decide about nothing: %s", ", ".join(left) or "none")
    else:
        check_required(found.statuses, required)
    return found


def _built_in() -> list[_Candidate]:
    return [
        _Candidate(path.rpartition(".")[2], BUILT_IN, partial(importlib.import_module, path))
        for path in DEFAULT_PLUGINS
    ]


def _installed() -> list[_Candidate]:
    points = sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: point.name)
    named = cache(_named)  # parses the distribution's metadata, for each of its plugins the same
    return [_Candidate(point.name, "entry point", point.load, *named(point.dist)) for point in points]


def _named(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "", ""
    metadata = distribution.metadata
    return metadata["Name"], metadata["Version"]


def _given(plugins: Sequence[object]) -> list[_Candidate]:
    return [_Candidate(_name_of(plugin), "argument", partial(_itself, plugin), "") for plugin in plugins]


def _itself(plugin: object) -> object:
    return plugin


def _name_of(plugin: object) -> str:
    name = getattr(plugin, "__name__", None) or type(plugin).__name__
    return str(name)


def _status_of(candidate: _Candidate) -> PluginStatus:
    return PluginStatus(candidate.name, candidate.source, candidate.distribution, candidate.version, ACTIVE)


def _register(found: Plugins, candidate: _Candidate, blocked: Collection[str]) -> PluginStatus:
    status = _status_of(candidate)
    if candidate.name in blocked:
        return replace(status, state=BLOCKED, reason="listed in blocked_plugins")
    manager = found.manager
    plugin: object | None = None
    try:
        plugin = candidate.load()
        hash(plugin)  # pluggy keeps plugins in sets, and would break on it later
        if manager.is_registered(plugin):  # an argument that is installed as well
            return replace(status, state=FAILED, reason=f"already loaded as {manager.get_name(plugin)}")
        api = needed_api(plugin)
        check_options(manager, plugin)
        manager.register(plugin, candidate.name)
        manager.check_pending()
        settings = declared_settings(manager, candidate.name)
        deprecated = warn_of_deprecated(manager, plugin)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plugin raises while loading is its own failure
        if plugin is not None and manager.is_registered(plugin):
            manager.unregister(plugin)
        reason = str(error) if isinstance(error, DeclarationRefused) else f"{type(error).__name__}: {error}"
        _log.error("plugin %s of %s failed to load: %s", candidate.name, candidate.distribution, reason)
        return replace(status, state=FAILED, reason=reason)
    if settings is not None:
        found.settings[candidate.name] = settings
    callers = manager.get_hookcallers(plugin) or []
    hooks = tuple(sorted(caller.name for caller in callers))
    return replace(status, hooks=hooks, api=api, deprecated=deprecated)


def check_required(statuses: Sequence[PluginStatus], required: Collection[str]) -> None:
    """Raise :class:`PluginError` that names every required plugin which is not active, and why."""
    active = {status.name for status in statuses if status.state == ACTIVE}
    reasons = {status.name: status.reason for status in statuses}
    missing = sorted(set(required) - active)
    if missing:
        details = "; ".join(f"{name}: {reasons.get(name, 'not installed')}" for name in missing)
        raise PluginError(f"required plugins are not active: {details}")

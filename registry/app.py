"""The composition root: one function makes an app, and nothing outside it holds state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import NullPool, event, make_url

import registry.db.models  # registers every table on the metadata
from registry.blueprints import (
    _browsers,
    _errors,
    base,
    blobs,
    health,
    login,
    manifests,
    past,
    referrers,
    tags,
    tokens,
    uploads,
)
from registry.blueprints._routes import Route
from registry.blueprints.api import access as api_access
from registry.blueprints.api import audit as api_audit
from registry.blueprints.api import blobs as api_blobs
from registry.blueprints.api import collection as api_collection
from registry.blueprints.api import events as api_events
from registry.blueprints.api import identities as api_identities
from registry.blueprints.api import jobs as api_jobs
from registry.blueprints.api import keys as api_keys
from registry.blueprints.api import labels as api_labels
from registry.blueprints.api import logins as api_logins
from registry.blueprints.api import manifests as api_manifests
from registry.blueprints.api import openapi as api_openapi
from registry.blueprints.api import plugins as api_plugins
from registry.blueprints.api import policy as api_policy
from registry.blueprints.api import readonly as api_readonly
from registry.blueprints.api import repositories as api_repositories
from registry.blueprints.api import restore as api_restore
from registry.blueprints.api import retention as api_retention
from registry.blueprints.api import robots as api_robots
from registry.blueprints.api import rules as api_rules
from registry.blueprints.api import tags as api_tags
from registry.blueprints.api import teams as api_teams
from registry.blueprints.api import trusts as api_trusts
from registry.blueprints.api import users as api_users
from registry.blueprints.api._operations import install
from registry.db import sqlite
from registry.db.base import Base
from registry.db.direct import Clock
from registry.db.engine import Database
from registry.hooks.calls import Calls
from registry.hooks.facade import Hooks
from registry.hooks.manager import PluginError
from registry.hooks.ports import GivesUrls, StorageDriver
from registry.plugin_commands import refuse_shared_commands
from registry.plugin_loading import settings_of_plugins, start_plugins
from registry.plugin_pages import mount
from registry.schema import migrations_folder
from registry.services import build_services
from registry.settings import Settings, SettingsError, load_settings
from registry.steps import Steps, no_steps

__all__ = ["API", "create_app"]

_BLUEPRINTS = (base, tags, manifests, uploads, blobs, referrers, past, health, tokens, login)
API = tuple(
    module.blueprint
    for module in (
        api_openapi,
        api_repositories,
        api_manifests,
        api_blobs,
        api_collection,
        api_events,
        api_jobs,
        api_labels,
        api_plugins,
        api_restore,
        api_retention,
        api_rules,
        api_tags,
        api_users,
        api_identities,
        api_robots,
        api_teams,
        api_keys,
        api_logins,
        api_policy,
        api_trusts,
        api_access,
        api_audit,
        api_readonly,
    )
)
"""The resources of ``/api/v1``."""
_TABLES = registry.db.models.__all__


def create_app(
    settings: Settings | None = None,
    plugins: Sequence[object] = (),
    *,
    clock: Clock | None = None,
    steps: Steps = no_steps,
    wrap_storage: Callable[[StorageDriver], StorageDriver] | None = None,
    watch: Callable[[Calls], None] | None = None,
) -> Flask:
    """Return a registry as a WSGI application.

    ``settings`` default to the environment and the configuration file; ``plugins`` are added to those installed;
    ``clock`` replaces the time, ``steps`` hears of named steps, and ``wrap_storage`` may put faults before the
    driver (tests); ``watch`` is told of the plugins before any is asked something. Raises
    :class:`~registry.hooks.manager.PluginError`, or :class:`~registry.settings.SettingsError` where the start-up
    must be refused. Migrations are applied by ``moorage serve`` and ``moorage db upgrade``.
    """
    settings = settings or load_settings()
    found = start_plugins(settings, plugins)
    configured = settings_of_plugins(found, settings)
    hooks = Hooks(found.manager, settings.hook_deadline, watch)
    app = Flask("registry", static_folder=None)
    app.url_map.merge_slashes = False
    app.url_rule_class = Route
    database = _bind_database(app, settings, clock)
    storage = open_storage(settings, hooks)
    if wrap_storage is not None:
        storage = wrap_storage(storage)
    services = app.extensions["moorage"] = build_services(
        settings, tuple(found.statuses), hooks, database, storage, steps, configured.values
    )
    for module in _BLUEPRINTS:
        app.register_blueprint(module.blueprint)
    install(app, API)
    if settings.authentication:
        app.before_request(services.access.authorizer.begin)
    app.teardown_request(lambda _: services.access.authorizer.begin())
    refuse_shared_commands(hooks.calls)
    _errors.register(app, mount(app, hooks.calls, services.contexts))
    _browsers.register(app, tls=settings.tls_cert is not None or settings.external_url.startswith("https:"))
    return app


def open_storage(settings: Settings, hooks: Hooks) -> StorageDriver:
    """Return the driver that the storage URL names; raises :class:`PluginError` where no plugin offers it."""
    scheme = settings.storage_url.partition(":")[0]
    if scheme not in hooks.storage_factories:
        offered = ", ".join(sorted(hooks.storage_factories)) or "none"
        raise PluginError(f"no plugin offers storage for {scheme}: URLs (offered: {offered})")
    options = dict(settings.storage_options)
    if scheme == "s3":  # the only driver whose connections cost something to make, and are kept
        options.setdefault("max_connections", str(settings.threads + 2 * settings.transfer_threads))
    storage = hooks.open_storage(scheme, settings.storage_url, options)
    if settings.storage_redirect and not isinstance(storage, GivesUrls):
        raise SettingsError(
            [f"storage_redirect is set, but nobody can fetch blobs from {scheme}: storage; set it to off"]
        )
    return storage


def _bind_database(app: Flask, settings: Settings, clock: Clock | None) -> Database:
    url = make_url(settings.database_url)
    # What statements carry (hashes, secrets of plugins, keys that sign) is for no log, and for no message of an error.
    hidden = {"hide_parameters": True}
    options: dict[str, Any] = {"pool_pre_ping": True, "pool_size": 8, "max_overflow": 64, "pool_timeout": 10} | hidden
    path = sqlite.database_path(url.database) if url.get_backend_name() == "sqlite" else None
    if path is not None:
        module = sqlite.library()
        read_only = sqlite.is_read_only(path)
        url = sqlite.url_of(url, path, read_only=read_only)
        options = {"module": module, "connect_args": sqlite.connect_args(), "poolclass": NullPool} | hidden
    else:
        options["connect_args"] = {"connect_timeout": 5}
    app.config["SQLALCHEMY_DATABASE_URI"] = url.render_as_string(hide_password=False)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    binding = SQLAlchemy(app, metadata=Base.metadata)
    Migrate(app, binding, directory=str(migrations_folder()), compare_type=True)
    with app.app_context():
        engine = binding.engine
    if path is not None:
        event.listen(
            engine,
            "connect",
            lambda connection, _: sqlite.prepare(connection, module, read_only=read_only),
        )
    return Database(engine, clock)

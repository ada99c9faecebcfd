"""``moorage config``: what is set, from where, and whether it works."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from registry import schema
from registry.access.actors import OPERATOR, Actor
from registry.access.external import read_keys
from registry.access.htpasswd import read_users
from registry.access.issuers import IssuerFailed
from registry.access.providers import Sent
from registry.certificates import ending
from registry.cli.common import json_flag, print_json, read_settings, settings_flags
from registry.cli.opening import inspected, told
from registry.cli.tables import show
from registry.db.engine import system_clock
from registry.db.sqlite import library, wal_is_safe
from registry.egress.client import EgressClient
from registry.errors import PrincipalUnknown, ProviderFailed
from registry.hooks.configuration import PluginSettingsRefused
from registry.hooks.manager import PluginError
from registry.hooks.ports import GivesUrls, StorageDriver
from registry.media_types import OCTET_STREAM
from registry.plugin_loading import find_plugins, settings_of_plugins
from registry.services import Services
from registry.serving.tls import refuse_unusable_tls
from registry.setting_providers import OIDC, OidcProvider, variable_of
from registry.setting_values import is_loopback
from registry.settings import Settings, SettingsError, refuse_open_listen

OK, WARNING, FAILED = "ok", "warning", "failed"


@dataclass(frozen=True)
class Finding:
    """What was checked, the outcome (``ok``, ``warning`` or ``failed``), and what to know or to do."""

    name: str
    state: str
    detail: str


@click.group("config")
def command() -> None:
    """Show and check the settings."""


@command.command(
    "show",
    short_help="List every setting, its value and its source.",
    epilog="\b\nExamples:\n  moorage config show\n  moorage config show --json",
)
@settings_flags
@json_flag
def show_settings(*, as_json: bool, **flags: object) -> None:
    """List every setting with its value and where that came from, those of plugins last; secrets are masked."""
    settings = read_settings(flags)
    with told():
        of_plugins = settings_of_plugins(find_plugins(settings), settings).shown
    described = [*settings.describe(), *of_plugins]
    if as_json:
        print_json([asdict(item) for item in described])
        return
    rows: list[tuple[object, ...]] = [(item.name, _readable(item.value), item.source, item.help) for item in described]
    show(("setting", "value", "from", "what it is"), rows)


def _readable(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()  # as a file says it
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


@command.command(
    "check",
    short_help="Check that the registry can run with these settings.",
    epilog="\b\nExample:\n  moorage config check --config /etc/moorage.toml",
)
@settings_flags
@json_flag
def check(*, as_json: bool, **flags: object) -> None:
    """Check that the registry can run with these settings: address, TLS, access, plugins, database and storage.

    Ends with exit code 1 where something would keep it from serving.
    """
    settings = read_settings(flags)
    findings = list(_findings(settings))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        show(("check", "state", "detail"), [(item.name, item.state, item.detail) for item in findings])
    if any(finding.state == FAILED for finding in findings):
        raise SystemExit(1)


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _listen(settings)
    if settings.tls_cert:
        yield _tls(settings)
    yield from _access(settings)
    yield from _sqlite(settings)
    refused = list(_plugin_settings(settings))
    yield from refused
    if refused:
        return
    try:
        with told(), inspected(settings) as app:
            services: Services = app.extensions["moorage"]
            pending = schema.status(app).pending
            schema_state = f"pending: {', '.join(pending)}; moorage serve applies them" if pending else "up to date"
            nobody = settings.authentication and not pending and services.access.first.missing()
            checks = [part for part in services.readiness() if not pending or part.name != "database"]
            found = list(_redirect(settings, services.storage))
    except click.ClickException as error:
        yield Finding("start", FAILED, error.message)
        return
    yield Finding("schema", WARNING if pending else OK, schema_state)
    if nobody:
        yield Finding("administrator", WARNING, "nobody can log in yet: moorage user add NAME --admin")
    for name in settings.oidc if not pending else ():
        yield _answers(services, name)
        yield from _teams(services, name)
    yield from found
    for part in checks:
        yield Finding(part.name, OK if part.ok else FAILED, part.detail)
    for plugin in services.plugins:
        if plugin.state == "failed":
            yield Finding(f"plugin {plugin.name}", WARNING, plugin.reason)
        elif "authenticate" in plugin.hooks and not settings.authentication:
            advice = "it knows users, but nobody is asked who they are: set authentication = true"
            yield Finding(f"plugin {plugin.name}", WARNING, advice)
    yield from _blocked(settings, [plugin.name for plugin in services.plugins])


def _answers(services: Services, name: str) -> Finding:
    """Tell whether a provider answers, and where it must send browsers back to."""
    providers = services.access.providers
    back = f"it must know the redirect URI {providers.redirect_uri(providers.find(name))}"
    try:
        providers.page(providers.find(name), Sent.new())
    except ProviderFailed as error:
        return Finding(f"{OIDC}.{name}", WARNING, error.message)
    return Finding(f"{OIDC}.{name}", OK, f"answers; {back}")


def _teams(services: Services, name: str) -> Iterator[Finding]:
    """Name the teams that groups are mapped to, and that are not there."""
    for team in sorted(set(services.access.providers.find(name).teams.values())):
        try:
            services.access.teams.show(Actor(OPERATOR), team)
        except PrincipalUnknown:
            yield Finding(
                f"{OIDC}.{name}", WARNING, f"nobody joins team {team}, which is not there: moorage team add {team}"
            )


def _plugin_settings(settings: Settings) -> Iterator[Finding]:
    try:
        settings_of_plugins(find_plugins(settings), settings)
    except PluginSettingsRefused as error:
        yield from (Finding("plugin settings", FAILED, problem) for problem in error.problems)
    except PluginError as error:
        yield Finding("plugin settings", FAILED, str(error))


def _blocked(settings: Settings, known: list[str]) -> Iterator[Finding]:
    for name in settings.blocked_plugins:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            advice = f"did you mean {close[0]}?" if close else "moorage plugins lists all there are"
            yield Finding("blocked_plugins", WARNING, f"there is no plugin {name}; {advice}")


def _listen(settings: Settings) -> Finding:
    try:
        refuse_open_listen(settings)
    except SettingsError as error:
        return Finding("listen", FAILED, str(error))
    if settings.insecure_anonymous and not settings.authentication:
        return Finding("listen", WARNING, f"everybody who reaches {settings.listen} can push and delete")
    return Finding("listen", OK, settings.listen)


def _tls(settings: Settings) -> Finding:
    try:
        refuse_unusable_tls(settings)
    except SettingsError as error:
        return Finding("tls", FAILED, str(error))
    remark = "" if settings.tls_cert is None else ending(settings.tls_cert, system_clock())
    return Finding("tls", WARNING if remark else OK, remark or str(settings.tls_cert))


def _access(settings: Settings) -> Iterator[Finding]:
    """Tell what of the settings of access lets nobody in, or lets others read along."""
    clear = settings.authentication and not settings.external_url.startswith("https:") and not settings.tls_cert
    if clear and not is_loopback(settings.listen):
        advice = "serve TLS (tls_cert), or stand behind a proxy that does, and set external_url to its https address"
        yield Finding("authentication", WARNING, f"passwords cross the network in the clear: {advice}")
    elif settings.authentication:
        yield Finding("authentication", OK, "clients are asked who they are")
    if settings.trusted_proxies and not settings.external_url:
        advice = "set external_url to the address that clients use"
        yield Finding("trusted_proxies", WARNING, f"where clients get tokens follows the Host that they send: {advice}")
    if settings.htpasswd is not None:
        yield from _htpasswd(settings.htpasswd)
    for provider in settings.oidc.values():
        yield from _provider(provider)
    if settings.token_keys:
        yield _token_keys(settings)


def _provider(provider: OidcProvider) -> Iterator[Finding]:
    """Tell what of a provider's settings lets nobody in, or everybody."""
    name = f"{OIDC}.{provider.name}"
    try:
        secret = provider.secret()
    except (OSError, ValueError) as error:
        yield Finding(name, FAILED, f"client_secret_file cannot be read: {error}")
        return
    if not secret:
        advice = f"it must be a public client; if it has a secret, set {variable_of(provider.name, 'client_secret')}"
        yield Finding(name, OK, f"logs in without a secret: {advice}")
    if provider.allow_anybody:
        yield Finding(
            name, WARNING, f"everybody whom {provider.issuer} knows becomes a user, and is everybody to rules"
        )
    elif not provider.limited:
        advice = "allowed_domains or required_claims let others in"
        yield Finding(name, OK, f"lets in only who is linked by hand (moorage user link); {advice}")


def _token_keys(settings: Settings) -> Finding:
    try:
        read_keys(EgressClient(settings.egress_allow, settings.egress_ca, private=True), settings.token_keys)
    except IssuerFailed as error:
        return Finding("token_keys", FAILED, f"no token of {settings.token_issuer} lets anybody in: {error}")
    return Finding("token_keys", OK, settings.token_keys)


def _redirect(settings: Settings, storage: StorageDriver) -> Iterator[Finding]:
    """Tell where the URLs lead that clients get of the store."""
    if not settings.storage_redirect or not isinstance(storage, GivesUrls):
        return
    scheme, _, rest = storage.url_of("0" * 32, OCTET_STREAM, 1).partition("://")
    host = rest.partition("/")[0]
    if scheme == "http" and (settings.tls_cert or settings.external_url.startswith("https:")):
        detail = f"blobs, and URLs that open them, cross the network in the clear to {host}: give the store https"
        yield Finding("storage_redirect", WARNING, detail)
    else:
        yield Finding("storage_redirect", OK, f"clients fetch blobs from {host}")


def _htpasswd(path: Path) -> Iterator[Finding]:
    try:
        users, problems = read_users(path)
    except (OSError, UnicodeError) as error:
        yield Finding("htpasswd", FAILED, f"{path} cannot be read: {error}")
        return
    yield from (Finding("htpasswd", WARNING, f"{path}, {problem}") for problem in problems)
    if not problems:
        yield Finding("htpasswd", OK, f"{len(users)} users in {path}")


def _sqlite(settings: Settings) -> Iterator[Finding]:
    if not settings.database_url.startswith("sqlite"):
        return
    module = library()
    version = module.sqlite_version
    if wal_is_safe(module):
        yield Finding("sqlite", OK, f"SQLite {version}, write-ahead log")
    else:
        advice = "pip install pysqlite3 brings a newer one where there are wheels"
        yield Finding("sqlite", WARNING, f"SQLite {version} is older than 3.51.3: slower rollback journal; {advice}")

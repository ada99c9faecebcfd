"""The settings of one app, and the only reader of the environment and of the config file.

Flags win over ``MOORAGE_*`` variables, those over the TOML file, and that over the defaults. Every value
remembers where it came from. All durations are in seconds.
"""

# Long: a line a setting, and all that reads them in one place.

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from registry import setting_values as values
from registry.setting_providers import OidcProvider, described, lacking_for
from registry.setting_sources import CONFIG_VARIABLE, PREFIX, SourceProblem, Sources
from registry.setting_values import SettingShown

DEFAULT_FILE = Path("moorage.toml")
_DAY = 86400


class SettingsError(Exception):
    """Settings that cannot be used; ``problems`` are sentences that name the place and the way out."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep every problem, so that all can be mended at once."""
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


def _setting(reader: values.Reader, default: object, about: str, *, shown: str = "") -> Any:  # noqa: ANN401 - stands for the field's value, as dataclasses.field does
    """Declare a setting; ``shown`` replaces a default that depends on other settings."""
    return field(default=default, metadata={"read": reader, "about": about, "shown": shown})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """Everything that can be set. Paths are absolute; empty text and None mean "not set".

    ``oidc`` holds the providers of OpenID Connect by name, ``plugins`` the tables of plugins as the file has them, and
    ``plugin_variables`` what is set for them by variables: :func:`registry.hooks.configuration.configure` reads both.
    ``sources`` tells where things came from.
    """

    listen: str = _setting(values.listen, "127.0.0.1:5000", "where to listen: HOST:PORT, [IPV6]:PORT or unix:/PATH")
    data: Path = _setting(values.path, Path("data"), "folder of the database and the blobs", shown="./data")  # noqa: RUF009 - the helper returns a field
    database_url: str = _setting(
        values.database_url, "", "SQLAlchemy URL of the database", shown="sqlite:///DATA/moorage.db"
    )
    storage_url: str = _setting(values.url, "", "where blobs are kept", shown="file://DATA/storage")
    storage_redirect: tuple[str, ...] = _setting(
        values.clients, (), "clients that fetch blobs from the store: off, always, or networks of theirs", shown="off"
    )
    storage_redirect_min: int = _setting(
        values.number(0), 256 << 10, "length in bytes from which blobs are fetched from the store"
    )
    external_url: str = _setting(values.web_url, "", "address clients use; unset: answers hold relative URLs")
    tls_cert: Path | None = _setting(values.existing_file, None, "TLS certificate and its chain, a PEM file")  # noqa: RUF009 - the helper returns a field
    tls_key: Path | None = _setting(values.existing_file, None, "key of the TLS certificate, a PEM file")  # noqa: RUF009 - the helper returns a field
    authentication: bool = _setting(
        values.boolean, default=False, about="ask clients who they are, and let the policy decide what they may do"
    )
    htpasswd: Path | None = _setting(  # noqa: RUF009 - the helper returns a field
        values.existing_file, None, "users and bcrypt hashes, as `htpasswd -B` writes them"
    )
    challenge: str = _setting(
        values.choice("token", "basic"), "token", "how container clients are asked to log in: for tokens, or each time"
    )
    token_lifetime: int = _setting(
        values.whole_duration(60), 300, "time that a token is good for; clients take no less than a minute for granted"
    )
    login_lifetime: int = _setting(
        values.whole_duration(60), 12 * 3600, "longest time that a key of `moorage login` is good for"
    )
    token_realm: str = _setting(
        values.page_url, "", "where clients get tokens, of a token service elsewhere; unset: here"
    )
    token_issuer: str = _setting(values.quotable, "", "the issuer (iss) of the tokens of that service")
    token_service: str = _setting(
        values.quotable, "", "this registry's name (aud) in them", shown="external_url, else moorage"
    )
    token_keys: str = _setting(values.keys_place, "", "the public keys of that service: URL or file of a JWK Set")
    trusted_proxies: tuple[str, ...] = _setting(
        values.networks, (), "networks of reverse proxies whose X-Forwarded-For and -Proto are believed"
    )
    insecure_anonymous: bool = _setting(
        values.boolean, default=False, about="let everybody who reaches the server push and delete"
    )
    workers: int = _setting(values.number(1, 512), 0, "server processes", shown="one a core")
    threads: int = _setting(values.number(1, 256), 2, "threads of a process for small requests")
    transfer_threads: int = _setting(
        values.number(1, 4096), 128, "most threads of a process for uploads, and as many for downloads"
    )
    worker: bool = _setting(
        values.boolean, default=True, about="run a worker beside `moorage serve`, for collection and other jobs"
    )
    header_timeout: float = _setting(values.duration(0.1), 10.0, "time a client has to send a request's head")
    body_timeout: float = _setting(values.duration(0.1), 30.0, "longest silence while a body is transferred")
    keep_alive: float = _setting(values.duration(0), 75.0, "time an idle connection is kept")
    graceful_timeout: float = _setting(values.duration(0), 30.0, "time that running requests get when the server stops")
    upload_deadline: float = _setting(
        values.duration(1), 60.0, "silence after which the writer of an upload is replaced"
    )
    lease_seconds: int = _setting(
        values.whole_duration(5), _DAY, "time that pushed content is kept before a manifest or tag names it"
    )
    grace_seconds: int = _setting(
        values.whole_duration(10), 0, "time before what lost its last hold is looked at", shown="twice lease_seconds"
    )
    recovery_window: int = _setting(
        values.whole_duration(0), 14 * _DAY, "time that what was deleted or ended stays restorable"
    )
    upload_expiry: int = _setting(
        values.whole_duration(60), 7 * _DAY, "silence after which an unfinished upload is removed"
    )
    tag_expiry_min: int = _setting(values.whole_duration(1), 1, "shortest life that a tag can be given")
    tag_expiry_max: int = _setting(
        values.whole_duration(60), 36_500 * _DAY, "longest life that a tag can be given, other than for ever"
    )
    history_kept: int = _setting(values.whole_duration(_DAY), 365 * _DAY, "time that a tag's ended periods are listed")
    events_kept: int = _setting(
        values.whole_duration(3600), 14 * _DAY, "time that events are listed, and can be told again"
    )
    event_attempts: int = _setting(
        values.number(1, 1000), 16, "how often an event is told to an observer that fails, before it is put aside"
    )
    audit_retention: int = _setting(
        values.whole_duration(_DAY), 365 * _DAY, "time that the audit log's records are kept"
    )
    retention_every: int = _setting(values.whole_duration(60), _DAY, "time between two runs of the rules of retention")
    scrub_every: int = _setting(
        values.whole_duration(60), 30 * _DAY, "how often every blob's bytes are read again to find damage"
    )
    scrub_rate: int = _setting(
        values.number(1 << 16, 1 << 40), 16 << 20, "most bytes a second that are read for that, on average"
    )
    allow_sparse: bool = _setting(
        values.boolean, default=False, about="accept manifests whose blobs or children are missing"
    )
    page_size_max: int = _setting(values.number(1, 10_000), 1000, "most entries of one page of a list")
    blocked_plugins: tuple[str, ...] = _setting(values.names, (), "plugins that are not loaded")
    required_plugins: tuple[str, ...] = _setting(values.names, (), "plugins without which the server refuses to start")
    egress_allow: tuple[str, ...] = _setting(
        values.hosts, (), "networks, addresses and hosts that may be sent to although they are not public"
    )
    egress_ca: Path | None = _setting(  # noqa: RUF009 - the helper returns a field
        values.existing_file,
        None,
        "authorities that requests to others trust beside the system's, a PEM file",
    )
    safe_mode: bool = _setting(
        values.boolean, default=False, about="load no plugins but the built-in ones, to look what is wrong with others"
    )
    hook_deadline: float = _setting(
        values.duration(0.05), 10.0, "time a call of a plugin may take; one that took longer once is given up after it"
    )
    access_log: bool = _setting(values.boolean, default=True, about="write a line a request to stdout")
    log_format: str = _setting(
        values.choice("auto", "human", "json"), "auto", "form of the log; auto: human on a terminal, else json"
    )
    log_level: str = _setting(
        values.choice("debug", "info", "warning", "error"), "info", "least level of messages in the log"
    )
    storage_options: Mapping[str, str] = field(default_factory=dict)
    oidc: Mapping[str, OidcProvider] = field(default_factory=dict)
    plugins: Mapping[str, object] = field(default_factory=dict)
    plugin_variables: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Fill in what follows from other settings."""
        data = self.data.absolute()
        derived = {
            "data": data,
            "workers": self.workers or _cores(),
            "grace_seconds": self.grace_seconds or 2 * self.lease_seconds,
            "database_url": self.database_url or f"sqlite:///{values.in_url(data / 'moorage.db')}",
            "storage_url": self.storage_url or f"file://{values.in_url(data / 'storage')}",
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Show the settings without secrets: a repr ends up in logs."""
        return f"Settings({', '.join(f'{item.name}={item.value!r}' for item in self.describe())})"

    @property
    def own_name(self) -> str:
        """The name under which this registry issues tokens, and for which they are."""
        return self.external_url or "moorage"

    def describe(self) -> list[SettingShown]:
        """List every setting as it may be shown to people: secrets are masked."""
        return list(_described(self))


FIELDS: Mapping[str, dataclasses.Field[Any]] = {
    item.name: item for item in dataclasses.fields(Settings) if "read" in item.metadata
}


def load_settings(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; ``flags`` that are None count as not given.

    The file is ``flags["config"]``, ``MOORAGE_CONFIG``, or ``moorage.toml`` of the working directory where
    there is one. Raises :class:`SettingsError` with every unknown name and bad value at once.
    """
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    file = given.pop("config", None) or environ.get(CONFIG_VARIABLE)
    sources = Sources({name: item.metadata["read"] for name, item in FIELDS.items()})
    wanted_store = str(given.get("storage_url", ""))
    try:
        if file or DEFAULT_FILE.is_file():
            stronger = wanted_store or environ.get("MOORAGE_STORAGE_URL", "")
            sources.read_file(Path(str(file or DEFAULT_FILE)), stronger)
    except SourceProblem as problem:
        sources.problems.append(str(problem))
    sources.read_environment(environ, wanted_store)
    for name, value in given.items():
        sources.put(name, value, "--" + name.replace("_", "-"))
    return _settings(sources)


def _settings(sources: Sources) -> Settings:
    if ("tls_cert" in sources.origins) != ("tls_key" in sources.origins):
        sources.problems.append("tls_cert and tls_key belong together: give both or neither")
    providers = sources.providers.providers()
    sources.problems.extend(sources.providers.problems)
    if sources.problems:
        raise SettingsError(sources.problems)
    found: dict[str, Any] = sources.found
    settings = Settings(
        **found,
        oidc=providers,
        plugins=MappingProxyType(sources.plugins),
        plugin_variables=MappingProxyType(sources.plugin_variables),
        sources=MappingProxyType({**sources.origins, **sources.providers.origins}),
    )
    if settings.grace_seconds < 2 * settings.lease_seconds:
        raise SettingsError(["grace_seconds must be at least twice lease_seconds, or a push could lose its content"])
    if settings.htpasswd is not None and not settings.authentication:
        raise SettingsError(["htpasswd names a file of users, but authentication is off: set authentication = true"])
    if lacking := lacking_for(settings.oidc, settings.authentication, settings.external_url):
        raise SettingsError(lacking)
    _refuse_half_a_token_service(settings)
    if settings.tag_expiry_min > settings.tag_expiry_max:
        raise SettingsError(["tag_expiry_min is more than tag_expiry_max"])
    scheme = settings.storage_url.partition(":")[0]
    options = MappingProxyType(sources.options.get(scheme, {}))
    return dataclasses.replace(settings, storage_options=options)


def _refuse_half_a_token_service(settings: Settings) -> None:
    told = [bool(text) for text in (settings.token_realm, settings.token_issuer, settings.token_keys)]
    if any(told) != all(told) or (settings.token_service and not any(told)):
        raise SettingsError(["token_realm, token_issuer and token_keys belong together: give all of them or none"])
    if any(told) and not settings.authentication:
        raise SettingsError(["token_realm names a token service, but authentication is off: set authentication = true"])
    if settings.token_issuer and settings.token_issuer == settings.own_name:
        raise SettingsError(["token_issuer is the name of this registry's own tokens: the service needs another one"])


def refuse_open_listen(settings: Settings, address: str = "") -> None:
    """Raise :class:`SettingsError` where others could reach a server that asks nobody who they are.

    ``address`` replaces the setting ``listen`` where the server was told another one.
    """
    address = address or settings.listen
    if settings.authentication or settings.insecure_anonymous or values.is_loopback(address):
        return
    reason = f"refusing to listen on {address}: without access control, everybody who reaches it can push and delete."
    advice = (
        "Ask who they are with --authentication (MOORAGE_AUTHENTICATION=true), listen on 127.0.0.1, or accept that "
        "with --insecure-anonymous (MOORAGE_INSECURE_ANONYMOUS=true)."
    )
    raise SettingsError([f"{reason} {advice}"])


def _described(settings: Settings) -> Iterator[SettingShown]:
    for name, item in FIELDS.items():
        shown, source = _shown(getattr(settings, name)), settings.sources.get(name, "default")
        default = item.metadata["shown"] or _shown(item.default)
        yield SettingShown(name, PREFIX + name.upper(), shown, source, default, item.metadata["about"])
    scheme = settings.storage_url.partition(":")[0]
    for name, value in settings.storage_options.items():
        full, variable = f"{scheme}.{name}", f"{PREFIX}{scheme}_{name}".upper()
        shown = values.MASK if values.is_secret(name) else values.hide_password(value)
        about = f"option of the storage driver for {scheme}: URLs"
        yield SettingShown(full, variable, shown, settings.sources.get(full, "default"), None, about)
    yield from described(settings.oidc, settings.sources)


def _shown(value: object) -> object:
    """Make a value fit for display and for JSON."""
    if isinstance(value, float):
        return values.show_duration(value)
    if isinstance(value, tuple):
        return list(value)
    return values.hide_password(str(value)) if isinstance(value, (str, Path)) else value

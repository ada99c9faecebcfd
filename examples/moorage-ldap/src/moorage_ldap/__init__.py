"""Users of an LDAP directory log in with their passwords, and are in the teams that their groups stand for.

Who logs in is found by a search or by a template, then the directory is asked for a bind with the password, and the
entry says what the user is called. Sources: RFC 4511 to 4514, RFC 4513 above all (authentication methods and TLS).
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPSASLPrepError
from ldap3.utils.conv import escape_filter_chars
from registry.hooks import Identity, LoginCredentials, PluginContext, hookimpl

MOORAGE_API = "1.3"
"""The version of the plugin API that this was written for."""

NAME, DN = "{name}", "{dn}"
Connection: TypeAlias = Any
"""A connection of ldap3, which has no types."""
_REFUSED = frozenset({"invalidCredentials", "noSuchObject", "invalidDNSyntax", "inappropriateAuthentication"})
"""What a directory answers to a bind that is not right (RFC 4511, appendix A)."""
_SPECIAL = re.compile(r'[\\,+"<>;=#\x00-\x1f\x7f ]')


class DirectoryError(Exception):
    """The directory did not answer as it should; the message says to what, and holds no password."""


@dataclass(frozen=True)
class Settings:
    """What ``[plugins.ldap]`` of moorage.toml may hold."""

    url: str = field(default="", metadata={"about": "ldaps://HOST or ldap://HOST; empty: nobody is known"})
    start_tls: bool = field(default=True, metadata={"about": "encrypt ldap:// before anything is sent"})
    ca_file: Path | None = field(default=None, metadata={"about": "who signed the directory's certificate"})
    bind_template: str = field(default="", metadata={"about": "a user's DN: uid={name},ou=people,dc=example,dc=org"})
    search_base: str = field(default="", metadata={"about": "where users are searched, without a template"})
    search_filter: str = field(default="(uid={name})", metadata={"about": "which of them somebody is"})
    search_dn: str = field(default="", metadata={"about": "who searches; empty: nobody in particular"})
    search_password: str = field(default="", metadata={"about": "the password of who searches"})
    name_attribute: str = field(default="uid", metadata={"about": "what users are called here"})
    group_base: str = field(default="", metadata={"about": "where groups are; empty: teams are none of its business"})
    group_filter: str = field(default="(member={dn})", metadata={"about": "which groups a user is in"})
    group_attribute: str = field(default="cn", metadata={"about": "what groups are called"})
    teams: Mapping[str, str] = field(
        default_factory=dict, metadata={"about": "the team of each group; empty: the one of the same name"}
    )
    timeout_seconds: int = field(default=3, metadata={"about": "how long to wait for each answer"})

    def __post_init__(self) -> None:
        """Refuse what could not work, or would send passwords in the clear."""
        if not self.url:
            return
        scheme, host = urlsplit(self.url).scheme, urlsplit(self.url).hostname
        if scheme not in ("ldap", "ldaps") or not host:
            raise ValueError(f"url is ldaps://HOST or ldap://HOST, not {self.url}")
        if scheme == "ldap" and not self.start_tls and host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("passwords would cross the network in the clear: set start_tls, or an ldaps:// url")
        if bool(self.bind_template) == bool(self.search_base):
            raise ValueError("set either bind_template or search_base")
        if self.bind_template and NAME not in self.bind_template:
            raise ValueError(f"bind_template has {NAME} where the name goes")
        if self.search_base and NAME not in self.search_filter:
            raise ValueError(f"search_filter has {NAME} where the name goes")
        if bool(self.search_dn) != bool(self.search_password):
            raise ValueError("search_dn and search_password go together")
        if self.group_base and DN not in self.group_filter and NAME not in self.group_filter:
            raise ValueError(f"group_filter has {DN} or {NAME} where the user goes")
        if not 1 <= self.timeout_seconds <= 60:
            raise ValueError("timeout_seconds is 1 to 60")


@hookimpl
def plugin_settings() -> type:
    """Declare the settings."""
    return Settings


@hookimpl
def authenticate(credentials: LoginCredentials, context: PluginContext) -> Identity | None:
    """Tell who shows a password that the directory takes."""
    settings: Settings = context.settings
    # A bind with a DN and no password is answered by success: it proves nothing (RFC 4513, 5.1.2).
    if not settings.url or not credentials.password:
        return None
    dn = _dn_of(settings, credentials.name)
    if dn is None:
        return None
    with opened(settings) as directory:
        if not _bind(directory, dn, credentials.password):
            return None
        return _identity(directory, settings, dn)


@contextmanager
def opened(settings: Settings) -> Iterator[Connection]:
    """Give a connection that is encrypted, and nobody's yet."""
    parts = urlsplit(settings.url)
    secure = parts.scheme == "ldaps"
    certificates = None if settings.ca_file is None else str(settings.ca_file)
    tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=certificates, sni=parts.hostname)
    server = ldap3.Server(
        parts.hostname,
        port=parts.port or (636 if secure else 389),
        use_ssl=secure,
        tls=tls,
        get_info=ldap3.NONE,
        connect_timeout=settings.timeout_seconds,
    )
    # What refers to another server is not followed: it would be told the password.
    directory = ldap3.Connection(
        server, auto_referrals=False, read_only=True, receive_timeout=settings.timeout_seconds, check_names=False
    )
    try:
        directory.open(read_server_info=False)
        if not secure and settings.start_tls and not directory.start_tls(read_server_info=False):
            raise DirectoryError("it does not encrypt (StartTLS)")
        yield directory
    finally:
        directory.unbind()


def _dn_of(settings: Settings, name: str) -> str | None:
    """Return the DN of who logs in with a name, None where nobody or more than one does."""
    if settings.bind_template:
        return settings.bind_template.replace(NAME, escape_dn(name))
    with opened(settings) as directory:
        if settings.search_dn and not _bind(directory, settings.search_dn, settings.search_password):
            raise DirectoryError("search_dn or search_password is wrong")
        wanted = settings.search_filter.replace(NAME, escape_filter_chars(name))
        found = _search(directory, settings.search_base, wanted, settings.name_attribute, most=2)
    return found[0][0] if len(found) == 1 else None


def _bind(directory: Connection, dn: str, password: str) -> bool:
    """Tell whether a DN and a password are right."""
    directory.user, directory.password, directory.authentication = dn, password, ldap3.SIMPLE
    try:
        if directory.bind(read_server_info=False):
            return True
    except LDAPSASLPrepError:  # no password of a directory has such characters (RFC 4013)
        return False
    answer = str(directory.result["description"])
    if answer in _REFUSED:
        return False
    raise DirectoryError(f"it answers {answer} to a bind")


def _identity(directory: Connection, settings: Settings, dn: str) -> Identity | None:
    """Return who a DN is, as its own entry says: people write names in many ways, and the directory takes most."""
    found = _search(directory, dn, "(objectClass=*)", settings.name_attribute, scope=ldap3.BASE)
    names = found[0][1] if found else []
    if not names:
        raise DirectoryError(f"it shows no {settings.name_attribute} of who logged in")
    own, name = found[0][0], names[0]
    if not settings.group_base:
        return Identity(name)
    wanted = settings.group_filter.replace(DN, escape_filter_chars(own)).replace(NAME, escape_filter_chars(name))
    groups = [
        group
        for _, called in _search(directory, settings.group_base, wanted, settings.group_attribute)
        for group in called
    ]
    known = settings.teams
    return Identity(name, [known[group] for group in groups if group in known] if known else groups)


def _search(
    directory: Connection, base: str, wanted: str, attribute: str, *, scope: str = ldap3.SUBTREE, most: int = 0
) -> list[tuple[str, list[str]]]:
    """Return the DNs of what is found, each with the values of an attribute; ``most`` 0: all there are."""
    directory.search(base, wanted, search_scope=scope, attributes=[attribute], size_limit=most)
    answer = str(directory.result["description"])
    if answer not in ("success", "noSuchObject", "sizeLimitExceeded"):
        raise DirectoryError(f"it answers {answer} to a search")
    found = [entry for entry in directory.response or () if entry["type"] == "searchResEntry"]
    return [(entry["dn"], list(_texts(entry["raw_attributes"], attribute))) for entry in found]


def _texts(attributes: Mapping[str, Sequence[bytes]], wanted: str) -> Iterator[str]:
    """Yield the values of an attribute, whose name the directory may write in other letters."""
    for name, values in attributes.items():
        if name.lower() == wanted.lower():
            yield from (value.decode(errors="replace") for value in values)


def escape_dn(text: str) -> str:
    """Return a text as the value of a part of a DN (RFC 4514, 2.4)."""
    return _SPECIAL.sub(lambda found: f"\\{ord(found[0]):02x}", text)

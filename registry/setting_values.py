"""The grammar of settings: each function takes what a flag, a variable or a TOML file gave.

All raise :class:`ValueError` with what was expected. Standard library only.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

Reader = Callable[[object], object]

MASK = "********"
EVERYBODY = "always"
"""In place of networks: the clients of all of them."""
_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_SECRET_NAME = re.compile(r"secret|password|passphrase|token|credential|private", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(?<=//)([^/@\s:]*):([^/\s]*)@")
_DATABASE_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^\s\"']*@")
"""In URLs of databases, as SQLAlchemy reads them, a password may hold slashes."""
_QUERY_SECRET = re.compile(
    r"([?&](?:[^=&\s]*(?:secret|password|token|signature)[^=&\s]*|code|state)=)[^&\s]*", re.IGNORECASE
)
"""Also what a browser brings back from a provider: ``code`` and ``state`` (RFC 6749, 4.1.2)."""
_MAX_PORT = 65535
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9.])?")


@dataclass(frozen=True)
class SettingShown:
    """One line of ``moorage config show``."""

    name: str
    variable: str
    value: object
    source: str
    default: object
    help: str


def text(value: object) -> str:
    """Read a string without control characters."""
    if not isinstance(value, str):
        raise ValueError("expected text")  # noqa: TRY004 - a bad value, reported as such
    if not value.isprintable():
        raise ValueError("expected text without control characters")
    return value.strip()


def boolean(value: object) -> bool:
    """Read true or false, and the words people use for them."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in _TRUE + _FALSE:
        raise ValueError("expected true or false")
    return word in _TRUE


def number(least: int, most: int = 2**31) -> Reader:
    """Make a reader of whole numbers from ``least`` to ``most``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,10}", str(value).strip()):
            raise ValueError("expected a whole number")
        if not least <= int(str(value)) <= most:
            raise ValueError(f"expected a whole number from {least} to {most}")
        return int(str(value))

    return read


def duration(least: float) -> Reader:
    """Make a reader of durations, returned in seconds: ``30s``, ``10m``, ``24h``, ``14d``, ``90``."""

    def read(value: object) -> float:
        match = _DURATION.fullmatch(str(value).strip().lower())
        if isinstance(value, bool) or match is None or match[2] not in _UNITS:
            raise ValueError("expected a duration such as 30s, 10m, 24h or 14d")
        seconds = float(match[1]) * _UNITS[match[2]]
        if seconds < least:
            raise ValueError(f"expected at least {show_duration(least)}")
        return seconds

    return read


def whole_duration(least: int) -> Reader:
    """Make a reader of durations in whole seconds."""
    read = duration(least)
    return lambda value: int(str(read(value)).partition(".")[0])


def choice(*words: str) -> Reader:
    """Make a reader that accepts one of ``words``."""

    def read(value: object) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(f"expected one of {', '.join(words)}")
        return word

    return read


def names(value: object) -> tuple[str, ...]:
    """Read a list, or text with commas between."""
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)):
        raise ValueError("expected a list of names")  # noqa: TRY004 - a bad value, reported as such
    return tuple(name for name in (text(part) for part in parts) if name)


def hosts(value: object) -> tuple[str, ...]:
    """Read a list of networks (``10.0.0.0/8``), addresses and host names."""
    found = names(value)
    for entry in found:
        try:
            ipaddress.ip_network(entry, strict=False)
        except ValueError:
            if re.fullmatch(r"[0-9./]*|.*[:/].*", entry) or not _HOST.fullmatch(entry):
                expected = "expected networks such as 10.1.0.0/16, addresses and host names"
                raise ValueError(f"{expected} ({entry!r} is none)") from None
    return found


def networks(value: object) -> tuple[str, ...]:
    """Read a list of networks (``10.0.0.0/8``) and addresses."""
    found = names(value)
    for entry in found:
        try:
            ipaddress.ip_network(entry)
        except ValueError:
            raise ValueError(f"expected networks such as 10.1.0.0/16 and addresses ({entry!r} is none)") from None
    return found


def clients(value: object) -> tuple[str, ...]:
    """Read which clients are meant: none (``off``), all (``always``), or those of networks."""
    word = str(value).strip().lower()
    if word in ("off", "false"):
        return ()
    if word in (EVERYBODY, "true"):
        return (EVERYBODY,)
    try:
        return networks(value)
    except ValueError as error:
        raise ValueError(f"expected off, always, or a list of networks: {error}") from None


def path(value: object) -> Path:
    """Read a path; ``~`` is the home folder, and a relative one starts at the working directory."""
    if not isinstance(value, (str, Path)) or not str(value):
        raise ValueError("expected a path")
    return Path(text(str(value))).expanduser().absolute()


def in_url(file: Path) -> str:
    """Write a path as part of a URL, where these three mean something else."""
    return str(file).replace("%", "%25").replace("?", "%3F").replace("#", "%23")


def existing_file(value: object) -> Path:
    """Read the path of a file that is there."""
    found = path(value)
    if not found.is_file():
        raise ValueError("expected a file that is there")
    return found


def url(value: object) -> str:
    """Read a URL with a scheme."""
    address = text(value)
    if not re.match(r"[a-z][a-z0-9+.-]*:", address):
        raise ValueError("expected a URL such as scheme://host/path")
    return address


def database_url(value: object) -> str:
    """Read the URL of a database of a kind that Moorage knows."""
    address = url(value)
    if not re.match(r"(sqlite|postgresql)(\+[a-z0-9]+)?://", address):
        raise ValueError("expected sqlite:////path/to/moorage.db or postgresql+psycopg://user@host/name")
    return address


def web_url(value: object) -> str:
    """Read the address that clients use: http or https, a host, and nothing after it."""
    address = text(value).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("expected a URL such as https://registry.example.org")
    if parts.path or parts.query or parts.fragment:
        raise ValueError("expected a URL without a path: the registry's routes start at /v2/")
    return address


def page_url(value: object) -> str:
    """Read a URL of http or https that can stand in a header, in quotes."""
    address = quotable(value)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
        raise ValueError("expected a URL such as https://auth.example.org/token")
    return address


def quotable(value: object) -> str:
    """Read text of ASCII that can stand in a header, in quotes."""
    found = text(value)
    if not found.isascii() or '"' in found or "\\" in found:
        raise ValueError("expected ASCII text without quotes and backslashes")
    return found


def keys_place(value: object) -> str:
    """Read where a set of keys is: a URL of https, or of this machine, or a file that is there."""
    address = text(value) if not isinstance(value, Path) else str(value)
    if not re.match(r"https?:", address):
        return str(existing_file(address))
    parts = urlsplit(page_url(address))
    if parts.scheme == "http" and not is_loopback(f"{parts.hostname}:{parts.port or 80}"):
        raise ValueError("expected https: whoever can change the keys on their way can write tokens")
    return address


def listen(value: object) -> str:
    """Read where to listen: ``HOST:PORT``, ``[IPV6]:PORT`` or ``unix:/PATH``."""
    address = text(value)
    if address.startswith("unix:/"):
        return address
    host, colon, port = address.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _MAX_PORT:
        raise ValueError("expected HOST:PORT, for example 127.0.0.1:5000")
    if not re.fullmatch(r"[A-Za-z0-9.-]*|\[[0-9a-fA-F:.%a-z]+\]", host):
        raise ValueError("expected HOST:PORT, with an IPv6 address in brackets: [::1]:5000")
    return f"{host or '0.0.0.0'}:{int(port)}"  # noqa: S104 - what an empty host means to gunicorn; refused elsewhere


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach a listening address that :func:`listen` returned."""
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def show_duration(seconds: float) -> str:
    """Write seconds in the largest unit that divides them."""
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds / _UNITS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


def is_secret(name: str) -> bool:
    """Tell whether a name promises a secret."""
    return _SECRET_NAME.search(name) is not None


def hide_credentials(shown: str) -> str:
    """Mask the passwords in a value that cannot be used, all of it where one might be in what is no URL."""
    return MASK if "@" in shown and "//" not in shown else hide_password(shown)


def hide_password(address: str) -> str:
    """Mask the passwords in every URL of a text, and what else of it lets somebody in."""
    if address.lstrip("'\"").startswith(("postgresql", "sqlite")):
        address = _DATABASE_PASSWORD.sub(rf"\1:{MASK}@", address)
    return _QUERY_SECRET.sub(rf"\1{MASK}", _URL_PASSWORD.sub(rf"\1:{MASK}@", address))

"""Keys of logins, which the command line keeps in a file of its user alone: an address of a server, who, which key."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

import click

from registry.cli.common import FlagRefused

_FILE = "logins.json"
_FIELDS = ("user", "key", "expires")
_OTHERS = 0o077
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Kept:
    """Who one is to a server, the API key that proves it, and until when it does (RFC 3339)."""

    user: str
    key: str
    expires: str


def folder() -> Path:
    """Return the folder of the command line's files: ``~/.config/moorage``, or what the system has in its place."""
    return Path(click.get_app_dir("moorage"))


def find_kept(server: str) -> Kept | None:
    """Return what is kept for a server, or None; raises :class:`FlagRefused` for a file that others can read."""
    entry = _read().get(origin(server))
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in _FIELDS):
        return None
    return Kept(**{name: entry[name] for name in _FIELDS})


def keep(server: str, kept: Kept) -> Path:
    """Keep a key, and return the file; it is replaced as a whole, and its user's alone."""
    return _write({**_read(), origin(server): asdict(kept)})


def forget(server: str) -> None:
    """Keep nothing for a server any more."""
    _write({name: entry for name, entry in _read().items() if name != origin(server)})


def origin(server: str) -> str:
    """Return what a key is good for: scheme, host and port, written in one way (RFC 6454, 4)."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def _read() -> Mapping[str, object]:
    path = folder() / _FILE
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise FlagRefused(f"{path} holds keys, and others can read it: chmod 600 {path}")
            found = json.loads(file.read())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FlagRefused(f"{path} cannot be read ({error}): mend it, or remove it and log in again") from None
    return found if isinstance(found, dict) else {}


def _write(entries: Mapping[str, object]) -> Path:
    path = folder() / _FILE
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{_FILE}.")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=2)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror or error}") from None
    return path

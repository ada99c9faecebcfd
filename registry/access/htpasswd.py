"""The file of users and bcrypt hashes that Apache's ``htpasswd -B`` writes, read again when it changes."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import bcrypt

from registry.access.principal_rows import check_user_name
from registry.errors import PrincipalInvalid

HTPASSWD = "htpasswd"
"""The source of the users in it."""
_LOOK_SECONDS = 1.0
_LONGEST = 72
"""bcrypt looks at no more bytes of a password."""
_HASH = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_log = logging.getLogger(__name__)


class HtpasswdFile:
    """The users of a file; without a path there are none."""

    def __init__(self, path: Path | None) -> None:
        """Read ``path`` when it is needed."""
        self._path = path
        self._hashes: Mapping[str, str] = {}
        self._state: tuple[int, int, int] | None = None
        self._looked_at = float("-inf")
        self._turn = threading.Lock()
        self._nobody = bcrypt.hashpw(b"nobody", bcrypt.gensalt()).decode() if path else ""

    @property
    def used(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def find(self, name: str) -> str:
        """Return the hash of a user, empty where there is none."""
        if self._path is not None and time.monotonic() > self._looked_at + _LOOK_SECONDS:
            with self._turn:
                self._look(self._path)
        return self._hashes.get(name, "")

    def vouches(self, source: str, name: str) -> bool:
        """Tell whether a user whose ``source`` is this file is in it still; others are not its concern."""
        return source != HTPASSWD or bool(self.find(name))

    def verify(self, kept: str, password: str) -> bool:
        """Tell whether a password is that of a hash; where ``kept`` is empty, no, after as long a time."""
        text = password.encode()
        try:
            right = bcrypt.checkpw(text[:_LONGEST], (kept or self._nobody).encode())
        except ValueError:  # the hash is damaged
            return False
        return right and bool(kept) and len(text) <= _LONGEST

    def _look(self, path: Path) -> None:
        self._looked_at = time.monotonic()
        try:
            found = path.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            if state != self._state:
                self._hashes, problems = read_users(path)
                self._state = state
                for problem in problems:
                    _log.warning("%s, %s", path, problem)
        except (OSError, UnicodeError) as error:
            _log.error("the file of users %s cannot be read, so nobody of it is let in: %s", path, error)
            self._hashes, self._state = {}, None


def read_users(path: Path) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the hashes by user, and what is wrong with the lines that let nobody in.

    Raises :class:`OSError`, :class:`UnicodeError`.
    """
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, _, kept = line.strip().partition(":")
        if not line.strip() or line.startswith("#"):
            continue
        try:
            check_user_name(name)
        except PrincipalInvalid as error:
            problems.append(f"line {number}: {error.message}")
            continue
        if _HASH.fullmatch(kept) is None:
            problems.append(f"line {number}: {name} has no bcrypt hash (htpasswd -B writes them)")
            continue
        hashes[name] = kept
    return hashes, problems

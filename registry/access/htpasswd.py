"""The file of users and bcrypt hashes that Apache's ``htpasswd -B`` writes, read again when it changes."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import bcrypt

from registry.access.principal_rows import check_user_name
from registry.errors import PrincipalInvalid

HTPASSWD = "htpasswd"
"""The source of the users in it."""
_LONGEST = 72
"""bcrypt looks at no more bytes of a password."""
_UNREADABLE = (0, 0, 0)
_HASH = re.compile(r"\$2[aby]\$[0-9]{2}\$[./A-Za-z0-9]{53}")
_log = logging.getLogger(__name__)


class HtpasswdFile:
    """The users of a file; without a path there are none."""

    def __init__(self, path: Path | None) -> None:
        """Read ``path`` when it is needed."""
        self._path = path
        self._hashes: Mapping[str, str] = {}
        self._state: tuple[int, int, int] | None = None
        self._turn = threading.Lock()

    @property
    def used(self) -> bool:
        """Whether there is a file."""
        return self._path is not None

    def find(self, name: str) -> str:
        """Return the hash of a user, empty where there is none."""
        if self._path is not None:
            with self._turn:
                self._look(self._path)
        return self._hashes.get(name, "")

    def has(self, name: str) -> bool:
        """Tell whether a user is in it."""
        return bool(self.find(name))

    def vouches(self, source: str, name: str) -> bool:
        """Tell whether a user whose ``source`` is this file is in it still; others are not its concern."""
        return source != HTPASSWD or bool(self.find(name))

    def verify(self, kept: str, password: str) -> bool:
        """Tell whether a password is that of a hash; where ``kept`` is empty, no, after as long a time.

        That is the time of another line of the file, as all are most often written with the same cost.
        """
        text, other = password.encode(), next(iter(self._hashes.values()), "")
        try:
            right = bcrypt.checkpw(text[:_LONGEST], (kept or other).encode())
        except ValueError:  # the hash is damaged, or there is none
            return False
        return right and bool(kept) and len(text) <= _LONGEST

    def _look(self, path: Path) -> None:
        try:
            found = path.stat()
            state = (found.st_mtime_ns, found.st_size, found.st_ino)
            if state != self._state:
                self._hashes, problems = read_users(path)
                self._state = state
                for problem in problems:
                    _log.warning("%s, %s", path, problem)
        except OSError as error:
            if self._state != _UNREADABLE:
                _log.error("the file of users %s cannot be read, so nobody of it is let in: %s", path, error)
            self._hashes, self._state = {}, _UNREADABLE


def read_users(path: Path) -> tuple[Mapping[str, str], Sequence[str]]:
    """Return the hashes by user, and what is wrong with the lines that let nobody in; raises :class:`OSError`."""
    hashes: dict[str, str] = {}
    problems: list[str] = []
    for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
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
        hashes.setdefault(name, kept)  # as Apache does
    return hashes, problems

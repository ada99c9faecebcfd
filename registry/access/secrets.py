"""Secrets: passwords and API keys, how they are made, kept and compared.

Sources: RFC 9106 (Argon2id, the second recommended option), OWASP Password Storage Cheat Sheet.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import argon2

from registry.errors import PrincipalInvalid

SHORTEST_PASSWORD, LONGEST_PASSWORD = 8, 1024
KEY_SIGN = "mk_"
"""What every API key starts with, so that scanners of leaked secrets find it."""
REFRESH_SIGN = "mr_"
"""What every refresh token starts with."""
_KEY = re.compile(r"mk_([A-Za-z0-9]{10})_([A-Za-z0-9]{40})")
_ALPHABET = string.ascii_letters + string.digits
_REMEMBERED, _AT_ONCE = 4096, 4


def random_text(length: int) -> str:
    """Return random letters and digits: six bits of chance each, nearly."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def hashed(secret: str) -> str:
    """Return the SHA-256 of a secret that chance made, in hex: it needs no slow hash, as it cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class KeyText:
    """An API key as its owner has it: ``mk_PREFIX_SECRET``."""

    prefix: str
    secret: str

    @classmethod
    def new(cls) -> Self:
        """Make one."""
        return cls(random_text(10), random_text(40))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read one; None for what is none."""
        match = _KEY.fullmatch(text)
        return None if match is None else cls(match[1], match[2])

    @property
    def hash(self) -> str:
        """What is kept of it."""
        return hashed(str(self))

    def __str__(self) -> str:
        return f"{KEY_SIGN}{self.prefix}_{self.secret}"


class Passwords:
    """Hashes passwords with Argon2id, and remembers which were right for a while in this process's memory.

    A hash takes 19 MiB and some tens of milliseconds: clients that send the password with each request would wait for
    it each time. What is remembered is a keyed hash of both; it is good for as long as the kept hash is the same. A
    few are compared at once, so that guesses take neither all memory nor all cores.
    """

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._turn, self._few = threading.Lock(), threading.BoundedSemaphore(_AT_ONCE)

    @cached_property
    def _nobody(self) -> str:
        """The hash that is compared with where there is none."""
        return self._hasher.hash(random_text(40))

    def hash(self, password: str) -> str:
        """Return what is kept of a password; raises :class:`PrincipalInvalid` for one that is too short or long."""
        if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise PrincipalInvalid(
                f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters", detail={"field": "password"}
            )
        return self._hasher.hash(password)

    def remembers(self, kept: str, password: str) -> bool:
        """Tell whether this process found the password right before."""
        return self._mark(kept, password) in self._right

    def verify(self, kept: str, password: str) -> bool:
        """Tell whether a password is that of a kept hash; where ``kept`` is empty, no, after as long a time."""
        nobody = self._nobody  # made by whoever is first, so that its making tells of no name
        try:
            with self._few:
                self._hasher.verify(kept or nobody, password[:LONGEST_PASSWORD])
        except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
            return False
        if not kept or len(password) > LONGEST_PASSWORD:
            return False
        self.remember(kept, password)
        return True

    def remember(self, kept: str, password: str) -> None:
        """Note that a password is right for a kept hash."""
        with self._turn:
            self._right[self._mark(kept, password)] = None
            if len(self._right) > _REMEMBERED:
                self._right.popitem(last=False)

    def _mark(self, kept: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{kept}\0{password}".encode(), "sha256")

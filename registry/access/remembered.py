"""What was found out about secret texts, without keeping the texts."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """Remembers something by the SHA-256 of a text; of more than ``most`` the oldest is forgotten."""

    def __init__(self, most: int) -> None:
        """Start with nothing."""
        self._most = most
        self._found: OrderedDict[bytes, T] = OrderedDict()
        self._turn = threading.Lock()

    def get(self, text: str) -> T | None:
        """Return what is remembered of a text, None where that is nothing."""
        return self._found.get(_mark(text))

    def keep(self, text: str, found: T) -> None:
        """Remember something of a text."""
        with self._turn:
            self._found[_mark(text)] = found
            if len(self._found) > self._most:
                self._found.popitem(last=False)


def _mark(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()

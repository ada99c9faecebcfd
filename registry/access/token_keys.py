"""The keys that sign tokens: made at the first need, changed by hand, and published.

One algorithm alone, ES256, whatever a token's header says (RFC 8725, 3.1). A key that was replaced goes on proving
what it signed until all of that has expired.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc.jwk import ECKey
from sqlalchemy import Connection, insert, select, update

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.audit.entries import write
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import TokenKey

ALGORITHM = "ES256"
_KEY = table(TokenKey)
_ALL = select(TokenKey.id, TokenKey.private_pem, TokenKey.retired_ms).order_by(TokenKey.created_ms, TokenKey.id)
_FRESH_SECONDS = 60.0
_MISS_SECONDS = 1.0


class TokenKeys:
    """Hands out keys, as this process read them a minute ago at most; an unknown one is looked for at once."""

    def __init__(self, database: Database, authorizer: Authorizer, *, kept_ms: int) -> None:
        """Publish a replaced key for ``kept_ms`` more."""
        self._database = database
        self._authorizer = authorizer
        self._kept_ms = kept_ms
        self._turn = threading.Lock()
        self._known: Mapping[str, ECKey] = {}
        self._newest = ""
        self._read_at = float("-inf")

    def signing(self) -> ECKey:
        """Return the key that signs now; the first caller ever makes it."""
        if time.monotonic() > self._read_at + _FRESH_SECONDS:
            self._read()
        if not self._newest:
            self._database.write(self._make_first)
            self._read()
        return self._known[self._newest]

    def find(self, key_id: str) -> ECKey | None:
        """Return the key with an id, or None."""
        found = self._known.get(key_id)
        age = time.monotonic() - self._read_at
        if age > _FRESH_SECONDS or (found is None and age > _MISS_SECONDS):
            self._read()
            found = self._known.get(key_id)
        return found

    def published(self) -> Sequence[Mapping[str, Any]]:
        """Return the public keys (RFC 7517, 5), the one that signs first."""
        newest = self.signing()
        others = [key for key in self._known.values() if key.kid != newest.kid]
        return [key.as_dict(private=False) for key in (newest, *others)]

    def rotate(self, actor: Actor) -> str:
        """Let a new key sign from now on, and return its id."""
        self._authorizer.require(actor, Action.ADMIN, None)

        def work(connection: Connection) -> str:
            now = self._database.now(connection)
            connection.execute(update(_KEY).where(_KEY.c.retired_ms.is_(None)).values(retired_ms=now))
            made = self._make(connection, now)
            write(self._database, connection, actor, "token-key.rotated", made)
            return made

        made = self._database.write(work)
        self._read()
        return made

    def _make_first(self, connection: Connection) -> None:
        if connection.execute(select(TokenKey.id).where(TokenKey.retired_ms.is_(None))).first() is None:
            self._make(connection, self._database.now(connection))

    @staticmethod
    def _make(connection: Connection, now: int) -> str:
        key = ECKey.generate_key("P-256")
        key_id = key.thumbprint()
        pem = key.as_pem(private=True).decode()
        connection.execute(insert(_KEY), {"id": key_id, "private_pem": pem, "created_ms": now, "retired_ms": None})
        return key_id

    def _read(self) -> None:
        with self._turn:
            with self._database.read() as connection:
                rows = connection.execute(_ALL).all()
                now = self._database.now(connection)
            kept = [row for row in rows if row.retired_ms is None or row.retired_ms + self._kept_ms > now]
            self._known = {row.id: _key(row.id, row.private_pem) for row in kept}
            self._newest = next((row.id for row in reversed(kept) if row.retired_ms is None), "")
            self._read_at = time.monotonic()


def _key(key_id: str, pem: str) -> ECKey:
    return ECKey.import_key(pem, {"kid": key_id, "use": "sig", "alg": ALGORITHM})

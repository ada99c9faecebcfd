"""The registry's own signing key, made at its first start and kept in the database."""

from __future__ import annotations

from sqlalchemy import Connection, select

from registry import signing
from registry.db.engine import Database
from registry.db.models import SigningKey
from registry.errors import ReadOnly
from registry.hooks.types import SignatureParts

_SCHEMA1 = "schema1"


class SigningKeys:
    """Signs what the registry converts; the key is read once a process."""

    def __init__(self, database: Database) -> None:
        """Keep the key in ``database``, so that all replicas sign alike."""
        self._database = database
        self._pem: str | None = None

    def sign_schema1(self, payload: bytes) -> SignatureParts:
        """Return the signature of a Docker schema 1 payload."""
        return signing.sign_schema1(self._load(), payload)

    def _load(self) -> str:
        if self._pem is None:
            with self._database.read() as connection:
                self._pem = self._stored(connection)
        if self._pem is None:
            fresh = signing.generate_private_key_pem()
            try:
                self._pem = self._database.write(lambda connection: self._keep(connection, fresh))
            except ReadOnly:  # pulls go on; nobody has been given another key to compare with
                return fresh
        return self._pem

    def _keep(self, connection: Connection, pem: str) -> str:
        connection.execute(
            self._database.insert_ignore(SigningKey).values(
                purpose=_SCHEMA1, private_pem=pem, created_ms=self._database.now(connection)
            )
        )
        stored = self._stored(connection)
        assert stored is not None  # noqa: S101 - this transaction wrote it, or another had before
        return stored

    @staticmethod
    def _stored(connection: Connection) -> str | None:
        return connection.execute(select(SigningKey.private_pem).where(SigningKey.purpose == _SCHEMA1)).scalar()

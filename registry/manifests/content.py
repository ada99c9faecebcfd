"""What formats may read while they look at a manifest: the content of its repository."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sqlalchemy import Connection, bindparam, select

from registry.content.members import Member, members
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.digest import Digest
from registry.errors import UnsupportedMediaType
from registry.hooks.facade import Hooks
from registry.hooks.ports import MAX_READ, ContentMissing, ContentTooLarge, StorageDriver
from registry.hooks.types import ParsedManifest

_NOTHING: Mapping[str, Member] = MappingProxyType({})
_KEPT = select(Manifest.media_type, Manifest.payload).where(
    Manifest.repository_id == bindparam("repository"), Manifest.digest == bindparam("digest")
)
_STORED = _KEPT.where(Manifest.deleted_at.is_(None))


def as_stored(media_type: str, payload: bytes) -> ParsedManifest:
    """Return a manifest whose format nobody owns any more: its bytes, and nothing of what they mean."""
    return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)


class RepositoryContent:
    """A :class:`~registry.hooks.ContentReader` of one repository, for one request.

    What was read is kept, since several hooks read the same configuration.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        hooks: Hooks,
        repository_id: int | None,
        known: Mapping[str, Member] = _NOTHING,
        *,
        deleted: bool = False,
    ) -> None:
        """Read from the repository; None stands for one that does not exist yet and holds nothing.

        ``known`` are members that were looked up already. With ``deleted``, what was deleted and is still kept is
        read as well.
        """
        self._deleted = deleted
        self._known = known
        self._database = database
        self._storage = storage
        self._hooks = hooks
        self._repository_id = repository_id
        self._read: dict[Digest, bytes] = {}
        self._parsed: dict[Digest, ParsedManifest] = {}

    def read(self, digest: Digest, limit: int = MAX_READ) -> bytes:
        """Return the bytes of a blob or manifest; see :class:`~registry.hooks.ContentReader`."""
        payload = self._read.get(digest)
        if payload is None:
            payload = self._fetch(digest, min(limit, MAX_READ))
            self._read[digest] = payload
        if len(payload) > limit:
            raise ContentTooLarge(f"{digest} is longer than {limit} bytes")
        return payload

    def manifest(self, digest: Digest) -> ParsedManifest:
        """Return a stored manifest, parsed by its owner; see :class:`~registry.hooks.ContentReader`."""
        parsed = self._parsed.get(digest)
        if parsed is None:
            parsed = self._parse(digest)
            self._parsed[digest] = parsed
        return parsed

    def _parse(self, digest: Digest) -> ParsedManifest:
        with self._database.read() as connection:
            row = self._stored(connection, digest)
        if row is None:
            raise ContentMissing(str(digest))
        try:
            return self._hooks.parse(row[0], row[1])
        except UnsupportedMediaType:  # its plugin was removed
            raise ContentMissing(str(digest)) from None

    def _fetch(self, digest: Digest, limit: int) -> bytes:
        if self._repository_id is None:
            raise ContentMissing(str(digest))
        member, row = self._known.get(str(digest)), None
        if member is None:
            with self._database.read() as connection:
                member = members(connection, self._repository_id, [str(digest)], hidden=self._deleted).get(str(digest))
                row = self._stored(connection, digest) if member is None else None
        if member is None and row is None:
            raise ContentMissing(str(digest))
        if row is not None:
            return bytes(row[1])
        assert member is not None  # noqa: S101 - one of both is there
        if member.size > limit:
            raise ContentTooLarge(f"{digest} is longer than {limit} bytes")
        return b"".join(self._storage.read(member.storage_key))

    def _stored(self, connection: Connection, digest: Digest) -> tuple[str, bytes] | None:
        if self._repository_id is None:
            return None
        statement = _KEPT if self._deleted else _STORED
        row = connection.execute(statement, {"repository": self._repository_id, "digest": str(digest)}).first()
        return None if row is None else (row[0], row[1])

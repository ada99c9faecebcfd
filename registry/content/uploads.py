"""Uploads: from the first byte to a blob.

Bytes are hashed while they stream. Where one request wrote all of them, the commit needs no second look;
otherwise the sealed bytes are read again. Order: bytes durable, then the database commit, then the answer.
"""

from __future__ import annotations

import time
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from registry.access.actors import Actor
from registry.access.authorizer import Action, Authorizer
from registry.content.blobs import BlobService, StoredBlob
from registry.content.deletions import Deletions, Doomed
from registry.content.keys import storage_unavailable
from registry.content.sessions import Claim, UploadSessions, byte_range
from registry.db.engine import Database
from registry.digest import DEFAULT_ALGORITHM, Digest, new_hasher
from registry.errors import BlobUploadUnknown, DigestInvalid, DigestPurged, RegistryError
from registry.hooks.ports import KeyMissing, PrefersChunks, StorageDriver, StorageError, UploadState
from registry.names import RepositoryName
from registry.steps import Steps

_PIECE = 1024 * 1024
_BEATS_A_DEADLINE = 3


class Body(Protocol):
    """A request's body."""

    length: int | None
    """The announced number of bytes, or None (chunked)."""

    def read(self, size: int) -> bytes:
        """Return up to ``size`` bytes, empty at the end; raises :class:`RegistryError` where it ends early."""


@dataclass(frozen=True, slots=True)
class UploadProgress:
    """A session and the number of bytes that are acknowledged."""

    uuid: str
    offset: int

    @property
    def range(self) -> str:
        """The ``Range`` header of the session."""
        return byte_range(self.offset)


class UploadService:
    """Starts, fills, commits and cancels uploads."""

    def __init__(
        self,
        database: Database,
        storage: StorageDriver,
        authorizer: Authorizer,
        blobs: BlobService,
        deletions: Deletions,
        deadline_ms: int,
        steps: Steps,
    ) -> None:
        """Write to ``storage``; a writer silent for ``deadline_ms`` milliseconds may be replaced."""
        self._database = database
        self._storage = storage
        self._authorizer = authorizer
        self._blobs = blobs
        self._deletions = deletions
        self._steps = steps
        self._beat_seconds = deadline_ms / 1000 / _BEATS_A_DEADLINE
        self._sessions = UploadSessions(database, storage, deletions, blobs.outbox, deadline_ms)

    @property
    def min_chunk(self) -> int | None:
        """The chunk length in bytes from which the store gains, or None."""
        return self._storage.min_chunk if isinstance(self._storage, PrefersChunks) else None

    def start(self, actor: Actor, repository: RepositoryName, algorithm: str | None) -> UploadProgress:
        """Open a session; ``algorithm`` is the client's hint of the digest to come."""
        self._authorizer.require(actor, Action.PUSH, repository)
        chosen = algorithm or DEFAULT_ALGORITHM
        new_hasher(chosen)
        return UploadProgress(self._sessions.start(actor, repository, chosen, writing=False).uuid, 0)

    def status(self, actor: Actor, repository: RepositoryName, uuid: str) -> UploadProgress:
        """Return how far a session is; raise :class:`BlobUploadUnknown`."""
        self._authorizer.require(actor, Action.PUSH, repository)
        return UploadProgress(uuid, self._sessions.offset(repository, uuid))

    def append(
        self, actor: Actor, repository: RepositoryName, uuid: str, body: Body, start: int | None
    ) -> UploadProgress:
        """Append ``body`` to a session, at byte ``start`` if the client says so.

        The session keeps all of the body or nothing of it. Raises :class:`RangeInvalid`, :class:`UploadBusy`,
        :class:`BlobUploadUnknown`, :class:`~registry.errors.InsufficientStorage`.
        """
        self._authorizer.require(actor, Action.PUSH, repository)
        claim = self._sessions.claim(repository, uuid, closing=False, start=start)
        claim = self._receive(claim, body, claim.algorithm, closing=False)
        return UploadProgress(uuid, claim.state.size)

    def finish(
        self,
        actor: Actor,
        repository: RepositoryName,
        uuid: str,
        digest: Digest,
        body: Body,
        start: int | None,
    ) -> StoredBlob:
        """Append ``body``, if there is one, and make the session's bytes the blob ``digest``.

        Raises what :meth:`append` raises, and :class:`DigestInvalid` where the bytes are others: the session is
        then gone.
        """
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))
        empty = body.length == 0
        claim = self._sessions.claim(repository, uuid, closing=empty, start=start)
        if not empty:
            claim = self._receive(claim, body, digest.algorithm, closing=True)
        elif claim.superseded:
            claim = self._rescue(claim, closing=True)
        return self._commit(actor, claim, digest)

    def push(self, actor: Actor, repository: RepositoryName, digest: Digest, body: Body) -> StoredBlob:
        """Make ``body`` the blob ``digest`` in one request; raises :class:`DigestInvalid`."""
        self._authorizer.require(actor, Action.PUSH, repository, str(digest))
        claim = self._sessions.start(actor, repository, digest.algorithm, writing=True)
        try:
            claim = self._receive(claim, body, digest.algorithm, closing=True)
        except RegistryError:
            with suppress(RegistryError):  # the client hears what went wrong, not that tidying failed as well
                self._sessions.drop(self._sessions.claim(repository, claim.uuid, closing=True, start=None))
            raise
        return self._commit(actor, claim, digest)

    def cancel(self, actor: Actor, repository: RepositoryName, uuid: str) -> None:
        """End a session and forget its bytes, also while another request writes to it."""
        self._authorizer.require(actor, Action.PUSH, repository)
        self._sessions.drop(self._sessions.claim(repository, uuid, closing=True, start=None, force=True))

    def _receive(self, claim: Claim, body: Body, algorithm: str, *, closing: bool) -> Claim:
        """Write a body through to the store, and acknowledge all of it."""
        try:
            if claim.superseded:
                claim = self._sessions.rescue(claim)
            state, prefix = self._write(claim, body, algorithm)
        except KeyMissing as error:
            self._sessions.drop(claim)
            raise BlobUploadUnknown("the upload's bytes are gone: start again", detail={"uuid": claim.uuid}) from error
        except (StorageError, RegistryError) as error:
            with suppress(RegistryError):
                self._sessions.give_back(claim)
            if isinstance(error, StorageError):
                raise storage_unavailable(error) from error
            raise
        return self._sessions.progress(claim, state, prefix, closing=closing)

    def _write(self, claim: Claim, body: Body, algorithm: str) -> tuple[UploadState, str | None]:
        """Stream ``body``; return the new state and the digest of all bytes, if this request saw them all."""
        hasher = new_hasher(algorithm) if claim.state.size == 0 else None
        writer = self._storage.open_upload(claim.state, body.length)
        next_beat = time.monotonic() + self._beat_seconds
        try:
            while piece := body.read(_PIECE):
                writer.write(piece)
                if hasher is not None:
                    hasher.update(piece)
                if time.monotonic() > next_beat:
                    self._sessions.beat(claim)
                    next_beat = time.monotonic() + self._beat_seconds
        except BaseException:
            writer.discard()
            raise
        state = writer.finish()
        if hasher is not None:
            return state, f"{algorithm}:{hasher.hexdigest()}"
        return state, claim.prefix_digest if state.size == claim.state.size else None

    def _rescue(self, claim: Claim, *, closing: bool) -> Claim:
        try:
            claim = self._sessions.rescue(claim)
        except KeyMissing as error:
            self._sessions.drop(claim)
            raise BlobUploadUnknown(detail={"uuid": claim.uuid}) from error
        except StorageError as error:
            self._sessions.give_back(claim)
            raise storage_unavailable(error) from error
        return self._sessions.progress(claim, claim.state, claim.prefix_digest, closing=closing)

    def _commit(self, actor: Actor, claim: Claim, digest: Digest) -> StoredBlob:
        """Seal the bytes, check them, and make them a blob of the repository."""
        try:
            self._seal(claim, digest)
            self._steps("upload.sealed")
            loser = self._database.write(lambda connection: self._adopt(connection, actor, claim, digest))
        except (DigestInvalid, DigestPurged):
            self._sessions.drop(claim)
            raise
        except KeyMissing as error:
            self._sessions.drop(claim)
            raise BlobUploadUnknown("the upload's bytes are gone: start again", detail={"uuid": claim.uuid}) from error
        except (StorageError, RegistryError) as error:
            with suppress(RegistryError):
                self._sessions.interrupt_commit(claim)
            if isinstance(error, StorageError):
                raise storage_unavailable(error) from error
            raise
        self._steps("upload.committed")
        if loser is not None:
            self._deletions.remove_now(loser)
        return StoredBlob(digest, claim.state.size, claim.state.key)

    def _seal(self, claim: Claim, digest: Digest) -> None:
        """Make the bytes durable and compare their digest; raises :class:`DigestInvalid`."""
        prefix = claim.prefix_digest
        known = prefix is not None and prefix.startswith(f"{digest.algorithm}:")
        if known and prefix != str(digest):
            raise DigestInvalid(detail={"digest": str(digest), "received": prefix})
        self._storage.complete_upload(claim.state)
        if known:
            return
        hasher, length = new_hasher(digest.algorithm), 0
        with closing(self._storage.read(claim.state.key)) as pieces:
            for piece in pieces:
                hasher.update(piece)
                length += len(piece)
        if length != claim.state.size:
            raise StorageError(f"{claim.state.key} has {length} bytes instead of {claim.state.size}")
        if hasher.hexdigest() != digest.encoded:
            raise DigestInvalid(detail={"digest": str(digest), "received": f"{digest.algorithm}:{hasher.hexdigest()}"})

    def _adopt(self, connection: Connection, actor: Actor, claim: Claim, digest: Digest) -> Doomed | None:
        self._sessions.end(connection, claim)
        blob_id, loser = self._blobs.adopt(connection, str(digest), claim.state.size, claim.state.key)
        now = self._blobs.join(connection, claim.repository_id, blob_id)
        self._blobs.pushed(connection, now, claim.repository_id, digest, claim.state.size, actor)
        self._steps("upload.commit")
        return loser

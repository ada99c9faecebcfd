"""The rows of upload sessions: who may write, and what the store has acknowledged.

States: OPEN (nobody writes), WRITING (one request appends), CLOSING (the commit seals, and nothing may be
appended). Every claim takes the next fencing token; a change by anyone but the token's holder changes nothing.
Progress commits are not flushed to disk one by one: after a power cut an upload may be found at an earlier
offset, which its client can ask for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from types import MappingProxyType
from uuid import uuid4

from sqlalchemy import Connection, Row, Update, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.content.deletions import Deletions, Doomed
from registry.content.keys import is_key, new_key
from registry.db.base import table
from registry.db.engine import Conflict, Database
from registry.db.models import Repository, Upload, UploadPart
from registry.db.models.content import CLOSING, OPEN, WRITING
from registry.errors import BlobUploadUnknown, RangeInvalid, UploadBusy
from registry.events.outbox import Outbox
from registry.hooks.ports import Part, StorageDriver, UploadState
from registry.names import RepositoryName
from registry.repositories.repositories import ensure_repository

_COPY_TIME_MS = 24 * 3600 * 1000
_NOTHING: Mapping[str, object] = MappingProxyType({})
_FIND = (
    select(table(Upload))
    .join(Repository, Repository.id == Upload.repository_id)
    .where(Upload.uuid == bindparam("uuid"), Repository.name == bindparam("name"), Repository.current == 1)
)
_UPLOAD, _PART = table(Upload), table(UploadPart)
_INSERT = insert(_UPLOAD).returning(_UPLOAD.c.id)
_CLAIM = (
    update(_UPLOAD)
    .where(_UPLOAD.c.uuid == bindparam("b_uuid"), _UPLOAD.c.token == bindparam("b_token") - 1)
    .values(state=bindparam("b_state"), token=bindparam("b_token"), deadline_ms=bindparam("b_deadline"))
)
_MINE = (_UPLOAD.c.uuid == bindparam("b_uuid")) & (_UPLOAD.c.token == bindparam("b_token"))
_TOUCH = update(_UPLOAD).where(_MINE).values(state=bindparam("b_state"), deadline_ms=bindparam("b_deadline"))
_PROGRESS = _TOUCH.values(
    storage_key=bindparam("b_key"),
    offset=bindparam("b_offset"),
    handle=bindparam("b_handle"),
    tail_size=bindparam("b_tail_size"),
    tail_etag=bindparam("b_tail_etag"),
    prefix_digest=bindparam("b_prefix"),
)
_END = delete(_UPLOAD).where(_MINE)
_PARTS = (
    select(UploadPart.number, UploadPart.size, UploadPart.etag)
    .where(UploadPart.upload_id == bindparam("upload"))
    .order_by(UploadPart.number)
)


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to change one upload, as long as nobody took it over.

    ``prefix_digest`` is the digest of all acknowledged bytes, if one request wrote them; ``superseded`` is the
    upload of a writer that was given up, whose bytes must be copied before going on.
    """

    upload_id: int
    uuid: str
    repository_id: int
    token: int
    algorithm: str
    prefix_digest: str | None
    state: UploadState
    superseded: bool = False


def byte_range(offset: int) -> str:
    """Return the ``Range`` of an upload that holds ``offset`` bytes (distribution-spec: ``0-`` last byte)."""
    return f"0-{max(offset - 1, 0)}"


def _refusal(row: Row[Upload], reason: str, **detail: int) -> RangeInvalid:
    shown = {"uuid": row.uuid, **detail, "expected": row.offset}
    return RangeInvalid(reason, detail=shown, headers={"Range": byte_range(row.offset)})


class UploadSessions:
    """The table of upload sessions."""

    def __init__(
        self, database: Database, storage: StorageDriver, deletions: Deletions, outbox: Outbox, deadline_ms: int
    ) -> None:
        """Give up writers that have not been heard of for ``deadline_ms`` milliseconds."""
        self._database = database
        self._storage = storage
        self._deletions = deletions
        self._outbox = outbox
        self._deadline_ms = deadline_ms

    def start(self, actor: Actor, repository: RepositoryName, algorithm: str, *, writing: bool) -> Claim:
        """Make a session; with ``writing`` it is claimed at once."""
        uuid, key = str(uuid4()), new_key()

        def work(connection: Connection) -> Claim:
            repository_id = ensure_repository(self._database, self._outbox, connection, repository, actor)
            now = self._database.now(connection)
            upload_id: int = connection.execute(
                _INSERT,
                {
                    "uuid": uuid,
                    "repository_id": repository_id,
                    "actor": actor.principal,
                    "algorithm": algorithm,
                    "storage_id": self._storage.storage_id,
                    "storage_key": key,
                    "state": WRITING if writing else OPEN,
                    "deadline_ms": now + self._deadline_ms,
                    "created_ms": now,
                },
            ).scalar_one()
            return Claim(upload_id, uuid, repository_id, 0, algorithm, None, UploadState(key))

        return self._database.write(work, durable=False)

    def offset(self, repository: RepositoryName, uuid: str) -> int:
        """Return how many bytes are acknowledged; raise :class:`BlobUploadUnknown`."""
        with self._database.read() as connection:
            return int(self._require(connection, repository, uuid).offset)

    def claim(
        self, repository: RepositoryName, uuid: str, *, closing: bool, start: int | None, force: bool = False
    ) -> Claim:
        """Take the session for one request.

        ``start`` is where the client means to write. Raises :class:`UploadBusy` where another request holds it
        (unless ``force``), :class:`RangeInvalid` where ``start`` is not the next byte.
        """

        def work(connection: Connection) -> Claim:
            row = self._require(connection, repository, uuid)
            now = self._database.now(connection)
            if row.state != OPEN and row.deadline_ms > now and not force:
                raise UploadBusy(detail={"uuid": uuid, "state": row.state})
            if row.state == CLOSING and not closing:
                raise _refusal(row, "the upload is being closed, nothing can be added: repeat the PUT without a body")
            if start is not None and start != row.offset:
                raise _refusal(row, "the chunk does not start where the upload stands", start=start)
            superseded = row.state == WRITING
            claimed = connection.execute(
                _CLAIM,
                {
                    "b_uuid": uuid,
                    # While the bytes are in a given-up writer's reach, the row says so, whoever dies meanwhile.
                    "b_state": CLOSING if closing and not superseded else WRITING,
                    "b_token": row.token + 1,
                    "b_deadline": now + self._deadline_ms,
                },
            )
            if claimed.rowcount != 1:
                raise Conflict
            return Claim(
                row.id,
                uuid,
                row.repository_id,
                row.token + 1,
                row.algorithm,
                row.prefix_digest,
                self._state(connection, row),
                superseded=superseded,
            )

        # Whoever holds the bytes open must be known for as long as it runs, also after the database crashed.
        return self._database.write(work, durable=self._database.crashes_alone)

    def rescue(self, claim: Claim) -> Claim:
        """Move the acknowledged bytes of a writer that was given up out of its reach; raises :class:`StorageError`."""
        old = claim.state
        copy = Doomed(self._storage.storage_id, new_key())
        # Queued first, so that a crash while copying leaves nothing that no row names.
        self._database.write(partial(self._plan_copy, copy=copy), durable=False)
        state = self._storage.take_over(old, copy.storage_key)

        def work(connection: Connection) -> None:
            self._deletions.keep(connection, copy)
            # The copy's parts are its own, whatever their numbers.
            connection.execute(delete(_PART).where(_PART.c.upload_id == claim.upload_id))
            self._update(connection, replace(claim, state=UploadState(old.key)), state, claim.prefix_digest, WRITING)
            self._deletions.queue(connection, self._database.now(connection), self._doomed(old))

        # Were this forgotten, the copy would stay queued for deletion while it becomes a blob.
        self._database.write(work, durable=self._database.crashes_alone)
        return replace(claim, state=state, superseded=False)

    def progress(self, claim: Claim, state: UploadState, prefix_digest: str | None, *, closing: bool = False) -> Claim:
        """Acknowledge what was written, and give the session back or keep it for the commit."""
        target = CLOSING if closing else OPEN
        self._database.write(
            lambda connection: self._update(connection, claim, state, prefix_digest, target), durable=False
        )
        return replace(claim, state=state, prefix_digest=prefix_digest)

    def beat(self, claim: Claim) -> None:
        """Tell that the writer lives; raises :class:`UploadBusy` where it was given up."""
        self._database.write(lambda connection: self._touch(connection, claim, WRITING), durable=False)

    def give_back(self, claim: Claim) -> None:
        """Leave the session to the next request after one that changed nothing.

        One whose bytes are still in a given-up writer's reach is not opened: the next request must copy them, too.
        """
        if claim.superseded:
            self._expire(claim, WRITING)
        else:
            self._database.write(lambda connection: self._touch(connection, claim, OPEN), durable=False)

    def interrupt_commit(self, claim: Claim) -> None:
        """Let the next request try the commit again at once."""
        self._expire(claim, CLOSING)

    def _expire(self, claim: Claim, state: str) -> None:
        values = {"b_uuid": claim.uuid, "b_token": claim.token, "b_state": state}
        expire = _TOUCH.values(deadline_ms=self._database.now_clause())  # no earlier: silence counts from there
        self._database.write(lambda connection: connection.execute(expire, values), durable=False)

    def end(self, connection: Connection, claim: Claim) -> None:
        """Remove the session in the caller's transaction; raises :class:`UploadBusy` where it was taken over."""
        gone = connection.execute(_END, {"b_uuid": claim.uuid, "b_token": claim.token})
        if gone.rowcount != 1:
            raise UploadBusy("the upload was taken over by another request", detail={"uuid": claim.uuid})

    def drop(self, claim: Claim) -> None:
        """Remove the session and its bytes."""
        doomed = self._doomed(claim.state)

        def work(connection: Connection) -> None:
            self.end(connection, claim)
            self._deletions.queue(connection, self._database.now(connection), doomed)

        self._database.write(work, durable=False)
        self._deletions.remove_now(doomed)

    def _plan_copy(self, connection: Connection, copy: Doomed) -> None:
        self._deletions.queue(connection, self._database.now(connection) + _COPY_TIME_MS, copy)

    def _require(self, connection: Connection, repository: RepositoryName, uuid: str) -> Row[Upload]:
        row = connection.execute(_FIND, {"uuid": uuid, "name": repository.value}).first()
        if row is None or not is_key(row.storage_key) or row.offset < 0:  # a damaged row leads to no bytes
            raise BlobUploadUnknown(detail={"uuid": uuid[:64]})
        return row

    def _state(self, connection: Connection, row: Row[Upload]) -> UploadState:
        parts: tuple[Part, ...] = ()
        if row.handle:
            parts = tuple(Part(*part) for part in connection.execute(_PARTS, {"upload": row.id}))
        tail = Part(0, row.tail_size, row.tail_etag) if row.tail_etag else None
        return UploadState(row.storage_key, row.offset, row.handle, parts, tail)

    def _update(
        self, connection: Connection, claim: Claim, state: UploadState, prefix: str | None, target: str
    ) -> None:
        values = {
            "b_key": state.key,
            "b_offset": state.size,
            "b_handle": state.handle,
            "b_tail_size": state.tail.size if state.tail else 0,
            "b_tail_etag": state.tail.etag if state.tail else "",
            "b_prefix": prefix,
        }
        self._touch(connection, claim, target, _PROGRESS, values)
        known = {part.number for part in claim.state.parts}
        fresh = [part for part in state.parts if part.number not in known]
        if fresh:
            rows = [{"upload_id": claim.upload_id, **asdict(part)} for part in fresh]
            connection.execute(insert(UploadPart), rows)

    def _touch(
        self,
        connection: Connection,
        claim: Claim,
        target: str,
        statement: Update = _TOUCH,
        values: Mapping[str, object] = _NOTHING,
    ) -> None:
        """Change the row if the claim still holds; raises :class:`UploadBusy` otherwise."""
        deadline = self._database.now(connection) + self._deadline_ms
        fence = {"b_uuid": claim.uuid, "b_token": claim.token, "b_state": target, "b_deadline": deadline}
        if connection.execute(statement, {**fence, **values}).rowcount != 1:
            raise UploadBusy("the upload was taken over by another request", detail={"uuid": claim.uuid})

    def _doomed(self, state: UploadState) -> Doomed:
        return Doomed(self._storage.storage_id, state.key, state.handle, state.tail.etag if state.tail else "")

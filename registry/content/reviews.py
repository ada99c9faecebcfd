"""What the collector is to look at.

Every change that may take the last hold from something queues a review of it in the same transaction; whatever
is dead has one. A review is one row a thing: queued again, it keeps the earlier due time.

No review is queued for earlier than a grace time from now. A client that asks whether something is there either
finds a review waiting, and takes a lease where that comes soon, or has at least a grace time in which nothing goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, BindParameter, Connection, Select, bindparam, func, literal, select, update

from registry.batches import batched
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import GcReview, Repository
from registry.db.models.work import BLOB, MANIFEST, REPOSITORY

_REVIEW = table(GcReview)
_HASTEN = (
    update(_REVIEW)
    .where(
        _REVIEW.c.kind.in_([MANIFEST, BLOB, REPOSITORY]),  # all there are: so they are found by the repository
        _REVIEW.c.repository_id == bindparam("b_repository"),
        _REVIEW.c.due_ms > bindparam("b_due"),
    )
    .values(due_ms=bindparam("b_due"))
)
_AT_ONCE = 500
_TURNS = select(GcReview.target, GcReview.due_ms).where(
    GcReview.kind == MANIFEST,
    GcReview.repository_id == bindparam("repository"),
    GcReview.target.in_(bindparam("targets", expanding=True)),
)
_COLUMNS = ("kind", "repository_id", "target", "due_ms")
_VALUES: dict[str, BindParameter[Any]] = {column: bindparam(column) for column in _COLUMNS}
_WINDOW = select(Repository.recovery_seconds).where(Repository.id == bindparam("repository"))


def _due_after_window(longer: Callable[..., Any], window_ms: int, grace_ms: int) -> Select[str, int, int, int]:
    window = func.coalesce(Repository.recovery_seconds * 1000, literal(window_ms, BigInteger()))
    return select(
        literal(MANIFEST),
        Repository.id,
        bindparam("target", type_=BigInteger()),
        bindparam("end", type_=BigInteger()) + longer(window, literal(grace_ms, BigInteger())),
    ).where(Repository.id == bindparam("repository", type_=BigInteger()))


class Reviews:
    """Queues reviews, in the caller's transaction."""

    def __init__(self, database: Database, *, grace_ms: int, window_ms: int) -> None:
        """Use ``grace_ms``, and ``window_ms`` for repositories that set no window of their own."""
        self._grace_ms = grace_ms
        self._window_ms = window_ms
        sqlite = database.dialect == "sqlite"
        self._earlier: Callable[..., Any] = func.min if sqlite else func.least
        longer: Callable[..., Any] = func.max if sqlite else func.greatest
        insert = database.insert(GcReview)
        after_window = insert.from_select(list(_COLUMNS), _due_after_window(longer, window_ms, grace_ms))
        self._upsert = database.prepare_change(self._keeping_the_earlier(insert.values(_VALUES)))
        self._after_window = database.prepare_change(self._keeping_the_earlier(after_window))

    @property
    def grace_ms(self) -> int:
        """The time in milliseconds before what lost its hold is looked at."""
        return self._grace_ms

    @property
    def default_window_ms(self) -> int:
        """How long what ended stays restorable in a repository that sets no window of its own, in milliseconds."""
        return self._window_ms

    def window_ms(self, connection: Connection, repository_id: int) -> int:
        """Return how long what ended in a repository stays restorable, in milliseconds."""
        own = connection.execute(_WINDOW, {"repository": repository_id}).scalar()
        return self._window_ms if own is None else own * 1000

    def manifests(self, connection: Connection, repository_id: int, ids: Iterable[int], due_ms: int) -> None:
        """Look at manifests of a repository from ``due_ms`` on."""
        self._queue(connection, MANIFEST, repository_id, ids, due_ms)

    def after_window(self, connection: Connection, repository_id: int, ids: Iterable[int], end_ms: int) -> None:
        """Look at manifests once what ended at ``end_ms`` is restorable no more; the repository says when that is.

        ``end_ms`` is now or later. A window shorter than the grace time counts as that.
        """
        for target in sorted(set(ids)):
            self._after_window(connection, {"target": target, "repository": repository_id, "end": end_ms})

    def last_turn(self, connection: Connection, now: int, repository_id: int, ids: Sequence[int]) -> int:
        """Return when all of some manifests have had their turn; those without a review get one."""
        due: dict[int, int] = {}
        for targets in batched(ids, _AT_ONCE):
            values = {"repository": repository_id, "targets": targets}
            due.update((row.target, row.due_ms) for row in connection.execute(_TURNS, values))
        unseen = [one for one in ids if one not in due]
        self.manifests(connection, repository_id, unseen, now + self._grace_ms)
        return max([*due.values(), *(now + self._grace_ms for _ in unseen[:1])])

    def blobs(self, connection: Connection, repository_id: int, ids: Iterable[int], due_ms: int) -> None:
        """Look at blobs' memberships in a repository from ``due_ms`` on."""
        self._queue(connection, BLOB, repository_id, ids, due_ms)

    def repository(self, connection: Connection, repository_id: int, due_ms: int) -> None:
        """Look at a deleted repository from ``due_ms`` on."""
        self._queue(connection, REPOSITORY, repository_id, [repository_id], due_ms)

    def hasten(self, connection: Connection, repository_id: int, due_ms: int) -> None:
        """Look at all that is queued of a repository from ``due_ms`` on: what is dead may go earlier than it seemed."""
        connection.execute(_HASTEN, {"b_repository": repository_id, "b_due": due_ms})

    def _keeping_the_earlier(self, insert: Any) -> Any:  # noqa: ANN401 - the two dialects share no typed base
        return insert.on_conflict_do_update(
            index_elements=["kind", "repository_id", "target"],
            set_={"due_ms": self._earlier(insert.excluded.due_ms, _REVIEW.c.due_ms)},
        )

    def _queue(self, connection: Connection, kind: str, repository_id: int, ids: Iterable[int], due_ms: int) -> None:
        for target in sorted(set(ids)):
            values = {"kind": kind, "repository_id": repository_id, "target": target, "due_ms": due_ms}
            self._upsert(connection, values)

"""What putting a repository back to a time does: the tags of then and of now side by side, and a decision each."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from registry.access.actors import Actor
from registry.batches import batched
from registry.db.engine import Database
from registry.manifests.revival import PARTS_GONE, Revival
from registry.names import RepositoryName
from registry.pages import Page
from registry.repositories.history import HistoryService, TagPeriod
from registry.repositories.repositories import require_repository

_PAGE = 1000
_BATCH = 100


class Change(StrEnum):
    """What putting a repository back means for one tag."""

    KEEP = "keep"
    SET = "set"
    MOVE = "move"
    END = "end"
    IMPOSSIBLE = "impossible"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Planned:
    """One tag: what happens to it, what it stands for now and what it stood for, and why nothing can be done."""

    tag: str
    change: Change
    present: str | None
    then: str | None
    why: str = ""


class RestorePlanner:
    """Decides about the tags of a repository, some at a time."""

    def __init__(self, database: Database, history: HistoryService, revival: Revival) -> None:
        """Ask ``history`` what tags stood for, and ``revival`` what of that is lacking."""
        self._database = database
        self._history = history
        self._revival = revival

    def planned(
        self, actor: Actor, repository: RepositoryName, time_ms: int, last: str
    ) -> Iterator[tuple[Planned, TagPeriod | None]]:
        """Yield what happens to each tag after ``last``, by name, and what it stands for now."""
        pairs = self._pairs(actor, repository, time_ms, last)
        for some in batched(pairs, _BATCH):
            yield from self._decided(repository, some)

    def _pairs(
        self, actor: Actor, repository: RepositoryName, time_ms: int, last: str
    ) -> Iterator[tuple[TagPeriod | None, TagPeriod | None]]:
        then = self._pages(lambda after: self._history.as_of(actor, repository, time_ms, _PAGE, after), last)
        present = self._pages(lambda after: self._history.list(actor, repository, _PAGE, after), last)
        old, new = next(then, None), next(present, None)
        while old is not None or new is not None:
            if new is None or (old is not None and old.name < new.name):
                yield old, None
                old = next(then, None)
            elif old is None or new.name < old.name:
                yield None, new
                new = next(present, None)
            else:
                yield old, new
                old, new = next(then, None), next(present, None)

    def _decided(
        self, repository: RepositoryName, tags: Sequence[tuple[TagPeriod | None, TagPeriod | None]]
    ) -> Iterator[tuple[Planned, TagPeriod | None]]:
        """Decide about tags, each as it was and as it is."""
        back = {old.manifest_id for old, new in tags if old and not (new and new.digest == old.digest)}
        with self._database.read() as connection:
            repository_id = require_repository(connection, repository)
            gone = self._revival.lacking(connection, repository_id, [one for one in back if one is not None])
        for old, new in tags:
            yield _decision(old, new, gone), new

    @staticmethod
    def _pages(read: Callable[[str], Page[TagPeriod]], last: str) -> Iterator[TagPeriod]:
        more = True
        while more:
            page = read(last)
            yield from page.items
            more = page.more
            if page.items:
                last = page.items[-1].name


def _decision(old: TagPeriod | None, new: TagPeriod | None, gone: Container[int | None]) -> Planned:
    """Decide about a tag, as it was and as it is; ``gone`` are manifests that cannot come back."""
    name = (old or new).name  # type: ignore[union-attr] # one of both is there
    then, present = old.digest if old else None, new.digest if new else None
    if then == present:
        return Planned(name, Change.KEEP, present, then)
    if old is not None and not old.restorable:
        return Planned(name, Change.IMPOSSIBLE, present, then, "its manifest was removed for good")
    if old is not None and old.manifest_id in gone:
        return Planned(name, Change.IMPOSSIBLE, present, then, PARTS_GONE)
    if new is not None and new.protection is not None:
        return Planned(name, Change.REFUSED, present, then, new.protection)
    if old is None:
        return Planned(name, Change.END, present, then)
    return Planned(name, Change.SET if new is None else Change.MOVE, present, then)

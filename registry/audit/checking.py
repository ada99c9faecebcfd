"""Checking the chain, record by record: what was altered, removed, inserted or put elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.audit.chain import REMOVED, START, Head, hash_of

_MOST = 100


@dataclass(frozen=True, slots=True)
class Break:
    """What is wrong at a position, in words."""

    position: int
    problem: str


@dataclass(slots=True)
class Checker:
    """Takes the records of a chain in their order, oldest first."""

    last: Head = field(default_factory=lambda: Head(0, START))
    """The last record that was taken."""
    count: int = 0
    _breaks: list[Break] = field(default_factory=list)
    _gaps: dict[int, tuple[str, str]] = field(default_factory=dict)
    _known: dict[int, str] = field(default_factory=dict)
    _heads: Sequence[Head] = ()
    _removed: Head = field(default_factory=lambda: Head(0, START))

    def watch(self, *heads: Head) -> None:
        """Compare these as well, once all records were taken."""
        self._heads = heads
        self._known = {head.position: "" for head in heads}

    def take(self, record: Mapping[str, Any]) -> None:
        """Check the next record."""
        position, found = record.get("position"), record.get("hash")
        if not isinstance(position, int) or not isinstance(found, str):
            self._broken(self.last.position + 1, "this is no record")
            return
        if position <= self.last.position:
            self._broken(position, f"it comes behind record {self.last.position}")
        elif position != self.last.position + 1:
            self._gaps[position] = (
                str(record.get("previous")),
                f"records from {self.last.position + 1} on are missing",
            )
        elif record.get("previous") != self.last.hash:
            self._broken(position, "it does not follow from the record before")
        if hash_of(record) != found:
            self._broken(position, "it was altered")
        if record.get("kind") == REMOVED:
            self._note_removal(position, record.get("detail"))
        if position in self._known:
            self._known[position] = found
        self.last = Head(position, found)
        self.count += 1

    def breaks(self) -> Sequence[Break]:
        """Return what is wrong, the first of it, once all records were taken."""
        removed = self._removed
        found = [one for one in self._breaks if one.position > removed.position]
        for position, (previous, problem) in self._gaps.items():
            # What was removed because of its age goes from the oldest on, up to a record that is named in the chain.
            of_age = position <= removed.position or (position, previous) == (removed.position + 1, removed.hash)
            if not of_age:
                found.append(Break(position, problem))
        found += [Break(head.position, problem) for head in self._heads if (problem := self._unlike(head))]
        return sorted(found, key=lambda one: one.position)[:_MOST]

    @property
    def removed(self) -> int:
        """The position up to which the chain says that records were removed because of their age."""
        return self._removed.position

    def _unlike(self, head: Head) -> str:
        seen = self._known.get(head.position) or (START if head.position == 0 else "")
        if head.position == self._removed.position:
            seen = self._removed.hash
        if seen == head.hash:
            return ""
        if head.position > self.last.position:
            return f"the end is missing: record {head.position} was known, and the last one is {self.last.position}"
        if not seen and head.position < self._removed.position:
            return f"record {head.position} was removed because of its age: compare with a newer head"
        return f"record {head.position} is another one than was known"

    def _broken(self, position: int, problem: str) -> None:
        if len(self._breaks) < _MOST:
            self._breaks.append(Break(position, problem))

    def _note_removal(self, of: int, detail: object) -> None:
        """Note what the record at ``of`` says was removed: nothing but what is before it."""
        if isinstance(detail, Mapping):
            position, found = detail.get("position"), detail.get("hash")
            if isinstance(position, int) and isinstance(found, str) and self._removed.position <= position < of:
                self._removed = Head(position, found)

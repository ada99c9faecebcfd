"""Records: sealed entries, as they are stored and as they are shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row

from registry.audit.chain import hash_of, shown_time
from registry.audit.entries import FIELDS, Entry


@dataclass(frozen=True, slots=True)
class Record:
    """An entry at its position in the chain."""

    position: int
    entry: Entry
    previous: str
    hash: str

    def as_json(self) -> dict[str, Any]:
        """Return it as it is shown, exported and hashed."""
        entry = self.entry
        return {
            "position": self.position,
            "time": shown_time(entry.time_ms),
            "kind": entry.kind,
            "outcome": entry.outcome,
            "principal": entry.principal,
            "address": entry.address,
            "user_agent": entry.user_agent,
            "repository": entry.repository,
            "reference": entry.reference,
            "action": entry.action,
            "rule": entry.rule,
            "request_id": entry.request_id,
            "count": entry.count,
            "detail": json.loads(entry.detail),
            "previous": self.previous,
            "hash": self.hash,
        }


def sealed(entry: Entry, position: int, previous: str) -> Record:
    """Return what an entry becomes behind the record whose hash is ``previous``."""
    return Record(position, entry, previous, hash_of(Record(position, entry, previous, "").as_json()))


def entry_of(row: Row[Any]) -> Entry:
    """Return the entry of a row of either table."""
    return Entry(*(getattr(row, name) for name in FIELDS))


def record_of(row: Row[Any]) -> Record:
    """Return the record of a row."""
    return Record(row.position, entry_of(row), row.previous, row.hash)

"""The audit log of a registry under test, read as a worker would have sealed it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from registry.audit.checking import Break, Checker
from registry.audit.log import BEFORE_ALL, AuditFilter
from registry.services import Services
from tests.support.asking import CHIEF

_ALL = 100_000


@dataclass
class Log:
    """The log of one app; :meth:`new` returns what came since it was last asked."""

    services: Services
    seen: int = 0

    def seal(self) -> None:
        """Write what was noted, and do what the worker does."""
        self.services.notes.flush()
        self.services.dispatcher("worker").run_due()

    def all(self, **wanted: Any) -> Sequence[dict[str, Any]]:
        """Return all records as they are shown, oldest first."""
        self.seal()
        return self.sealed(**wanted)

    def sealed(self, **wanted: Any) -> Sequence[dict[str, Any]]:
        """Return the records that there are."""
        page = self.services.audit.list(CHIEF, AuditFilter(**wanted), _ALL, BEFORE_ALL, oldest=True)
        return [record.as_json() for record in page.items]

    def new(self) -> Sequence[dict[str, Any]]:
        """Return the records that came since it was last asked."""
        found = [record for record in self.all() if record["position"] > self.seen]
        self.seen = found[-1]["position"] if found else self.seen
        return found

    def breaks(self) -> Sequence[Break]:
        """Check the chain of what is sealed, up to its end as the registry knows it."""
        checker = Checker()
        checker.watch(self.services.audit.end(CHIEF).head)
        for record in self.sealed():
            checker.take(record)
        return checker.breaks()

    def text(self) -> str:
        """Return all that the tables of the audit log hold, as one text."""
        with self.services.database.read() as connection:
            tables = [connection.execute(text(f"SELECT * FROM {name}")).all() for name in ("audit", "audit_entry")]
        return json.dumps([[list(row) for row in rows] for rows in tables])


def kinds(records: Sequence[Mapping[str, Any]]) -> Sequence[str]:
    """Return what kinds of records these are."""
    return [record["kind"] for record in records]

"""When manifests were last pulled, and how often: kept in memory, and written together every few seconds.

A crash may lose the last of them; nothing else depends on a single one.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from functools import partial

from sqlalchemy import BindParameter, Connection, bindparam, update

from registry.batches import batched
from registry.db.base import table
from registry.db.engine import Database
from registry.db.models import Manifest
from registry.errors import RegistryError
from registry.events.outbox import Outbox, Pull

_log = logging.getLogger(__name__)
_EVERY_SECONDS = 5.0
_AT_ONCE = 500
_MOST = 10_000
_MANIFEST = table(Manifest)
_IDS: BindParameter[list[int]] = bindparam("b_ids", expanding=True)
_PULLED = (
    update(_MANIFEST)
    .where(_MANIFEST.c.id.in_(_IDS), _MANIFEST.c.deleted_at.is_(None))
    .values(last_pulled_at=bindparam("b_now"))
)


class PullTimes:
    """Notes pulls of one process."""

    def __init__(self, database: Database, outbox: Outbox) -> None:
        """Write to ``database``, and tell by ``outbox``."""
        self._database = database
        self._outbox = outbox
        self._noted: set[int] = set()
        self._counts: dict[Pull, int] = {}

    def note(self, manifest_id: int, pull: Pull) -> None:
        """Note that a manifest was pulled just now; costs no query."""
        self._noted.add(manifest_id)
        self._counts[pull] = self._counts.get(pull, 0) + 1
        if len(self._counts) >= _MOST:
            self.flush()

    def start(self) -> None:
        """Write every few seconds from now on, in a thread of this process; what a parent noted is the parent's."""
        self._noted, self._counts = set(), {}
        threading.Thread(target=_keep_flushing, args=(weakref.ref(self),), name="pull-times", daemon=True).start()

    def flush(self) -> None:
        """Write what was noted; where that fails it is forgotten: a read-only registry serves pulls as well."""
        noted, self._noted = sorted(self._noted), set()
        counts, self._counts = list(self._counts.items()), {}
        try:
            for pulls in batched(counts, _AT_ONCE):
                self._database.write(partial(self._tell, pulls=dict(pulls)), durable=False)
            for ids in batched(noted, _AT_ONCE):
                self._database.write(partial(self._write, ids=ids), durable=False)
        except RegistryError as error:
            _log.debug("%d pull times were not kept: %s", len(noted), error.message)

    def _write(self, connection: Connection, ids: list[int]) -> None:
        connection.execute(_PULLED, {"b_ids": ids, "b_now": self._database.now(connection)})

    def _tell(self, connection: Connection, pulls: dict[Pull, int]) -> None:
        self._outbox.record_pulls(connection, self._database.now(connection), pulls)


def _keep_flushing(owner: weakref.ref[PullTimes]) -> None:
    while True:
        time.sleep(_EVERY_SECONDS)
        times = owner()
        if times is None:
            return
        times.flush()
        del times

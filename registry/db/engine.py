"""The database as services see it: reads, and writes that retry as whole transactions."""

from __future__ import annotations

# Long: all that services ask of a database, and the connections behind it, in one class.
import json
import random
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Self, TypeVar, TypeVarTuple

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    Engine,
    Executable,
    Insert,
    Select,
    Text,
    any_,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from registry.db import direct, sqlite
from registry.db.base import Base
from registry.db.direct import Change, Clock, Listing, Lookup
from registry.db.failures import is_conflict, translated
from registry.db.gate import Gate, writers
from registry.errors import Unavailable

T = TypeVar("T")
Columns = TypeVarTuple("Columns")

ATTEMPTS = 8
_BACKOFF_SECONDS = 0.01
_RETRY_SECONDS = 5
_DURABLE = "durable"


def system_clock() -> int:
    """Return this machine's time in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000


class Conflict(Exception):
    """Another transaction has changed what this one read: the work is run again."""


class Database:
    """One database of one app.

    SQLite takes one writer at a time: threads of this process queue on a lock, other processes on SQLite's own.
    Connections are kept, not opened a request. Every failure of the database itself becomes
    :class:`~registry.errors.Unavailable` or :class:`~registry.errors.InsufficientStorage`.
    """

    def __init__(self, engine: Engine, clock: Clock | None = None) -> None:
        """Use ``engine``; ``clock`` replaces the database's time (tests)."""
        self._engine = engine
        self._clock = clock or (system_clock if engine.dialect.name == "sqlite" else None)
        self._failures: type[Exception] = engine.dialect.loaded_dbapi.Error
        self._readers: deque[Connection] = deque()
        self._writers: deque[Connection] = deque()
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._prepared: dict[Executable, Lookup] = {}
        self._prepared_lists: dict[Executable, Listing] = {}
        self.confirm: Callable[[Connection], None] | None = None
        """Asked as each transaction begins whether what led to it still holds; it raises where not."""
        self.gate = Gate(self.read)
        """Whether this process may write."""
        self._at_exit = self._close_at_exit()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    @property
    def crashes_alone(self) -> bool:
        """Whether the database can crash, and forget commits that were not durable, while this process goes on."""
        return self.dialect != "sqlite"

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Lend a connection for reading; each statement sees the newest committed state."""
        connection = self._take(self._readers)
        try:
            yield connection
        except DBAPIError as error:
            self._discard(connection)
            raise translated(error) from error
        except Exception:
            self._readers.append(connection)
            raise
        except BaseException:
            _drop(connection)
            raise
        self._readers.append(connection)

    def write(self, work: Callable[[Connection], T], *, durable: bool = True, always: bool = False) -> T:
        """Run ``work`` in one transaction and commit it; conflicts run all of it again.

        ``work`` must have no effect but on its connection. With ``durable=False`` the commit is atomic but may
        be lost in a power cut (progress of uploads, pull times). Errors that ``work`` raises roll back and pass.
        Raises :class:`~registry.errors.ReadOnly` while the registry is, unless it is done ``always``: for the switch
        itself, and what guards a backup.
        """
        give_up = time.monotonic() + _RETRY_SECONDS
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._attempt(work, durable=durable, always=always)
            except IntegrityError:
                if attempt == ATTEMPTS:
                    raise
            except Conflict as error:
                if attempt == ATTEMPTS:
                    raise Unavailable("this changes too fast: try again") from error
            except DBAPIError as error:
                if attempt == ATTEMPTS or time.monotonic() > give_up or not is_conflict(error):
                    raise translated(error) from error
            time.sleep(random.uniform(0, _BACKOFF_SECONDS * attempt))  # noqa: S311 - spreads retries, no secret
        raise AssertionError("unreachable")

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Lend a connection whose statements all see one state of the database, which nobody waits for."""
        with self.read() as connection:
            connection.exec_driver_sql(
                "BEGIN" if self.dialect == "sqlite" else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
            )
            try:
                yield connection
            finally:
                with suppress(SQLAlchemyError):  # the connection is lost: its next user is told
                    connection.exec_driver_sql("ROLLBACK")

    def nobody_writes(self) -> bool:
        """Tell whether no transaction that wrote something is under way, in any process; it may wait for one."""
        if self.dialect == "sqlite":  # of which there is one at a time
            self.write(lambda _: None, always=True)
            return True
        with self.read() as connection:
            return writers(connection) == 0

    def now(self, connection: Connection) -> int:
        """Return the time in milliseconds; of the database where several machines share it."""
        if self._clock is not None:
            return self._clock()
        return int(connection.execute(text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)")).scalar_one())

    def clock_ms(self) -> int:
        """Return the time in milliseconds without asking the database: of this machine."""
        return (self._clock or system_clock)()

    def now_clause(self) -> ColumnElement[int]:
        """Return :meth:`now` as a part of a statement, so that asking costs no round trip."""
        if self._clock is not None:
            parameter: BindParameter[int] = bindparam("now", callable_=self._clock, type_=BigInteger())
            return parameter
        return func.cast(func.floor(func.extract("epoch", func.statement_timestamp()) * 1000), BigInteger)

    def prepare(self, statement: Select[*Columns]) -> Lookup:
        """Return a function that runs ``statement`` and returns its first row, or None.

        For the few statements that every pull runs: on SQLite it is compiled once, when it first runs, and goes
        straight to the driver, which takes half the time. Its columns must need no conversion. Asking again for the
        same statement, one that lives as long as its module, costs nothing.
        """
        known = self._prepared.get(statement)
        if known is None:
            known = direct.lookup(self._for_driver(statement), statement, self._failures)
            self._prepared[statement] = known
        return known

    def prepare_list(self, statement: Select[*Columns]) -> Listing:
        """Return a function that runs ``statement`` and returns all its rows. As :meth:`prepare`, for long pages."""
        known = self._prepared_lists.get(statement)
        if known is None:
            known = direct.listing(self._for_driver(statement), statement, self._failures)
            self._prepared_lists[statement] = known
        return known

    def prepare_change(self, statement: Executable) -> Change:
        """Return a function that runs ``statement`` in a transaction, and returns how many rows it changed.

        As :meth:`prepare`, for what every push writes. An INSERT names all its columns.
        """
        return direct.change(self._for_driver(statement), statement, self._failures)

    def _for_driver(self, statement: Executable) -> direct.Run | None:
        if self.dialect != "sqlite":
            return None
        return direct.run_of(statement, self._clock)

    def among(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """Return the condition that ``column`` is among the values of a parameter, which :meth:`listed` makes.

        One statement serves lists of every length, so that it can be prepared.
        """
        if self.dialect == "sqlite":
            given = func.json_each(bindparam(name, type_=Text())).table_valued("value")
            return column.in_(select(given.c.value))
        return column == any_(bindparam(name, type_=postgresql.ARRAY(column.type)))

    def listed(self, values: Sequence[int] | Sequence[str]) -> object:
        """Return ``values`` as the one parameter of :meth:`among`."""
        return json.dumps(values) if self.dialect == "sqlite" else list(values)

    def insert_ignore(self, table: type[Base]) -> Any:  # noqa: ANN401 - the two dialects share no typed base
        """Return an INSERT that leaves rows alone which are there already."""
        return self.insert(table).on_conflict_do_nothing()

    def insert(self, table: type[Base]) -> Any:  # noqa: ANN401 - the two dialects share no typed base
        """Return the dialect's INSERT, which has ``on_conflict_do_update``."""
        make: Callable[[Any], Insert] = sqlite_dialect.insert if self.dialect == "sqlite" else postgresql.insert
        return make(table.__table__)

    def close_idle(self) -> None:
        """Close kept connections (before a fork, at the end)."""
        self._drop_kept()
        self._engine.dispose()

    def after_fork(self) -> None:
        """Forget connections that belong to the parent process, without touching them."""
        self._at_exit.detach()
        self._readers = deque()
        self._writers = deque()
        self._at_exit = self._close_at_exit()
        if self._turn is not None:
            self._turn = threading.Lock()
        self._engine.dispose(close=False)

    def _attempt(self, work: Callable[[Connection], T], *, durable: bool, always: bool) -> T:
        if not always:
            self.gate.require()
        if self._turn is None:
            return self._transact(work, durable=durable, always=always)
        with self._turn:
            return self._transact(work, durable=durable, always=always)

    def _transact(self, work: Callable[[Connection], T], *, durable: bool, always: bool) -> T:
        connection = self._take(self._writers)
        try:
            self._begin(connection, durable=durable)
            if self.confirm is not None:
                self.confirm(connection)
            result = work(connection)
            if not always:
                self.gate.require(connection)
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            self._roll_back(connection)
            raise
        self._writers.append(connection)
        return result

    def _begin(self, connection: Connection, *, durable: bool) -> None:
        if self.dialect == "sqlite":
            if connection.info.get(_DURABLE) is not durable:
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                connection.info[_DURABLE] = durable
            sqlite.begin_immediate(connection)
        else:
            connection.exec_driver_sql("BEGIN")
            if not durable:
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.exec_driver_sql("ROLLBACK")
        except SQLAlchemyError:  # also PendingRollbackError, on a connection that is known to be lost
            self._discard(connection)
        else:
            self._writers.append(connection)

    def _discard(self, connection: Connection) -> None:
        """Close a broken connection; where the server hung up, it did so on the others as well."""
        lost = connection.invalidated
        _drop(connection)
        if lost:
            self._drop_kept()

    def _drop_kept(self) -> None:
        _drop_all(self._readers, self._writers)

    def _close_at_exit(self) -> weakref.finalize[..., Self]:
        """Close kept connections at exit: the last one writes SQLite's log back, which a read-only start needs."""
        return weakref.finalize(self, _drop_all, self._readers, self._writers)

    def _take(self, kept: deque[Connection]) -> Connection:
        try:
            return kept.pop()
        except IndexError:
            pass
        try:
            # Transactions are begun and ended by explicit statements, the same way for every driver.
            return self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        except (DBAPIError, PoolTimeout) as error:
            raise translated(error) from error


def _drop_all(*kept: deque[Connection]) -> None:
    for connections in kept:
        with suppress(IndexError):
            while True:
                _drop(connections.pop())


def _drop(connection: Connection) -> None:
    try:
        connection.invalidate()
        connection.close()
    except SQLAlchemyError:
        pass  # it is broken: that is why it goes

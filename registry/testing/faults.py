"""A storage driver that fails as planned.

The n-th call of an operation raises, is cut short, waits, or does its work and then loses the answer.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from registry.hooks import RemovesMany, StorageDriver, StorageError, UploadState, UploadWriter

__all__ = ["Fault", "Faults", "FaultyStorage", "Operation"]

Operation = Literal[
    "open_upload",
    "write",
    "finish",
    "discard",
    "complete_upload",
    "take_over",
    "abort_upload",
    "read",
    "size",
    "delete",
    "remove_many",
    "check",
]
"""What can fail: the methods of a driver, and of the writers that it opens."""
_OPTIONAL = ("open_file", "min_chunk", "list_keys", "list_uploads", "url_of")
_LONGEST_WAIT = 30
Result = TypeVar("Result")


@dataclass
class Fault:
    """What happens in the ``nth`` call of an operation, counted over all uploads and threads from 1.

    ``error`` is raised: before the work is done, or ``after`` it (an answer that is lost). ``cut`` is the
    number of bytes that still get through a ``write`` or a ``read`` before the error. ``until`` is waited for
    before anything is done, and ``reached`` is set when the call arrives. ``times`` calls are concerned.
    """

    operation: Operation
    nth: int = 1
    error: Exception | None = field(default_factory=lambda: StorageError("planned failure"))
    after: bool = False
    cut: int | None = None
    until: threading.Event | None = None
    times: int = 1
    reached: threading.Event = field(default_factory=threading.Event)

    def concerns(self, operation: Operation, count: int) -> bool:
        """Tell whether this is the call."""
        return operation == self.operation and self.nth <= count < self.nth + self.times

    def arrive(self) -> None:
        """Tell who watches, and wait for the word to go on."""
        self.reached.set()
        if self.until is not None and not self.until.wait(_LONGEST_WAIT):
            raise AssertionError(f"nobody let {self.operation} go on within {_LONGEST_WAIT} s")

    def strike(self) -> None:
        """Raise the error, if there is one."""
        if self.error is not None:
            raise self.error


class FaultyStorage:
    """Wraps a driver. What the driver can do beyond a plain one (files, chunks) stays available."""

    def __init__(self, inner: StorageDriver, plan: Sequence[Fault] = ()) -> None:
        """Fail as ``plan`` says, which may be changed at any time."""
        self.inner = inner
        self.storage_id = inner.storage_id
        self.plan = list(plan)
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()
        vars(self).update({name: getattr(inner, name) for name in _OPTIONAL if hasattr(inner, name)})
        if isinstance(inner, RemovesMany):
            remove_many = inner.remove_many
            vars(self)["remove_many"] = lambda states: self.call("remove_many", lambda: remove_many(states))

    def meet(self, operation: Operation) -> Fault | None:
        """Count a call, and return the fault that is planned for it once it may go on."""
        with self._lock:
            self.calls[operation] += 1
            count = self.calls[operation]
            fault = next((fault for fault in self.plan if fault.concerns(operation, count)), None)
        if fault is not None:
            fault.arrive()
        return fault

    def call(self, operation: Operation, work: Callable[[], Result]) -> Result:
        """Do the work of one call, as planned."""
        fault = self.meet(operation)
        if fault is not None and not fault.after:
            fault.strike()
        result = work()
        if fault is not None and fault.after:
            fault.strike()
        return result

    def open_upload(self, state: UploadState, length: int | None = None) -> UploadWriter:
        """Open an upload whose writer fails as planned."""
        return _FaultyWriter(self, self.call("open_upload", lambda: self.inner.open_upload(state, length)))

    def complete_upload(self, state: UploadState) -> None:
        """Complete."""
        self.call("complete_upload", lambda: self.inner.complete_upload(state))

    def take_over(self, state: UploadState, key: str) -> UploadState:
        """Take over."""
        return self.call("take_over", lambda: self.inner.take_over(state, key))

    def abort_upload(self, state: UploadState) -> None:
        """Abort."""
        self.call("abort_upload", lambda: self.inner.abort_upload(state))

    def read(self, key: str, start: int = 0, length: int | None = None) -> Generator[bytes, None, None]:
        """Read; a fault with ``cut`` strikes on the way."""
        fault = self.meet("read")
        if fault is not None and fault.cut is None:
            fault.strike()
        pieces = self.inner.read(key, start, length)
        if fault is None or fault.cut is None:
            return pieces
        return _cut(pieces, fault, fault.cut)

    def size(self, key: str) -> int:
        """Return the size."""
        return self.call("size", lambda: self.inner.size(key))

    def delete(self, key: str) -> None:
        """Delete."""
        self.call("delete", lambda: self.inner.delete(key))

    def check(self) -> None:
        """Check."""
        self.call("check", self.inner.check)


class _FaultyWriter:
    def __init__(self, storage: FaultyStorage, inner: UploadWriter) -> None:
        self._storage = storage
        self._inner = inner

    def write(self, data: bytes | bytearray | memoryview, /) -> None:
        """Write; with ``cut`` only that many bytes."""
        fault = self._storage.meet("write")
        if fault is None:
            self._inner.write(data)
            return
        if fault.cut is not None or fault.after or fault.error is None:
            self._inner.write(memoryview(data)[: fault.cut])
        fault.strike()

    def finish(self) -> UploadState:
        """Finish."""
        return self._storage.call("finish", self._inner.finish)

    def discard(self) -> None:
        """Discard."""
        self._storage.call("discard", self._inner.discard)


def _cut(pieces: Generator[bytes, None, None], fault: Fault, left: int) -> Generator[bytes, None, None]:
    try:
        for piece in pieces:
            if len(piece) > left:
                yield piece[:left]
                fault.strike()
                return
            left -= len(piece)
            yield piece
    finally:
        pieces.close()


class Faults:
    """The faults of the storage of one registry under test, planned while it runs."""

    def __init__(self) -> None:
        """Plan none."""
        self.storage: FaultyStorage | None = None

    def wrap(self, driver: StorageDriver) -> StorageDriver:
        """Put the faults before a driver."""
        self.storage = FaultyStorage(driver)
        return self.storage

    def fail(
        self,
        operation: Operation,
        nth: int = 1,
        error: Exception | None = None,
        *,
        after: bool = False,
        cut: int | None = None,
        times: int = 1,
    ) -> Fault:
        """Let the ``nth`` call of an operation from now on fail, and ``times`` - 1 that follow it; see :class:`Fault`.

        ``error`` is a :class:`~registry.hooks.StorageError` unless given.
        """
        if self.storage is None:
            raise RuntimeError("faults are planned once there is a registry: ask for moorage_app as well")
        nth += self.storage.calls[operation]
        fault = Fault(operation, nth, error or StorageError("planned failure"), after=after, cut=cut, times=times)
        self.storage.plan.append(fault)
        return fault

"""Trying a store: one step after the other, and what came of each. What a step needs is looked at before it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from registry.hooks import (
    KeyMissing,
    ListsKeys,
    OpensFiles,
    Outcome,
    StorageDriver,
    StorageError,
    TriedCall,
    TriesCalls,
    UploadState,
)

_BYTES = bytes(range(256)) * 4


class CallMissing(StorageError):
    """The store does not know this call."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call to try: ``work`` returns what the store answered, and raises what went wrong.

    ``after`` is the step whose outcome it builds on: where that one did not succeed it is not tried.
    """

    call: str
    work: Callable[[], str]
    meaning: str
    after: str = ""
    needed: bool = True


def tried(steps: Sequence[Step]) -> Iterator[TriedCall]:
    """Try the steps in order."""
    lost: set[str] = set()
    for step in steps:
        outcome, answer = Outcome.OK, ""
        if step.after in lost:
            outcome, answer = Outcome.FAILED, f"not tried, because {step.after} is needed for it"
        else:
            try:
                answer = step.work()
            except CallMissing as error:
                outcome, answer = Outcome.MISSING, str(error)
            except StorageError as error:
                outcome, answer = Outcome.FAILED, str(error)
            except Exception as error:  # noqa: BLE001 - what a driver raises that it must not is a finding, too
                outcome, answer = Outcome.FAILED, f"{type(error).__name__}: {error}"
        if outcome is not Outcome.OK:
            lost.add(step.call)
        yield TriedCall(step.call, outcome, answer, step.meaning, step.needed)


def compare(found: object, expected: object) -> None:
    """Raise StorageError where a store gave something else than was stored."""
    if found != expected:
        shown = (f"{len(one)} bytes" if isinstance(one, bytes) else str(one) for one in (found, expected))
        raise StorageError("it gave {} where {} were stored".format(*shown))


def try_driver(driver: StorageDriver) -> Iterator[TriedCall]:
    """Try all that a driver's store must do: as the driver knows it, else by the methods that every driver has."""
    return driver.try_calls() if isinstance(driver, TriesCalls) else _Port(driver).try_calls()


class _Port:
    """What can be tried of a driver that is only known by its methods."""

    def __init__(self, driver: StorageDriver) -> None:
        self._driver = driver
        self._state = UploadState(uuid.uuid4().hex)
        self._taken = UploadState(uuid.uuid4().hex)

    def try_calls(self) -> Iterator[TriedCall]:
        """Try each method, and remove what was stored."""
        driver = self._driver
        steps = [
            Step("check", self._check, "the store can be reached"),
            Step("write", self._write, "uploads grow, chunk after chunk"),
            Step("take_over", self._take_over, "an upload whose writer died goes on", after="write"),
            Step("complete_upload", self._complete, "an upload becomes a blob", after="take_over"),
            Step("size", self._size, "a blob's length is looked at", after="complete_upload"),
            Step("read", self._read, "blobs are pulled", after="complete_upload"),
            Step("read of a range", self._range, "broken pulls go on", after="complete_upload"),
        ]
        if isinstance(driver, OpensFiles):
            steps.append(Step("open_file", self._open, "blobs are sent without copying them", after="complete_upload"))
        if isinstance(driver, ListsKeys):
            meaning = "moorage fsck finds bytes that no row knows"
            steps.append(Step("list_keys", self._list, meaning, after="complete_upload", needed=False))
        try:
            yield from tried(steps)
        finally:
            removed = list(tried([Step("delete", self._delete, "what nothing keeps gives its room back")]))
        yield from removed

    def _check(self) -> str:
        self._driver.check()
        return ""

    def _write(self) -> str:
        for chunk in (_BYTES[:10], _BYTES[10:]):
            writer = self._driver.open_upload(self._state, len(chunk))
            try:
                writer.write(chunk)
            except BaseException:
                writer.discard()
                raise
            self._state = writer.finish()
        return f"{self._state.size} bytes in two chunks"

    def _take_over(self) -> str:
        self._taken = self._driver.take_over(self._state, self._taken.key)
        return ""

    def _complete(self) -> str:
        self._driver.complete_upload(self._taken)
        return ""

    def _size(self) -> str:
        compare(self._driver.size(self._taken.key), len(_BYTES))
        return ""

    def _read(self) -> str:
        with closing(self._driver.read(self._taken.key)) as pieces:
            compare(b"".join(pieces), _BYTES)
        return ""

    def _range(self) -> str:
        with closing(self._driver.read(self._taken.key, 5, 7)) as pieces:
            compare(b"".join(pieces), _BYTES[5:12])
        return ""

    def _open(self) -> str:
        if isinstance(self._driver, OpensFiles):
            with self._driver.open_file(self._taken.key) as file:
                compare(file.read(), _BYTES)
        return ""

    def _list(self) -> str:
        if isinstance(self._driver, ListsKeys) and self._taken.key not in {one.key for one in self._driver.list_keys()}:
            raise StorageError("the list lacks what was stored")
        return ""

    def _delete(self) -> str:
        for state in (self._state, self._taken):
            self._driver.abort_upload(state)
            self._driver.delete(state.key)
        try:
            self._driver.size(self._taken.key)
        except KeyMissing:
            return ""
        raise StorageError("what was removed is still there")

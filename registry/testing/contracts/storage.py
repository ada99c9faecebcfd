"""What every storage driver must do.

::

    class TestTape(StorageDriverContract):
        @pytest.fixture
        def driver(self, tmp_path):
            return open_tape(f"tape://{tmp_path}", {})
"""

# Long: one list of what a driver must do, as its author reads it.
from __future__ import annotations

import contextlib
import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from registry.hooks import (
    GivesUrls,
    KeyMissing,
    ListsKeys,
    ListsUploads,
    Part,
    RemovesMany,
    StorageDriver,
    StorageError,
    UploadState,
)
from registry.testing.contracts.pieces import MIB, append, fetch, new_key, pattern, store, through_database

BAD_KEYS = ["", "../../../etc/passwd", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "0" * 31 + "/"]


Reopen = Callable[[], StorageDriver]
_CLOCKS_APART = 60


class StorageDriverContract:
    """Subclass it, and give the fixture ``driver``; ``reopen`` as well where the store outlives a driver.

    What a driver offers beyond the plain methods (:class:`~registry.hooks.ListsKeys`,
    :class:`~registry.hooks.RemovesMany`, :class:`~registry.hooks.ListsUploads`, :class:`~registry.hooks.GivesUrls`)
    is held to its contract as well; what it does not offer is not asked for.
    """

    mib: int = MIB
    """What is called a mebibyte here: a store whose parts can be made smaller runs the suite sooner."""
    memory_bound: int = 0
    """The most that the driver may allocate while 64 MiB go through it, in bytes; 0: not measured."""

    @pytest.fixture
    def long(self) -> int:
        """Return a length that is one part and a tail."""
        return 9 * self.mib

    @pytest.fixture
    def length(self, request: pytest.FixtureRequest, long: int) -> int:
        """Return the length that is asked for by name."""
        return {"empty": 0, "short": 7, "part": 8 * self.mib, "long": long}[request.param]

    @pytest.fixture
    def driver(self) -> StorageDriver:
        """Return the driver to test, over an empty store or one that others use as well."""
        raise NotImplementedError("give the fixture driver: it returns the storage driver to test")

    @pytest.fixture
    def reopen(self, driver: StorageDriver) -> Reopen:
        """Return the function that makes another driver over the same store, as another process would."""
        return lambda: driver

    def test_round_trip(self, driver: StorageDriver, long: int) -> None:
        """Every byte comes back, in pieces of at most 1 MiB and never an empty one."""
        data = pattern(long)
        key = store(driver, data)
        assert driver.size(key) == long
        with contextlib.closing(driver.read(key)) as pieces:
            lengths = [len(piece) for piece in pieces]
        assert max(lengths) <= MIB
        assert 0 not in lengths
        assert fetch(driver, key) == data

    def test_lengths(self, driver: StorageDriver) -> None:
        """Blobs of any length are stored: none at all, one byte, a whole part, and one byte more."""
        for length in (0, 1, 4096, self.mib, 8 * self.mib, 8 * self.mib + 1):
            key = store(driver, pattern(length))
            assert driver.size(key) == length
            assert fetch(driver, key) == pattern(length)

    def test_ranges(self, driver: StorageDriver, long: int) -> None:
        """``read`` returns ``length`` bytes from ``start``; asked for more than there are, it raises StorageError."""
        data = pattern(long)
        key = store(driver, data)
        mib = self.mib
        inside = [(0, 1), (0, None), (1, None), (mib - 1, 2), (5 * mib, mib + 1), (long - 1, 1), (7, 0)]
        for start, length in [*inside, (long, None), (long, 0)]:
            stop = None if length is None else start + length
            assert fetch(driver, key, start, length) == data[start:stop], (start, length)
        for start, length in [(long + 1, None), (long, 1), (0, long + 1), (long + 1, 0)]:
            with pytest.raises(StorageError):
                fetch(driver, key, start, length)

    def test_a_read_may_be_left_early_or_unused(self, driver: StorageDriver) -> None:
        """A reader may close the generator at any time, before its first piece too."""
        key = store(driver, pattern(3 * MIB))
        driver.read(key).close()
        with contextlib.closing(driver.read(key)) as pieces:
            next(pieces)
        assert fetch(driver, key, 0, 10) == pattern(10)

    def test_tiny_chunks_and_reused_buffers(self, driver: StorageDriver) -> None:
        """``write`` keeps no reference to what it was given: the caller uses the buffer again."""
        data = pattern(3000)
        writer = driver.open_upload(UploadState(new_key()))
        buffer = bytearray(1)
        for byte in data:
            buffer[0] = byte
            writer.write(memoryview(buffer))
        state = writer.finish()
        driver.complete_upload(state)
        assert fetch(driver, state.key) == data

    @pytest.mark.parametrize("mibs", [(5, 5, 0.01), (0.01, 8, 0.01), (3, 0.01, 6, 0, 2), (8, 8)])
    def test_sessions_go_on_from_a_stored_state(self, reopen: Reopen, mibs: Sequence[float]) -> None:
        """An UploadState is all that a driver remembers: it goes through a database, to another machine."""
        lengths = [round(count * self.mib) for count in mibs]
        data = pattern(sum(lengths))
        state, sent = UploadState(new_key()), 0
        for length in lengths:
            state = through_database(append(reopen(), state, data[sent : sent + length]))
            sent += length
            assert state.size == sent
        driver = reopen()
        driver.complete_upload(state)
        assert fetch(driver, state.key) == data

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_a_discarded_writer_leaves_nothing(self, driver: StorageDriver, length: int, long: int) -> None:
        """``discard`` forgets what the writer wrote and may be repeated; the state before it stays good."""
        data = pattern(length + 10)
        state = UploadState(new_key())
        if length:
            state = append(driver, state, data[:length])
        writer = driver.open_upload(state)
        writer.write(b"x" * long)
        writer.discard()
        writer.discard()
        driver.complete_upload(append(driver, state, data[length:]))
        assert fetch(driver, state.key) == data

    def test_completing_right_after_a_discard(self, driver: StorageDriver) -> None:
        """What was acknowledged before a discarded writer can be completed at once."""
        state = append(driver, UploadState(new_key()), b"acknowledged")
        writer = driver.open_upload(state)
        writer.write(b", not so")
        writer.discard()
        driver.complete_upload(state)
        assert fetch(driver, state.key) == b"acknowledged"

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_a_state_outlives_a_finish_that_was_never_committed(self, driver: StorageDriver, length: int) -> None:
        """The state before ``finish`` stays good until a writer is opened with the new one."""
        data = pattern(length + 3)
        state = append(driver, UploadState(new_key()), data[:length])
        append(driver, state, b"lost in a crash" * self.mib)
        driver.complete_upload(append(driver, state, data[length:]))
        assert fetch(driver, state.key) == data

    def test_an_upload_never_written_completes_as_empty(self, driver: StorageDriver) -> None:
        """Completing an upload that nobody wrote to makes an empty blob."""
        state = UploadState(new_key())
        driver.complete_upload(state)
        driver.complete_upload(state)
        assert driver.size(state.key) == 0
        assert fetch(driver, state.key) == b""

    def test_a_session_without_bytes(self, driver: StorageDriver) -> None:
        """A writer that wrote nothing acknowledges what was there before."""
        state = append(driver, append(driver, UploadState(new_key()), b"all"))
        assert state.size == 3
        driver.complete_upload(state)
        assert fetch(driver, state.key) == b"all"

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_completing_twice(self, reopen: Reopen, length: int) -> None:
        """``complete_upload`` may be called again, and succeeds if it had succeeded before."""
        state = append(reopen(), UploadState(new_key()), pattern(length))
        reopen().complete_upload(state)
        reopen().complete_upload(state)
        assert fetch(reopen(), state.key) == pattern(length)

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_completing_what_is_gone(self, driver: StorageDriver, length: int) -> None:
        """``complete_upload`` raises KeyMissing where acknowledged bytes are gone."""
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.abort_upload(state)
        with pytest.raises(KeyMissing):
            driver.complete_upload(state)

    def test_a_completed_key_that_was_deleted_does_not_come_back(self, driver: StorageDriver) -> None:
        """Completing again what was deleted raises KeyMissing: a key is never used twice."""
        state = append(driver, UploadState(new_key()), b"once")
        driver.complete_upload(state)
        driver.delete(state.key)
        with pytest.raises(KeyMissing):
            driver.complete_upload(state)

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_aborting_twice(self, driver: StorageDriver, length: int, long: int) -> None:
        """``abort_upload`` may be repeated; what was aborted cannot be gone on with."""
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.abort_upload(state)
        driver.abort_upload(state)
        with pytest.raises(KeyMissing):
            append(driver, state, pattern(long))

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_an_abort_leaves_a_completed_key(self, driver: StorageDriver, length: int) -> None:
        """``abort_upload`` leaves a completed key alone."""
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.complete_upload(state)
        driver.abort_upload(state)
        assert fetch(driver, state.key) == pattern(length)

    def test_aborting_what_never_was(self, driver: StorageDriver) -> None:
        """Aborting an upload that nobody wrote to succeeds."""
        driver.abort_upload(UploadState(new_key()))

    def test_deleting_twice(self, driver: StorageDriver) -> None:
        """``delete`` may be repeated; afterwards the key is missing for ``size`` and ``read``."""
        key = store(driver, b"short-lived")
        driver.delete(key)
        driver.delete(key)
        for look in (driver.size, driver.read):
            with pytest.raises(KeyMissing):
                look(key)

    @pytest.mark.parametrize("read", [(0, None), (0, 0), (5, None), (5, 5)])
    def test_reading_what_is_missing_fails_at_the_call(
        self, driver: StorageDriver, read: tuple[int, int | None]
    ) -> None:
        """``read`` raises KeyMissing when it is called, not when the first piece is asked for."""
        with pytest.raises(KeyMissing):
            driver.read(new_key(), *read)

    def test_an_open_upload_is_not_readable(self, driver: StorageDriver, long: int) -> None:
        """An upload can be read once it was completed, not before."""
        state = append(driver, UploadState(new_key()), pattern(long))
        with pytest.raises(KeyMissing):
            driver.read(state.key)

    def test_bad_keys(self, driver: StorageDriver) -> None:
        """What is no key of 32 lower-case hex characters raises ValueError from every method that takes a key."""
        calls: Iterable[Callable[[str], object]] = (
            lambda key: driver.open_upload(UploadState(key)),
            lambda key: driver.complete_upload(UploadState(key)),
            lambda key: driver.abort_upload(UploadState(key)),
            lambda key: driver.take_over(UploadState(new_key()), key),
            driver.read,
            driver.size,
            driver.delete,
        )
        for call, key in itertools.product(calls, BAD_KEYS):
            with pytest.raises(ValueError, match="storage key"):
                call(key)

    @pytest.mark.parametrize("length", ["empty", "short", "part", "long"], indirect=True)
    def test_a_writer_that_lost_its_upload_changes_nothing(self, reopen: Reopen, length: int, long: int) -> None:
        """After ``take_over``, a writer that still holds the old upload cannot change the new one."""
        driver, data = reopen(), pattern(length + 3 * self.mib)
        old = UploadState(new_key())
        if length:
            old = append(driver, old, data[:length])
        frozen = driver.open_upload(old)
        frozen.write(b"x" * 1000)
        new = through_database(reopen().take_over(old, new_key()))
        assert new.size == old.size
        assert new.key != old.key
        new = append(driver, new, data[length:])
        with contextlib.suppress(StorageError):
            frozen.write(b"y" * long)
            frozen.finish()
        driver.complete_upload(new)
        driver.abort_upload(old)
        assert fetch(driver, new.key) == data
        with pytest.raises(KeyMissing):
            driver.size(old.key)

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_a_takeover_may_be_repeated_and_taken_over(self, driver: StorageDriver, length: int) -> None:
        """A takeover may be done again with another key, and itself be taken over."""
        old = append(driver, UploadState(new_key()), pattern(length))
        lost = driver.take_over(old, new_key())
        second = driver.take_over(old, new_key())
        driver.abort_upload(lost)
        third = driver.take_over(second, new_key())
        driver.abort_upload(old)
        driver.abort_upload(second)
        driver.complete_upload(third)
        assert fetch(driver, third.key) == pattern(length)

    def test_taking_over_what_is_gone(self, driver: StorageDriver) -> None:
        """``take_over`` raises KeyMissing where acknowledged bytes are gone."""
        with pytest.raises(KeyMissing):
            driver.take_over(UploadState(new_key(), 5, tail=Part(1, 5, "gone")), new_key())

    def test_many_threads_on_different_keys(self, driver: StorageDriver) -> None:
        """All methods may be called from many threads at once."""

        def one(seed: int) -> None:
            data = pattern(100_000 + seed, seed)
            state = append(driver, UploadState(new_key()), data[:50_000])
            state = append(driver, state, data[50_000:])
            driver.complete_upload(state)
            assert fetch(driver, state.key) == data
            driver.delete(state.key)

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(one, range(16))) == [None] * 16

    def test_check(self, driver: StorageDriver) -> None:
        """``check`` returns while the store can be used."""
        driver.check()

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_the_list_of_what_is_held(self, driver: StorageDriver, length: int) -> None:
        """Where there is ``list_keys``, it yields completed keys with size, and uploads; nothing that was removed."""
        if not isinstance(driver, ListsKeys):
            return
        whole = store(driver, pattern(length))
        gone = store(driver, pattern(7))
        driver.delete(gone)
        upload = append(driver, UploadState(new_key()), pattern(length + 1))
        given_up = append(driver, UploadState(new_key()), pattern(length + 1))
        driver.abort_upload(given_up)
        found = {one.key: one for one in driver.list_keys() if one.key in (whole, gone, upload.key, given_up.key)}
        assert set(found) == {whole, upload.key}
        assert (found[whole].complete, found[whole].size) == (True, length)
        assert not found[upload.key].complete
        assert found[upload.key].size in (None, length + 1)
        assert abs(found[whole].modified_ms / 1000 - time.time()) < _CLOCKS_APART

    @pytest.mark.parametrize("length", ["short", "part", "long"], indirect=True)
    def test_pieces_of_uploads_go_one_by_one(self, driver: StorageDriver, length: int) -> None:
        """Where there is ``list_uploads``, each piece names what ``abort_upload`` removes; blobs are none."""
        if not isinstance(driver, ListsUploads):
            return
        whole = store(driver, pattern(length))
        upload = append(driver, UploadState(new_key()), pattern(length))
        append(driver, upload, pattern(length + self.mib))  # as a writer leaves it that died before its commit
        pieces = [one for one in driver.list_uploads() if one.state.key in (whole, upload.key)]
        assert {one.state.key for one in pieces} == {upload.key}
        assert all(one.modified_ms / 1000 < time.time() + _CLOCKS_APART for one in pieces)
        for one in pieces:
            driver.abort_upload(one.state)
        assert not [one for one in driver.list_uploads() if one.state.key == upload.key]
        assert fetch(driver, whole) == pattern(length)

    def test_what_is_fetched_by_url(self, driver: StorageDriver) -> None:
        """Where there is ``url_of``, whoever has the URL gets the bytes, a range of them too, as what is asked for."""
        if not isinstance(driver, GivesUrls):
            return
        url = driver.url_of(store(driver, pattern(3000)), "application/octet-stream", 60)
        whole = httpx.get(url)
        assert (whole.status_code, whole.content) == (200, pattern(3000))
        assert whole.headers["Content-Type"] == "application/octet-stream"
        part = httpx.get(url, headers={"Range": "bytes=5-9"})
        assert (part.status_code, part.content) == (206, pattern(3000)[5:10])
        with pytest.raises(ValueError, match="key"):
            driver.url_of(BAD_KEYS[0], "application/octet-stream", 60)

    def test_many_are_removed_whatever_they_are(self, driver: StorageDriver) -> None:
        """Where there is ``remove_many``, all are gone when it returns, whatever they were; it may be repeated."""
        if not isinstance(driver, RemovesMany):
            return
        whole = [store(driver, pattern(7, seed)) for seed in range(3)]
        upload = append(driver, UploadState(new_key()), pattern(9))
        states = [*(UploadState(key) for key in whole), upload, UploadState(new_key())]
        driver.remove_many(states)
        driver.remove_many(states)
        for key in whole:
            with pytest.raises(KeyMissing):
                driver.size(key)
        with pytest.raises(KeyMissing):
            driver.complete_upload(upload)

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_what_is_no_key_among_many(self, driver: StorageDriver, key: str) -> None:
        """Where there is ``remove_many``, it raises ValueError for what is no key."""
        if not isinstance(driver, RemovesMany):
            return
        with pytest.raises(ValueError, match="key"):
            driver.remove_many([UploadState(new_key()), UploadState(key)])

    def test_memory_does_not_grow_with_the_blob(self, driver: StorageDriver) -> None:
        """What is held in memory of a blob does not grow with it."""
        if not self.memory_bound:
            return
        chunk = bytes(MIB)
        store(driver, chunk)
        tracemalloc.start()
        try:
            writer = driver.open_upload(UploadState(new_key()))
            for _ in range(64):
                writer.write(chunk)
            state = writer.finish()
            driver.complete_upload(state)
            with contextlib.closing(driver.read(state.key)) as pieces:
                assert sum(map(len, pieces)) == 64 * MIB
            assert tracemalloc.get_traced_memory()[1] < self.memory_bound
        finally:
            tracemalloc.stop()
        driver.delete(state.key)

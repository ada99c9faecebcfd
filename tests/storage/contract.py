"""What every storage driver must do, run by the test class of each."""

import contextlib
import itertools
import time
import tracemalloc
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from registry.hooks import KeyMissing, ListsKeys, Part, RemovesMany, StorageDriver, StorageError, UploadState
from tests.storage.blobs import MIB, append, fetch, new_key, pattern, store, through_database

BAD_KEYS = ["", "../../../etc/passwd", "A" * 32, "0" * 31, "0" * 33, "0" * 32 + "\n", "0" * 31 + "/"]


class StorageContract:
    """Subclass it, and give the fixture ``driver``; ``reopen`` where the store outlives a driver."""

    mib: int = MIB
    """What tests call a mebibyte: eight of them are a part, where a store takes parts."""

    @pytest.fixture
    def long(self) -> int:
        """Return a length that is one part and a tail."""
        return 9 * self.mib

    @pytest.fixture
    def length(self, request, long) -> int:
        """Return the length that is asked for by name."""
        return {"empty": 0, "short": 7, "part": 8 * self.mib, "long": long}[request.param]

    @pytest.fixture
    def driver(self) -> StorageDriver:
        raise NotImplementedError

    @pytest.fixture
    def reopen(self, driver) -> Callable[[], StorageDriver]:
        return lambda: driver

    def test_round_trip(self, driver, long):
        data = pattern(long)
        key = store(driver, data)
        assert driver.size(key) == long
        with contextlib.closing(driver.read(key)) as pieces:
            lengths = [len(piece) for piece in pieces]
        assert max(lengths) <= MIB
        assert 0 not in lengths
        assert fetch(driver, key) == data

    def test_lengths(self, driver):
        for length in (0, 1, 4096, self.mib, 8 * self.mib, 8 * self.mib + 1):
            key = store(driver, pattern(length))
            assert driver.size(key) == length
            assert fetch(driver, key) == pattern(length)

    def test_ranges(self, driver, long):
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

    def test_a_read_may_be_left_early_or_unused(self, driver):
        key = store(driver, pattern(3 * MIB))
        driver.read(key).close()
        with contextlib.closing(driver.read(key)) as pieces:
            next(pieces)
        assert fetch(driver, key, 0, 10) == pattern(10)

    def test_tiny_chunks_and_reused_buffers(self, driver):
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
    def test_sessions_go_on_from_a_stored_state(self, reopen, mibs):
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
    def test_a_discarded_writer_leaves_nothing(self, driver, length, long):
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

    def test_completing_right_after_a_discard(self, driver):
        state = append(driver, UploadState(new_key()), b"acknowledged")
        writer = driver.open_upload(state)
        writer.write(b", not so")
        writer.discard()
        driver.complete_upload(state)
        assert fetch(driver, state.key) == b"acknowledged"

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_a_state_outlives_a_finish_that_was_never_committed(self, driver, length):
        data = pattern(length + 3)
        state = append(driver, UploadState(new_key()), data[:length])
        append(driver, state, b"lost in a crash" * self.mib)
        driver.complete_upload(append(driver, state, data[length:]))
        assert fetch(driver, state.key) == data

    def test_an_upload_never_written_completes_as_empty(self, driver):
        state = UploadState(new_key())
        driver.complete_upload(state)
        driver.complete_upload(state)
        assert driver.size(state.key) == 0
        assert fetch(driver, state.key) == b""

    def test_a_session_without_bytes(self, driver):
        state = append(driver, append(driver, UploadState(new_key()), b"all"))
        assert state.size == 3
        driver.complete_upload(state)
        assert fetch(driver, state.key) == b"all"

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_completing_twice(self, reopen, length):
        state = append(reopen(), UploadState(new_key()), pattern(length))
        reopen().complete_upload(state)
        reopen().complete_upload(state)
        assert fetch(reopen(), state.key) == pattern(length)

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_completing_what_is_gone(self, driver, length):
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.abort_upload(state)
        with pytest.raises(KeyMissing):
            driver.complete_upload(state)

    def test_a_completed_key_that_was_deleted_does_not_come_back(self, driver):
        state = append(driver, UploadState(new_key()), b"once")
        driver.complete_upload(state)
        driver.delete(state.key)
        with pytest.raises(KeyMissing):
            driver.complete_upload(state)

    @pytest.mark.parametrize("length", ["short", "long"], indirect=True)
    def test_aborting_twice(self, driver, length, long):
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.abort_upload(state)
        driver.abort_upload(state)
        with pytest.raises(KeyMissing):
            append(driver, state, pattern(long))

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_an_abort_leaves_a_completed_key(self, driver, length):
        state = append(driver, UploadState(new_key()), pattern(length))
        driver.complete_upload(state)
        driver.abort_upload(state)
        assert fetch(driver, state.key) == pattern(length)

    def test_aborting_what_never_was(self, driver):
        driver.abort_upload(UploadState(new_key()))

    def test_deleting_twice(self, driver):
        key = store(driver, b"short-lived")
        driver.delete(key)
        driver.delete(key)
        for look in (driver.size, driver.read):
            with pytest.raises(KeyMissing):
                look(key)

    @pytest.mark.parametrize("read", [(0, None), (0, 0), (5, None), (5, 5)])
    def test_reading_what_is_missing_fails_at_the_call(self, driver, read):
        with pytest.raises(KeyMissing):
            driver.read(new_key(), *read)

    def test_an_open_upload_is_not_readable(self, driver, long):
        state = append(driver, UploadState(new_key()), pattern(long))
        with pytest.raises(KeyMissing):
            driver.read(state.key)

    def test_bad_keys(self, driver):
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
    def test_a_writer_that_lost_its_upload_changes_nothing(self, reopen, length, long):
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
    def test_a_takeover_may_be_repeated_and_taken_over(self, driver, length):
        old = append(driver, UploadState(new_key()), pattern(length))
        lost = driver.take_over(old, new_key())
        second = driver.take_over(old, new_key())
        driver.abort_upload(lost)
        third = driver.take_over(second, new_key())
        driver.abort_upload(old)
        driver.abort_upload(second)
        driver.complete_upload(third)
        assert fetch(driver, third.key) == pattern(length)

    def test_taking_over_what_is_gone(self, driver):
        with pytest.raises(KeyMissing):
            driver.take_over(UploadState(new_key(), 5, tail=Part(1, 5, "gone")), new_key())

    def test_many_threads_on_different_keys(self, driver):
        def one(seed: int) -> None:
            data = pattern(100_000 + seed, seed)
            state = append(driver, UploadState(new_key()), data[:50_000])
            state = append(driver, state, data[50_000:])
            driver.complete_upload(state)
            assert fetch(driver, state.key) == data
            driver.delete(state.key)

        with ThreadPoolExecutor(16) as threads:
            assert list(threads.map(one, range(16))) == [None] * 16

    def test_check(self, driver):
        driver.check()

    @pytest.mark.parametrize("length", ["empty", "short", "long"], indirect=True)
    def test_the_list_of_what_is_held(self, driver, length):
        assert isinstance(driver, ListsKeys)
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
        assert abs(found[whole].modified_ms / 1000 - time.time()) < 60


class RemovesManyContract(StorageContract):
    """The contract of a store that can remove many keys at once."""

    def test_many_are_removed_whatever_they_are(self, driver):
        assert isinstance(driver, RemovesMany)
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
    def test_what_is_no_key_among_many(self, driver, key):
        with pytest.raises(ValueError, match="key"):
            driver.remove_many([UploadState(new_key()), UploadState(key)])


class BoundedMemoryContract(StorageContract):
    """The contract of a store outside the measured process: what it holds of a blob does not grow with it."""

    memory_bound: int
    """The most that may be allocated, in bytes."""

    def test_memory_does_not_grow_with_the_blob(self, driver):
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

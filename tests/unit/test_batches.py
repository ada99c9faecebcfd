"""Tests of taking many things some at a time."""

from itertools import count, islice

import pytest

from registry.batches import batched


@pytest.mark.parametrize(
    ("items", "expected"), [([], []), ([1], [[1]]), ([1, 2], [[1, 2]]), ([1, 2, 3, 4, 5], [[1, 2], [3, 4], [5]])]
)
def test_nothing_is_left_out_or_given_twice(items: list[int], expected: list[list[int]]) -> None:
    assert list(batched(items, 2)) == expected


def test_what_comes_later_is_not_asked_for_before_its_turn() -> None:
    endless = count()
    assert list(islice(batched(endless, 3), 2)) == [[0, 1, 2], [3, 4, 5]]
    assert next(endless) == 6

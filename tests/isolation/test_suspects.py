"""Who is to blame for processes that died while several plugins were at work."""

import pytest

from registry.hooks.crumbs import Death
from registry.isolation.suspects import alike, suspects


def deaths(*sets):
    """Return deaths, each in the plugins that a text names by a letter."""
    return [Death(pid, [(plugin, "event_happened") for plugin in plugins]) for pid, plugins in enumerate(sets)]


@pytest.mark.parametrize(
    ("died_in", "blamed"),
    [
        (["a"], ["a"]),
        (["ab"], ["ab"]),
        (["ab", "ab", "ab"], ["ab", "ab", "ab"]),
        (["ab", "a"], ["a", "a"]),
        (["ab", "b"], ["b", "b"]),
        (["a", "b"], ["a", "b"]),
        (["ab", "ac"], ["a", "a"]),
        (["ab", "ac", "ad"], ["a", "a", "a"]),
        (["ab", "bc", "ca"], ["ab", "bc", "ac"]),
        (["abc", "ab"], ["ab", "ab"]),
        (["abc", "ab", "a"], ["a", "a", "a"]),
        (["ab", "ab", "cd"], ["ab", "ab", "cd"]),
        (["ab", "c", "c"], ["ab", "c", "c"]),
        (["ab", "a", "b"], ["ab", "a", "b"]),
    ],
)
def test_the_one_that_was_there_most_often_is_to_blame_and_all_where_that_is_not_one(died_in, blamed):
    recent = deaths(*died_in)
    assert ["".join(sorted(suspects(death, recent))) for death in recent] == blamed


@pytest.mark.parametrize(
    ("died_in", "count"), [(["ab", "ac", "ad"], 3), (["ab", "ab", "ab"], 3), (["ab", "bc", "ca"], 1), (["a", "b"], 1)]
)
def test_deaths_with_the_same_suspects_are_counted_together(died_in, count):
    recent = deaths(*died_in)
    assert alike(recent[-1], recent) == count


def test_two_threads_in_one_plugin_are_one_plugin():
    death = Death(1, [("a", "jobs"), ("a", "event_happened")])
    assert suspects(death, [death, *deaths("ab")]) == {"a"}

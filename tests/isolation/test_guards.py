"""Slow plugins, blocked ones, and those that were switched off."""

import threading
import time

import pytest

from registry.hooks.calls import PluginBlocked, PluginBroke, PluginOff
from registry.hooks.guards import LOST


def test_a_healthy_plugin_is_called_in_the_thread_that_asks_from_its_second_call_on(make_plugin, calls_of):
    threads = []
    calls = calls_of(make_plugin("good", jobs=lambda: threads.append(threading.get_ident())))
    for _ in range(3):
        calls.call("good", "jobs", context=None)
    assert threads[0] != threading.get_ident()
    assert threads[1:] == [threading.get_ident()] * 2


def test_who_says_how_it_divides_itself_never_holds_up_who_asks(make_plugin, calls_of, released):
    waits = [0, 0, 30]
    calls = calls_of(make_plugin("slow", event_consumers=lambda: released.wait(waits.pop(0)) or ()), deadline=0.5)
    for _ in range(2):
        calls.call("slow", "event_consumers", context=None)
    with pytest.raises(PluginBroke, match=r"it did not answer in 0\.1 s"):
        calls.call("slow", "event_consumers", context=None)


def test_what_is_built_in_is_never_called_elsewhere(calls_of):
    from registry.formats import oci_manifest

    calls = calls_of(oci_manifest, deadline=0.0)
    assert calls.tallies
    assert all(tally.plain for tally in calls.tallies if tally.hook != "threads")


def test_a_plugin_that_was_slow_once_is_given_up_after_the_deadline(make_plugin, calls_of, released):
    waits = []
    calls = calls_of(make_plugin("slow", jobs=lambda: released.wait(waits.pop()) and None), deadline=0.2)
    waits.append(0)
    calls.call("slow", "jobs", context=None)  # from now on it is simply called
    waits.append(0.3)
    calls.call("slow", "jobs", context=None)
    assert calls.guards["slow"].slow
    waits.append(30)
    with pytest.raises(PluginBroke, match=r"it did not answer in 0\.2 s"):
        calls.call("slow", "jobs", context=None)
    waits.append(0)
    calls.call("slow", "jobs", context=None)


def test_the_watch_sees_a_call_that_hangs_so_that_the_next_one_does_not(make_plugin, calls_of, released):
    waits = [0, 30]
    entered = threading.Event()

    def hang():
        seconds = waits.pop(0)
        if seconds:
            entered.set()
            released.wait(seconds)

    calls = calls_of(make_plugin("slow", jobs=hang), deadline=0.05)
    calls.call("slow", "jobs", context=None)
    first = threading.Thread(target=calls.call, args=("slow", "jobs"), kwargs={"context": None})
    first.start()
    assert entered.wait(10)
    while not calls.guards["slow"].slow:
        calls.look_after()
    waits.append(30)
    with pytest.raises(PluginBroke, match="did not answer"):
        calls.call("slow", "jobs", context=None)
    released.set()
    first.join()


def test_threads_that_come_back_are_not_lost(make_plugin, calls_of):
    release = threading.Event()
    calls = calls_of(make_plugin("slow", jobs=lambda: release.wait(30) and None), deadline=0.02)
    guard = calls.guards["slow"]
    for _ in range(LOST - 1):
        with pytest.raises(PluginBroke):
            calls.call("slow", "jobs", context=None)
    assert guard.lost == LOST - 1
    release.set()
    until = time.monotonic() + 30
    while guard.lost and time.monotonic() < until:
        release.wait(0)
    assert guard.lost == 0
    assert not guard.off


def test_a_job_may_take_as_long_as_it_likes(make_plugin, calls_of, released):
    calls = calls_of(make_plugin("busy", jobs=lambda: None), deadline=0.01)
    assert calls.run("busy", "jobs", lambda: released.wait(0.1) or "done", endless=True) == "done"
    assert not calls.guards["busy"].slow


def test_a_blocked_plugin_counts_as_not_installed_and_one_that_is_off_does_not(make_plugin, calls_of):
    calls = calls_of(make_plugin("one", jobs=lambda: [1]), make_plugin("two", jobs=lambda: [2]))
    one, two = calls.guards["one"], calls.guards["two"]
    one.agree(off="", blocked="it is being mended")
    two.agree(off="four of its threads hang", blocked="")
    assert calls.plugins("jobs") == ["two"]
    with pytest.raises(PluginBlocked, match="it is being mended"):
        calls.call("one", "jobs", context=None)
    with pytest.raises(PluginOff, match="four of its threads hang"):
        calls.call("two", "jobs", context=None)
    for guard in (one, two):
        guard.agree(off="", blocked="")
    assert [calls.call(name, "jobs", context=None) for name in calls.plugins("jobs")] == [[1], [2]]


def test_what_this_process_switched_off_is_not_forgotten_before_the_others_know(make_plugin, calls_of):
    guard = calls_of(make_plugin("one", jobs=lambda: None)).guards["one"]
    guard.switch_off("it hangs")
    guard.agree(off="", blocked="")
    assert guard.off == "it hangs"
    guard.told = True
    guard.agree(off="", blocked="")
    assert guard.off == ""


def test_many_failures_in_a_row_are_logged_once(make_plugin, calls_of, caplog):
    calls = calls_of(make_plugin("bad", jobs=lambda: 1 / 0))
    for _ in range(20):
        with pytest.raises(PluginBroke):
            calls.call("bad", "jobs", context=None)
    assert [record.getMessage() for record in caplog.records] == [
        "plugin bad failed in jobs: ZeroDivisionError: division by zero"
    ]


def test_the_first_calls_of_many_threads_at_once_all_answer(make_plugin, calls_of):
    calls = calls_of(make_plugin("good", jobs=lambda: [1]), deadline=20)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(calls.call("good", "jobs", context=None))) for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[1]] * 30

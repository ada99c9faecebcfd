"""Waiting for a run on the command line."""

import itertools
from contextlib import nullcontext

import pytest

from registry.cli import following


class Server:
    """Answers with a run as it was at each look."""

    def __init__(self, looks):
        self.looks = iter(looks)

    def get(self, path):
        return next(self.looks)

    def working(self):
        return nullcontext()


def run(state="RUNNING", heard="10:00", **changed):
    shown = {"id": 7, "job": "collection", "state": state, "heard": heard, "finished": None}
    return {**shown, "done": 0, "total": 0, "error": "", **changed}


@pytest.fixture
def clock(monkeypatch):
    """Let each look at the time find it half a minute later."""
    seconds = itertools.count(0, 30)
    monkeypatch.setattr(following.time, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(following.time, "sleep", lambda _: None)


def test_a_worker_that_falls_silent_is_told_once(clock, capsys):
    looks = [*[run()] * 5, run("DONE", finished="10:05")]
    assert following.follow(Server(looks), run())["state"] == "DONE"
    assert capsys.readouterr().err.count("has not been heard of since 10:00") == 1


def test_a_worker_that_is_heard_of_may_take_its_time(clock, capsys):
    looks = [*[run(heard=f"10:{minute:02}") for minute in range(1, 9)], run("DONE", finished="10:10")]
    following.follow(Server(looks), run())
    assert capsys.readouterr().err == ""


def test_a_run_that_nobody_takes_asks_for_a_worker(clock, capsys):
    waiting = run("QUEUED", heard=None)
    following.follow(Server([*[waiting] * 5, run("DONE", finished="10:05")]), waiting)
    assert capsys.readouterr().err.count("is one running?") == 1

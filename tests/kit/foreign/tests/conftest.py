"""What the project sees of what its tests leave: files, threads, processes, the environment."""

import os
import threading
import time
from pathlib import Path

import pytest

FIGURES = Path(os.environ["SHOP_FIGURES"])


def opened() -> set[str]:
    """Return the files of registries under test that this process holds open."""
    found = (
        {os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()}
        if Path("/proc/self/fd").exists()
        else set()
    )
    return {path for path in found if "/moorage-" in path}


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text() if Path("/proc/self").exists() else ""


@pytest.fixture(autouse=True)
def _leaves_nothing():
    before = dict(os.environ), set(threading.enumerate()), children(), opened()
    yield
    after = dict(os.environ), set(threading.enumerate()), children(), opened()
    del before[0]["PYTEST_CURRENT_TEST"], after[0]["PYTEST_CURRENT_TEST"]
    assert before == after


@pytest.fixture
def timed(request):
    """Give the function that asks for a fixture, and writes down how long that took."""

    def ask(name: str):
        started, worked = time.perf_counter(), time.process_time()
        found = request.getfixturevalue(name)
        with FIGURES.open("a") as file:
            file.write(f"{time.perf_counter() - started:.3f} {time.process_time() - worked:.3f}\n")
        return found

    return ask

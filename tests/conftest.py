"""Fixtures that every test folder shares."""

import functools
import gc
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from registry.hooks import manager
from registry.testing.apps import blank_data, quick_folder
from tests.support.alone import made_once, turn
from tests.support.network import loopback_only
from tests.support.plugins import Plugged, made_plugin
from tests.support.scale import scale
from tests.support.services import PostgresServer, VersityGateway
from tests.support.tools import tool

_FIGURE = "figure"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Keep quick tests, their fixtures included, off the network; let the others wait for who wants the machine alone."""
    if not item.get_closest_marker("needs_tools"):
        with loopback_only():
            return (yield)
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(_shared(item.config), alone=item.get_closest_marker("alone") is not None):
        return (yield)


def _shared(config: pytest.Config) -> Path:
    """Return the folder that all processes of the run share."""
    base: Path = config._tmp_path_factory.getbasetemp()
    return base.parent if hasattr(config, "workerinput") else base


def pytest_configure() -> None:
    """Ask once which plugins are installed, and look for garbage seldom: each app is some, and each look is at all."""
    manager.entry_points = functools.cache(manager.entry_points)
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that run alone, which then wait for no long one, and go on with the long ones.

    So no process is still at a long one when all others have ended.
    """
    for name in ("soak", "alone"):
        items.sort(key=lambda item: item.get_closest_marker(name) is None)


def pytest_collection_finish() -> None:
    """Leave what is there for good out of every later garbage collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def blank(pytestconfig: pytest.Config) -> Path:
    """Give a data folder whose schema is up to date, to be copied; all processes of the run have the same."""
    return made_once(_shared(pytestconfig) / "blank", blank_data)


@pytest.fixture
def folder(blank: Path) -> Iterator[Path]:
    """Give a data folder, in memory where that can be, whose schema is up to date."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        yield found


@pytest.fixture
def with_plugins(tmp_path: Path, blank: Path) -> Iterator[Plugged]:
    """Give the function that makes an app with plugins; every app stands on the same database and storage."""
    plugged = Plugged(tmp_path, blank)
    yield plugged
    plugged.close()


@pytest.fixture
def make_plugin() -> Callable[..., ModuleType]:
    """Give the function that makes a plugin of hook implementations."""
    return made_plugin


@pytest.fixture(scope="session")
def tools() -> Callable[[str], str]:
    """Give the function that finds a program by name, or skips the test."""
    return tool


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give one PostgreSQL server to the whole session; make a database of your own in it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_gateway() -> Iterator[VersityGateway]:
    """Give one S3 service to the whole session; make a bucket of your own in it."""
    with VersityGateway() as gateway:
        yield gateway


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Give the function that keeps a line for the end of the run."""
    return lambda text: request.node.user_properties.append((_FIGURE, f"{request.node.name}: {text}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show what the tests measured, in whichever process, at which scale, and of which commit."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    called = [report for report in reports if getattr(report, "when", None) == "call"]
    figures = [text for report in called for name, text in report.user_properties if name == _FIGURE]
    if figures:
        terminalreporter.section(f"figures at scale {scale():g}, commit {_commit(config.rootpath)}")
        for text in figures:
            terminalreporter.write_line(text)


def _commit(folder: Path) -> str:
    argv = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"

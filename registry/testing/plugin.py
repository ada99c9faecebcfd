"""The pytest plugin: throw-away registries as fixtures.

``pip install moorage[testing]`` is all that it takes::

    def test_a_push_is_there(moorage_client):
        pushed = moorage_client.push("team/app", image(layer({"a": b"1"})), "v1")
        assert moorage_client.digest("team/app", "v1") == pushed.digest

``@pytest.mark.moorage(plugins=[...], settings={...}, storage="file")`` says what the registry is made with: plugins
beside the installed ones, settings by their names, and where blobs are kept: ``memory`` (default), ``file``, or a
URL for a driver of a plugin. Marks of the module, the class and the test add up. A registry lasts for one test.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from flask import Flask

    from registry.hooks import PluginContext
    from registry.services import Services
    from registry.testing.client import RegistryClient
    from registry.testing.clock import Clock
    from registry.testing.faults import Faults
    from registry.testing.server import LiveServer

__all__ = [
    "moorage_app",
    "moorage_client",
    "moorage_clock",
    "moorage_context",
    "moorage_faults",
    "moorage_plugins",
    "moorage_server",
    "moorage_settings",
    "moorage_worker",
]

_CONTRACTS = "registry.testing.contracts"
_MARK = "moorage(plugins=[...], settings={...}, storage='memory'): what the registry of this test is made with"

pytest.register_assert_rewrite(_CONTRACTS)


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", _MARK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """End the report of a failed contract with what it wants."""
    report: pytest.TestReport = yield  # type: ignore[assignment] # what a wrapper is sent
    test = getattr(item, "obj", None)
    if report.failed and str(getattr(test, "__module__", "")).startswith(_CONTRACTS):
        report.sections.append(("what the contract wants", inspect.getdoc(test) or ""))
    return report  # type: ignore[return-value] # and what it returns


def _wishes(request: pytest.FixtureRequest) -> tuple[list[object], dict[str, Any], str]:
    """Read the marks of a test, the outermost first."""
    plugins: list[object] = []
    settings: dict[str, Any] = {}
    storage = "memory"
    for mark in reversed(list(request.node.iter_markers("moorage"))):
        unknown = set(mark.kwargs) - {"plugins", "settings", "storage"}
        if unknown or mark.args:
            raise pytest.UsageError(f"@pytest.mark.moorage does not take {', '.join(unknown) or 'that'}: {_MARK}")
        plugins += mark.kwargs.get("plugins", ())
        settings |= mark.kwargs.get("settings", {})
        storage = mark.kwargs.get("storage", storage)
    return plugins, settings, storage


@pytest.fixture
def moorage_plugins() -> Sequence[object]:
    """Return plugins for every registry of a module or folder; override it there. Modules, or objects."""
    return ()


@pytest.fixture
def moorage_settings() -> Mapping[str, Any]:
    """Return settings for every registry of a module or folder; override it there."""
    return {}


@pytest.fixture
def moorage_clock() -> Clock:
    """Return the time of this test's registry: ``moorage_clock.advance(days=90)``. It stands still otherwise."""
    from registry.testing.clock import Clock

    return Clock()


@pytest.fixture(scope="session")
def _moorage_blank() -> Iterator[Path]:
    """Migrate one database a session, which each registry starts with a copy of."""
    from registry.testing.apps import blank_data, quick_folder

    with quick_folder() as folder:
        yield blank_data(folder / "blank")


@pytest.fixture
def moorage_faults() -> Faults:
    """Return the faults of this test's storage: ``moorage_faults.fail("write", nth=2)``."""
    from registry.testing.faults import Faults

    return Faults()


@pytest.fixture
def moorage_app(
    request: pytest.FixtureRequest,
    moorage_plugins: Sequence[object],
    moorage_settings: Mapping[str, Any],
    moorage_clock: Clock,
    _moorage_blank: Path,
) -> Iterator[Flask]:
    """Give an empty registry as a WSGI application, with the plugins that are installed and those asked for.

    Its database is SQLite, its time that of ``moorage_clock``; the environment and configuration files are not read.
    """
    from tempfile import TemporaryDirectory

    from registry.testing.apps import quick_folder, running_app

    plugins, settings, storage = _wishes(request)
    wrap = request.getfixturevalue("moorage_faults").wrap if "moorage_faults" in request.fixturenames else None
    with quick_folder() as data, TemporaryDirectory(prefix="moorage-") as blobs:
        url = {"memory": "memory:", "file": f"file://{blobs}"}.get(storage, storage)
        wanted = {"storage_url": url, **moorage_settings, **settings}
        with running_app(
            data,
            blank=_moorage_blank,
            clock=moorage_clock,
            with_plugins=[*moorage_plugins, *plugins],
            wrap_storage=wrap,
            **wanted,
        ) as app:
            yield app


@pytest.fixture
def moorage_server(moorage_app: Flask) -> Iterator[LiveServer]:
    """Serve this test's registry on a loopback port: ``.url``, ``.host`` for image references, ``.client()``."""
    from registry.testing.server import LiveServer

    with LiveServer(moorage_app) as server:
        yield server


@pytest.fixture
def moorage_client(moorage_app: Flask) -> Iterator[RegistryClient]:
    """Give a client of this test's registry, which speaks to it without a network."""
    import httpx

    from registry.testing.client import RegistryClient

    with httpx.Client(transport=httpx.WSGITransport(moorage_app), base_url="http://moorage.test") as http:
        yield RegistryClient(http)


@pytest.fixture
def moorage_context(moorage_app: Flask, request: pytest.FixtureRequest) -> PluginContext:
    """Return what this test's first plugin is handed: its settings, its store, the registry's tags and content."""
    from registry.testing.hooks import Implementations

    plugins, _, _ = _wishes(request)
    everything = [*request.getfixturevalue("moorage_plugins"), *plugins]
    if not everything:
        raise pytest.UsageError("a context is a plugin's: name one with @pytest.mark.moorage(plugins=[...])")
    context: PluginContext = moorage_app.extensions["moorage"].contexts(Implementations(everything[0]).name)
    return context


@pytest.fixture
def moorage_worker(moorage_app: Flask) -> Callable[[], bool]:
    """Return the function that does what is due now, as ``moorage worker`` would; it tells whether no job failed.

    Observers are told of what happened, and of what they made happen. They hear of what comes after this fixture.
    """
    from registry.work.worker import Worker, new_holder

    services: Services = moorage_app.extensions["moorage"]
    holder = new_holder()
    worker, dispatcher = Worker(services.queue, holder), services.dispatcher(holder)

    def run() -> bool:
        sound = worker.run_due()
        while dispatcher.run_due():
            sound = worker.run_due() and sound
        return sound

    run()  # a worker that starts makes the schedules of all jobs, and lists the observers
    return run

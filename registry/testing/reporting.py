"""Writes what failed as lines of JSON: what ``moorage plugins check`` reads of a run of pytest."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

__all__ = ["pytest_addoption", "pytest_configure"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take the file to write, and the folder whose lines are meant."""
    parser.addoption("--moorage-report", type=Path)
    parser.addoption("--moorage-root", type=Path)


def pytest_configure(config: pytest.Config) -> None:
    """Report this run."""
    config.pluginmanager.register(_Reporter(config.getoption("--moorage-report"), config.getoption("--moorage-root")))


class _Reporter:
    """Finds the last line of the plugin that a failure went through."""

    def __init__(self, file: Path, root: Path) -> None:
        self._file, self._root = file, root.resolve()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
        report: pytest.TestReport = yield  # type: ignore[assignment] # what a wrapper is sent
        if report.when == "call" or report.failed:
            self._write(item, call, report)
        return report  # type: ignore[return-value] # and what it returns

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            path = self._root / report.nodeid.partition("::")[0]
            self._tell("failed", path, 1, report.nodeid, str(report.longrepr).strip().splitlines()[-1], "")

    def _write(self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
        if not report.failed or call.excinfo is None:
            self._tell(report.outcome, Path(item.location[0]), (item.location[1] or 0) + 1, item.nodeid, "", "")
            return
        error: BaseException | None = call.excinfo.value
        places = [(Path(str(entry.path)).resolve(), entry.lineno + 1) for entry in call.excinfo.traceback]
        while error is not None:  # a contract's failure comes from the plugin's
            trace = error.__traceback__
            error = error.__cause__ or error.__context__
            while trace is not None:
                places.append((Path(trace.tb_frame.f_code.co_filename).resolve(), trace.tb_lineno))
                trace = trace.tb_next
        mine = [place for place in places if self._root in place[0].parents and "tests" not in place[0].parts]
        tests = [place for place in places if self._root in place[0].parents]
        path, line = (mine or tests or [(self._plugin_of(item), 1)])[-1]
        test = getattr(item, "obj", None)
        contract = str(getattr(test, "__module__", "")).startswith("registry.testing.contracts")
        message = call.excinfo.exconly().splitlines()[0]
        self._tell("failed", path, line, item.nodeid, message, (inspect.getdoc(test) or "") if contract else "")

    def _plugin_of(self, item: pytest.Item) -> Path:
        plugin = getattr(getattr(item, "cls", None), "plugin", None)
        return Path(str(getattr(plugin, "__file__", None) or item.path))

    def _tell(self, outcome: str, path: Path, line: int, test: str, message: str, wanted: str) -> None:
        told = {"outcome": outcome, "path": str(path), "line": line, "test": test, "message": message, "wanted": wanted}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(told)}\n")

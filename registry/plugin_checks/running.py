"""Running the contracts, and a plugin's own tests, in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from registry.plugin_checks.findings import Finding
from registry.plugin_checks.project import Package

__all__ = ["Run", "run_contracts"]

_USAGE_ERROR = 3
_CONTRACTS: Mapping[str, tuple[str, str]] = {
    "manifest_media_types": ("FormatContract", "good, bad = (), {}"),
    "label_actions": ("LabelActionContract", "understood, refused = {}, ()"),
    "event_happened": ("ObserverContract", ""),
    "admit_manifest": ("AdmissionContract", "admitted, refused = (), {}"),
    "admit_tag_change": ("AdmissionContract", "admitted, refused = (), {}"),
    "admit_pull": ("AdmissionContract", "admitted, refused = (), {}"),
    "authenticate": ("AuthenticationContract", "known = {}"),
    "authorize": ("AuthorizationContract", "allowed, denied = (), {}"),
}
"""The contract of each hook that has one which needs no examples, and what its class lacks then."""


class NoPytest(RuntimeError):
    """Contracts are run by pytest, which is not installed."""


@dataclass(slots=True)
class Run:
    """What came of a run: how many checks passed, and what failed."""

    passed: int = 0
    findings: list[Finding] = field(default_factory=list)


def run_contracts(package: Package, hooks: Collection[str]) -> Run:
    """Run the contracts of ``hooks`` and the package's own tests; raises :class:`NoPytest`."""
    if find_spec("pytest") is None:
        raise NoPytest("contracts are run by pytest: pip install 'moorage[testing]'")
    root = package.root.resolve()
    with TemporaryDirectory(prefix="moorage-check-") as folder:
        scratch = Path(folder)
        suite = scratch / "test_contracts.py"
        suite.write_text("\n".join(_suite(package.module, hooks)), encoding="utf-8")
        report = scratch / "report"
        report.touch()
        own = root / "tests"
        done = subprocess.run(  # noqa: S603 - pytest of this environment, on a plugin that is about to be installed
            [
                *(sys.executable, "-m", "pytest", "-q", "-p", "registry.testing.reporting", "-p", "no:cacheprovider"),
                *("--rootdir", str(root), "--moorage-report", str(report), "--moorage-root", str(root)),
                *("--import-mode=importlib", str(suite), *([str(own)] if own.is_dir() else [])),
            ],
            cwd=root,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(package.source.resolve()), *sys.path[1:]])},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = report.read_text(encoding="utf-8").splitlines()
    run = Run()
    told = [json.loads(line) for line in lines]
    run.passed = sum(one["outcome"] == "passed" for one in told)
    run.findings = list(_findings(told))
    if done.returncode >= _USAGE_ERROR or (done.returncode and not run.findings):
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["pytest told nothing"]
        run.findings.append(Finding(package.root / "tests", 0, f"the tests cannot be run: {last[0]}", "run pytest"))
    return run


def _suite(module: str, hooks: Collection[str]) -> Iterator[str]:
    wanted = dict(_CONTRACTS[hook] for hook in sorted(hooks) if hook in _CONTRACTS)
    yield "import importlib"
    yield "from registry.testing import contracts"
    yield f"plugin = importlib.import_module({module!r})"
    yield "def test_it_is_imported():\n    assert plugin"
    for contract, lacking in wanted.items():
        yield f"class Test{contract}(contracts.{contract}):"
        yield "    plugin = plugin"
        yield "    test_there_are_examples = None"
        yield from ([f"    {lacking}"] if lacking else [])


def _findings(told: list[dict[str, str]]) -> Iterator[Finding]:
    seen: set[tuple[str, str]] = set()
    for one in told:
        test = one["test"].rpartition("::")[2]
        place = (test, f"{one['path']}:{one['line']}")
        if one["outcome"] == "failed" and place not in seen:
            seen.add(place)
            change = one["wanted"] or f"see {one['test']}"
            yield Finding(Path(one["path"]), int(one["line"]), f"{test}: {one['message']}", change)

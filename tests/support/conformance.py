"""The OCI conformance program: run it against a registry and read what it reports.

By hand, against a server on port 5000: `python -m tests.support.conformance 127.0.0.1:5000 dev`.
"""

import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from tests.support.tools import find_tool, tool

PASS = "Pass"
# What the program tests only where its draft features are on.
DRAFT = frozenset(
    {"Blob upload cancel", "Manifest put with tag params", "Tag Param", "Tag Param sha512"},
)
_LONGEST_OUTPUT = 4000


@dataclass(frozen=True)
class Failure:
    """A test that did not pass: its status, its errors, and the requests it made."""

    name: str
    status: str
    errors: str
    output: str

    def __str__(self) -> str:
        return f"--- {self.status}: {self.name}\n{self.errors}\n{self.output[-_LONGEST_OUTPUT:]}"


@dataclass(frozen=True)
class Report:
    """What one run says: the status of each API and each kind of data, and each test that did not pass."""

    passed: bool
    apis: dict[str, str]
    data: dict[str, str]
    counts: dict[str, int]
    failures: list[Failure]
    printed: str

    def not_passed(self) -> dict[str, str]:
        """Return each API and kind of data whose status is not Pass."""
        return {name: status for name, status in {**self.apis, **self.data}.items() if status != PASS}

    def __str__(self) -> str:
        shown = "\n".join(str(failure) for failure in self.failures)
        summary = self.printed[self.printed.find("OCI Conformance Result") :]
        return f"{shown}\n\n{summary}"


def run_conformance(
    host: str,
    version: str,
    folder: Path,
    timeout: float = 600,
    login: tuple[str, str] | None = None,
    tls: str = "disabled",
) -> Report:
    """Run the program with all that can be turned on, and return its report.

    `version` is "1.1" or "dev" (1.1 and the drafts), `login` a name and a password, `tls` the program's own word.
    Reports are written to `folder`.
    """
    settings = {
        "OCI_REGISTRY": host,
        "OCI_TLS": tls,
        "OCI_VERSION": version,
        "OCI_DATA_SPARSE": "true",
        "OCI_RESULTS_DIR": str(folder),
    }
    if login is not None:
        settings |= {"OCI_USERNAME": login[0], "OCI_PASSWORD": login[1]}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OCI_")}
    done = subprocess.run(
        [tool("conformance")],
        env={**inherited, **settings},
        cwd=folder,  # where no configuration file lies
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    results = folder / "results.yaml"
    if not results.exists():
        raise AssertionError(f"the conformance program wrote no report\n{done.stdout}{done.stderr}")
    sections = _sections(results.read_text())
    return Report(
        passed=done.returncode == 0,
        apis=sections["apis"],
        data=sections["data"],
        counts=_counts(done.stdout),
        failures=_failures(folder / "junit.xml"),
        printed=done.stdout,
    )


def _sections(text: str) -> dict[str, dict[str, str]]:
    """Read the two flat mappings at the end of results.yaml."""
    sections: dict[str, dict[str, str]] = {"apis": {}, "data": {}}
    section: dict[str, str] | None = None
    for line in text.splitlines():
        if not line.startswith(" "):
            section = sections.get(line.rstrip(":"))
        elif section is not None:
            name, _, status = line.strip().rpartition(": ")
            section[name] = status
    return sections


def _counts(printed: str) -> dict[str, int]:
    """Read how many tests had each status, from the printed summary."""
    summary = printed[printed.find("OCI Conformance Result") :].splitlines()[1:]
    counts: dict[str, int] = {}
    for line in summary:
        if not line.strip():
            break
        name, _, number = line.partition(":")
        counts[name.strip(" .")] = int(number)
    return counts


def _failures(junit: Path) -> list[Failure]:
    """Read the tests that did not pass; junit.xml marks them by an attribute alone."""
    cases = ET.parse(junit).iter("testcase")
    return [
        Failure(
            name=case.get("name", ""),
            status=case.get("status", ""),
            errors=case.findtext("system-out", ""),
            output=case.findtext("system-err", ""),
        )
        for case in cases
        if case.get("status") != "passed"
    ]


def main(argv: list[str]) -> int:
    """Run the program against HOST:PORT [VERSION] and print what did not pass."""
    host, version = [*argv, "dev"][:2]
    if find_tool("conformance") is None:
        sys.exit("the conformance program is not installed: run `make tools`")
    with tempfile.TemporaryDirectory() as folder:
        report = run_conformance(host, version, Path(folder))
    sys.stdout.write(f"{report}\n")
    return 0 if report.passed and not report.counts["Skip"] else 1


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))

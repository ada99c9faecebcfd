"""Programs that tests call, found where `make tools` puts them."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

# Another docker may come first on PATH; the tests speak to Debian's daemon with Debian's client.
_FIXED = {"docker": "/usr/bin/docker"}
# Folders that a user's PATH may leave out.
_SYSTEM = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def tools_dir() -> Path:
    """Return the folder of the programs that scripts/install-tools builds."""
    cache = os.environ.get("MOORAGE_TOOLS")
    if cache:
        return Path(cache) / "bin"
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "moorage-tools" / "bin"


def find_tool(name: str) -> str | None:
    """Return the program's path, or None where it is not installed."""
    if name in _FIXED:
        return _FIXED[name] if os.access(_FIXED[name], os.X_OK) else None
    search = os.pathsep.join([str(tools_dir()), os.environ.get("PATH", ""), *_SYSTEM])
    return shutil.which(name, path=search)


def tool(name: str) -> str:
    """Return the program's path; without it skip the test, or fail it where CI is set."""
    return find_tool(name) or lacking(f"{name} is not installed: run `make tools`")


def postgres_program(name: str) -> str:
    """Return a PostgreSQL server program's path: of initdb and postgres none is on Debian's PATH."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name), reverse=True
    )
    for folder in versions:
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    return shutil.which(name) or lacking(f"PostgreSQL's {name} is not installed: run `make tools`")


def require_root() -> None:
    """Skip a test that needs root, or fail it where CI is set."""
    if os.geteuid() != 0:
        lacking("this needs root")


def lacking(reason: str) -> NoReturn:
    """End the test: something it needs is not here. In CI nothing may be skipped."""
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)

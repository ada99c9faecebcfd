"""A plugin's distribution: its pyproject.toml, and the files that it should bring."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from registry.hooks.manager import ENTRY_POINT_GROUP
from registry.plugin_checks.findings import Finding

__all__ = ["Package", "check_project", "files_of", "read_package"]

_OLDEST_PYTHON = (3, 11)
_GROUP = f"project.entry-points.{ENTRY_POINT_GROUP}"
_LINE_OF_ERROR = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class Package:
    """A plugin's folder, the name and module of its entry point (empty without one), its files, the main one first."""

    root: Path
    name: str
    module: str
    files: tuple[Path, ...]

    @property
    def source(self) -> Path:
        """The folder that the module is imported from."""
        return self.root / "src" if (self.root / "src").is_dir() else self.root


def read_package(root: Path) -> Package:
    """Return what there is of a plugin in a folder, however little that is."""
    points = _points(_document(root / "pyproject.toml"))
    name, target = next(iter(points.items()), ("", ""))
    module = str(target).partition(":")[0]
    package = Package(root, name, module, ())
    return Package(root, name, module, tuple(_files(package.source, module)))


def check_project(root: Path) -> Iterator[Finding]:
    """Check all that is not Python."""
    file = root / "pyproject.toml"
    if not file.is_file():
        yield Finding(file, 0, "there is no pyproject.toml", "describe the distribution in one: moorage plugins new")
        return
    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE_OF_ERROR.search(str(error))
        yield Finding(file, int(found[1]) if found else 1, f"it is no TOML: {error}", "mend that line")
        return
    yield from _entry_point(file, text, document)
    yield from _metadata(file, text, document)


def _entry_point(file: Path, text: str, document: Mapping[str, Any]) -> Iterator[Finding]:
    points = _points(document)
    others = document.get("project", {}).get("entry-points", {})
    if not points:
        other = next(iter(others), "")
        line = _line(text, other) if other else _line(text, "[project]")
        problem = f"the group of entry points is called {other}" if other else "the plugin has no entry point"
        change = f'name the module under [{_GROUP}], as in: recipe = "moorage_recipe"'
        yield Finding(file, line, problem, change)
    root = file.parent
    source = root / "src" if (root / "src").is_dir() else root
    for name, target in points.items():
        module = str(target).partition(":")[0]
        if not _files(source, module):
            problem = f"the entry point {name} names {module}, which is not there"
            yield Finding(file, _line(text, f"{name} ="), problem, f"name a module of {source.name}/")


def _metadata(file: Path, text: str, document: Mapping[str, Any]) -> Iterator[Finding]:
    project, root = document.get("project", {}), file.parent
    head = _line(text, "[project]")
    needed = [re.split(r"[^A-Za-z0-9._-]", str(one).strip(), maxsplit=1)[0] for one in project.get("dependencies", [])]
    if "moorage" not in needed:
        line = _line(text, "dependencies", head)
        yield Finding(file, line, "moorage is not among the dependencies", 'dependencies = ["moorage"]')
    least = re.search(r">=\s*(\d+)\.(\d+)", str(project.get("requires-python", "")))
    if least is None or (int(least[1]), int(least[2])) < _OLDEST_PYTHON:
        line = _line(text, "requires-python", head)
        problem = "requires-python allows versions that Moorage does not run on"
        yield Finding(file, line, problem, 'requires-python = ">=3.11"')
    readme = project.get("readme", "")
    if not isinstance(readme, str) or not readme or not (root / readme).is_file():
        problem = f"the README {readme} is not there" if readme else "there is no README"
        change = 'write README.md: what it does, how it is set; and readme = "README.md"'
        yield Finding(file, _line(text, "readme", head), problem, change)
    if not any((root / "tests").rglob("test_*.py")):
        yield Finding(root / "tests", 0, "there are no tests", "subclass the contract of registry.testing.contracts")


def _points(document: Mapping[str, Any]) -> Mapping[str, Any]:
    points = document.get("project", {}).get("entry-points", {}).get(ENTRY_POINT_GROUP, {})
    return points if isinstance(points, dict) else {}


def _document(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _files(source: Path, module: str) -> list[Path]:
    if not module:
        return []
    path = source.joinpath(*module.split("."))
    return files_of(path if path.is_dir() else path.with_suffix(".py"))


def files_of(module: Path) -> list[Path]:
    """Return the files of a package or of a single module, the one that is imported by its name first."""
    if module.is_dir():
        return sorted(module.rglob("*.py"), key=lambda file: (file != module / "__init__.py", file))
    return [module] if module.is_file() else []


def _line(text: str, start: str, default: int = 1) -> int:
    """Return the number of the first line that begins so, or has it in its heading."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith(start) or (line.startswith("[") and start and start in line):
            return number
    return default

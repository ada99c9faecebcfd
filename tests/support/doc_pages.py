"""What is done with the blocks of a page, by their language: all of it in one folder, one after another.

- `python` is executed, all blocks of a page in one module; hooks in it must be those that the registry has. One with
  tests (`def test_...`) is run by pytest.
- `toml` is read as a distribution's `pyproject.toml` where it has such tables, as a policy where each of its tables says
  `to` whom it speaks, else as the registry's settings.
- `json`, `yaml` are parsed.
- `bash` and `sh` are run: each command must succeed. `console` shows commands behind `$ ` and what they print, where
  `...` stands for anything, and blanks and rules of tables do not count; such a command may fail.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pluggy
import yaml

from registry.access.rules import parse_policy_rule
from registry.hooks import specs
from registry.settings import load_settings
from tests.support.doc_blocks import BEFORE, Block, blocks_of, steps_of
from tests.support.doc_shell import Shell, is_whole

ROOT = Path(__file__).resolve().parents[2]
SILENT = {"text", "dockerfile"}
"""Languages of what is not run: drawings, what programs print, and lines for other programs' files."""
_DISTRIBUTION = {"build-system", "project", "tool"}
_RULE = re.compile(r"[─━\s]+")
_TEST = re.compile(r"^(?:async )?def test_", re.MULTILINE)


def pages() -> list[str]:
    """Return all pages with code in them, by their path in the checkout."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [str(path.relative_to(ROOT)) for path in found if blocks_of(path)]


@dataclass
class Page:
    """A page whose blocks are run in `folder`."""

    name: str
    folder: Path
    shell: Shell
    missing: Callable[[str], bool] = lambda _: True
    _module: ModuleType = field(default_factory=lambda: ModuleType("page"))

    def run(self) -> None:
        """Run all blocks; the first that is not as the page says raises AssertionError with its place."""
        doers: Mapping[str, Callable[[Block], None]] = {
            BEFORE: self._before,
            "python": self._python,
            "toml": self._toml,
            "json": lambda block: json.loads(block.text),
            "yaml": lambda block: yaml.safe_load(block.text),
            **dict.fromkeys(("bash", "sh", "console"), self._shell),
        }
        for block in blocks_of(ROOT / self.name):
            if block.title:
                path = self.folder / block.title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)
            if block.language in SILENT:
                continue
            if block.language not in doers:
                raise AssertionError(f"{self.name}:{block.line}: say what this is, with one of {sorted(doers)} or text")
            skipped = block.not_run or any(map(self.missing, block.needs))
            (self._checked if skipped else doers[block.language])(block)

    def _checked(self, block: Block) -> None:
        """Check no more than the syntax."""
        if block.language == "python":
            compile(block.text, self.name, "exec")
        elif block.language in ("bash", "sh", "console"):
            list(steps_of(block, is_whole))

    def _before(self, block: Block) -> None:
        told, code = self.shell.run(block.text)
        assert code == 0, f"{self.name}:{block.line}: {block.text}\n{told}"

    def _shell(self, block: Block) -> None:
        for step in steps_of(block, is_whole):
            told, code = self.shell.run(step.command)
            place = f"{self.name}:{step.line}: {step.command}\n--- printed, and ended with {code}\n{told}"
            assert step.output is None or _matches(step.output, told), f"{place}--- is shown with\n{step.output}"
            assert code == 0 or (step.output or "...").strip() != "...", place

    def _python(self, block: Block) -> None:
        if _TEST.search(block.text):
            self._pytest(block)
            return
        place = "\n" * (block.line - 1)  # a traceback names the page and its line
        exec(compile(place + block.text, self.name, "exec", dont_inherit=True), vars(self._module))
        manager = pluggy.PluginManager("moorage")
        manager.add_hookspecs(specs)
        manager.register(self._module)
        manager.check_pending()

    def _pytest(self, block: Block) -> None:
        name = block.title or f"test_line_{block.line}.py"
        (self.folder / name).write_text(block.text)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", name]
        env = {name: value for name, value in os.environ.items() if not name.startswith(("MOORAGE_", "PYTEST_"))}
        env["PYTHONPATH"] = str(self.shell.site)
        done = subprocess.run(argv, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{self.name}:{block.line}\n{done.stdout}{done.stderr}"

    def _toml(self, block: Block) -> None:
        found = tomllib.loads(block.text)
        if all(isinstance(rule, dict) and "to" in rule for rule in found.values()):
            for name, rule in found.items():
                parse_policy_rule(name, rule)
        elif not _DISTRIBUTION.intersection(found):
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(block.text)
                file.flush()
                load_settings({"config": file.name}, {})


def _matches(shown: str, told: str) -> bool:
    pattern = "".join(map(_pattern, _plain(shown)))
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _plain(told))) is not None


def _pattern(line: str) -> str:
    if line == "...":
        return r"(?:.*\n)*?"
    loose = re.escape(line).replace(re.escape(" ..."), "(?: .*?)?").replace(re.escape("..."), ".*?")
    return loose.replace("…", r"\S*?") + r"\n"


def _plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if not _RULE.fullmatch(line) and line.strip()]

"""The hooks that one file of a plugin implements."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from registry.plugin_checks.findings import Finding

__all__ = ["Function", "Source"]

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of a plugin; ``main`` is the one that its entry point names."""

    path: Path
    tree: ast.Module
    main: bool

    @cached_property
    def implementations(self) -> list[tuple[str, Function, ast.expr]]:
        """The functions that are marked with ``hookimpl``: the hook's name, the function, and the mark."""
        return [
            (_specname(mark) or function.name, function, mark)
            for function in ast.walk(self.tree)
            if isinstance(function, Function)
            for mark in function.decorator_list
            if ast.unparse(mark.func if isinstance(mark, ast.Call) else mark).rpartition(".")[2] == "hookimpl"
        ]

    @property
    def hooks(self) -> set[str]:
        """The names of the hooks that are implemented here."""
        return {hook for hook, _, _ in self.implementations}

    def at(self, node: ast.AST, problem: str, change: str) -> Finding:
        """Return a finding about a node."""
        return Finding(self.path, getattr(node, "lineno", 1), problem, change)


def _specname(mark: ast.expr) -> str:
    keywords = mark.keywords if isinstance(mark, ast.Call) else []
    named = [one.value for one in keywords if one.arg == "specname"]
    return str(named[0].value) if named and isinstance(named[0], ast.Constant) else ""

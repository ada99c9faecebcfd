"""Plugins that are installed for the time of a test."""

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from registry.hooks import hookimpl, manager


def made_plugin(name: str, **functions: Callable[..., object]) -> ModuleType:
    """Return a module of hook implementations."""
    module = ModuleType(name)
    vars(module).update({hook: hookimpl(function) for hook, function in functions.items()})
    return module


def install(monkeypatch: pytest.MonkeyPatch, **modules: ModuleType | None) -> None:
    """Replace what is installed by entry points of the test's own; one that is None cannot be imported."""
    points = []
    for name, module in modules.items():
        full = f"moorage_of_this_test_{name}".replace("-", "_")
        if module is not None:
            monkeypatch.setitem(sys.modules, full, module)
        points.append(EntryPoint(name, full, manager.ENTRY_POINT_GROUP))
    monkeypatch.setattr(manager, "entry_points", lambda group: points if group == manager.ENTRY_POINT_GROUP else [])

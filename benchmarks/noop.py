"""Ten plugins that implement every hook and do nothing, installed for one server alone."""

import inspect
from pathlib import Path
from types import FunctionType

from registry.hooks import specs

COUNT = 10


def install(folder: Path) -> dict[str, str]:
    """Write the plugins as a distribution, and return what the environment must say for it to be found."""
    about = folder / "noop-1.0.dist-info"
    about.mkdir(parents=True)
    names = [f"noop{number}" for number in range(COUNT)]
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: noop\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[moorage]\n" + "".join(f"{name} = moorage_{name}\n" for name in names))
    for name in names:
        (folder / f"moorage_{name}.py").write_text(_code())
    return {"PYTHONPATH": str(folder)}


def _code() -> str:
    hooks = {
        name: hook
        for name, hook in vars(specs).items()
        if isinstance(hook, FunctionType) and hasattr(hook, "moorage_spec")
    }
    parts = [
        f"@hookimpl\ndef {name}({', '.join(inspect.signature(hook).parameters)}):\n    return None\n"
        for name, hook in hooks.items()
    ]
    return "\n\n".join(["from registry.hooks import hookimpl\n", *parts])

"""Plugins of a test's own, installed as a distribution that a server in its own processes finds."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

HEAD = """\
import os
import threading
import time

from registry.hooks import ParsedManifest, hookimpl

def hang():
    time.sleep(30)

"""


def install(folder: Path, plugins: Mapping[str, str]) -> dict[str, str]:
    """Write modules, an entry point for each, and return what the environment must say for them to be found."""
    about = folder / "hostile-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    lines = [f"{name} = hostile_{name}" for name in plugins]
    (about / "entry_points.txt").write_text("[moorage]\n" + "\n".join(lines) + "\n")
    for name, code in plugins.items():
        (folder / f"hostile_{name}.py").write_text(HEAD + dedent(code))
    return {"PYTHONPATH": str(folder)}


def owner(media_type: str, **hooks: str) -> str:
    """Return a format plugin whose hooks do the given statement; parsing goes well where it is not among them."""
    hooks = {"parse_manifest": "pass", **hooks}
    parts = [f'@hookimpl\ndef manifest_media_types():\n    return ["{media_type}"]\n']
    for hook, statement in hooks.items():
        parameters = "media_type, payload" if hook == "parse_manifest" else "manifest"
        answer = "return ParsedManifest(payload=payload, media_type=media_type, digest_bytes=payload)"
        parts.append(
            f"@hookimpl\ndef {hook}({parameters}):\n    {statement}\n"
            + (f"    {answer}\n" if hook == "parse_manifest" else "")
        )
    return "\n".join(parts)

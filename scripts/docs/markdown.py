"""Docstrings, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable
from textwrap import dedent

_ROLE = re.compile(r":(?:class|func|data|meth|mod|exc):`~?([\w.]+)`")


def markdown(text: str, link: Callable[[str], str]) -> str:
    """Return prose of a docstring as Markdown; ``link`` gives the address of what it names, or ""."""

    def named(match: re.Match[str]) -> str:
        name = match[1] if match[1] == "registry.hooks" else match[1].rpartition(".")[2]
        address = link(name)
        return f"[`{name}`]({address})" if address else f"`{name}`"

    return _ROLE.sub(named, text.replace("``", "`")).strip()


def split_example(docstring: str) -> tuple[str, str]:
    """Split a docstring at its ``::`` into prose, and the code behind it."""
    prose, _, example = docstring.partition("::\n")
    return prose.rstrip().rstrip(":."), dedent(example).strip("\n")


def fence(language: str, text: str) -> str:
    """Return a block of code."""
    return f"```{language}\n{text.strip(chr(10))}\n```\n"

"""Blocks of code in Markdown pages, with what their authors say about running them.

A block's language says what is done with it (see `tests/support/doc_pages.py`). A comment that stands directly above a
block says otherwise:

    <!-- not run: pulls from Docker Hub -->          only its syntax is checked
    <!-- needs crane, docker -->                     it is run where these programs are, by `make test-all`

and a comment anywhere prepares the registry for what follows, unseen by readers:

    <!-- before: moorage tag delete team/app v1 --yes -->

`title="NAME"` behind the language makes the block a file in the page's folder, which later blocks find there.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w+-]*)(?P<more>[^`]*)$")
_TITLE = re.compile(r'\btitle="([^"]+)"')
_MARK = re.compile(r"<!--\s*(?P<kind>before|not run|needs)\b:?\s*(?P<text>.*?)\s*-->\s*$", re.DOTALL)
BEFORE = "before"


@dataclass(frozen=True)
class Block:
    """One block: `line` is that of its first line of code, in a page's file; `needs` are programs."""

    line: int
    language: str
    text: str
    title: str = ""
    not_run: str = ""
    needs: tuple[str, ...] = ()


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a page, and its comments that prepare something, in their order."""
    return list(_blocks(path.read_text().splitlines()))


def _blocks(lines: list[str]) -> Iterator[Block]:
    mark, number = ("", ""), 0
    while number < len(lines):
        line, start = lines[number], number
        if line.lstrip().startswith("<!--"):
            while "-->" not in lines[number]:
                number += 1
            found = _MARK.fullmatch("\n".join(lines[start : number + 1]).strip())
            if found and found["kind"] == BEFORE:
                yield Block(start + 1, BEFORE, found["text"])
            elif found:
                mark = (found["kind"], found["text"])
        elif opened := _FENCE.match(line):
            number = _end(lines, number, opened)
            yield _block(lines[start + 1 : number], start + 2, opened, mark)
            mark = ("", "")
        elif line.strip():
            mark = ("", "")
        number += 1


def _end(lines: list[str], start: int, opened: re.Match[str]) -> int:
    """Return the number of the line that closes the block."""
    for number in range(start + 1, len(lines)):
        if lines[number].strip() == opened["fence"]:
            return number
    raise ValueError(f"line {start + 1}: this block does not end")


def _block(lines: list[str], line: int, opened: re.Match[str], mark: tuple[str, str]) -> Block:
    title = _TITLE.search(opened["more"])
    kind, text = mark
    if kind == "not run" and not text:
        raise ValueError(f"line {line}: say why it is not run")
    return Block(
        line=line,
        language=opened["language"],
        text="\n".join(one.removeprefix(opened["indent"]) for one in lines) + "\n",
        title=title[1] if title else "",
        not_run=text if kind == "not run" else "",
        needs=tuple(re.split(r"[\s,]+", text.partition(":")[0])) if kind == "needs" else (),
    )


@dataclass(frozen=True)
class Step:
    """A command of a block, and the output that the page shows for it: None where it shows none."""

    line: int
    command: str
    output: str | None


def steps_of(block: Block, is_whole: Callable[[str], bool]) -> Iterator[Step]:
    """Yield the commands of a shell block: behind `$` in a console's, all of it otherwise."""
    lines = list(enumerate(block.text.splitlines(), block.line))
    while lines:
        line, text = lines.pop(0)
        console = block.language == "console"
        if console and not text.startswith("$ "):
            raise ValueError(f"line {line}: a console block has `$ ` before each command, and outputs below them")
        command = text.removeprefix("$ ") if console else text
        while not is_whole(command):
            if not lines:
                raise ValueError(f"line {line}: this command does not end")
            command += "\n" + lines.pop(0)[1].removeprefix("> " if console else "")
        shown = []
        while console and lines and not lines[0][1].startswith("$ "):
            shown.append(lines.pop(0)[1])
        if command.strip():
            yield Step(line, command, "\n".join(shown) if shown else None)

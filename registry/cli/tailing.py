"""Following events: one line each, over a connection that is made again where it breaks."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from registry.cli.client import Broken, Client

_PAUSE_SECONDS = 2.0


def follow(client: Client, query: Mapping[str, object], count: int | None, *, as_json: bool) -> None:
    """Print ``count`` events (None: until Ctrl-C) as they come."""
    headers: dict[str, str] = {}
    printed = 0
    while True:
        try:
            with client.stream("/events", query, headers) as lines:
                for position, event in events_of(lines):
                    headers["Last-Event-ID"] = position
                    click.echo(json.dumps(event) if as_json else _line(event))
                    printed += 1
                    if printed == count:
                        return
        except Broken as error:
            click.echo(f"{error.message}; again in {_PAUSE_SECONDS:g} s", err=True)
        time.sleep(_PAUSE_SECONDS)


def events_of(lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read server-sent events: yield the id and the data of each (WHATWG HTML, 9.2.6)."""
    position, data = "", ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "id":
            position = value
        elif name == "data":
            data = value
        elif not line and data:
            yield position, json.loads(data)
            data = ""


def _line(event: Mapping[str, Any]) -> str:
    known = {name: event.get(name, "") for name in ("time", "type", "repository", "subject")}
    told = json.dumps(event["data"], ensure_ascii=False) if event["data"] else ""
    return (
        f"{int(event['sequence'])}  {known['time']}  {known['type']}  {known['repository']}  {known['subject']}  {told}"
    )

"""How commands reach ``/api/v1``: flags, types of arguments and questions, all of which cost nothing to import."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import click

from registry.cli.common import FlagRefused, print_json, settings_flags
from registry.digest import Digest
from registry.errors import RegistryError
from registry.names import Reference, RepositoryName, TagName, parse_reference
from registry.setting_sources import SERVER_VARIABLE

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")
_PLACES = ("config", "data", "database_url", "storage_url")

_MICROSECONDS = re.compile(r"(?<=\d\d:\d\d:\d\d)(\.\d{3})000Z$")

yes_flag = click.option("--yes", is_flag=True, help="Do not ask.")
server_flag = click.option(
    "--server", metavar="URL", envvar=SERVER_VARIABLE, show_envvar=True, help="The server's address."
)


class Parsed(click.ParamType[T], Generic[T]):
    """An argument that the registry's own grammar reads, so that a mistake is told before anything is asked."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        """Call the argument ``name``, and read it with ``parse``."""
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> T:  # noqa: ANN401 - the signature click calls
        """Read the argument; raises :class:`click.BadParameter`."""
        try:
            return self._parse(str(value))
        except (RegistryError, ValueError) as error:
            self.fail(f"{error}: {value!r}", param, ctx)


REPOSITORY: Parsed[RepositoryName] = Parsed("repository", RepositoryName.parse)
TAG: Parsed[TagName] = Parsed("tag", TagName.parse)
DIGEST: Parsed[Digest] = Parsed("digest", Digest.parse)
REFERENCE: Parsed[Reference] = Parsed("tag or digest", parse_reference)


def with_client(function: F) -> F:
    """Give a command the flags that say which registry it is about, and a client of it as first argument."""

    @functools.wraps(function)
    def run(*arguments: object, server: str | None, **options: object) -> object:
        from registry.cli.client import connect  # noqa: PLC0415 - only who runs a command waits for its imports

        flags = {name: options.pop(name) for name in _PLACES}
        given = [f"--{name.replace('_', '-')}" for name, value in flags.items() if value is not None]
        source = click.get_current_context().get_parameter_source("server")
        if server and given:
            if source == click.core.ParameterSource.COMMANDLINE:
                raise FlagRefused(f"--server asks a running server, {given[0]} opens the data: give one of them")
            server = None  # what is said now wins over the environment
        with connect(server, flags) as client:
            return function(client, *arguments, **options)

    option = click.option(
        "--server",
        metavar="URL",
        envvar=SERVER_VARIABLE,
        show_envvar=True,
        help="Ask this server; without it, the data is opened in this process.",
    )
    return option(settings_flags(run))  # type: ignore[return-value] # click's decorators return what they are given


def somebody_is_there() -> bool:
    """Tell whether a question would be read."""
    return sys.stdin.isatty()


def confirm(question: str, *, yes: bool) -> None:
    """Ask before something is destroyed; where nobody can answer, ``--yes`` must have."""
    if yes:
        return
    if not somebody_is_there():
        raise FlagRefused(f"{question} Nobody is here to answer: say --yes")
    click.confirm(question, abort=True)


def at(repository: RepositoryName, *parts: object) -> str:
    """Return the path of a repository, or of something in it: ``at(name, "tags", tag)``."""
    inside = "".join(f"/{quote(str(part), safe=':')}" for part in parts)
    return f"/repositories/{repository}{'/-' if parts else ''}{inside}"


def below(path: str, *names: str) -> str:
    """Return the path of something that has names: ``below("/users", name)``; raises :class:`FlagRefused`."""
    for name in names:
        if name in ("", ".", "..") or "/" in name:
            raise FlagRefused(f"{name!r} is no name of anything here")
    return path + "".join(f"/{quote(name, safe='@+:')}" for name in names)


def time_text(text: str) -> str:
    """Return a time as people read it: without the digits behind milliseconds, which the registry does not keep."""
    return _MICROSECONDS.sub(r"\1Z", text)


def print_items(items: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, as_json: bool) -> None:
    """Print a list: all of it as JSON, or a table of ``columns``, which names the field under each heading."""
    from registry.cli.tables import show  # noqa: PLC0415 - only who runs a command waits for its imports

    if as_json:
        print_json(list(items))
        return
    show(tuple(columns), [tuple(_cell(item[name]) for name in columns.values()) for item in items])


def print_fields(item: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing: as JSON, or a line a field."""
    from registry.cli.tables import show  # noqa: PLC0415 - only who runs a command waits for its imports

    if as_json:
        print_json(item)
        return
    show(("field", "value"), [(name.replace("_", " "), _cell(value)) for name, value in _flat(item)], whole=True)


def _flat(item: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the fields of ``item``; those inside another one come behind its name."""
    for name, value in item.items():
        if isinstance(value, dict):
            yield from ((f"{name} {inner}", part) for inner, part in _flat(value))
        else:
            yield name, value


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return time_text(value)
    return "\n".join(map(str, value)) if isinstance(value, list) else value

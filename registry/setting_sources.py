"""Where settings come from: a TOML file, the environment, flags. Every problem is told with its place."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from registry import setting_providers as providers
from registry import setting_values as values

PREFIX = "MOORAGE_"
CONFIG_VARIABLE = "MOORAGE_CONFIG"
SERVER_VARIABLE = "MOORAGE_SERVER"
"""The server that the command line speaks to, which the registry itself does not read."""
USER_VARIABLE, PASSWORD_VARIABLE, KEY_VARIABLE = "MOORAGE_USER", "MOORAGE_PASSWORD", "MOORAGE_API_KEY"
"""Who the command line is to a server; the registry itself does not read them either."""
PLUGIN_PREFIX = "MOORAGE_PLUGIN_"
PLUGINS = "plugins"
"""The table of the file that holds a table a plugin."""
_OF_CLIENTS = (SERVER_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE, KEY_VARIABLE)
_NOT_SETTINGS = (CONFIG_VARIABLE, *_OF_CLIENTS, "MOORAGE_TOOLS", "MOORAGE_TEST_SCALE")


class SourceProblem(Exception):
    """A source that cannot be read at all."""


class Sources:
    """One reading of all sources; what is put later replaces what was put before.

    ``readers`` maps the name of every setting to the function that reads its value. ``found`` are values by name,
    ``options`` those of storage drivers by scheme, ``origins`` tells where each came from, and ``problems`` are
    sentences. What is meant for plugins is only kept, in ``plugins`` (tables by name) and ``plugin_variables``: what
    it means is known once they are loaded. ``providers`` are those of OpenID Connect.
    """

    def __init__(self, readers: Mapping[str, values.Reader]) -> None:
        """Start with nothing."""
        self.found: dict[str, object] = {}
        self.options: dict[str, dict[str, str]] = {}
        self.plugins: dict[str, object] = {}
        self.plugin_variables: dict[str, str] = {}
        self.providers = providers.ProviderSources()
        self.origins: dict[str, str] = {}
        self.problems: list[str] = []
        self._readers = readers

    def put(self, name: str, value: object, origin: str) -> None:
        """Take the value of a setting."""
        if name not in self._readers:
            self._unknown(name, origin, self._readers)
            return
        self.origins[name] = origin
        try:
            self.found[name] = self._readers[name](value)
        except ValueError as error:
            shown = values.MASK if values.is_secret(name) else values.hide_credentials(repr(value))
            place = origin if origin.startswith("--") else f"{origin}: {name}"
            self.problems.append(f"{place}: {error}, not {shown}")

    def put_option(self, scheme: str, name: str, value: object, origin: str) -> None:
        """Take an option of a storage driver; the driver knows which there are."""
        if not isinstance(value, (str, int, float)):
            self.problems.append(f"{origin}: {scheme}.{name}: expected text, a number, true or false")
            return
        text = str(value).lower() if isinstance(value, bool) else str(value)
        self.options.setdefault(scheme, {})[name] = text
        self.origins[f"{scheme}.{name}"] = origin

    def read_file(self, path: Path, storage_url: str = "") -> None:
        """Take every key of a TOML file, and the tables of storage drivers.

        ``storage_url`` is the one that a stronger source gives. Raises :class:`SourceProblem` for a file that
        cannot be read.
        """
        try:
            content = path.read_text(encoding="utf-8")
            document = tomllib.loads(content)
        except OSError as error:
            raise SourceProblem(f"{path}: cannot read the config file: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise SourceProblem(f"{path}: cannot read the config file: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise SourceProblem(f"{path}: not TOML: {error}") from None
        stores = _stores(storage_url, str(document.get("storage_url", "")))
        for key, value in document.items():
            origin = f"{path}:{line_of(content, key)}"
            if key == PLUGINS:
                self._put_plugins(value, content, str(path))
            elif key == providers.OIDC:
                self._put_providers(value, content, str(path))
            elif isinstance(value, dict) and key in stores:
                for name, option in value.items():
                    self.put_option(key, name, option, f"{path}:{line_of(content, name, key)}")
            elif isinstance(value, dict) and key not in self._readers:
                self._unknown(key, origin, [*stores, *self._readers])
            else:
                self.put(key, value, origin)

    def read_environment(self, environ: Mapping[str, str], storage_url: str = "") -> None:
        """Take every ``MOORAGE_*`` variable; an empty one counts as not set."""
        stores = _stores(storage_url, environ.get("MOORAGE_STORAGE_URL", ""), str(self.found.get("storage_url", "")))
        for variable in sorted(environ):
            if not variable.startswith(PREFIX) or not environ[variable]:
                continue
            if variable in _NOT_SETTINGS:
                continue
            if variable.startswith(PLUGIN_PREFIX):
                self.plugin_variables[variable] = environ[variable]
                continue
            if variable.startswith(providers.PREFIX):
                self.providers.put_variable(variable, environ[variable])
                continue
            name = variable.removeprefix(PREFIX).lower()
            scheme, _, option = name.partition("_")
            if name in self._readers:
                self.put(name, environ[variable], variable)
            elif scheme in stores and option:
                self.put_option(scheme, option, environ[variable], variable)
            else:
                self._unknown(variable, variable, [PREFIX + known.upper() for known in self._readers])

    def _put_plugins(self, value: object, content: str, file: str) -> None:
        if not isinstance(value, dict):
            self.problems.append(f"{file}:{line_of(content, PLUGINS)}: {PLUGINS}: expected a table a plugin")
            return
        self.plugins.update(value)
        for plugin, table in value.items():
            self.origins[f"{PLUGINS}.{plugin}"] = f"{file}:{line_of(content, plugin, PLUGINS)}"
            for name in table if isinstance(table, dict) else ():
                lines = _lines_of_tables(content, plugin, name) or [line_of(content, name, f"{PLUGINS}.{plugin}")]
                self.origins[f"{PLUGINS}.{plugin}.{name}"] = f"{file}:{lines[0]}"
                for position, line in enumerate(lines):
                    self.origins[f"{PLUGINS}.{plugin}.{name}[{position}]"] = f"{file}:{line}"

    def _put_providers(self, value: object, content: str, file: str) -> None:
        tables = value if isinstance(value, dict) else {"": value}
        for provider, table in tables.items():
            place = f"{file}:{line_of(content, provider, providers.OIDC)}"
            if not isinstance(table, dict):
                self.problems.append(f"{place}: {providers.OIDC}: expected a table a provider: [{providers.OIDC}.NAME]")
                continue
            self.providers.open(provider, place)
            for option, given in table.items():
                line = line_of(content, option, f"{providers.OIDC}.{provider}")
                self.providers.put(provider, option, given, f"{file}:{line}")

    def _unknown(self, name: str, origin: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name.replace("-", "_"), list(known), n=1)
        advice = f"did you mean {close[0]}?" if close else "moorage config show lists all there are"
        self.problems.append(f"{origin}: there is no setting {name}; {advice}")


def _stores(*storage_urls: str) -> set[str]:
    """Return the schemes whose options may be set: those in use, and s3's, so that a file may hold both."""
    return {"s3", *(url.partition(":")[0] for url in storage_urls if url)}


def _lines_of_tables(content: str, plugin: str, name: str) -> list[int]:
    """Return the lines of the headings ``[plugins.PLUGIN.NAME]``, or of each ``[[plugins.PLUGIN.NAME]]``."""
    heading = f"{PLUGINS}.{plugin}.{name}"
    return [position for position, line in enumerate(content.splitlines(), start=1) if _heading(line) == heading]


def _heading(line: str) -> str:
    """Return the dotted name of the table that a line opens, without quotes, or nothing."""
    header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]", line)
    return re.sub(r"\s*[\"']\s*|\s*(?=\.)|(?<=\.)\s*", "", header[1]) if header else ""


def line_of(content: str, key: str, table: str = "") -> int:
    """Return the line on which a TOML text gives ``key`` of ``table``.

    tomllib does not tell where it found a key, so this looks for it, and falls back to the table's line.
    """
    word = rf"[\"']?{re.escape(key)}[\"']?"
    current, fallback, best = "", 1, 3
    for position, line in enumerate(content.splitlines(), start=1):
        if header := _heading(line):
            current = header
            nearness = _nearness(header, table, key)
            if nearness < best:
                fallback, best = position, nearness
        elif current == table:
            if re.match(rf"\s*{word}\s*[=.]", line):
                return position
        elif f"{table}.".startswith(f"{current}." if current else ""):
            owner = rf"[\"']?{re.escape(table.removeprefix(f'{current}.'))}[\"']?"
            if re.match(rf"\s*{owner}\s*(?:\.\s*{word}\s*=|=.*{word}\s*=)", line):
                return position
    return fallback


def _nearness(heading: str, table: str, key: str) -> int:
    """Tell how well a heading stands for ``key`` of ``table``: 0 for its own, 1 for the table's, 2 for one above."""
    if f"{heading}.".startswith(f"{table}.{key}." if table else f"{key}."):
        return 0
    if not table:
        return 3
    return 1 if f"{heading}.".startswith(f"{table}.") else 2 if f"{table}.".startswith(f"{heading}.") else 3

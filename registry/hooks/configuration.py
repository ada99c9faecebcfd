"""Settings of plugins, read from the configuration file and from variables into what each plugin declares.

They are read once, when all plugins are loaded; every problem is told at once, with its place.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any, TypeGuard, get_args, get_origin

import msgspec

from registry import setting_values as values
from registry.hooks.declarations import is_required, kinds, settable
from registry.hooks.manager import ACTIVE, PluginError, Plugins, PluginStatus
from registry.hooks.settings_told import field_for_people, instead, is_plain, plain
from registry.setting_values import SettingShown

_PREFIX = "MOORAGE_PLUGIN_"


class PluginSettingsRefused(PluginError):
    """Settings of plugins that cannot be used; ``problems`` are sentences that name the place and the way out."""

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep every problem, so that all can be mended at once."""
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(frozen=True, slots=True)
class Given:
    """What is set for plugins: tables of the file by name, variables, and the place of each key of a table."""

    tables: Mapping[str, object] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings of plugins by plugin, as each declared them, and how they are shown to people."""

    values: Mapping[str, object] = field(default_factory=dict)
    shown: Sequence[SettingShown] = ()


class _Wrong(ValueError):
    """A value that cannot be used, which has been told."""


def section_of(plugin: str) -> str:
    """Return a plugin's name as variables write it: lower case, with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", plugin.lower())


def configure(found: Plugins, given: Given) -> Configured:
    """Return the settings of every plugin that was loaded and has some.

    Raises :class:`PluginSettingsRefused`, or :class:`PluginError` where two plugins share a section.
    """
    owners: dict[str, str] = {}
    for plugin in found.settings:
        section = section_of(plugin)
        other = owners.setdefault(section, plugin)
        if other != plugin:
            raise PluginError(f"settings [plugins.{section}] are claimed by two plugins: {other} and {plugin}")
    reading = _Reading(found.statuses, {section: found.settings[plugin] for section, plugin in owners.items()}, given)
    made = {plugin: reading.make(section) for section, plugin in owners.items()}
    if reading.problems:
        raise PluginSettingsRefused(reading.problems)
    shown = [line for section, plugin in owners.items() for line in reading.shown(section, made[plugin])]
    return Configured(made, shown)


class _Reading:
    """One reading of what is given, with its problems."""

    def __init__(self, statuses: Iterable[PluginStatus], classes: Mapping[str, type], given: Given) -> None:
        """Sort what is given by plugin; ``classes`` are those of the sections that can be set."""
        self.problems: list[str] = []
        self._installed = {section_of(status.name): status for status in statuses}
        self._classes = classes
        self._found: dict[str, dict[str, object]] = {section: {} for section in classes}
        self._places: dict[str, str] = {}
        for name, table in given.tables.items():
            self._take_table(name, table, given.places)
        for variable, text in given.variables.items():
            self._take_variable(variable, text)

    def make(self, section: str) -> object:
        """Return the settings of one plugin, or None where there is a problem."""
        path = f"plugins.{section}"
        try:
            return self._build(self._found[section], self._classes[section], self._places.get(path, ""), path)
        except _Wrong:
            return None

    def shown(self, section: str, made: object) -> Iterator[SettingShown]:
        """Describe the settings of one plugin, secrets masked."""
        declared = self._classes[section]
        usual = declared()
        for one in settable(declared):
            path, variable = f"plugins.{section}.{one.name}", f"{_PREFIX}{section}_{one.name}".upper()
            value, default = (field_for_people(owner, one) for owner in (made, usual))
            source = self._places.get(path, "default")
            yield SettingShown(path, variable, value, source, default, str(one.metadata.get("about", "")))

    def _take_table(self, name: str, table: object, places: Mapping[str, str]) -> None:
        section, written = section_of(name), f"plugins.{name}"
        place = places.get(written, "")
        if section not in self._installed:
            self._no_plugin(name, place)
        elif not isinstance(table, Mapping):
            self._wrong(place, written, f"expected a table [{written}]")
        elif section not in self._classes:
            self._without_settings(section, place or written)
        else:
            self._places[f"plugins.{section}"] = place
            for key, value in table.items():
                path = f"plugins.{section}.{key}"
                if key in self._found[section]:
                    self._wrong(places.get(f"{written}.{key}", ""), path, f"is set at {self._places[path]}, too")
                self._found[section][key] = value
                for ending in ("", *(f"[{position}]" for position in range(len(value) if _is_list(value) else 0))):
                    self._places[f"{path}{ending}"] = places.get(f"{written}.{key}{ending}", place)

    def _take_variable(self, variable: str, text: str) -> None:
        rest = variable.removeprefix(_PREFIX).lower()
        sections = sorted((one for one in self._installed if rest.startswith(f"{one}_")), key=len)
        if not sections:
            self._no_plugin(rest, variable)
            return
        # A_B_C may be the setting b_c of the plugin a, or c of a_b: the one that there is, else the longer name's.
        known = [one for one in sections if rest.removeprefix(f"{one}_") in self._kinds(one)]
        section = (known or sections)[-1]
        if section not in self._classes:
            self._without_settings(section, variable)
            return
        name = rest.removeprefix(f"{section}_")
        path = f"plugins.{section}.{name}"
        self._places = {key: value for key, value in self._places.items() if not key.startswith(f"{path}[")}
        self._places[path] = variable
        self._places.setdefault(f"plugins.{section}", variable)
        try:
            self._found[section][name] = _from_text(text, self._kinds(section).get(name, str))
        except ValueError as error:
            self._found[section].pop(name, None)
            self._wrong(variable, path, str(error))

    def _kinds(self, section: str) -> Mapping[str, Any]:
        return kinds(self._classes[section]) if section in self._classes else {}

    def _build(self, table: object, kind: type, place: str, path: str) -> object:
        """Return a dataclass made of a table; raises :class:`_Wrong` once all of it has been told."""
        if not isinstance(table, Mapping):
            self._wrong(place, path, "expected a table")
            raise _Wrong
        known, before, read = kinds(kind), len(self.problems), {}
        for name, value in table.items():
            where = self._places.get(f"{path}.{name}", place)
            if name not in known:
                self._unknown(where, path, name, known)
                continue
            try:
                read[name] = self._convert(value, known[name], where, f"{path}.{name}")
            except _Wrong:
                continue
        for one in settable(kind):
            if is_required(one) and one.name not in table:
                self._wrong(place, path, f"{one.name} is missing")
        if len(self.problems) > before:
            raise _Wrong
        try:
            return kind(**read)
        except Exception as error:  # noqa: BLE001 - a class checks its own values, and says what is wrong with them
            reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
            self._wrong(place, path, reason)
            raise _Wrong from None

    def _convert(self, value: object, kind: Any, place: str, path: str) -> object:  # noqa: ANN401 - any annotation
        kind = _present(kind)
        inner = next(iter(get_args(kind)), None)
        try:
            if isinstance(kind, type) and dataclasses.is_dataclass(kind):
                return self._build(value, kind, place, path)
            if _is_list(value) and dataclasses.is_dataclass(inner):
                made = self._rows(value, inner, place, path)
                return made if get_origin(kind) is not tuple else tuple(made)
            return values.boolean(value) if kind is bool else msgspec.convert(value, kind, strict=False, dec_hook=_read)
        except _Wrong:
            raise
        except (ValueError, msgspec.ValidationError) as error:
            self._wrong(place, path, plain(str(error)) + instead(value, kind, str(error), path.rpartition(".")[2]))
            raise _Wrong from None

    def _rows(self, rows: Sequence[object], kind: Any, place: str, path: str) -> list[object]:  # noqa: ANN401 - as above
        made, before = [], len(self.problems)
        for position, row in enumerate(rows):
            inner = f"{path}[{position}]"
            try:
                made.append(self._convert(row, kind, self._places.get(inner, place), inner))
            except _Wrong:
                continue
        if len(self.problems) > before:
            raise _Wrong
        return made

    def _unknown(self, place: str, path: str, name: str, known: Iterable[str]) -> None:
        close = difflib.get_close_matches(name.replace("-", "_"), list(known), n=1)
        advice = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known) or 'none'}"
        self._wrong(place, path, f"there is no setting {name}; {advice}")

    def _no_plugin(self, name: str, place: str) -> None:
        close = difflib.get_close_matches(section_of(name), list(self._installed), n=1)
        names = ", ".join(sorted(status.name for status in self._installed.values()))
        advice = f"did you mean {self._installed[close[0]].name}?" if close else f"installed: {names}"
        self.problems.append(f"{place or 'plugins'}: there is no plugin {name}; {advice}")

    def _without_settings(self, section: str, place: str) -> None:
        """Refuse settings of a plugin that has none; those of one that is not loaded are left alone."""
        status = self._installed[section]
        if status.state == ACTIVE:
            self.problems.append(f"{place}: plugin {status.name} has no settings")

    def _wrong(self, place: str, path: str, reason: str) -> None:
        self.problems.append(f"{place}: {path}: {reason}" if place else f"{path}: {reason}")


def _present(kind: Any) -> Any:  # noqa: ANN401 - any annotation
    """Return the type of a value that is there: ``X`` for ``X | None``."""
    parts = [part for part in get_args(kind) if part is not NoneType]
    return parts[0] if NoneType in get_args(kind) and len(parts) == 1 else kind


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    return isinstance(value, (list, tuple))


def _from_text(text: str, kind: Any) -> object:  # noqa: ANN401 - any annotation
    """Return what a variable says: JSON for lists and tables; a list of texts may also have commas between."""
    kind = _present(kind)
    if is_plain(kind):
        return text
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise ValueError(f"is no JSON: {error}") from None
    return list(values.names(text))


def _read(kind: type, value: object) -> object:
    """Read what msgspec leaves to us."""
    if kind is Path:
        return values.path(value)
    raise NotImplementedError

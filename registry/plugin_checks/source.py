"""A plugin's Python, read and not run."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path

import registry.hooks
from registry.hooks import API_VERSION, specs
from registry.hooks.declarations import DeclarationRefused, needed_api
from registry.hooks.manager import PROJECT
from registry.plugin_checks.findings import Finding, meant
from registry.plugin_checks.implementations import Function, Source

__all__ = ["HOOKS", "check_source", "hooks_of"]

HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(value).parameters)
    for name, value in vars(specs).items()
    if inspect.isfunction(value) and hasattr(value, f"{PROJECT}_spec")
}
"""The arguments of every hook, by name."""

_LISTS = {"manifest_media_types", "label_actions", "artifact_types", "admission_hooks", "jobs", "cli_commands"}
_SEQUENCES = {
    "manifest_layers",
    "manifest_children",
    "legacy_image_ids",
    "legacy_images",
    "artifact_layers",
    "authorize",
}
_PURE = {
    "parse_manifest",
    "validate_manifest",
    "label_actions",
    "admit_manifest",
    "admit_tag_change",
    "admit_pull",
    "authorize",
}
_BUSY = {"event_happened", "jobs", "cli_commands", "blueprints", "storage_drivers", "authenticate"}
_NETWORK = {"requests", "httpx", "aiohttp", "urllib3", "socket", "http", "urllib"}
_HARMLESS = {"urllib.parse", "http.HTTPStatus"}
_DATABASE = {"sqlalchemy", "sqlite3", "psycopg", "alembic", "flask_sqlalchemy"}
_OPTIONS = {"wrapper", "hookwrapper", "tryfirst", "trylast"}
_REFUSALS = {
    "parse_manifest": "ManifestInvalid",
    "validate_manifest": "ManifestInvalid",
    "validate_artifact": "ManifestInvalid",
    "admit_manifest": "Denied",
    "admit_tag_change": "Denied",
    "admit_pull": "Denied",
}
_ANSWERS = {
    "authenticate": ("an Identity", "return Identity(name), or None: not mine, or not right"),
    "authorize": ("a list of Denial and None", "return [Denial(reason) or None for each request]"),
}
"""What hooks that refuse by their answer return, and what to write."""
_CLOCKS = {"datetime.now", "datetime.utcnow", "datetime.datetime.now", "time.time"}
_BUILT_IN_ERRORS = {"ValueError", "TypeError", "RuntimeError", "PermissionError", "KeyError", "Exception"}


def check_source(path: Path, *, main: bool) -> Iterator[Finding]:
    """Check one file of a plugin."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except SyntaxError as error:
        yield Finding(path, error.lineno or 1, f"it is no Python: {error.msg}", "mend that line")
        return
    source = Source(path, tree, main)
    for check in (_api, _imports, _names, _arguments, _marks, _pairs, _bodies, _access, _settings, _labels):
        yield from check(source)


def hooks_of(path: Path) -> set[str]:
    """Return the names of the hooks that a file implements; it is Python."""
    return Source(path, ast.parse(path.read_bytes()), main=True).hooks


def _api(source: Source) -> Iterator[Finding]:
    if not source.main:
        return
    for node in source.tree.body:
        names = [ast.unparse(one) for one in getattr(node, "targets", [getattr(node, "target", None)]) if one]
        if isinstance(node, ast.Assign | ast.AnnAssign) and "MOORAGE_API" in names:
            value = node.value.value if isinstance(node.value, ast.Constant) else None
            holder = type("Plugin", (), {"MOORAGE_API": value})
            try:
                needed_api(holder)
            except DeclarationRefused as error:
                yield source.at(node, str(error), f'MOORAGE_API = "{API_VERSION}"')
            return
    yield Finding(
        source.path,
        1,
        "it does not say which version of the plugin API it needs, and is taken to need 1.0",
        f'add: MOORAGE_API = "{API_VERSION}"',
    )


def _imports(source: Source) -> Iterator[Finding]:
    pure = bool(source.hooks & _PURE) and not source.hooks & _BUSY
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module == "registry.hooks" and not node.level:
            for alias in node.names:
                if alias.name not in registry.hooks.__all__:
                    change = meant(alias.name, registry.hooks.__all__)
                    yield source.at(node, f"registry.hooks has no {alias.name}", change)
            continue
        if isinstance(node, ast.ImportFrom):
            targets = [f"{node.module}.{alias.name}" for alias in node.names] if node.module and not node.level else []
        else:
            targets = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for target in targets:
            yield from _import(source, node, target, pure=pure)


def _import(source: Source, node: ast.AST, target: str, *, pure: bool) -> Iterator[Finding]:
    package = target.partition(".")[0]
    if package == "registry" and not target.startswith("registry.hooks"):
        yield source.at(node, f"{target} is no part of the plugin API", "import from registry.hooks alone")
    elif target.startswith("registry.hooks.") or target == "registry.hooks":
        yield source.at(node, f"{target} may move", "write: from registry.hooks import ...")
    elif package in _DATABASE:
        yield source.at(node, f"{package}: a plugin keeps nothing in a database", "keep it in context.store")
    elif pure and package in _NETWORK and not any(target.startswith(one) for one in _HARMLESS):
        change = "ask the network in jobs() or event_happened(), and keep the answer in context.store"
        yield source.at(node, f"{package}: no request may wait for a network", change)


def _names(source: Source) -> Iterator[Finding]:
    seen: set[str] = set()
    for hook, function, _ in source.implementations:
        if hook not in HOOKS:
            yield source.at(function, f"there is no hook {hook}", meant(hook, HOOKS))
        elif hook in seen:
            yield source.at(function, f"{hook} is implemented twice", "join the two: the second replaces the first")
        seen.add(hook)
    marked = {id(function) for _, function, _ in source.implementations}
    for node in source.tree.body:
        if source.main and isinstance(node, Function) and node.name in HOOKS and id(node) not in marked:
            yield source.at(
                node, f"{node.name} is not marked, so that the registry does not see it", "mark it @hookimpl"
            )


def _arguments(source: Source) -> Iterator[Finding]:
    for hook, function, _ in source.implementations:
        given = [one for one in (*function.args.posonlyargs, *function.args.args) if one.arg not in ("self", "cls")]
        for one in given:
            if hook in HOOKS and one.arg not in HOOKS[hook]:
                change = meant(one.arg, HOOKS[hook]) if HOOKS[hook] else "it takes none"
                yield source.at(one, f"{hook} is given no argument {one.arg}", change)
        for one in function.args.kwonlyargs:
            yield source.at(one, f"{one.arg} is keyword-only, and would not be given", "take the * away")


def _marks(source: Source) -> Iterator[Finding]:
    for hook, function, mark in source.implementations:
        for option in mark.keywords if isinstance(mark, ast.Call) else []:
            if option.arg in _OPTIONS:
                change = "use a plain @hookimpl: each plugin is asked on its own"
                yield source.at(mark, f"{hook} is marked {option.arg}, which means nothing here", change)
        if isinstance(function, ast.AsyncFunctionDef):
            yield source.at(function, f"{hook} is async, and would never run", "write def")


def _pairs(source: Source) -> Iterator[Finding]:
    for hook, partner in (
        ("manifest_media_types", "parse_manifest"),
        ("parse_manifest", "manifest_media_types"),
        ("validate_artifact", "artifact_types"),
        ("artifact_layers", "artifact_types"),
        ("artifact_labels", "artifact_types"),
    ):
        for name, function, _ in source.implementations:
            if name == hook and partner not in source.hooks:
                yield source.at(function, f"{hook} is of no use without {partner}", f"implement {partner} as well")


def _bodies(source: Source) -> Iterator[Finding]:
    for hook, function, _ in source.implementations:
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant | ast.JoinedStr):
                text = isinstance(node.value, ast.JoinedStr) or isinstance(node.value.value, str | bytes)
                if text and hook in _LISTS | _SEQUENCES:
                    yield source.at(node, f"{hook} returns a list, not one text", "return a list of it: [...]")
            elif isinstance(node, ast.Yield | ast.YieldFrom) and hook in _SEQUENCES:
                yield source.at(
                    node, f"{hook} returns a list, not a generator", "collect them in a list, and return it"
                )
            elif isinstance(node, ast.Raise) and hook in _REFUSALS and _raised(node) in _BUILT_IN_ERRORS:
                wanted = _REFUSALS[hook]
                yield source.at(node, f"{_raised(node)} counts as a failure of the plugin", f"raise {wanted}(reason)")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) == "json.loads" and hook == "parse_manifest":
                problem = "json.loads takes what two readers may read differently (duplicate keys, NaN)"
                yield source.at(node, problem, "use decode_object(payload)")
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in _CLOCKS and hook in _REFUSALS:
                yield source.at(node, f"{ast.unparse(node.func)} is not the registry's time", "use context.clock()")


def _access(source: Source) -> Iterator[Finding]:
    """Look at what refuses by its answer, and is told passwords."""
    for hook, function, _ in source.implementations:
        if hook not in _ANSWERS:
            continue
        answer, change = _ANSWERS[hook]
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant) and node.value.value is not None:
                yield source.at(node, f"{hook} returns {answer}, not {node.value.value!r}", change)
            elif isinstance(node, ast.Raise) and _raised(node) in ("Denied", "PermissionError"):
                yield source.at(node, f"{_raised(node)} counts as a failure of the plugin", change)
            elif isinstance(node, ast.Call) and hook == "authorize" and ast.unparse(node.func) in _CLOCKS:
                problem = f"{ast.unparse(node.func)} is not the registry's time"
                yield source.at(node, problem, "use the time of the request")
            elif isinstance(node, ast.Call | ast.Raise) and hook == "authenticate" and _tells(node):
                yield source.at(node, "the password belongs into no message", "leave it out")


def _tells(node: ast.Call | ast.Raise) -> bool:
    """Tell whether a call writes a password for people, or an error holds one."""
    if isinstance(node, ast.Call):
        place = ast.unparse(node.func)
        if place != "print" and not {"log", "logger", "logging"} & set(place.split(".")):
            return False
    inner = (one for one in ast.walk(node) if isinstance(one, ast.Attribute))
    return any(one.attr == "password" for one in inner)


def _raised(node: ast.Raise) -> str:
    error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    return ast.unparse(error) if error is not None else ""


def _settings(source: Source) -> Iterator[Finding]:
    classes = {node.name: node for node in source.tree.body if isinstance(node, ast.ClassDef)}
    for hook, function, _ in source.implementations:
        if hook != "plugin_settings":
            continue
        for node in ast.walk(function):
            if not isinstance(node, ast.Return) or node.value is None:
                continue
            if isinstance(node.value, ast.Call):
                yield source.at(
                    node, "plugin_settings returns the class itself, not one made of it", "take the () away"
                )
            declared = classes.get(ast.unparse(node.value.func if isinstance(node.value, ast.Call) else node.value))
            if declared is not None:
                yield from _declared(source, declared)


def _declared(source: Source, declared: ast.ClassDef) -> Iterator[Finding]:
    marks = [ast.unparse(mark).replace(" ", "") for mark in declared.decorator_list]
    if not any("dataclass(" in mark and "frozen=True" in mark for mark in marks):
        yield source.at(declared, f"{declared.name} is no frozen dataclass", "mark it @dataclass(frozen=True)")
    for node in declared.body:
        if isinstance(node, ast.AnnAssign) and node.value is None and "ClassVar" not in ast.unparse(node.annotation):
            yield source.at(node, f"the setting {ast.unparse(node.target)} has no default", "give it one")


def _labels(source: Source) -> Iterator[Finding]:
    """Look at the functions that are given to LabelAction."""
    functions = {node.name: node for node in source.tree.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call) or ast.unparse(node.func).rpartition(".")[2] != "LabelAction":
            continue
        named = [*node.args[1:2], *(one.value for one in node.keywords if one.arg == "effects")]
        for effects in (functions[ast.unparse(one)] for one in named if ast.unparse(one) in functions):
            for inner in ast.walk(effects):
                if isinstance(inner, ast.Raise) and _raised(inner) in _BUILT_IN_ERRORS:
                    change = "raise LabelValueRefused(reason), which people see beside the label"
                    yield source.at(inner, f"{_raised(inner)} counts as a failure of the plugin", change)

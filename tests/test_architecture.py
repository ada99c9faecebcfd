"""The layers of the house, read from the imports: an arrow may only point down.

Every rule is a function from source text to what breaks it, and is shown to find a breach beside the test that
applies it to the code.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STANDARD = frozenset(sys.stdlib_module_names)
MAX_FILE, MAX_FUNCTION = 300, 50

# What belongs to which layer; the longest prefix counts.
LAYERS = {
    "registry": "leaves",
    "registry.digest": "leaves",
    "registry.names": "leaves",
    "registry.media_types": "leaves",
    "registry.errors": "leaves",
    "registry.batches": "leaves",
    "registry.pages": "leaves",
    "registry.patterns": "leaves",
    "registry.revisions": "leaves",
    "registry.steps": "leaves",
    "registry.texts": "leaves",
    "registry.hooks": "hooks",
    "registry.signing": "hooks",  # signs what the hook contract calls SignatureParts
    "registry.certificates": "hooks",  # reads certificates, with the library that signing has
    "registry.formats": "formats",
    "registry.storage": "storage",
    "registry.db": "db",
    "registry.manifests": "services",
    "registry.content": "services",
    "registry.collection": "services",
    "registry.fsck": "services",
    "registry.work": "services",
    "registry.plugin_context": "services",
    "registry.repositories": "services",
    "registry.retention": "services",
    "registry.isolation": "services",
    "registry.access": "services",
    "registry.audit": "services",
    "registry.events": "services",
    "registry.operations": "services",
    "registry.backup": "services",
    "registry.egress": "egress",
    "registry.settings": "settings",
    "registry.setting_sources": "settings",
    "registry.setting_providers": "leaves",
    "registry.setting_values": "leaves",
    "registry.services": "wiring",
    "registry.blueprints": "blueprints",
    "registry.logs": "serving",
    "registry.serving": "serving",
    "registry.app": "composition",
    "registry.plugin_commands": "composition",
    "registry.plugin_loading": "composition",
    "registry.plugin_pages": "composition",
    "registry.schema": "composition",
    "registry.cli": "composition",
    "registry.__main__": "composition",
    "registry.testing": "composition",
    "registry.plugin_checks": "composition",
    "wsgi": "composition",
    "gunicorn.conf": "composition",
    "plugins": "plugins",
}

# Each layer: the layers it may import beside itself, and the packages that are not ours.
ALLOWED: Mapping[str, tuple[set[str], set[str]]] = {
    "leaves": (set(), {"re2"}),
    "settings": ({"leaves"}, set()),
    "hooks": ({"leaves"}, {"pluggy", "cryptography", "msgspec"}),
    "formats": ({"hooks", "leaves"}, {"cryptography"}),
    "storage": ({"hooks", "leaves"}, {"boto3", "botocore", "urllib3", "mypy_boto3_s3"}),
    "db": ({"leaves"}, {"sqlalchemy"}),
    "services": ({"db", "hooks", "leaves"}, {"sqlalchemy", "argon2", "bcrypt", "joserfc"}),
    "egress": ({"hooks", "leaves"}, {"httpcore", "httpx"}),
    "wiring": ({"services", "egress", "db", "hooks", "settings", "leaves"}, {"sqlalchemy"}),
    "blueprints": ({"services", "wiring", "leaves"}, {"flask", "werkzeug", "msgspec"}),
    "serving": ({"settings", "leaves"}, {"gunicorn", "structlog", "rich"}),
    "plugins": ({"hooks", "leaves"}, {"flask", "click"}),
}

# Modules of an allowed layer that are nevertheless out of reach: (importing layer, forbidden prefix).
FORBIDDEN = {
    ("services", "registry.hooks.manager"): "services see plugins through the facade",
    ("services", "registry.hooks.specs"): "services see plugins through the facade",
    ("blueprints", "registry.hooks"): "views speak to services",
    ("formats", "registry.hooks.facade"): "a format is a plugin like any other",
    ("storage", "registry.hooks.facade"): "a driver is a plugin like any other",
    ("formats", "registry.hooks.manager"): "a format is a plugin like any other",
    ("storage", "registry.hooks.manager"): "a driver is a plugin like any other",
}

# Imports inside functions, by the prefix of the importing module: each has its reason.
DEFERRED = {
    (
        "plugins.moorage_webhooks",
        "moorage_webhooks.pages",
    ): "Flask is for servers; the commands of plugins answer at once",
    ("registry.storage.builtin", "registry.storage.s3_driver"): "boto3 costs 30 MiB, which only a registry on S3 pays",
    ("registry.testing.plugin", ""): "every run of pytest loads it, also where no fixture of it is used",
    ("registry.cli", ""): "a command loads what it runs, so that --help answers at once",
}

# What single plugins may import beside what all may, each with its reason.
OF_PLUGINS = {
    ("plugins.moorage_signed", "cryptography"): "verifies signatures, which a library of its kind must do",
}

ONLY_IN = {
    "boto3": "registry.storage.s3",
    "botocore": "registry.storage.s3",
    "re2": "registry.patterns",
    "argon2": "registry.access",
    "bcrypt": "registry.access",
    "joserfc": "registry.access",
    "httpcore": "registry.egress",
    "pytest": "registry.testing",  # an extra, so that a registry that serves needs none
}


@dataclass(frozen=True)
class Import:
    """One import: the module named, whether it is inside a function, and whether only type checkers see it."""

    target: str
    line: int
    deferred: bool
    typing_only: bool


@dataclass(frozen=True)
class Module:
    """One source file under its dotted name."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def layer(self) -> str:
        prefix = self.name
        while prefix not in LAYERS:
            prefix = prefix.rpartition(".")[0]
            if prefix in ("", "registry"):
                return "unknown"
        return LAYERS[prefix]

    @cached_property
    def imports(self) -> list[Import]:
        return list(_imports(self.tree))


def _imports(tree: ast.AST, *, deferred: bool = False, typing_only: bool = False) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, deferred, typing_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative imports hide the arrow"
            base = node.module or ""
            # `from registry import digest` names a module, `from registry.digest import Digest` does not.
            yield from (Import(f"{base}.{alias.name}", node.lineno, deferred, typing_only) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _imports(node, deferred=deferred, typing_only=True)
        else:
            inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(node, deferred=inside, typing_only=typing_only)


def load_modules() -> dict[str, Module]:
    """Return every module that is shipped."""
    files = {path: path.relative_to(ROOT) for path in (ROOT / "registry").rglob("*.py")}
    files |= {path: path.relative_to(ROOT) for path in (ROOT / "plugins").rglob("*.py")}
    files |= {ROOT / name: Path(name) for name in ("wsgi.py", "gunicorn.conf.py") if (ROOT / name).exists()}
    found = {}
    for path, relative in files.items():
        name = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
        found[name] = Module(name, path.read_text())
    return found


MODULES = load_modules()
OURS = sorted(MODULES)


def module_of(target: str, known: Mapping[str, Module]) -> str | None:
    """Return the module of ours that an import names, if it is ours; a plugin's stands in the folder of plugins."""
    while target:
        for name in (target, f"plugins.{target}"):
            if name in known:
                return name
        target = target.rpartition(".")[0]
    return None


def upward(module: Module, known: Mapping[str, Module]) -> list[str]:
    """Return the imports that point up or sideways."""
    if module.layer == "composition":
        return [f"{module.name}:{one.line} imports {one.target}" for one in module.imports if _strays(module, one)]
    layers, packages = ALLOWED.get(module.layer, (set(), set()))
    if module.layer == "plugins":  # installed, it is a package of its own name
        packages = packages | {module.name.split(".")[1]}
    wrong = []
    for one in module.imports:
        ours = module_of(one.target, known)
        if ours is None:
            package = one.target.partition(".")[0]
            home = ONLY_IN.get(package)
            own = {name for (plugin, name) in OF_PLUGINS if f"{module.name}.".startswith(f"{plugin}.")}
            if package not in STANDARD | packages | own or (home and not module.name.startswith(home)):
                wrong.append(f"{module.name}:{one.line} ({module.layer}) imports {one.target}")
            continue
        target = known[ours]
        reason = next(
            (why for (layer, prefix), why in FORBIDDEN.items() if layer == module.layer and ours.startswith(prefix)), ""
        )
        sideways = module.layer == "blueprints" == target.layer and not ours.rpartition(".")[2].startswith("_")
        stranger = module.layer == "plugins" == target.layer and ours.split(".")[:2] != module.name.split(".")[:2]
        private = module.layer == "plugins" and target.layer in ("hooks", "leaves") and ours != "registry.hooks"
        if target.layer not in layers | {module.layer} or reason or sideways or stranger or private:
            wrong.append(f"{module.name}:{one.line} ({module.layer}) imports {ours} ({target.layer}) {reason}")
    return wrong


def _strays(module: Module, one: Import) -> bool:
    """Tell whether a package that has one home, or the kit for tests, is imported from elsewhere."""
    home = ONLY_IN.get(one.target.partition(".")[0], "")
    kit = "registry.testing" if one.target.startswith("registry.testing") else ""
    return not all(module.name.startswith(place) for place in (home, kit))


def cycles(known: Mapping[str, Module]) -> list[list[str]]:
    """Return import cycles; imports inside functions count, those for type checkers alone do not."""
    edges = {
        name: sorted(
            {
                ours
                for one in module.imports
                if not one.typing_only and (ours := module_of(one.target, known)) not in (None, name)
            }
            # A package's own modules do not wait for its __init__ to be finished.
            - {name.rpartition(".")[0]}
        )
        for name, module in known.items()
    }
    found: list[list[str]] = []
    done: set[str] = set()

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
            return
        if name in done:
            return
        for target in edges[name]:
            visit(target, [*path, name])
        done.add(name)

    for name in edges:
        visit(name, [])
    return found


def deferred(module: Module) -> list[str]:
    """Return imports inside functions that no reason is written down for."""
    return [
        f"{module.name}:{one.line} imports {one.target} inside a function"
        for one in module.imports
        if one.deferred
        and not any(module.name.startswith(here) and one.target.startswith(there) for here, there in DEFERRED)
    ]


def type_tests(module: Module, constants: set[str]) -> list[str]:
    """Return comparisons of a media type with a certain one."""
    return [
        f"{module.name}:{node.lineno} {ast.unparse(node)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Compare)
        and any(_is_media_type(side) for side in (node.left, *node.comparators))
        and any(_is_constant(side, constants) for side in (node.left, *node.comparators))
    ] + [
        f"{module.name}:{node.lineno} matches on a media type"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Match) and _is_media_type(node.subject)
    ]


def _is_media_type(node: ast.AST) -> bool:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value == "mediaType"
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in ("media_type", "mediaType", "media_types")


def _is_constant(node: ast.AST, constants: set[str]) -> bool:
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return any(_is_constant(item, constants) for item in node.elts)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value != ""
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name in constants


def media_type_constants(known: Mapping[str, Module]) -> set[str]:
    """Return the names bound to a media type at the top of any module."""
    return {
        target.id
        for module in known.values()
        for node in module.tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str) and re.fullmatch(r"application/[\w.+-]+", node.value.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


_CHANGES = {"append", "add", "update", "pop", "popitem", "setdefault", "clear", "extend", "insert", "remove", "discard"}
_MUTABLE_CALLS = {"list", "dict", "set", "deque", "defaultdict", "OrderedDict", "Counter", "local", "WeakKeyDictionary"}
_LOCKS = {"Lock", "RLock", "Event", "Condition", "Semaphore"}


def module_state(module: Module) -> list[str]:
    """Return state that a module keeps: globals that are rebound, changed, or made to be."""
    wrong = [
        f"{module.name}:{node.lineno} rebinds {', '.join(node.names)}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    tables = set()
    for node in module.tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        names = {target.id for target in targets if isinstance(target, ast.Name)} - {"__all__"}
        called = ast.unparse(node.value.func).rpartition(".")[2] if isinstance(node.value, ast.Call) else ""
        display = isinstance(node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
        if called in _MUTABLE_CALLS | _LOCKS or (display and not all(name.isupper() for name in names)):
            wrong.append(f"{module.name}:{node.lineno} keeps state in {', '.join(sorted(names))}")
        if display:
            tables |= names
    return wrong + [
        f"{module.name}:{node.lineno} changes {name}"
        for node in ast.walk(module.tree)
        for name in _changed(node, tables)
    ]


def _changed(node: ast.AST, tables: set[str]) -> set[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGES:
        return {node.func.value.id} & tables if isinstance(node.func.value, ast.Name) else set()
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = node.targets
    elif isinstance(node, ast.AugAssign):
        targets = [node.target]
    return {
        target.value.id
        for target in targets
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name)
    } & tables


def unexplained_length(module: Module) -> list[str]:
    """Return what is long and does not say why: a comment ``# Long: ...`` in it, a file's above its first def."""
    lines = module.text.splitlines()
    wrong = []
    first = next(
        (node.lineno for node in module.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)), len(lines)
    )
    if len(lines) > MAX_FILE and not _explains(lines[:first]):
        wrong.append(f"{module.name} has {len(lines)} lines")
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            length = node.end_lineno - node.lineno + 1
            if length > MAX_FUNCTION and not _explains(lines[node.lineno - 2 : node.end_lineno]):
                wrong.append(f"{module.name}:{node.lineno} {node.name} has {length} lines")
    return wrong


def _explains(lines: list[str]) -> bool:
    return any(re.search(r"# Long: \w+", line) for line in lines)


def queries(module: Module) -> list[str]:
    """Return what only database code does: SQLAlchemy's names and statements as text."""
    return [
        f"{module.name}:{one.line} {one.target}" for one in module.imports if one.target.startswith("sqlalchemy")
    ] + [
        f"{module.name}:{node.lineno} {node.value[:40]!r}"
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.match(r"\s*(SELECT|INSERT INTO|UPDATE|DELETE FROM)\s", node.value)
    ]


def of_layer(*layers: str) -> list[str]:
    return [name for name in OURS if MODULES[name].layer in layers]


@pytest.mark.parametrize("name", OURS)
def test_every_module_has_a_layer(name):
    assert MODULES[name].layer != "unknown", f"say in LAYERS where {name} belongs"


@pytest.mark.parametrize("name", OURS)
def test_imports_point_down(name):
    assert upward(MODULES[name], MODULES) == []


def test_there_is_no_import_cycle():
    assert cycles(MODULES) == []


@pytest.mark.parametrize("name", OURS)
def test_an_import_inside_a_function_has_a_written_reason(name):
    assert deferred(MODULES[name]) == []


@pytest.mark.parametrize("name", [name for name in OURS if MODULES[name].layer != "formats"])
def test_no_media_type_is_singled_out_outside_formats(name):
    assert type_tests(MODULES[name], media_type_constants(MODULES)) == []


@pytest.mark.parametrize("name", of_layer("blueprints"))
def test_views_make_no_queries(name):
    assert queries(MODULES[name]) == []


@pytest.mark.parametrize("name", OURS)
def test_no_module_keeps_state(name):
    assert module_state(MODULES[name]) == []


@pytest.mark.parametrize("name", OURS)
def test_what_is_long_says_why(name):
    assert unexplained_length(MODULES[name]) == []


# The rules themselves: each finds a breach.


def made(**sources: str) -> dict[str, Module]:
    """Return modules from texts; two underscores stand for a dot."""
    named = {name.replace("__", "."): text for name, text in sources.items()}
    return {name: Module(name, text) for name, text in named.items()}


@pytest.mark.parametrize(
    ("importer", "statement"),
    [
        ("registry.digest", "import registry.errors, pluggy"),
        ("registry.names", "from registry.hooks.types import Layer"),
        ("registry.hooks.facade", "from registry.db import engine"),
        ("registry.formats.schema2", "from registry.db.engine import Database"),
        ("registry.formats.schema2", "from registry.hooks.facade import Hooks"),
        ("registry.storage.filesystem", "import boto3"),
        ("registry.storage.filesystem", "from flask import request"),
        ("registry.db.engine", "from registry.hooks.types import Layer"),
        ("registry.manifests.creator", "from flask import request"),
        ("registry.manifests.creator", "from registry.formats import schema2"),
        ("registry.content.blobs", "from registry.storage.filesystem import FilesystemStorage"),
        ("registry.content.blobs", "import boto3"),
        ("registry.content.blobs", "from registry.hooks.manager import create_plugin_manager"),
        ("registry.blueprints.tags", "from sqlalchemy import select"),
        ("registry.blueprints.tags", "from registry.blueprints import blobs"),
        ("registry.blueprints.tags", "from registry.formats import schema2"),
        ("registry.blueprints.tags", "from registry.db.models import Tag"),
        ("plugins.moorage_expiry", "from registry.db.models import Tag"),
        ("plugins.moorage_expiry", "from registry.hooks.types import ExpireTag"),
        ("plugins.moorage_expiry", "import sqlalchemy"),
        ("plugins.moorage_expiry", "import moorage_pin"),
        ("plugins.moorage_expiry", "import cryptography"),
        ("plugins.moorage_expiry", "import moorage_keep"),
        ("plugins.moorage_expiry", "from moorage_signed.keys import load_keys"),
        ("registry.services", "from registry.blueprints import tags"),
        ("registry.settings", "from registry.app import create_app"),
        ("registry.app", "import pytest"),
        ("registry.cli.plugins", "from registry.testing.images import image"),
    ],
)
def test_an_upward_import_is_found(importer, statement):
    assert upward(Module(importer, statement), MODULES)


@pytest.mark.parametrize("late", ["import registry.pages", "def late():\n    import registry.pages"])
def test_a_cycle_is_found_also_where_an_import_hides_in_a_function(late):
    known = made(
        registry__names="import registry.errors", registry__errors=late, registry__pages="import registry.names"
    )
    assert cycles(known)


def test_an_import_for_types_alone_makes_no_cycle():
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import registry.names"
    assert not cycles(made(registry__names="import registry.errors", registry__errors=typed))


def test_a_hidden_import_is_found():
    assert deferred(Module("registry.names", "def f():\n    import registry.errors"))


@pytest.mark.parametrize(
    "text",
    [
        "if manifest.media_type == 'application/vnd.oci.image.index.v1+json': pass",
        "if 'application/json' != media_type: pass",
        "if media_type in (OCI_INDEX, 'text/plain'): pass",
        "if body['mediaType'] == OCI_INDEX: pass",
        "if manifest.media_type == formats.OCI_INDEX: pass",
        "match media_type:\n    case 'a/b': pass",
    ],
)
def test_a_media_type_that_is_singled_out_is_found(text):
    assert type_tests(Module("registry.manifests.reader", text), {"OCI_INDEX"})


def test_comparing_two_unknown_media_types_is_fine():
    assert not type_tests(Module("registry.manifests.reader", "step.media_type == wanted"), {"OCI_INDEX"})


@pytest.mark.parametrize("text", ["from sqlalchemy import select", "x = 'SELECT name FROM tag'"])
def test_a_query_in_a_view_is_found(text):
    assert queries(Module("registry.blueprints.tags", text))


@pytest.mark.parametrize(
    "text",
    [
        "seen = {}",
        "SEEN = dict()",
        "import threading\nLOCK = threading.Lock()",
        "SEEN = {}\ndef f(x):\n    SEEN[x] = 1",
        "SEEN = []\ndef f(x):\n    SEEN.append(x)",
        "COUNT = 0\ndef f():\n    global COUNT\n    COUNT += 1",
    ],
)
def test_state_of_a_module_is_found(text):
    assert module_state(Module("registry.pages", text))


def test_length_without_a_reason_is_found():
    body = "\n".join(f"    x = {number}" for number in range(MAX_FUNCTION + 1))
    assert unexplained_length(Module("registry.pages", f"def f():\n{body}"))
    assert not unexplained_length(Module("registry.pages", f"# Long: shown here\ndef f():\n{body}"))
    file = "\n".join(f"x = {number}" for number in range(MAX_FILE + 1))
    assert unexplained_length(Module("registry.pages", file))
    assert not unexplained_length(Module("registry.pages", f"# Long: shown here\n{file}"))

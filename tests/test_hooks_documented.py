"""The hook contract is documented by plugins that run, and every hook has a test."""

import ast
import inspect
import itertools
import textwrap
from pathlib import Path
from types import FunctionType, ModuleType

import pluggy
import pytest

import registry.hooks
from registry.hooks import specs
from registry.hooks.facade import Hooks
from registry.hooks.manager import PROJECT
from registry.testing.contracts import FormatContract
from registry.testing.hooks import Implementations
from registry.testing.images import Manifest, digest_of, to_json

DIGEST = digest_of(b"x")

HOOKS = {
    name: value
    for name, value in vars(specs).items()
    if isinstance(value, FunctionType) and hasattr(value, f"{PROJECT}_spec")
}


def example(docstring: str) -> str:
    """Return the indented block behind the ``::`` that ends a docstring's text."""
    text = inspect.cleandoc(docstring)
    assert text.count("::\n") == 1, "one example a hook, after one `::`"
    block = text.partition("::\n")[2].strip("\n")
    assert all(line.startswith("    ") for line in block.splitlines() if line), "the example ends the docstring"
    return textwrap.dedent(block)


def plugin_of(name: str) -> ModuleType:
    """Return a hook's example as a plugin module, complete in itself."""
    module = ModuleType(f"example_of_{name}")
    exec(compile(example(HOOKS[name].__doc__ or ""), f"<example of {name}>", "exec"), vars(module))
    return module


def registered(name: str) -> pluggy.PluginManager:
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(specs)
    manager.register(plugin_of(name), name)
    manager.check_pending()
    return manager


def test_the_hooks_are_found():
    assert {"manifest_media_types", "parse_manifest", "label_actions", "storage_drivers"} <= set(HOOKS)


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_a_hook_says_what_it_is_for_and_shows_a_complete_plugin(name):
    hook = HOOKS[name]
    assert hook.__doc__
    assert hook.__doc__.partition("\n")[0].strip().endswith(".")
    manager = registered(name)
    callers = {caller.name for caller in manager.get_hookcallers(manager.get_plugin(name)) or ()}
    assert name in callers, "the example implements the hook that it stands under"
    Hooks(manager)  # what it claims can be collected


@pytest.mark.parametrize("name", sorted(name for name in HOOKS if hasattr(plugin_of(name), "parse_manifest")))
def test_an_example_of_a_format_takes_or_refuses_whatever_comes(name):
    contract = FormatContract()
    contract.plugin = plugin_of(name)
    hooks = Implementations(contract.plugin)
    fields = {"text": "x", "author": "x", "page": DIGEST, "size": 1, "notes": [{"digest": DIGEST, "size": 1}]}
    (media_type,) = hooks.call("manifest_media_types")
    contract.good = (Manifest(to_json(fields), media_type),)
    contract.test_hostile_bytes_are_parsed_or_refused(hooks)
    contract.test_what_was_parsed_passes_the_other_hooks(hooks)


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_an_example_imports_only_the_public_api(name):
    imported = [
        node.module
        for node in ast.walk(ast.parse(example(HOOKS[name].__doc__ or "")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("registry")
    ]
    assert set(imported) == {"registry.hooks"}


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_a_hook_is_typed(name):
    signature = inspect.signature(HOOKS[name])
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(one.annotation is not inspect.Parameter.empty for one in signature.parameters.values())


@pytest.mark.parametrize("name", sorted(HOOKS))
def test_a_hook_has_a_test(name):
    tests = {
        node.name
        for folder in ("hooks", "cli")
        for path in (Path(__file__).parent / folder).glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    wanted = f"test_{name}"
    assert any(test == wanted or test.startswith(f"{wanted}_") for test in tests), (
        f"write {wanted}_... in tests/hooks or tests/cli"
    )


@pytest.mark.parametrize("name", registry.hooks.__all__)
def test_a_public_name_exists_and_is_documented(name):
    value = getattr(registry.hooks, name)
    if name in ("hookimpl", "Effect"):  # an object and a union: the text under the assignment is theirs
        home = inspect.getsource(specs if name == "hookimpl" else inspect.getmodule(registry.hooks.ExpireTag))
        assert _text_under(home, name)
    else:
        assert value.__doc__
        assert not value.__doc__.startswith(f"{name}("), "the docstring that dataclass makes says nothing"


def _text_under(source: str, name: str) -> str:
    body = ast.parse(source).body
    for node, following in itertools.pairwise(body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name and isinstance(following, ast.Expr):
            return str(ast.literal_eval(following.value))
    return ""


def test_the_public_names_are_sorted_and_all_that_is_imported():
    assert registry.hooks.__all__ == sorted(registry.hooks.__all__)
    tree = ast.parse(inspect.getsource(registry.hooks))
    imported = {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("registry")
        for alias in node.names
    }
    assert imported == set(registry.hooks.__all__)


@pytest.mark.parametrize(
    ("docstring", "reason"),
    [
        ("Do it.", "one example"),
        ("Do it::\n\n    x = 1\n\nMore text.", "ends the docstring"),
    ],
)
def test_a_docstring_without_a_whole_example_is_refused(docstring, reason):
    with pytest.raises(AssertionError, match=reason):
        example(docstring)

"""``moorage plugins check``."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path

import click

from registry.cli.common import print_json
from registry.hooks.manager import DEFAULT_PLUGINS, ENTRY_POINT_GROUP
from registry.plugin_checks.findings import Finding, meant
from registry.plugin_checks.project import Package, check_project, files_of, read_package
from registry.plugin_checks.running import NoPytest, run_contracts
from registry.plugin_checks.source import check_source, hooks_of

_EPILOG = """\b
Examples:
  moorage plugins check .
  moorage plugins check ~/src/moorage-recipe
  moorage plugins check expiry
"""


@click.command("check", epilog=_EPILOG)
@click.argument("plugin", metavar="PATH|NAME")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def command(plugin: str, *, as_json: bool) -> None:
    """Tell what is wrong with a plugin, and which line to change: of a folder, or an installed one by its name.

    Its files are read first: entry point, names of hooks and arguments, imports, settings. Then the contracts of what
    it implements are run on it, and its own tests, in a process of their own (needs moorage[testing]). Exit code 1
    where something is found.
    """
    path = Path(plugin)
    if path.is_dir():
        package = read_package(path)
        findings = list(check_project(path))
    else:
        package, findings = _installed(plugin), []
    findings += [one for file in package.files for one in check_source(file, main=file == package.files[0])]
    passed = 0
    if package.files and not findings:
        try:
            run = run_contracts(package, {hook for file in package.files for hook in hooks_of(file)})
        except NoPytest as error:
            raise click.ClickException(str(error)) from None
        passed = run.passed
        findings += run.findings
    _print(sorted(set(findings)), passed, as_json=as_json)
    if findings:
        raise SystemExit(1)


def _installed(name: str) -> Package:
    """Return an installed plugin; raises a usable message where there is none of this name."""
    modules = {path.rpartition(".")[2]: path for path in DEFAULT_PLUGINS}
    modules |= {point.name: point.value for point in entry_points(group=ENTRY_POINT_GROUP)}
    if name not in modules:
        raise click.ClickException(f"there is no folder and no installed plugin {name}: {meant(name, modules)}")
    module = modules[name].partition(":")[0]
    try:
        found = importlib.util.find_spec(module)
    except ImportError:
        found = None
    if found is None or found.origin is None:
        raise click.ClickException(f"the plugin {name} names {module}, which is not installed: install it again")
    file = Path(found.origin)
    files = files_of(file.parent if file.name == "__init__.py" else file)
    return Package(file.parent, name, module, tuple(files))


def _print(findings: list[Finding], passed: int, *, as_json: bool) -> None:
    if as_json:
        shown = [
            {"path": str(one.path), "line": one.line, "problem": one.problem, "change": one.change} for one in findings
        ]
        print_json({"passed": passed, "findings": shown})
        return
    for one in findings:
        click.echo(f"{click.style(one.place, bold=True)}: {one.problem}")
        for line in one.change.splitlines():
            click.echo(f"    {line}")
    if findings:
        click.echo(f"{len(findings)} to change")
    else:
        click.echo(f"nothing to change; {passed} checks and tests passed")

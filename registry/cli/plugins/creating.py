"""``moorage plugins new``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click
import jinja2

from registry.hooks import API_VERSION
from registry.hooks.manager import create_plugin_manager

_TEMPLATES = Path(__file__).resolve().parents[2] / "_templates" / "plugin"
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_LONGEST = 30

KINDS: Mapping[str, tuple[str, str]] = {
    "format": (
        "A manifest format",
        """\
A registry with it takes manifests of the type `application/vnd.example.{name}.v1+json`: JSON with a `title`, and
`files` with `digest` and `size` each, which are blobs of the repository.""",
    ),
    "label-action": (
        "A label action",
        "An image with the label `{key}=7` keeps its tags for seven days.",
    ),
    "admission": (
        "A rule of admission",
        """\
Images are pushed only with the label that moorage.toml asks for:

    [plugins.{name}]
    label = "org.opencontainers.image.source\"""",
    ),
    "login": (
        "Users from elsewhere",
        """\
Who is in a file of users, by name and with a hash by scrypt, may log in; another program keeps it. moorage.toml:

    authentication = true

    [plugins.{name}]
    file = "/etc/users.json\"""",
    ),
    "denial": (
        "Denials of access",
        """\
Nothing is pushed to, or deleted in, the repositories that moorage.toml names, whatever rules allow:

    [plugins.{name}]
    frozen = ["release/*"]""",
    ),
    "observer": (
        "An observer",
        "It counts how often each tag was changed, in the store that the registry gives each plugin.",
    ),
    "storage": (
        "A storage driver",
        "It keeps blobs as files of one folder: `MOORAGE_STORAGE_URL={scheme}:///var/lib/blobs`.",
    ),
    "command": (
        "A command",
        "`moorage {name} REPOSITORY` prints the repository's tags, and what each stands for.",
    ),
}
"""What can be made: a line about each, and its usage."""

_EPILOG = """\b
Examples:
  moorage plugins new recipe --kind format
  moorage plugins new legal-hold --kind label-action --directory ~/src/moorage-legal-hold
"""


@click.command("new", epilog=_EPILOG)
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), required=True, help="What the plugin is to do.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write it to, which must not exist or be empty (default: ./moorage-NAME).",
)
def command(name: str, kind: str, directory: Path | None) -> None:
    """Write a plugin of one kind: a small, complete package with tests, types and a CI file.

    NAME is the plugin's: lower-case letters, digits and dashes. Its tests pass as they are; change it from there.
    """
    _refuse_name(name)
    folder = directory or Path(f"moorage-{name}")
    _refuse_folder(folder)
    values = _values(name, kind)
    for path, text in _rendered(kind, values).items():
        file = folder / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {file}: {error.strerror}") from None
    click.echo(f"{folder} holds the plugin {name}: {KINDS[kind][0].lower()}. Next:")
    for line in (f"cd {folder}", "pip install -e '.[dev]'", "pytest", "moorage plugins check ."):
        click.echo(f"  {line}")


def _refuse_name(name: str) -> None:
    if _NAME.fullmatch(name) is None or len(name) > _LONGEST:
        better = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("moorage")).strip("-").lstrip("0123456789-")
        hint = f"; try {better[:_LONGEST]}" if better else ""
        raise click.ClickException(
            f"{name!r} is no name for a plugin: {_LONGEST} lower-case letters, digits and dashes at most, "
            f"a letter first{hint}"
        )
    if name.startswith("moorage-"):
        raise click.ClickException(f"the package is called moorage-NAME: try {name.removeprefix('moorage-')}")
    for status in create_plugin_manager().statuses:
        if status.name.replace("_", "-") == name:
            owner = f"{status.distribution} {status.version}".strip()
            raise click.ClickException(f"there is a plugin {status.name} already, of {owner}: choose another name")


def _refuse_folder(folder: Path) -> None:
    try:
        taken = folder.exists() and any(folder.iterdir())
    except NotADirectoryError:
        taken = True
    if taken:
        raise click.ClickException(f"{folder} is there already: choose another folder with --directory")


def _values(name: str, kind: str) -> Mapping[str, str]:
    names = {
        "name": name,
        "distribution": f"moorage-{name}",
        "module": f"moorage_{name.replace('-', '_')}",
        "key": f"org.example.{name}",
        "scheme": name.replace("-", "."),
        "api": API_VERSION,
    }
    about, usage = KINDS[kind]
    return {**names, "about": about, "usage": usage.format(**names)}


def _rendered(kind: str, values: Mapping[str, str]) -> Mapping[Path, str]:
    """Return the files of a package by their path in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - it writes source, not HTML
    )
    common = sorted(path for path in (_TEMPLATES / "package").rglob("*.jinja"))
    targets = {path: path.relative_to(_TEMPLATES / "package").with_suffix("") for path in common}
    module = values["module"]
    targets[_TEMPLATES / "kinds" / kind / "module.py.jinja"] = Path("src", module, "__init__.py")
    targets[_TEMPLATES / "kinds" / kind / "test.py.jinja"] = Path("tests", f"test_{module}.py")
    files = {
        target: environment.get_template(source.relative_to(_TEMPLATES).as_posix()).render(values)
        for source, target in targets.items()
    }
    return {**files, Path("src", module, "py.typed"): ""}

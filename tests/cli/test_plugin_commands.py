"""Commands of plugins: found beside the registry's own, which they can neither replace nor break."""

import logging
import threading

import click
import pytest
from click.shell_completion import BashComplete

from registry.cli import extensions, main
from registry.cli.names import BUILT_IN
from registry.hooks.manager import PluginError
from tests.support.cli import run
from tests.support.plugins import made_plugin


def greeting(name="hello", work=lambda context: click.echo(f"hello from {context.plugin}")):
    """Return a plugin with one command that works on its context."""

    def cli_commands(open_context):
        @click.command(name, help="Greet every repository.")
        @click.option("--loud", is_flag=True)
        def hello(*, loud):
            assert not loud
            work(open_context())

        return [hello]

    return made_plugin("greeting", cli_commands=cli_commands)


def test_cli_commands_are_listed_apart_and_run_on_the_data_that_flags_or_settings_name(installed, monkeypatch):
    installed(greeting=greeting())
    listed = run("--help").partition("Commands of plugins:")[2]
    assert "hello  Greet every repository." in listed
    run("db", "upgrade", "--data", "d")
    assert run("hello", "--data", "d") == "hello from greeting\n"
    assert "--loud" in run("hello", "--help")
    monkeypatch.setenv("MOORAGE_DATA", "d")
    assert run("hello") == "hello from greeting\n"
    assert "there is no registry in" in run("hello", "--data", "elsewhere", code=1)


def test_cli_commands_open_the_registry_when_they_ask_for_it(installed):
    def cli_commands(open_context):
        return [click.Command("quick", callback=lambda: click.echo("done"))]

    installed(quick=made_plugin("quick", cli_commands=cli_commands))
    assert run("quick") == "done\n"


def test_cli_commands_may_be_groups(installed):
    def cli_commands(open_context):
        group = click.Group("notes", help="Look at notes.")
        group.add_command(click.Command("list", callback=lambda: click.echo(open_context().plugin)))
        return [group]

    installed(notes=made_plugin("notes", cli_commands=cli_commands))
    run("db", "upgrade", "--data", "d")
    assert run("notes", "--data", "d", "list") == "notes\n"


def test_cli_commands_keep_flags_of_their_own(installed):
    def cli_commands():
        @click.command("mine")
        @click.option("--data")
        def mine(data):
            click.echo(f"mine: {data}")

        return [mine]

    installed(mine=made_plugin("mine", cli_commands=cli_commands))
    assert run("mine", "--data", "x") == "mine: x\n"


def completions(incomplete):
    return {one.value for one in BashComplete(main, {}, "moorage", "_MOORAGE_COMPLETE").get_completions([], incomplete)}


def test_cli_commands_are_completed(installed):
    installed(greeting=greeting())
    assert completions("he") == {"hello"}
    assert {"hello", *BUILT_IN} <= completions("")


def leave():
    raise SystemExit(3)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        made_plugin("broken", cli_commands=lambda: 1 / 0),
        made_plugin("broken", cli_commands=leave),
        made_plugin("broken", cli_commands=lambda: 7),
        made_plugin("broken", cli_commands=lambda: ["hello"]),
        made_plugin("broken", cli_commands=lambda: [click.Command(None)]),
    ],
    ids=["import", "raises", "exits", "no list", "no command", "no name"],
)
def test_cli_commands_that_cannot_be_had_break_no_others(installed, broken, caplog):
    installed(broken=broken, greeting=greeting())
    assert "hello" in run("--help")
    assert completions("hel") == {"hello"}
    run("version")
    run("db", "upgrade", "--data", "d")
    with caplog.at_level(logging.ERROR):
        assert run("hello", "--data", "d") == "hello from greeting\n"
    assert "plugin broken" in caplog.text


def test_cli_commands_of_a_plugin_that_takes_long_are_not_waited_for_by_a_list(installed, monkeypatch):
    over = threading.Event()

    def cli_commands():
        assert over.wait(60)
        return []

    monkeypatch.setattr(extensions, "_PATIENCE_SECONDS", 0.01)
    installed(slow=made_plugin("slow", cli_commands=cli_commands))
    try:
        assert "serve" in run("--help")
        assert "serve" in completions("ser")
    finally:
        over.set()
        for thread in threading.enumerate():
            if thread.name == extensions.THREAD:
                thread.join()


def test_cli_commands_are_looked_for_by_no_command_of_ours(installed):
    asked = []
    installed(nosy=made_plugin("nosy", cli_commands=lambda: asked.append("asked") or []))
    run("version")
    run("serve", "--help")
    run("config", "show")
    assert completions("") >= {"serve"}
    assert asked == ["asked"]


def test_cli_commands_that_break_are_one_message(installed):
    installed(greeting=greeting(work=lambda context: 1 / 0))
    run("db", "upgrade", "--data", "d")
    told = run("hello", "--data", "d", code=1)
    assert told.startswith("Error: the command hello of a plugin failed: ZeroDivisionError: division by zero (")
    assert "test_plugin_commands.py:" in told


@pytest.mark.parametrize("name", ["serve", "version"])
def test_cli_commands_do_not_replace_our_own(installed, with_plugins, name):
    mine = greeting(name)
    with pytest.raises(
        PluginError, match=f"the command moorage {name} is claimed by two plugins: moorage and greeting"
    ):
        with_plugins(mine)
    installed(greeting=mine)
    assert "Greet" not in run(name, "--help")
    assert "moorage and greeting" in run("config", "check", code=1)


def test_cli_commands_of_one_name_stop_the_start_with_both_names(installed, with_plugins):
    first, second = greeting(), greeting()
    second.__name__ = "second"
    with pytest.raises(PluginError, match="command moorage hello is claimed by two plugins: greeting and second"):
        with_plugins(first, second)
    installed(first=first, second=second)
    assert "first and second" in run("hello", code=1)
    run("version")


def test_a_name_that_nobody_has_is_a_mistake_of_usage(installed):
    installed(greeting=greeting())
    assert "No such command 'helo'" in run("helo", code=2)

"""``moorage user``: people who log in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from registry.cli.common import json_flag, print_json
from registry.cli.connecting import below, confirm, print_fields, print_items, with_client, yes_flag
from registry.cli.passwords import choose_password, generate_flag, htpasswd_flag, no_password_flag, stdin_flag

if TYPE_CHECKING:
    from registry.cli.client import Client

_IDENTITIES = {
    "id": "id",
    "provider": "provider",
    "subject": "subject",
    "linked by": "actor",
    "created": "created",
    "last login": "last_login",
}
_COLUMNS = {
    "user": "name",
    "password": "kept",
    "disabled": "disabled",
    "teams": "teams",
    "about": "description",
}


@click.group("user")
def command() -> None:
    """Make users, give them passwords, disable, enable and delete them.

    What a user may do, rules of the policy say: `moorage policy grant`. Programs are robots: `moorage robot`. Who logs
    in at a provider (`moorage login`) is made a user by that.
    """


@command.command(
    "add",
    short_help="Make a user.",
    epilog="\b\nExamples:\n  moorage user add alice\n  moorage user add alice --admin --generate\n"
    "  pass show registry/bob | moorage user add bob --password-stdin",
)
@with_client
@click.argument("name")
@click.option("--admin", is_flag=True, help="Let the user do everything, by the rule `administrators`.")
@click.option("--description", default="", metavar="TEXT", help="What it is for.")
@stdin_flag
@generate_flag
@no_password_flag
@htpasswd_flag
@json_flag
def add(
    client: Client,
    name: str,
    *,
    admin: bool,
    description: str,
    password_stdin: bool,
    generate: bool,
    no_password: bool,
    htpasswd: bool,
    as_json: bool,
) -> None:
    """Make a user; its password is asked for twice, unless a flag says where it comes from."""
    chosen = choose_password(from_stdin=password_stdin, generate=generate, none=no_password or htpasswd)
    wanted = {
        "name": name,
        "password": chosen.password,
        "description": description,
        "administrator": admin,
        "source": "htpasswd" if htpasswd else "local",
    }
    made = client.send("POST", "/users", wanted)
    if as_json:
        print_json({**made, "password": chosen.password} if chosen.made else made)
        return
    click.echo(f"made user {name}{', an administrator' if admin else ''}", err=chosen.made)
    if not admin:
        click.echo(f"to let it push: moorage policy grant push --to user:{name} --on 'team/*'", err=chosen.made)
    if chosen.made:
        click.echo("its password, which is shown this once:", err=True)
        click.echo(chosen.password)


@command.command("list", short_help="List users.", epilog="\b\nExample:\n  moorage user list")
@with_client
@json_flag
def list_users(client: Client, *, as_json: bool) -> None:
    """List users by name, and who keeps the password of each."""
    found = list(client.items("/users"))
    shown = [{**user, "kept": _kept(user["source"], has_password=user["has_password"])} for user in found]
    print_items(found if as_json else shown, _COLUMNS, as_json=as_json)


@command.command("show", short_help="Show a user.", epilog="\b\nExample:\n  moorage user show alice")
@with_client
@click.argument("name")
@json_flag
def show(client: Client, name: str, *, as_json: bool) -> None:
    """Show a user."""
    print_fields(client.get(below("/users", name)), as_json=as_json)


@command.command(
    "passwd",
    short_help="Give a user another password.",
    epilog="\b\nExamples:\n  moorage user passwd alice\n  moorage user passwd alice --generate",
)
@with_client
@click.argument("name")
@stdin_flag
@generate_flag
@json_flag
def passwd(client: Client, name: str, *, password_stdin: bool, generate: bool, as_json: bool) -> None:
    """Give a user another password; what was got with the old one ends. Everybody may change one's own."""
    chosen = choose_password(from_stdin=password_stdin, generate=generate)
    changed = client.send("PATCH", below("/users", name), {"password": chosen.password})
    if as_json:
        print_json({**changed, "password": chosen.password} if chosen.made else changed)
        return
    click.echo(f"{name} has another password; its API keys go on: moorage key list {name}", err=chosen.made)
    if chosen.made:
        click.echo(chosen.password)


@command.command("disable", short_help="Let users in no more.", epilog="\b\nExample:\n  moorage user disable alice bob")
@with_client
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_flag
def disable(client: Client, names: tuple[str, ...], *, as_json: bool) -> None:
    """Let users in no more, until they are enabled; tokens that they have are worth nothing from now on."""
    _set(client, names, disabled=True, as_json=as_json)


@command.command("enable", short_help="Let users in again.", epilog="\b\nExample:\n  moorage user enable alice")
@with_client
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@json_flag
def enable(client: Client, names: tuple[str, ...], *, as_json: bool) -> None:
    """Let users in again."""
    _set(client, names, disabled=False, as_json=as_json)


@command.command("delete", short_help="Delete a user.", epilog="\b\nExample:\n  moorage user delete alice --yes")
@with_client
@click.argument("name")
@yes_flag
def delete(client: Client, name: str, *, yes: bool) -> None:
    """Delete a user with its keys; rules speak of it no more. To keep them, disable it instead."""
    confirm(f"Delete the user {name} with its keys?", yes=yes)
    client.send("DELETE", below("/users", name))
    click.echo(f"deleted {name}")


@command.command(
    "link",
    short_help="Let somebody of a provider log in as a user.",
    epilog="\b\nExample:\n  moorage user link alice --oidc company --subject 248289761001",
)
@with_client
@click.argument("name")
@click.option(
    "--oidc", "provider", metavar="PROVIDER", required=True, help="The provider, as [oidc.PROVIDER] names it."
)
@click.option("--subject", metavar="SUB", required=True, help="Who it is there: the claim sub.")
@json_flag
def link(client: Client, name: str, *, provider: str, subject: str, as_json: bool) -> None:
    """Let a subject of a provider log in as a user that is there. Who is refused is shown this command."""
    made = client.send("POST", below("/users", name, "identities"), {"provider": provider, "subject": subject})
    if as_json:
        print_json(made)
        return
    click.echo(f"{subject} of {provider} logs in as {name} from now on")


@command.command(
    "unlink",
    short_help="Let an identity log in as a user no more.",
    epilog="\b\nExample:\n  moorage user unlink alice 17",
)
@with_client
@click.argument("name")
@click.argument("identity", metavar="ID", type=int)
def unlink(client: Client, name: str, identity: int) -> None:
    """Let an identity of a provider, by its ID, log in as a user no more; keys that it has got go on until they end."""
    client.send("DELETE", below("/users", name, "identities", str(identity)))
    click.echo(f"identity {identity} is {name} no more; its keys go on: moorage key list {name}")


@command.command(
    "identities", short_help="List who logs in as a user.", epilog="\b\nExample:\n  moorage user identities alice"
)
@with_client
@click.argument("name")
@json_flag
def identities(client: Client, name: str, *, as_json: bool) -> None:
    """List the identities of providers that log in as a user."""
    print_items(client.get(below("/users", name, "identities"))["items"], _IDENTITIES, as_json=as_json)


def _set(client: Client, names: tuple[str, ...], *, disabled: bool, as_json: bool) -> None:
    changed = [client.send("PATCH", below("/users", name), {"disabled": disabled}) for name in names]
    if as_json:
        print_json(changed)
        return
    for name in names:
        click.echo(f"{name} is {'disabled' if disabled else 'enabled'}")


def _kept(source: str, *, has_password: bool) -> str:
    if source != "local":
        return f"in {source}"
    return "here" if has_password else "none"

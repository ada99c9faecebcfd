"""A registry that asks who everybody is, with users and rules, made before its server starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from registry.access.actors import OPERATOR, Actor
from registry.access.parts import Access
from registry.access.principals import PrincipalWish
from registry.app import create_app
from registry.schema import upgrade
from registry.settings import load_settings

PASSWORD = "correct horse battery"
AUTHENTICATION = {"MOORAGE_AUTHENTICATION": "true"}
OPERATOR_ACTOR = Actor(OPERATOR)


@dataclass
class Prepared:
    """What was made: the texts of API keys by their owner."""

    keys: dict[str, str] = field(default_factory=dict)


def prepare(
    data: Path,
    rules: Mapping[str, Mapping[str, object]],
    *,
    users: tuple[str, ...] = (),
    robots: tuple[tuple[str, str], ...] = (),
    disabled: tuple[str, ...] = (),
    teams: tuple[str, ...] = (),
    trusts: Mapping[str, tuple[str, Mapping[str, object]]] | None = None,
    env: Mapping[str, str] | None = None,
) -> Prepared:
    """Make users whose password is ``PASSWORD``, teams, robots with a key each, and rules, in data of a registry to be.

    ``trusts`` are robots and definitions by name.
    """
    data.mkdir(parents=True, exist_ok=True)
    app = create_app(load_settings({"data": str(data)}, {**AUTHENTICATION, **(env or {})}))
    upgrade(app)
    services = app.extensions["moorage"]
    access: Access = services.access
    prepared = Prepared()
    for name in users:
        access.principals.add_user(OPERATOR_ACTOR, name, password=PASSWORD)
    for name in disabled:
        access.principals.change(OPERATOR_ACTOR, name, PrincipalWish(disabled=True))
    for name in teams:
        access.teams.create(OPERATOR_ACTOR, name)
    for namespace, name in robots:
        robot = access.principals.add_robot(OPERATOR_ACTOR, namespace, name)
        prepared.keys[robot.name] = access.keys.create(OPERATOR_ACTOR, robot.name, "test").text
    access.policies.replace(OPERATOR_ACTOR, rules, dry_run=False)
    for name, (robot_name, definition) in (trusts or {}).items():
        access.trusts.create(OPERATOR_ACTOR, name, robot_name, definition)
    services.database.close_idle()
    return prepared

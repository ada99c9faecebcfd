"""What is explained is what happens."""

import pytest

from registry.access.actions import Action
from registry.access.actors import Actor, Proof
from registry.errors import Denied, PrincipalUnknown
from registry.names import RepositoryName
from registry.testing.images import simple_image
from tests.support.asking import CHIEF

IMAGE = simple_image("x")
NAMES = ("team/app", "team/lib", "open/app", "other/app")
WHO = ("", "ann", "bob", "team+ci")
TAGS = ("v1", "prod-1")


@pytest.fixture(scope="module")
def town(shared):
    """Give a registry with rules of every kind."""
    for name in ("ann", "bob"):
        shared.user(name)
    shared.robot("team", "ci")
    shared.access.teams.create(CHIEF, "dev")
    shared.access.teams.join(CHIEF, "dev", "ann")
    shared.rule("open", "anonymous", ["open/*"], role="pull")
    shared.rule("all", "everybody", ["team/lib"], role="pull")
    shared.rule("dev", "team:dev", ["team/*"], role="maintain")
    shared.rule("no-prod", "everybody", ["team/*"], actions=["push", "delete"], tags=["prod-*"])
    shared.rule("ci", "robot:team+ci", ["team/app"], role="push", tags=["v*"])
    shared.rule("elsewhere", "user:bob", ["other/*"], role="admin", networks=["10.0.0.0/8"])
    shared.rule("here", "user:bob", ["open/*"], role="admin", networks=["127.0.0.0/8"])
    shared.rule("never", "user:bob", ["team/app"], role="push", times=[{"days": ["mon"]}])
    shared.rule("lister", "user:ann", ["*"], actions=["pull"], networks=["10.0.0.0/8"])
    for name in NAMES:
        shared.push(name, *TAGS)
    return shared


def happens(world, who, action, name, tag):
    """Ask over HTTP, and tell whether it was allowed."""
    method, path, body = {
        Action.PULL: ("GET", f"/v2/{name}/manifests/{tag or IMAGE.digest}", None),
        Action.PUSH: ("PUT", f"/v2/{name}/manifests/{tag or IMAGE.digest}", IMAGE.data),
        Action.DELETE: ("DELETE", f"/v2/{name}/manifests/{tag or IMAGE.digest}", None),
        Action.LIST: ("GET", f"/api/v1/rules?repository={name}", None),
        Action.ADMIN: ("PATCH", f"/api/v1/repositories/{name}", {"description": "tried"}),
    }[action]
    more = {"json": body} if isinstance(body, dict) else {"data": body, "content_type": IMAGE.media_type}
    answer = world.client.open(path, method=method, headers=world.as_(who), **(more if body else {}))
    if action is Action.DELETE and answer.status_code == 202:
        world.push(name, *TAGS)
    assert answer.status_code < 500
    return answer.status_code not in (401, 403)


def test_it_agrees_with_what_happens(town):
    seen = set()
    for who in WHO:
        for name in NAMES:
            for action in Action:
                for tag in (None, *TAGS) if action in (Action.PULL, Action.PUSH, Action.DELETE) else (None,):
                    told = town.access.explainer.explain(
                        CHIEF, who or "anonymous", action, RepositoryName.parse(name), tag or "", "127.0.0.1"
                    )
                    assert told.allowed == happens(town, who, action, name, tag), (who, name, action, tag, told)
                    seen.add((action, told.allowed, told.rule))
    assert {(action, allowed) for action, allowed, _ in seen} == {
        (action, yes) for action in Action for yes in (True, False)
    }
    assert {"open", "all", "dev", "no-prod", "ci", "here"} <= {rule for _, _, rule in seen}


def test_who_is_not_there_is_not_explained(town):
    with pytest.raises(PrincipalUnknown):
        town.access.explainer.explain(CHIEF, "nobody", Action.PULL, None, "", "")


def test_others_are_explained_to_an_administrator_alone(town):
    row = town.access.principals.show(CHIEF, "ann")
    ann = Actor("ann", proof=Proof(row.id, row.valid_from_ms))
    assert town.access.explainer.explain(ann, "ann", Action.PULL, RepositoryName("team/app"), "", "127.0.0.1").allowed
    with pytest.raises(Denied):
        town.access.explainer.explain(ann, "bob", Action.PULL, RepositoryName("team/app"), "", "127.0.0.1")

"""What a refusal says: the action that is missing, and the rule that denies it to who may read the rules."""

import pytest

from registry.access.actions import Action
from registry.access.actors import Actor, Proof
from registry.errors import Denied
from registry.names import RepositoryName
from tests.access.conftest import OPERATES

APP = RepositoryName.parse("team/app")


@pytest.mark.parametrize(("name", "named"), [("alice", False), ("admin", True)])
def test_a_rule_that_denies_is_named_to_who_may_read_it(access, name, named):
    definition = {"effect": "deny", "to": [f"user:{name}"], "on": ["team/*"], "actions": ["push"]}
    access.policies.create(OPERATES, "frozen", definition)
    row = access.principals.show(OPERATES, name)
    actor = Actor(name, proof=Proof(row.id, row.valid_from_ms))
    with pytest.raises(Denied) as caught:
        access.authorizer.require(actor, Action.PUSH, APP, "v1")
    assert caught.value.message == f"{name} may not push on team/app: a rule denies it"
    expected = {"action": "push", "repository": "team/app", "reference": "v1"}
    assert caught.value.detail == (expected | {"rule": "frozen"} if named else expected)


def test_where_no_rule_allows_it_the_role_that_is_missing_is_named(access):
    row = access.principals.show(OPERATES, "alice")
    actor = Actor("alice", proof=Proof(row.id, row.valid_from_ms))
    with pytest.raises(Denied, match="alice may not delete on team/app: role maintain is missing"):
        access.authorizer.require(actor, Action.DELETE, APP, "v1")

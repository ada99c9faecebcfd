"""What a refusal says: the action that is missing, and the rule that denies it to who may read the rules."""

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from registry.access.actions import Action
from registry.access.actors import Actor, Proof
from registry.db.models import LoginFailure, Namespace
from registry.errors import Denied
from registry.names import RepositoryName
from tests.access.conftest import OPERATES, basic, bearer

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


@pytest.mark.parametrize("scopes", [["pull"], ["push:other/*"]])
def test_a_token_of_a_key_that_is_too_narrow_names_the_key_as_no_other_token_would_do(access, app, scopes):
    access.policies.create(OPERATES, "pushers", {"to": ["user:alice"], "on": ["team/*", "other/*"], "role": "push"})
    key = access.keys.create(OPERATES, "alice", "narrow", scopes).text
    client = app.test_client()
    asked = client.get("/token?scope=repository:team/app:pull,push", headers=basic("alice", key))
    for header in (bearer(asked.json["token"]), basic("alice", key)):
        refused = client.post("/v2/team/app/blobs/uploads/", headers=header)
        (error,) = refused.json["errors"]
        assert (refused.status_code, error["code"]) == (403, "DENIED")
        assert error["message"] == "the scopes of this API key do not include push on team/app"
    wide = access.keys.create(OPERATES, "alice", "wide").text
    asked = client.get("/token?scope=repository:team/app:pull", headers=basic("alice", wide))
    refused = client.post("/v2/team/app/blobs/uploads/", headers=bearer(asked.json["token"]))
    assert refused.status_code == 401  # with another token it may
    assert refused.json["errors"][0]["message"] == "this token is not for push on team/app"


def test_what_stands_in_the_header_without_a_scheme_is_not_told_back(app):
    for shown in ("mk_secretsecret_secret", "Digest mk_secretsecret"):
        refused = app.test_client().get("/v2/", headers={"Authorization": shown})
        assert refused.status_code == 401
        assert "secret" not in refused.text + str(refused.headers)


def test_values_of_a_statement_that_fails_are_in_no_message(app):
    database = app.extensions["moorage"].database
    with pytest.raises(IntegrityError) as caught, database.read() as connection:
        connection.execute(insert(Namespace), [{"name": "hush-hush"}, {"name": "hush-hush"}])
    assert "hush" not in str(caught.value)


def test_what_was_typed_as_a_name_is_not_kept(app):
    refused = app.test_client().get("/v2/", headers=basic("hush-hush", "typed into the wrong field"))
    assert refused.status_code == 401
    with app.extensions["moorage"].database.read() as connection:
        names = connection.scalars(select(LoginFailure.name)).all()
    assert len(names) == 2
    assert not [name for name in names if "hush" in name]

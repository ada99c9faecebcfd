"""What bounds the parts of access: rules for some tags, the rule of administrators, keys that pile up, bad files."""

import logging

import bcrypt
import pytest

from registry.access.actions import Action
from registry.access.actors import Actor, Proof
from registry.access.authorizer import AccessRequest
from registry.access.htpasswd import HtpasswdFile, read_users
from registry.access.keys import MOST_KEYS
from registry.access.rules import MOST_LISTED
from registry.errors import PrincipalInvalid
from registry.names import RepositoryName
from tests.access.conftest import OPERATES, Asking, basic

APP = RepositoryName.parse("team/app")
HASH = bcrypt.hashpw(b"secret-1", bcrypt.gensalt(4)).decode()


@pytest.fixture
def may(access):
    """Give the function that tells whether alice may do something."""
    row = access.principals.show(OPERATES, "alice")
    alice = Actor("alice", proof=Proof(row.id, row.valid_from_ms))

    def ask(action, repository=APP, reference="", *, any_tag=False):
        (decision,) = access.authorizer.authorize([AccessRequest(alice, action, repository, reference, any_tag)])
        return decision.allowed

    return ask


def rule(access, **definition):
    access.policies.create(OPERATES, "rule", {"to": ["user:alice"], "on": ["*"], **definition})


def test_a_role_on_some_tags_reaches_no_further(access, may):
    rule(access, role="admin", tags=["pr-*"])
    digest = f"sha256:{'0' * 64}"
    assert may(Action.DELETE, reference="pr-1")
    assert not may(Action.DELETE, reference="v1")
    for reference in ("", digest):  # all tags, or whichever tags there are
        assert not may(Action.DELETE, reference=reference)
        assert not may(Action.ADMIN, reference=reference)
        assert may(Action.PULL, reference=reference)
        assert may(Action.PUSH, reference=reference)
    assert may(Action.DELETE, any_tag=True)


@pytest.mark.parametrize("name", ["", "pr-1"])
def test_a_role_on_some_tags_says_nothing_of_the_registry(access, may, name):
    rule(access, role="admin", tags=["pr-*"])
    assert not may(Action.ADMIN, None, name)


def test_a_denial_of_some_tags_says_nothing_of_the_registry(access, may):
    rule(access, role="admin")
    definition = {"to": ["user:alice"], "on": ["*"], "effect": "deny", "tags": ["pr-*"]}
    access.policies.create(OPERATES, "denial", definition)
    assert may(Action.ADMIN, None, "pr-1")
    assert not may(Action.PUSH, APP, "pr-1")


def test_a_token_may_be_got_for_some_tags(client, access):
    rule(access, role="maintain", tags=["pr-*"])
    query = {"scope": "repository:team/app:pull,push,delete"}
    token = client.get("/token", query_string=query, headers=basic("alice")).json["token"]
    told = Asking(client, {"Authorization": f"Bearer {token}"})("GET", "/whoami")
    assert told["token_scopes"] == ["repository:team/app:delete,pull,push"]


def test_the_rule_of_administrators_names_no_more_than_a_rule_can(access, admin):
    subjects = [f"plugin:p{number}" for number in range(MOST_LISTED)]
    access.policies.replace(OPERATES, {"administrators": {"to": subjects, "on": ["*"], "role": "admin"}}, dry_run=False)
    with pytest.raises(PrincipalInvalid, match="changed or is full"):
        access.principals.add_user(OPERATES, "bob", password=None, administrator=True)
    assert len(access.policies.show(OPERATES, "administrators").definition["to"]) == MOST_LISTED


@pytest.mark.parametrize(
    "definition",
    [
        {"on": ["team/*"], "role": "admin"},
        {"on": ["*"], "role": "none"},
        {"on": ["*"], "role": "admin", "tags": ["v*"]},
    ],
)
def test_nobody_is_made_an_administrator_by_a_rule_that_says_something_else(access, definition):
    rules = {"administrators": {"to": ["user:admin"], **definition}}
    access.policies.replace(OPERATES, rules, dry_run=False)
    with pytest.raises(PrincipalInvalid, match="let another rule"):
        access.principals.add_user(OPERATES, "bob", password=None, administrator=True)
    assert access.policies.show(OPERATES, "administrators").definition == rules["administrators"]


def test_keys_that_expired_count_no_more_and_are_forgotten(access, clock):
    for _ in range(MOST_KEYS):
        access.keys.create(OPERATES, "alice", "nightly", lives_ms=3_600_000)
    with pytest.raises(PrincipalInvalid, match="delete one"):
        access.keys.create(OPERATES, "alice", "nightly")
    clock.advance(hours=2)
    access.keys.create(OPERATES, "alice", "nightly")
    assert len(access.keys.list(OPERATES, "alice")) == MOST_KEYS + 1
    clock.advance(days=31)
    access.keys.create(OPERATES, "alice", "nightly")
    assert len(access.keys.list(OPERATES, "alice")) == 2


def test_lines_of_htpasswd_that_let_nobody_in_are_told(tmp_path):
    path = tmp_path / "users"
    lines = [f"alice:{HASH}", "# a note", "", "bob:$apr1$x$y", "carol", f"anonymous:{HASH}", f"a+b:{HASH}"]
    path.write_text("\n".join([*lines, "dave:$2b$05$short"]))
    users, problems = read_users(path)
    assert list(users) == ["alice"]
    assert [problem.partition(":")[0] for problem in problems] == ["line 4", "line 5", "line 6", "line 7", "line 8"]
    assert not any("$" in problem for problem in problems)


def test_a_file_of_users_that_is_no_text_lets_nobody_in(tmp_path, caplog):
    path = tmp_path / "users"
    path.write_bytes(b"\xff\xfe\x00")
    caplog.set_level(logging.WARNING)
    assert HtpasswdFile(path).find("alice") == ""
    assert "line 1" in caplog.text

"""The plugin keeps the contract of logins over a directory in memory, and refuses what would not be safe."""

from contextlib import contextmanager

import ldap3
import pytest
from registry.hooks import Identity, LoginCredentials
from registry.testing.contracts import AuthenticationContract
from registry.testing.hooks import name_of

import moorage_ldap
from moorage_ldap import DirectoryError, Settings, escape_dn

PASSWORD = "12-34-56-78"
"""Has no letters: the directory in memory takes a for A in passwords, too."""
PEOPLE, GROUPS = "ou=people,dc=example,dc=org", "ou=groups,dc=example,dc=org"
SEARCHER = "cn=registry,dc=example,dc=org"
URL = "ldaps://directory.example.org"
BY_TEMPLATE = {"url": URL, "bind_template": "uid={name},ou=people,dc=example,dc=org"}
BY_SEARCH = {
    "url": URL,
    "search_base": PEOPLE,
    "search_filter": "(|(uid={name})(mail={name}))",
    "search_dn": SEARCHER,
    "search_password": PASSWORD,
    "group_base": GROUPS,
    "teams": {"developers": "builders", "admins": "chiefs"},
}


class Opened:
    """Gives connections to one directory in memory, and counts those that it was asked to close."""

    def __init__(self):
        self.server = ldap3.Server("directory.example.org", get_info=ldap3.NONE)
        self.closed = 0

    @contextmanager
    def __call__(self, settings):
        directory = ldap3.Connection(self.server, client_strategy=ldap3.MOCK_SYNC, check_names=False)
        for dn, attributes in ENTRIES.items():
            directory.strategy.add_entry(dn, attributes)
        directory.open()
        yield directory
        self.closed += 1


def person(name, **more):
    return {"objectClass": ["inetOrgPerson"], "uid": [name], "cn": [name], "userPassword": PASSWORD, **more}


def group(name, *members):
    return {"objectClass": ["groupOfNames"], "cn": [name], "member": [f"uid={one},{PEOPLE}" for one in members]}


ENTRIES = {
    SEARCHER: {"objectClass": ["person"], "cn": ["registry"], "userPassword": PASSWORD},
    f"uid=alice,{PEOPLE}": person("alice", mail=["alice@example.org"]),
    f"uid=bob,{PEOPLE}": person("bob", mail=["shared@example.org"]),
    f"uid=carol,{PEOPLE}": person("carol", mail=["shared@example.org"]),
    f"cn=developers,{GROUPS}": group("developers", "alice", "bob"),
    f"cn=secretaries,{GROUPS}": group("secretaries", "alice"),
}


@pytest.fixture(autouse=True)
def directory(monkeypatch):
    opened = Opened()
    monkeypatch.setattr(moorage_ldap, "opened", opened)
    return opened


class TestByTemplate(AuthenticationContract):
    plugin = moorage_ldap
    settings = BY_TEMPLATE
    known = {"alice": PASSWORD, "bob": PASSWORD}


class TestBySearch(AuthenticationContract):
    plugin = moorage_ldap
    settings = BY_SEARCH
    known = {"alice": PASSWORD, "alice@example.org": PASSWORD, "bob": PASSWORD}

    def test_somebody_is_called_by_the_attribute_and_is_in_the_teams_of_the_groups(self, context):
        for name in ("alice", "alice@example.org", "ALICE"):
            assert ask(context, name) == Identity("alice", ["builders"])
        assert ask(context, "carol") == Identity("carol", [])

    def test_a_name_that_several_have_is_nobody_s(self, context):
        assert ask(context, "shared@example.org") is None

    def test_no_password_is_no_proof(self, context, directory):
        assert ask(context, "alice", "") is None
        assert directory.closed == 0, "the directory was not even asked"

    def test_what_was_opened_is_closed(self, context, directory):
        for password in (PASSWORD, "wrong"):
            ask(context, "alice", password)
        assert directory.closed == 4


def registry(settings, **changed):
    """Return the settings of a registry; until it is installed, the plugin is called as its module."""
    return {"plugins": {name_of(moorage_ldap): {**settings, **changed}}}


@pytest.mark.moorage(plugins=[moorage_ldap], settings=registry(BY_SEARCH, teams={}))
def test_groups_are_teams_where_nothing_else_is_said(moorage_context):
    assert sorted(ask(moorage_context, "alice").teams) == ["developers", "secretaries"]


@pytest.mark.moorage(plugins=[moorage_ldap], settings=registry(BY_SEARCH, search_password="old"))
def test_a_wrong_password_of_who_searches_is_a_failure_and_no_refusal(moorage_context):
    with pytest.raises(DirectoryError, match="search_dn or search_password is wrong"):
        ask(moorage_context, "alice")


@pytest.mark.moorage(plugins=[moorage_ldap], settings=registry(BY_TEMPLATE, name_attribute="x"))
def test_an_entry_without_a_name_is_a_failure(moorage_context):
    with pytest.raises(DirectoryError, match="shows no x"):
        ask(moorage_context, "alice")


@pytest.mark.moorage(plugins=[moorage_ldap])
def test_without_a_url_nobody_is_known(moorage_context):
    assert ask(moorage_context, "alice") is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"url": "http://x"}, "ldaps://HOST"),
        ({"url": "ldap://directory.example.org", "start_tls": False}, "in the clear"),
        ({"search_base": ""}, "either"),
        ({"bind_template": "uid={name}"}, "either"),
        ({"search_base": "", "bind_template": "uid=name"}, "where the name goes"),
        ({"search_filter": "(uid=name)"}, "where the name goes"),
        ({"search_password": ""}, "go together"),
        ({"group_filter": "(member=x)"}, "where the user goes"),
        ({"timeout_seconds": 0}, "1 to 60"),
    ],
)
def test_settings_that_cannot_work_say_why(change, reason):
    with pytest.raises(ValueError, match=reason):
        Settings(**{**BY_SEARCH, **change})


def test_to_this_machine_alone_nothing_need_be_encrypted():
    assert Settings(url="ldap://127.0.0.1:389", start_tls=False, search_base=PEOPLE)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("alice", "alice"),
        ("a,ou=x", r"a\2cou\3dx"),
        ('#\\+"<>; ', r"\23\5c\2b\22\3c\3e\3b\20"),
        ("\x00\n", r"\00\0a"),
        ("é@x-y_z.", "é@x-y_z."),
    ],
)
def test_a_name_stays_one_value_of_a_dn(text, escaped):
    assert escape_dn(text) == escaped


def ask(context, name, password=PASSWORD):
    return moorage_ldap.authenticate(LoginCredentials(name, password, "192.0.2.1"), context)

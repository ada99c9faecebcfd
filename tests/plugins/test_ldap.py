"""The example of logins over a real directory: OpenLDAP's slapd."""

import gc
import importlib
import shutil
import sys
from pathlib import Path

import pytest

from registry.hooks import Identity, LoginCredentials
from registry.testing.contracts import AuthenticationContract
from tests.support.asking import CHIEF, basic, world
from tests.support.directory import DIRECTORY_PASSWORD, PEOPLE, Directory

pytestmark = [
    pytest.mark.needs_tools,
    pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning"),  # of ldap3, about pyasn1
    pytest.mark.filterwarnings("ignore:ssl.match_hostname:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # and it closes no socket that was refused or not trusted
]
SOURCE = Path(__file__).resolve().parents[2] / "examples" / "moorage-ldap" / "src"
TEMPLATE = {"search_base": "", "search_dn": "", "search_password": "", "bind_template": f"uid={{name}},{PEOPLE}"}


@pytest.fixture(scope="module")
def directory():
    with Directory() as server:
        yield server


@pytest.fixture(scope="module")
def plugin():
    """Give the example's module, which is not installed here."""
    sys.path.insert(0, str(SOURCE))
    try:
        yield importlib.import_module("moorage_ldap")
    finally:
        sys.path.remove(str(SOURCE))


@pytest.fixture(autouse=True)
def collected():
    """Let go of sockets that are left here, and not in another test."""
    yield
    gc.collect()


@pytest.fixture
def folder(blank, tmp_path):
    shutil.copy(blank / "moorage.db", tmp_path)
    return tmp_path


class OverADirectory(AuthenticationContract):
    known = {"alice": DIRECTORY_PASSWORD, "bob": DIRECTORY_PASSWORD}
    changed = {}

    @pytest.fixture
    def moorage_plugins(self, plugin):
        type(self).plugin = plugin
        return [plugin]

    @pytest.fixture
    def plugin_settings(self, directory, moorage_plugins):
        return directory.settings(**self.changed)

    @pytest.fixture
    def moorage_context(self, moorage_app):
        return moorage_app.extensions["moorage"].contexts("moorage_ldap")

    def test_it_knows_users(self, moorage_plugins):
        super().test_it_knows_users()


class TestBySearch(OverADirectory):
    known = {**OverADirectory.known, "alice@example.org": DIRECTORY_PASSWORD, "ALICE": DIRECTORY_PASSWORD}


class TestByTemplate(OverADirectory):
    changed = TEMPLATE


class TestWithStartTls(OverADirectory):
    @pytest.fixture
    def plugin_settings(self, directory, moorage_plugins):
        return directory.settings(url=f"ldap://localhost:{directory.port}")


@pytest.fixture
def ask(plugin, directory):
    """Give the function that asks the plugin with changed settings."""

    class Context:
        settings = None

    def make(name="alice", password=DIRECTORY_PASSWORD, **changed):
        context = Context()
        context.settings = plugin.Settings(**directory.settings(**changed))
        return plugin.authenticate(LoginCredentials(name, password, ""), context)

    return make


@pytest.mark.parametrize("name", ["alice", "ALICE", "alice@example.org"])
def test_somebody_has_one_name_and_the_groups_of_the_directory(ask, name):
    assert ask(name) == Identity("alice", ["developers"])
    assert ask(name, teams={"developers": "builders"}) == Identity("alice", ["builders"])
    assert ask(name, group_base="") == Identity("alice", None)


@pytest.mark.parametrize(
    "name",
    [
        "*",
        "ali*",
        "*)(uid=alice",
        "alice)(|(uid=*",
        f"alice,{PEOPLE}",
        "alice,ou=x",
        "alice+cn=alice",
        r"\61lice",
        "a\x01",
    ],
)
@pytest.mark.parametrize("changed", [{}, TEMPLATE], ids=["search", "template"])
def test_a_name_is_a_name_and_no_part_of_a_query(ask, name, changed):
    assert ask(name, **changed) is None


def test_no_password_is_no_proof_though_the_directory_would_take_it(ask, plugin, directory):
    """A bind without a password is answered by success by slapd as well, as nobody's (RFC 4513, 5.1.2)."""
    assert ask(password="") is None
    assert ask(password="\u00ad") is None, "SASLprep leaves nothing of it"


@pytest.mark.parametrize("scheme", ["ldap", "ldaps"])
def test_a_directory_that_cannot_prove_who_it_is_hears_no_password(ask, directory, scheme, tmp_path):
    port = directory.tls_port if scheme == "ldaps" else directory.port
    from ldap3.core.exceptions import LDAPException

    for changed in (
        {"url": f"{scheme}://127.0.0.1:{port}"},  # another name than the certificate's
        {"url": f"{scheme}://localhost:{port}", "ca_file": None},  # signed by nobody whom this machine knows
    ):
        with pytest.raises(LDAPException):
            ask(**changed)


def test_a_directory_that_is_not_there_is_a_failure_and_no_refusal(ask, plugin):
    from ldap3.core.exceptions import LDAPException

    from tests.support.ports import free_port

    with pytest.raises(LDAPException):
        ask(url=f"ldaps://localhost:{free_port()}")
    with pytest.raises(plugin.DirectoryError, match="search_dn or search_password is wrong"):
        ask(search_password="old")


def test_a_registry_lets_its_people_in_and_nobody_else(folder, plugin):
    with Directory() as directory:
        settings = {"moorage_ldap": directory.settings(teams={"developers": "builders"})}
        with world(folder, with_plugins=[plugin], plugins=settings) as town:
            town.access.teams.create(CHIEF, "builders")
            town.rule("builders", "team:builders", ["team/*"], role="push")
            town.push("team/app", "v1")

            def status(name="alice", password=DIRECTORY_PASSWORD):
                return town.client.get("/v2/team/app/manifests/v1", headers=basic(name, password)).status_code

            assert (status(), status("ALICE"), status("alice@example.org")) == (200, 200, 200)
            assert [status(name) for name in ("*", "ali*", "nobody")] == [401] * 3
            assert [status(password=wrong) for wrong in ("", "wrong", DIRECTORY_PASSWORD.lower())] == [401] * 3
            row = town.access.principals.show(CHIEF, "alice")
            assert (row.source, list(row.teams)) == ("plugin:moorage_ldap", ["builders"])
            directory.stop()
            assert (status(), status("bob")) == (200, 503), "one was known a moment ago"
            directory.start()
            assert status("bob") == 200

"""Settings of providers of OpenID Connect: what is read, from where, and what is said about what cannot be."""

import json

import pytest

from registry.settings import SettingsError, load_settings

GOOD = {
    "MOORAGE_AUTHENTICATION": "true",
    "MOORAGE_EXTERNAL_URL": "https://registry.example",
}
FILE = """\
authentication = true
external_url = "https://registry.example"

[oidc.the-company]
issuer = "https://login.example.org/realms/staff/"
client_id = "moorage"
scopes = ["email", "groups"]
username_claim = "nick"
groups_claim = "groups"
allowed_domains = ["Example.org"]
display_name = "The Company"

[oidc.the-company.required_claims]
hd = "example.org"
groups = ["a", "b"]

[oidc.the-company.teams]
"some group" = "builders"
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def written(tmp_path, text=FILE):
    path = tmp_path / "m.toml"
    path.write_text(text)
    return {"config": str(path)}


def problems(flags=None, environ=None):
    with pytest.raises(SettingsError) as caught:
        load_settings(flags or {}, environ or {})
    return "\n".join(caught.value.problems)


def test_a_provider_is_read_from_the_file(tmp_path):
    found = load_settings(written(tmp_path), {}).oidc["the-company"]
    assert found.issuer == "https://login.example.org/realms/staff/"
    assert found.scopes == ("openid", "email", "groups")
    assert found.required_claims == {"hd": ("example.org",), "groups": ("a", "b")}
    assert found.teams == {"some group": "builders"}
    assert (found.username_claim, found.allowed_domains, found.title) == ("nick", ("example.org",), "The Company")
    assert found.limited
    assert found.secret() == ""


def test_variables_win_over_the_file_and_can_say_all(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("  hush \n")
    environ = {
        **GOOD,
        "MOORAGE_OIDC_THE_COMPANY_ISSUER": "https://other.example",
        "MOORAGE_OIDC_THE_COMPANY_CLIENT_ID": "another",
        "MOORAGE_OIDC_THE_COMPANY_CLIENT_SECRET_FILE": str(secret),
        "MOORAGE_OIDC_THE_COMPANY_SCOPES": "openid profile",
        "MOORAGE_OIDC_THE_COMPANY_TEAMS": '{"x": "y"}',
        "MOORAGE_OIDC_THE_COMPANY_REQUIRED_CLAIMS": '{"hd": "b.example"}',
        "MOORAGE_OIDC_THE_COMPANY_ALLOWED_DOMAINS": "a.example,b.example",
        "MOORAGE_OIDC_THE_COMPANY_GROUPS_CLAIM": "groups",
    }
    for flags in (written(tmp_path), {}):
        found = load_settings(flags, environ).oidc["the-company"]
        assert (found.issuer, found.client_id, found.scopes) == (
            "https://other.example",
            "another",
            ("openid", "profile"),
        )
        assert (found.teams, found.required_claims) == ({"x": "y"}, {"hd": ("b.example",)})
        assert found.allowed_domains == ("a.example", "b.example")
        assert found.secret() == "hush"
    secret.write_text("\n")
    with pytest.raises(ValueError, match="is empty"):
        found.secret()


def test_the_secret_is_shown_nowhere(tmp_path):
    environ = {"MOORAGE_OIDC_THE_COMPANY_CLIENT_SECRET": "hush-hush"}
    settings = load_settings(written(tmp_path), environ)
    assert settings.oidc["the-company"].secret() == "hush-hush"
    shown = {item.name: item for item in settings.describe()}
    assert shown["oidc.the-company.client_secret"].value == "********"
    assert shown["oidc.the-company.client_secret"].source == "MOORAGE_OIDC_THE_COMPANY_CLIENT_SECRET"
    assert shown["oidc.the-company.issuer"].source.endswith("m.toml:5")
    assert "hush-hush" not in repr(settings) + repr(settings.oidc) + json.dumps([item.value for item in shown.values()])
    bad = problems(written(tmp_path), {"MOORAGE_OIDC_THE_COMPANY_CLIENT_SECRET": "hush\x07hush"})
    assert "hush" not in bad
    assert "********" in bad


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('client_secret = "hush"', "give it by MOORAGE_OIDC_COMPANY_CLIENT_SECRET, or name a file"),
        ('isuer = "x"', "a provider has no isuer; did you mean issuer?"),
        ('issuer = "http://login.example"', "expected https"),
        ('issuer = "https://login.example?x"', "without ? and #"),
        ('issuer = "https://a:b@login.example"', "expected the provider's issuer"),
        ('issuer = "login.example"', "expected the provider's issuer"),
        (f'issuer = "https://{"x" * 250}.example"', "255 characters at most"),
        ('client_id = ""', "expected the id"),
        ('client_secret_file = "/nowhere/at/all"', "expected a file that is there"),
        ('scopes = ["a b"]', "expected scopes"),
        ("scopes = 5", "expected a list"),
        ('groups_claim = "a b"', "expected the name of a claim"),
        ('username_claim = ""', "username_claim cannot be empty"),
        ('teams = {a = "b"}', "teams needs groups_claim"),
        ('groups_claim = "groups"\nteams = {a = 5}', "expected a table of teams by group"),
        ('groups_claim = "groups"\nteams = "a"', "expected a JSON object"),
        ("groups_claim = 'groups'\nteams = ['a']", "expected a table"),
        ('allowed_domains = ["@example.org"]', "expected domains"),
        ('allowed_domains = ["localhost"]', "expected domains"),
        ('allowed_domains = ["*.example.org"]', "expected domains"),
        ("required_claims = {a = 5}", "expected a table of claims"),
        ("required_claims = {a = []}", "expected a table of claims"),
        ('allow_anybody = "perhaps"', "expected true or false"),
        ('allow_anybody = true\nallowed_domains = ["example.org"]', "drop one"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(tmp_path, line, told):
    name = line.partition(" ")[0]
    given = {"issuer": '"https://login.example"', "client_id": '"moorage"'}
    rest = "\n".join(f"{key} = {value}" for key, value in given.items() if key != name)
    text = f'authentication = true\nexternal_url = "https://r.example"\n[oidc.company]\n{rest}\n{line}\n'
    found = problems(written(tmp_path, text))
    assert told in found
    assert "m.toml:" in found
    assert "oidc.company" in found or name not in given


def test_a_provider_that_lacks_something_or_is_no_table_is_told(tmp_path):
    assert "oidc.company lacks issuer and client_id" in problems(written(tmp_path, "[oidc.company]\n"))
    assert "expected a table a provider: [oidc.NAME]" in problems(written(tmp_path, "oidc = 5\n"))
    assert "expected a table a provider" in problems(written(tmp_path, "[oidc]\nissuer = 'x'\n"))
    bad = "[oidc.Company]\nissuer = 'https://a.example'\nclient_id = 'x'\n"
    assert "cannot be the name of a provider" in problems(written(tmp_path, bad))
    for variable in ("MOORAGE_OIDC_ISSUER", "MOORAGE_OIDC_COMPANY", "MOORAGE_OIDC_COMPANY_NOTHING"):
        assert "expected MOORAGE_OIDC_NAME_OPTION" in problems({}, {variable: "x"})


def test_two_tables_for_one_client_are_told(tmp_path):
    one = "issuer = 'https://a.example'\nclient_id = 'x'\n"
    text = f"authentication = true\nexternal_url = 'https://r.example'\n[oidc.a]\n{one}[oidc.b]\n{one}"
    assert "oidc.b is the same client as oidc.a" in problems(written(tmp_path, text))


def test_what_logins_need_is_told(tmp_path):
    provider = {"MOORAGE_OIDC_A_ISSUER": "https://a.example", "MOORAGE_OIDC_A_CLIENT_ID": "x"}
    found = problems({}, provider)
    assert "set authentication = true" in found
    assert "set external_url" in found
    assert "must be https" in problems({}, {**provider, **GOOD, "MOORAGE_EXTERNAL_URL": "http://registry.example"})
    assert load_settings({}, {**provider, **GOOD}).oidc["a"].name == "a"
    assert load_settings({}, {**provider, **GOOD, "MOORAGE_EXTERNAL_URL": "http://localhost:5000"}).oidc


def test_where_a_login_ends_can_be_set():
    assert load_settings({}, {}).login_lifetime == 12 * 3600
    assert load_settings({}, {"MOORAGE_LOGIN_LIFETIME": "2h"}).login_lifetime == 7200

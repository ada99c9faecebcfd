"""Tokens of other issuers in place of secrets: which are let in, as whom, for how long, and when that ends."""

import shutil
import time

import pytest

from registry.access import issuers as issuers_module
from registry.access import standing
from registry.access.principals import PrincipalWish
from registry.access.trust_rules import parse_trust, require_identity
from registry.errors import TrustInvalid
from registry.revisions import Condition
from registry.testing.apps import quick_folder
from tests.access.foreign import FORGED, Attack
from tests.support.asking import CHIEF, OPERATOR, basic, bearer, refusal, world
from tests.support.issuer import DOWN, UP, Issuer

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

AUDIENCE, ROBOT = "https://registry.example", "team+ci"
SCOPE = "repository:team/app:pull,push"
PATH = "/v2/team/app/tags/list"
GITHUB, GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"

# As the issuers write them (claims that differ from run to run are left out).
OF_GITHUB = {
    "sub": "repo:acme/app:ref:refs/heads/main",
    "repository": "acme/app",
    "repository_id": "74",
    "repository_owner": "acme",
    "repository_owner_id": "65",
    "repository_visibility": "private",
    "ref": "refs/heads/main",
    "ref_type": "branch",
    "ref_protected": "true",
    "environment": "prod",
    "event_name": "push",
    "actor": "octocat",
    "workflow": "build",
    "job_workflow_ref": "acme/automation/.github/workflows/oidc.yml@refs/heads/main",
    "runner_environment": "github-hosted",
    "run_attempt": "2",
}
OF_GITLAB = {
    "sub": "project_path:my-group/my-project:ref_type:branch:ref:feature-branch-1",
    "namespace_id": "72",
    "namespace_path": "my-group",
    "project_id": "20",
    "project_path": "my-group/my-project",
    "user_login": "sidney",
    "user_identities": [{"provider": "github", "extern_uid": "2435223452345"}],
    "pipeline_id": "574",
    "pipeline_source": "push",
    "ref": "feature-branch-1",
    "ref_type": "branch",
    "ref_path": "refs/heads/feature-branch-1",
    "ref_protected": "false",
    "groups_direct": ["mygroup/mysubgroup", "myothergroup/myothersubgroup"],
    "runner_id": 1,
    "environment_protected": "false",
}
OF_KUBERNETES = {
    "sub": "system:serviceaccount:builds:pusher",
    "kubernetes.io": {
        "namespace": "builds",
        "node": {"name": "node-1", "uid": "646e7c5e"},
        "pod": {"name": "pusher-7", "uid": "5e0bd49b"},
        "serviceaccount": {"name": "pusher", "uid": "14ee3fa4"},
        "warnafter": 1700003607,
    },
}
OF_OTHERS = {
    "sub": "x", "admin": True, "number": 42, "float": 1.5, "null": None, "empty": "", "none": [], "object": {"a": "b"},
    "groups": ["dev", "ops"], "mixed": [1, True, None, 1.5, {"a": 1}, ["deep"], "text"], "deep": {"a": {"b": {"c": "d"}}},
    "https://acme.example/role": "deployer", "a/b~c": "odd", "star": "a*b", "lines": "one\ntwo", "kelvin": "\u212aelvin",
    "cyrillic": "acm\u0435", "wide": "\uff41cme", "joined": "e\u0301", "upper": "ACME", "long": "x" * 5000,
    "spaces": " acme ", "number text": "42", "sub2": ["x"], "0": "zero",
}  # fmt: skip

FITS = [
    (OF_GITHUB, {"repository": ["acme/app"]}),
    (OF_GITHUB, {"repository": ["acme/*"], "ref": ["refs/heads/main"]}),
    (OF_GITHUB, {"sub": ["repo:acme/app:ref:refs/heads/*"]}),
    (OF_GITHUB, {"repository": ["acme/web", "acme/app"], "ref": ["refs/tags/v*", "refs/heads/main"]}),
    (OF_GITHUB, {"repository_owner_id": ["65"], "environment": ["prod", "stage"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "job_workflow_ref": ["acme/automation/*@refs/heads/main"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "ref": ["re:refs/(heads/main|tags/v[0-9.]+)"]}),
    (OF_GITLAB, {"project_path": ["my-group/my-project"]}),
    (OF_GITLAB, {"namespace_path": ["my-group"], "ref_type": ["branch"], "ref": ["feature-*"]}),
    (OF_GITLAB, {"project_id": ["20"], "ref_protected": ["false"]}),
    (OF_GITLAB, {"project_id": ["20"], "groups_direct": ["myothergroup/*"]}),
    (OF_GITLAB, {"project_id": ["20"], "runner_id": ["1"]}),
    (OF_KUBERNETES, {"sub": ["system:serviceaccount:builds:pusher"]}),
    (OF_KUBERNETES, {"sub": ["system:serviceaccount:builds:*"]}),
    (OF_KUBERNETES, {"/kubernetes.io/namespace": ["builds"]}),
    (OF_KUBERNETES, {"/kubernetes.io/namespace": ["builds"], "/kubernetes.io/serviceaccount/name": ["pusher"]}),
    (OF_OTHERS, {"admin": ["true"]}),
    (OF_OTHERS, {"number": ["42"]}),
    (OF_OTHERS, {"groups": ["ops"]}),
    (OF_OTHERS, {"mixed": ["text"]}),
    (OF_OTHERS, {"mixed": ["true"]}),
    (OF_OTHERS, {"/deep/a/b/c": ["d"]}),
    (OF_OTHERS, {"https://acme.example/role": ["deployer"]}),
    (OF_OTHERS, {"/https:~1~1acme.example~1role": ["deployer"]}),
    (OF_OTHERS, {"/a~1b~0c": ["odd"]}),
    (OF_OTHERS, {"star": ["a[*]b"]}),
    (OF_OTHERS, {"lines": ["one*two"]}),
    (OF_OTHERS, {"long": ["x*"]}),
    (OF_OTHERS, {"cyrillic": ["acm\u0435"]}),
    (OF_OTHERS, {"spaces": [" acme "]}),
]
FITS_NOT = [
    (OF_GITHUB, {"repository": ["acme/ap"]}),
    (OF_GITHUB, {"repository": ["acme/app2"]}),
    (OF_GITHUB, {"repository": ["ACME/app"]}),
    (OF_GITHUB, {"repository": ["acme/App"]}),
    (OF_GITHUB, {"repository": ["acme/app "]}),
    (OF_GITHUB, {"repository": ["acm\u0435/app"]}),
    (OF_GITHUB, {"repository": ["acme/?"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "ref": ["refs/heads/mai"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "ref": ["refs/tags/*"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "environment": ["stage"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "enterprise": ["*"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "repository_id": ["7*5"]}),
    (OF_GITHUB, {"repository": ["acme/app"], "ref": ["re:refs/heads/ma"]}),
    (OF_GITHUB, {"sub": ["repo:acme/app:environment:prod"]}),
    (OF_GITLAB, {"project_path": ["my-group"]}),
    (OF_GITLAB, {"project_path": ["my-group/my-project/*"]}),
    (OF_GITLAB, {"project_id": ["20"], "ref_protected": ["true"]}),
    (OF_GITLAB, {"project_id": ["20"], "groups_direct": ["mygroup"]}),
    (OF_GITLAB, {"project_id": ["20"], "user_identities": ["*"]}),
    (OF_KUBERNETES, {"sub": ["system:serviceaccount:default:*"]}),
    (OF_KUBERNETES, {"/kubernetes.io/namespace": ["build"]}),
    (OF_KUBERNETES, {"kubernetes.io/namespace": ["builds"]}),
    (OF_KUBERNETES, {"/kubernetes.io": ["*"]}),
    (OF_KUBERNETES, {"/kubernetes.io/serviceaccount": ["*"]}),
    (OF_OTHERS, {"admin": ["True"]}),
    (OF_OTHERS, {"admin": ["1"]}),
    (OF_OTHERS, {"number": ["42.0"]}),
    (OF_OTHERS, {"float": ["1.5"]}),
    (OF_OTHERS, {"null": ["*"]}),
    (OF_OTHERS, {"null": ["None", "null"]}),
    (OF_OTHERS, {"none": ["*"]}),
    (OF_OTHERS, {"object": ["*"]}),
    (OF_OTHERS, {"missing": ["*"]}),
    (OF_OTHERS, {"groups": ["dev,ops"]}),
    (OF_OTHERS, {"groups": ["['dev', 'ops']"]}),
    (OF_OTHERS, {"mixed": ["deep"]}),
    (OF_OTHERS, {"mixed": ["1.5"]}),
    (OF_OTHERS, {"/groups/0": ["dev"]}),
    (OF_OTHERS, {"/deep/a/b/c/d": ["*"]}),
    (OF_OTHERS, {"/deep//a": ["*"]}),
    (OF_OTHERS, {"deep.a.b.c": ["d"]}),
    (OF_OTHERS, {"/https://acme.example/role": ["deployer"]}),
    (OF_OTHERS, {"kelvin": ["Kelvin"]}),
    (OF_OTHERS, {"cyrillic": ["acme"]}),
    (OF_OTHERS, {"wide": ["acme"]}),
    (OF_OTHERS, {"joined": ["\u00e9"]}),
    (OF_OTHERS, {"upper": ["acme"]}),
    (OF_OTHERS, {"spaces": ["acme"]}),
    (OF_OTHERS, {"empty": ["?*"]}),
    (OF_OTHERS, {"number text": ["4"]}),
]


def trust_of(claims, issuer="https://issuer.example"):
    return parse_trust({"issuer": issuer, "audiences": [AUDIENCE], "claims": claims})


@pytest.mark.parametrize(("token", "claims"), FITS, ids=lambda value: ascii(value)[-60:])
def test_claims_that_fit(token, claims):
    assert list(trust_of(claims).differences(token)) == []


@pytest.mark.parametrize(("token", "claims"), FITS_NOT, ids=lambda value: ascii(value)[-60:])
def test_claims_that_do_not_fit(token, claims):
    (said,) = trust_of(claims).differences(token)
    assert said.startswith("claim ")


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (GITHUB, {}),
        (GITHUB, {"ref": ["refs/heads/main"]}),
        (GITHUB, {"repository": ["*"]}),
        (GITHUB, {"repository": ["*/app"]}),
        (GITHUB, {"repository": ["acme*"]}),
        (GITHUB, {"repository": ["acme/app", "*"]}),
        (GITHUB, {"repository_owner": ["acme*"]}),
        (GITHUB, {"repository_owner_id": ["6?"]}),
        (GITHUB, {"sub": ["repo:*"]}),
        (GITHUB, {"sub": ["repo:acme*"]}),
        (GITHUB, {"sub": ["*:ref:refs/heads/main"]}),
        (GITHUB, {"sub": ["re:repo:acme/app:.*"]}),
        (GITHUB, {"job_workflow_ref": ["acme/automation/.github/workflows/oidc.yml@refs/heads/main"]}),
        (GITHUB, {"actor": ["octocat"]}),
        (GITHUB, {"environment": ["prod"], "event_name": ["push"], "workflow": ["build"]}),
        (GITLAB, {"project_path": ["my-group*"]}),
        (GITLAB, {"sub": ["project_path:*"]}),
        (GITLAB, {"sub": ["project_path:my-group*"]}),
        (GITLAB, {"ref_protected": ["true"]}),
        (GITLAB, {"user_login": ["*"]}),
        ("https://accounts.google.com", {"email": ["*@acme.example"]}),
        ("https://issuer.example", {}),
        ("https://issuer.example", {"sub": ["*"]}),
        ("https://issuer.example", {"sub": ["?*"]}),
        ("https://issuer.example", {"sub": ["[a-z]*"]}),
        ("https://issuer.example", {"sub": ["system:serviceaccount:*"]}),
        ("https://issuer.example", {"sub": ["sys*"]}),
        ("https://issuer.example", {"sub": ["repo:*"]}),
        ("https://issuer.example", {"ref": ["main"]}),
        ("https://issuer.example", {"groups": ["re:.*"]}),
    ],
    ids=str,
)
def test_a_trust_in_everybody_is_refused_and_told_what_to_add(issuer, claims):
    with pytest.raises(TrustInvalid, match=r"add a claim that says whose are meant.*such as [a-z_]+="):
        require_identity(trust_of(claims, issuer))


@pytest.mark.parametrize(
    ("issuer", "claims"),
    [
        (GITHUB, {"repository": ["acme/app"]}),
        (GITHUB, {"repository": ["acme/*"]}),
        (GITHUB, {"sub": ["repo:acme/app:*"]}),
        (GITHUB, {"repository_owner": ["acme"], "ref": ["*"]}),
        (GITHUB, {"enterprise_id": ["7"]}),
        (GITLAB, {"namespace_path": ["my-group"]}),
        (GITLAB, {"sub": ["project_path:my-group/*"]}),
        ("https://issuer.example", {"sub": ["system:serviceaccount:builds:*"]}),
        ("https://issuer.example", {"/kubernetes.io/namespace": ["builds"]}),
        ("https://issuer.example", {"email": ["ci@acme.example"]}),
    ],
    ids=str,
)
def test_a_trust_that_says_whose(issuer, claims):
    require_identity(trust_of(claims, issuer))


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "http://issuer.example"},
        {"issuer": ""},
        {"issuer": "https://issuer.example?x"},
        {"audiences": []},
        {"audiences": [""]},
        {"audiences": ["a"] * 11},
        {"audiences": ["a\n"]},
        {"claims": {"iss": ["x"]}},
        {"claims": {"aud": ["x"]}},
        {"claims": {"exp": ["1"]}},
        {"claims": {"": ["x"]}},
        {"claims": {"sub": []}},
        {"claims": {"sub": [""]}},
        {"claims": {"sub": ["re:("]}},
        {"claims": {f"c{number}": ["x"] for number in range(21)}},
        {"scopes": ["fly"]},
        {"lifetime_seconds": 59},
        {"lifetime_seconds": -1},
        {"lifetime_seconds": 86_401},
        {"keys": {"keys": []}},
        {"keys": {"keys": [{"kty": "oct", "k": "AAAA"}]}},
        {"keys": {}},
    ],
    ids=lambda change: str(change)[:60],
)
def test_what_cannot_be_a_trust_is_refused(change):
    definition = {"issuer": "https://issuer.example", "audiences": [AUDIENCE], "claims": {"sub": ["x"]}, **change}
    with pytest.raises(TrustInvalid):
        parse_trust(definition)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def ci(registry, issuer, monkeypatch):
    """Give a registry with a robot that may push, and an issuer of its time."""
    monkeypatch.setattr(standing, "FRESH_SECONDS", 0)
    issuer.at(registry.clock() // 1000)
    registry.robot("team", "ci")
    registry.rule("ci", f"robot:{ROBOT}", ["team/*"], role="maintain")
    registry.push("team/app", "v1")
    yield registry
    issuer.be(UP)
    issuer.stop_lying()
    issuer.at(None)


def trust(ci, issuer, name="app", robot=ROBOT, **more):
    definition = {"issuer": issuer.url, "audiences": [AUDIENCE], "claims": {"repository": ["acme/app"]}, **more}
    return ci.access.trusts.create(CHIEF, name, robot, definition)


def token_of(issuer, **claims):
    return issuer.sign({"aud": AUDIENCE, **OF_GITHUB}, **claims)


def exchange(ci, token, **more):
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "scope": SCOPE,
        **more,
    }
    return ci.client.post("/token", data=form)


def login(ci, token, name=ROBOT):
    return ci.client.get("/token", query_string={"scope": SCOPE}, headers=basic(name, token))


def test_a_job_logs_in_with_its_token_and_pulls_and_pushes(ci, issuer):
    trust(ci, issuer)
    given = login(ci, token_of(issuer))
    assert given.status_code == 200, given.text
    assert given.json["expires_in"] == 300
    header = bearer(given.json["token"])
    assert ci.client.get(PATH, headers=header).status_code == 200
    assert ci.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 202
    assert ci.client.get("/api/v1/whoami", headers=header).json["principal"] == ROBOT


def test_the_token_itself_is_good_where_a_password_is(ci, issuer):
    trust(ci, issuer)
    header = basic(ROBOT, token_of(issuer))
    assert ci.client.get("/v2/", headers=header).status_code == 200
    assert ci.client.get(PATH, headers=header).status_code == 200
    assert ci.client.get("/api/v1/whoami", headers=header).json["principal"] == ROBOT
    refusal(ci.client.get(PATH, headers=bearer(token_of(issuer))), 401, "UNAUTHORIZED")


def test_a_token_is_exchanged_for_one_of_ours(ci, issuer):
    trust(ci, issuer)
    given = exchange(ci, token_of(issuer))
    assert given.status_code == 200, given.text
    assert given.json["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert (given.json["token_type"], given.json["scope"]) == ("Bearer", "repository:team/app:pull,push")
    assert given.headers["Cache-Control"] == "no-store"
    assert ci.client.get(PATH, headers=bearer(given.json["access_token"])).status_code == 200
    assert exchange(ci, token_of(issuer), username=ROBOT).status_code == 200
    refusal(exchange(ci, token_of(issuer), username="team+other"), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "more",
    [
        {"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"},
        {"subject_token_type": ""},
        {"requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"actor_token": "x"},
    ],
    ids=str,
)
def test_an_exchange_of_another_kind_is_refused(ci, issuer, more):
    trust(ci, issuer)
    (name,) = more
    assert name in exchange(ci, token_of(issuer), **more).json["errors"][0]["message"]
    assert exchange(ci, token_of(issuer), **more).status_code == 400


def test_what_is_given_ends_with_the_token_and_with_the_cap(ci, issuer):
    trust(ci, issuer, lifetime_seconds=120)
    now = ci.clock() // 1000
    assert login(ci, token_of(issuer)).json["expires_in"] == 120
    given = login(ci, token_of(issuer, exp=now + 45)).json
    assert given["expires_in"] == 45
    ci.clock.now += 44_000
    assert ci.client.get(PATH, headers=bearer(given["token"])).status_code == 200
    ci.clock.now += 7_000
    refusal(ci.client.get(PATH, headers=bearer(given["token"])), 401, "UNAUTHORIZED")


def test_there_is_never_a_refresh_token(ci, issuer):
    trust(ci, issuer)
    query = {"scope": SCOPE, "offline_token": "true"}
    given = ci.client.get("/token", query_string=query, headers=basic(ROBOT, token_of(issuer)))
    assert given.status_code == 200
    assert "refresh_token" not in given.json
    form = {"grant_type": "password", "username": ROBOT, "password": token_of(issuer), "access_type": "offline"}
    given = ci.client.post("/token", data=form)
    assert given.status_code == 200
    assert "refresh_token" not in given.json


def test_a_token_makes_no_keys_and_no_other_tokens(ci, issuer):
    trust(ci, issuer)
    header = basic(ROBOT, token_of(issuer))
    made = ci.client.post(f"/api/v1/principals/{ROBOT}/keys", json={"name": "x"}, headers=header)
    assert made.status_code == 403
    ours = login(ci, token_of(issuer)).json["token"]
    assert ci.client.get("/token", headers=bearer(ours)).status_code == 401
    assert exchange(ci, ours).status_code == 401


def test_scopes_narrow_and_those_of_several_trusts_add_up(ci, issuer):
    trust(ci, issuer, "read", scopes=["pull"])
    header = basic(ROBOT, token_of(issuer))
    assert ci.client.get(PATH, headers=header).status_code == 200
    assert ci.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 403
    trust(
        ci, issuer, "write", claims={"repository": ["acme/app"], "ref": ["refs/heads/main"]}, scopes=["push:team/app"]
    )
    assert ci.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 202
    assert ci.client.post("/v2/team/other/blobs/uploads/", headers=header).status_code == 403
    branch = basic(ROBOT, token_of(issuer, ref="refs/heads/dev"))
    assert ci.client.post("/v2/team/app/blobs/uploads/", headers=branch).status_code == 403
    ours = bearer(login(ci, token_of(issuer, ref="refs/heads/dev")).json["token"])
    assert ci.client.get(PATH, headers=ours).status_code == 200
    refused = ci.client.post("/v2/team/app/blobs/uploads/", headers=ours)
    told = "the scopes of the trusts that this token fits do not include push on team/app"
    refusal(refused, 403, "DENIED")
    assert told in refused.text
    trust(ci, issuer, "all")
    assert ci.client.post("/v2/team/other/blobs/uploads/", headers=header).status_code == 202


def test_a_token_that_fits_two_robots_is_told_to_name_one(ci, issuer):
    trust(ci, issuer)
    ci.robot("team", "other")
    trust(ci, issuer, "other", "team+other")
    answer = exchange(ci, token_of(issuer))
    assert answer.status_code == 401
    assert "several robots" in answer.json["errors"][0]["message"]
    assert ROBOT not in answer.text
    assert exchange(ci, token_of(issuer), username="team+other").status_code == 200
    whoami = ci.client.get("/api/v1/whoami", headers=basic("team+other", token_of(issuer)))
    assert whoami.json["principal"] == "team+other"


ENDS = {
    "trust": lambda ci: ci.access.trusts.delete(CHIEF, "app", Condition()),
    "disabled": lambda ci: ci.access.principals.change(CHIEF, ROBOT, PrincipalWish(disabled=True)),
    "deleted": lambda ci: ci.access.principals.delete(CHIEF, ROBOT),
    "rule": lambda ci: ci.drop_rule("ci"),
    "denied": lambda ci: ci.rule("no", "everybody", ["team/*"], actions=["pull", "push"]),
}


@pytest.mark.parametrize("way", ENDS)
def test_what_was_given_ends_at_once(ci, issuer, way):
    trust(ci, issuer)
    token = token_of(issuer)
    headers = [bearer(login(ci, token).json["token"]), basic(ROBOT, token)]
    for header in headers:
        assert ci.client.get(PATH, headers=header).status_code == 200
    ENDS[way](ci)
    for header in headers:
        assert ci.client.get(PATH, headers=header).status_code in (401, 403)
        assert ci.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code in (401, 403)


def test_a_new_trust_of_the_same_name_gives_nothing_back(ci, issuer):
    trust(ci, issuer)
    header = bearer(login(ci, token_of(issuer)).json["token"])
    ci.access.trusts.delete(CHIEF, "app", Condition())
    trust(ci, issuer)
    answer = ci.client.get(PATH, headers=header)
    refusal(answer, 401, "UNAUTHORIZED")
    assert answer.json["errors"][0]["message"] == "the trust was deleted"
    assert login(ci, token_of(issuer)).status_code == 200


REFUSED = {
    "another repository": ({"repository": "acme/other"}, "no trust"),
    "another owner": ({"repository": "evil/app"}, "no trust"),
    "no audience": ({"aud": None}, "the audience"),
    "another audience": ({"aud": "https://other.example"}, "the audience"),
    "the audience in a text": ({"aud": f"{AUDIENCE} "}, "the audience"),
    "no end": ({"exp": None}, "no exp"),
    "expired": ({"exp": 1}, "has expired"),
    "not yet": ({"nbf": 1 << 40}, "not valid yet"),
    "issued later": ({"iat": 1 << 40}, "not valid yet"),
    "never issued": ({"iat": None}, "no iat"),
    "a time that is none": ({"exp": "soon"}, "exp is no time"),
    "a time that is true": ({"exp": True}, "exp is no time"),
    "another issuer": ({"iss": "https://issuer.example"}, "no trust"),
    "no issuer": ({"iss": None}, "no trust"),
    "a list of issuers": ({"iss": ["https://issuer.example"]}, "no trust"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_token_that_does_not_fit_is_refused_in_words_that_tell_no_rules(ci, issuer, kind):
    trust(ci, issuer)
    claims, words = REFUSED[kind]
    for answer in (login(ci, token_of(issuer, **claims)), exchange(ci, token_of(issuer, **claims))):
        refusal(answer, 401, "UNAUTHORIZED")
        assert words in answer.json["errors"][0]["message"]
        assert not any(told in answer.text for told in ("acme", AUDIENCE, issuer.url))


def test_who_proves_nothing_cannot_tell_which_robots_there_are(ci, issuer):
    trust(ci, issuer)
    ci.robot("team", "idle")
    forged = token_of(issuer)[:-8] + "AAAAAAAA"
    said = set()
    for name in (ROBOT, "team+idle", "team+none"):
        for token in (forged, token_of(issuer, iss="https://issuer.example"), "ey.ey.ey", "ey.."):
            answer = login(ci, token, name)
            assert answer.status_code == 401
            said.add(answer.json["errors"][0]["message"].replace(name, "NAME"))
    assert len(said) == 1


def test_a_user_is_never_what_a_token_stands_for(ci, issuer):
    trust(ci, issuer)
    ci.user("alice")
    refusal(login(ci, token_of(issuer), "alice"), 401, "UNAUTHORIZED")
    answer = ci.client.post(
        "/api/v1/trusts",
        json={"name": "x", "robot": "alice", "issuer": issuer.url, "audiences": ["a"], "claims": {"sub": ["x"]}},
        environ_overrides=OPERATOR,
    )
    assert (answer.status_code, answer.json["code"]) == (404, "PRINCIPAL_UNKNOWN")


def test_an_issuer_that_is_down_is_told_as_such(ci, issuer):
    trust(ci, issuer)
    token = token_of(issuer)
    issuer.be(DOWN)
    answer = login(ci, token)
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    assert issuer.url not in answer.text


def test_keys_that_the_trust_brings_need_no_issuer(ci, issuer):
    trust(ci, issuer, keys=issuer.jwks())
    token = token_of(issuer)
    issuer.be(DOWN)
    assert login(ci, token).status_code == 200
    forged = issuer.sign({"aud": AUDIENCE, **OF_GITHUB}, header={"kid": "unknown"})
    refusal(login(ci, forged), 401, "UNAUTHORIZED")


def test_a_new_key_of_the_issuer_is_taken_and_an_old_one_ends(ci, issuer, monkeypatch):
    monkeypatch.setattr(issuers_module, "AGAIN_SECONDS", 0)
    trust(ci, issuer)
    old = token_of(issuer)
    assert login(ci, old).status_code == 200
    issuer.rotate(keep=False)
    assert login(ci, token_of(issuer)).status_code == 200
    refusal(login(ci, old), 401, "UNAUTHORIZED")


def test_it_is_explained_to_administrators(ci, issuer):
    trust(ci, issuer)
    trust(ci, issuer, "main", claims={"repository": ["acme/app"], "ref": ["refs/heads/main"]}, audiences=["other"])
    token = token_of(issuer, ref="refs/heads/dev", exp=1)
    body = {"token": token, "robot": ROBOT}
    answer = ci.client.post("/api/v1/trusts/explanation", json=body, environ_overrides=OPERATOR)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["claims"]["ref"] == "refs/heads/dev"
    first, second = answer.json["trusts"]
    assert (first["trust"], first["fits"], first["problems"]) == ("app", False, ["the token has expired"])
    assert second["problems"][1:] == [
        "claim ref is 'refs/heads/dev', not refs/heads/main",
        f"the audience is '{AUDIENCE}', not other",
    ]
    body = {"token": token_of(issuer)}
    answer = ci.client.post("/api/v1/trusts/explanation", json=body, environ_overrides=OPERATOR)
    assert [one["fits"] for one in answer.json["trusts"]] == [True, False]
    answer = ci.client.post("/api/v1/trusts/explanation", json={"token": "x"}, environ_overrides=OPERATOR)
    assert (answer.status_code, answer.json["code"]) == (400, "TRUST_INVALID")


def test_trusts_are_made_listed_shown_and_removed(ci, issuer):
    wanted = {
        "name": "app",
        "robot": ROBOT,
        "issuer": issuer.url,
        "audiences": [AUDIENCE],
        "claims": {"repository": ["acme/app"]},
        "scopes": ["push:team/*"],
        "lifetime_seconds": 120,
    }
    made = ci.chief("POST", "/api/v1/trusts", json=wanted)
    assert made.status_code == 201
    assert {name: made.json[name] for name in wanted} == wanted
    again = ci.client.post("/api/v1/trusts", json=wanted, environ_overrides=OPERATOR)
    assert (again.status_code, again.json["code"]) == (409, "TRUST_TAKEN")
    shown = ci.chief("GET", "/api/v1/trusts/app")
    assert shown.json == made.json
    assert ci.chief("GET", "/api/v1/trusts").json["items"] == [made.json]
    stale = ci.client.delete("/api/v1/trusts/app", headers={"If-Match": '"x"'}, environ_overrides=OPERATOR)
    assert stale.status_code == 412
    ci.chief("DELETE", "/api/v1/trusts/app", headers={"If-Match": shown.headers["ETag"]})
    gone = ci.client.get("/api/v1/trusts/app", environ_overrides=OPERATOR)
    assert (gone.status_code, gone.json["code"]) == (404, "TRUST_UNKNOWN")


def test_a_robot_has_so_many_trusts_and_takes_them_along(ci, issuer):
    for number in range(20):
        trust(ci, issuer, f"t{number}")
    with pytest.raises(TrustInvalid, match="20 trusts already"):
        trust(ci, issuer, "more")
    ci.access.principals.delete(CHIEF, ROBOT)
    assert ci.chief("GET", "/api/v1/trusts").json["items"] == []


def test_the_audience_is_the_address_of_the_registry_where_none_is_named(folder, issuer):
    with world(folder, external_url=AUDIENCE) as made:
        made.robot("team", "ci")
        row = trust(made, issuer, audiences=[])
        assert row.definition["audiences"] == [AUDIENCE]


def test_a_job_goes_on_in_another_process_and_ends_there_at_once(folder, issuer, monkeypatch):
    monkeypatch.setattr(standing, "FRESH_SECONDS", 0)
    issuer.at(None)
    more = {"storage_url": f"file://{folder / 'storage'}"}
    with world(folder, lambda: int(time.time() * 1000), **more) as one, world(folder, one.clock, **more) as other:
        one.robot("team", "ci")
        one.rule("ci", f"robot:{ROBOT}", ["team/*"], role="push")
        one.push("team/app", "v1")
        trust(one, issuer)
        header = bearer(login(other, token_of(issuer)).json["token"])
        assert one.client.get(PATH, headers=header).status_code == 200
        other.access.trusts.delete(CHIEF, "app", Condition())
        refusal(one.client.get(PATH, headers=header), 401, "UNAUTHORIZED")
        refusal(other.client.get(PATH, headers=header), 401, "UNAUTHORIZED")


@pytest.fixture(scope="module")
def attacked(blank, issuer):
    with quick_folder() as folder:
        shutil.copy(blank / "moorage.db", folder)
        with world(folder) as made:
            made.robot("team", "ci")
            made.rule("ci", f"robot:{ROBOT}", ["team/*"], role="pull")
            made.push("team/app", "v1")
            trust(made, issuer)
            issuer.rotate(keep=False)
            issuer.at(made.clock() // 1000)
            yield made, Attack(token_of(issuer), issuer)
            issuer.at(None)


@pytest.mark.parametrize(
    "kind", [kind for kind in FORGED if not kind.startswith(("sub", "access"))], ids=lambda kind: ascii(kind)[1:60]
)
def test_a_forged_token_stands_for_nobody(attacked, kind):
    ci, attack = attacked
    assert login(ci, attack.good).status_code == 200
    forged = FORGED[kind](attack)
    for answer in (exchange(ci, forged), exchange(ci, forged, username=ROBOT)):
        refusal(answer, 401, "UNAUTHORIZED")
    if len(forged) < 6000:
        refusal(ci.client.get(PATH, headers=basic(ROBOT, forged)), 401, "UNAUTHORIZED")


def test_a_token_that_our_own_key_signed_stands_for_nobody(ci, issuer):
    trust(ci, issuer)
    ours = login(ci, token_of(issuer)).json["token"]
    for name in (ROBOT, "team+none"):
        refusal(login(ci, ours, name), 401, "UNAUTHORIZED")

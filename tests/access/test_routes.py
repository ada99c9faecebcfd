"""Who may ask for what: every route of the app, as each kind of client. A route that is not in the table fails."""

import json
import shutil

import pytest

from registry.access.principals import PrincipalWish
from tests.access.routes import ARGUMENTS, BODIES, QUERIES, address, routes
from tests.support.asking import CHIEF, OPERATOR, bearer, world

OPEN, ANYBODY, KNOWN = "open", "anybody", "known"
PULL, PUSH, DELETE, ADMIN, REGISTRY = "pull", "push", "delete", "admin", "registry"

# What each route needs on the repository in it; "registry": to administer all; "known": any credentials;
# "anybody": none, but no wrong ones; "open": no credentials are looked at.
NEEDS = {
    "GET /.well-known/jwks.json": OPEN,
    "GET /api/v1/access/explanation": REGISTRY,
    "POST /api/v1/access/simulation": REGISTRY,
    "POST /api/v1/access/token-keys": REGISTRY,
    "GET /api/v1/audit": REGISTRY,
    "GET /api/v1/audit/head": REGISTRY,
    "POST /api/v1/logins": ANYBODY,
    "POST /api/v1/logins/poll": ANYBODY,
    "GET /api/v1/policy": REGISTRY,
    "PUT /api/v1/policy": REGISTRY,
    "GET /api/v1/policy/rules": REGISTRY,
    "POST /api/v1/policy/rules": REGISTRY,
    "GET /api/v1/policy/rules/<rule>": REGISTRY,
    "PUT /api/v1/policy/rules/<rule>": REGISTRY,
    "DELETE /api/v1/policy/rules/<rule>": REGISTRY,
    "GET /api/v1/principals/<principal>/keys": REGISTRY,
    "POST /api/v1/principals/<principal>/keys": REGISTRY,
    "DELETE /api/v1/principals/<principal>/keys/<key>": REGISTRY,
    "POST /api/v1/principals/<principal>/keys/<key>/rotate": REGISTRY,
    "GET /api/v1/robots": REGISTRY,
    "POST /api/v1/robots": REGISTRY,
    "GET /api/v1/robots/<robot>": REGISTRY,
    "PATCH /api/v1/robots/<robot>": REGISTRY,
    "DELETE /api/v1/robots/<robot>": REGISTRY,
    "GET /api/v1/teams": REGISTRY,
    "POST /api/v1/teams": REGISTRY,
    "GET /api/v1/teams/<team>": REGISTRY,
    "DELETE /api/v1/teams/<team>": REGISTRY,
    "PUT /api/v1/teams/<team>/members/<member>": REGISTRY,
    "DELETE /api/v1/teams/<team>/members/<member>": REGISTRY,
    "GET /api/v1/trusts": REGISTRY,
    "POST /api/v1/trusts": REGISTRY,
    "POST /api/v1/trusts/explanation": REGISTRY,
    "GET /api/v1/trusts/<trust>": REGISTRY,
    "DELETE /api/v1/trusts/<trust>": REGISTRY,
    "GET /api/v1/users": REGISTRY,
    "POST /api/v1/users": REGISTRY,
    "GET /api/v1/users/<user>": REGISTRY,
    "PATCH /api/v1/users/<user>": REGISTRY,
    "DELETE /api/v1/users/<user>": REGISTRY,
    "GET /api/v1/users/<user>/identities": REGISTRY,
    "POST /api/v1/users/<user>/identities": REGISTRY,
    "DELETE /api/v1/users/<user>/identities/<identity>": REGISTRY,
    "GET /api/v1/whoami": ANYBODY,
    "GET /api/v1/blobs/<digest>": REGISTRY,
    "GET /api/v1/collection": REGISTRY,
    "GET /api/v1/collection/explain": REGISTRY,
    "GET /api/v1/collection/preview": REGISTRY,
    "GET /api/v1/events": KNOWN,
    "GET /api/v1/events/consumers": REGISTRY,
    "GET /api/v1/events/dead": REGISTRY,
    "DELETE /api/v1/events/dead/<letter>": REGISTRY,
    "POST /api/v1/events/dead/<letter>/redeliver": REGISTRY,
    "POST /api/v1/events/replay": REGISTRY,
    "GET /api/v1/jobs": REGISTRY,
    "POST /api/v1/jobs/<job>/runs": REGISTRY,
    "GET /api/v1/openapi.json": OPEN,
    "GET /api/v1/plugins": REGISTRY,
    "PUT /api/v1/plugins/<plugin>/block": REGISTRY,
    "DELETE /api/v1/plugins/<plugin>/block": REGISTRY,
    "POST /api/v1/purges": REGISTRY,
    "GET /api/v1/purges": REGISTRY,
    "DELETE /api/v1/purges/<digest>": REGISTRY,
    "GET /api/v1/readonly": REGISTRY,
    "PUT /api/v1/readonly": REGISTRY,
    "DELETE /api/v1/readonly": REGISTRY,
    "GET /api/v1/repositories": KNOWN,
    "POST /api/v1/repositories": PUSH,
    "GET /api/v1/repositories/<repository:name>": PULL,
    "PATCH /api/v1/repositories/<repository:name>": ADMIN,
    "DELETE /api/v1/repositories/<repository:name>": DELETE,
    "GET /api/v1/repositories/<repository:name>/-/blobs/<digest>": PULL,
    "GET /api/v1/repositories/<repository:name>/-/history": PULL,
    "GET /api/v1/repositories/<repository:name>/-/manifests": PULL,
    "GET /api/v1/repositories/<repository:name>/-/manifests/<digest>": PULL,
    "DELETE /api/v1/repositories/<repository:name>/-/manifests/<digest>": DELETE,
    "GET /api/v1/repositories/<repository:name>/-/manifests/<digest>/labels": PULL,
    "POST /api/v1/repositories/<repository:name>/-/manifests/<digest>/labels": PUSH,
    "DELETE /api/v1/repositories/<repository:name>/-/manifests/<digest>/labels/<label>": PUSH,
    "GET /api/v1/repositories/<repository:name>/-/manifests/<digest>/referrers": PULL,
    "POST /api/v1/repositories/<repository:name>/-/manifests/<digest>/restore": PUSH,
    "POST /api/v1/repositories/<repository:name>/-/protection": PULL,
    "POST /api/v1/repositories/<repository:name>/-/rename": ADMIN,
    "GET /api/v1/repositories/<repository:name>/-/restore": PULL,
    "POST /api/v1/repositories/<repository:name>/-/restore": REGISTRY,  # it is a job, as all jobs are
    "POST /api/v1/repositories/<repository:name>/-/retention": DELETE,
    "GET /api/v1/repositories/<repository:name>/-/retention": PULL,
    "GET /api/v1/repositories/<repository:name>/-/retention/<plan>": PULL,
    "GET /api/v1/repositories/<repository:name>/-/retention/<plan>/entries": PULL,
    "POST /api/v1/repositories/<repository:name>/-/retention/<plan>/run": DELETE,
    "GET /api/v1/repositories/<repository:name>/-/tags": PULL,
    "GET /api/v1/repositories/<repository:name>/-/tags/<tag>": PULL,
    "PUT /api/v1/repositories/<repository:name>/-/tags/<tag>": PUSH,
    "PATCH /api/v1/repositories/<repository:name>/-/tags/<tag>": PUSH,
    "DELETE /api/v1/repositories/<repository:name>/-/tags/<tag>": DELETE,
    "POST /api/v1/repositories/<repository:name>/-/tags/<tag>/restore": PUSH,
    "POST /api/v1/repositories/<repository:name>/-/undelete": ADMIN,
    "GET /api/v1/repositories/<repository:name>/-/usage": PULL,
    "GET /api/v1/rules": REGISTRY,
    "POST /api/v1/rules": REGISTRY,
    "GET /api/v1/rules/<rule>": PULL,
    "PUT /api/v1/rules/<rule>": ADMIN,
    "DELETE /api/v1/rules/<rule>": ADMIN,
    "GET /api/v1/runs": REGISTRY,
    "GET /api/v1/runs/<run>": REGISTRY,
    "POST /api/v1/runs/<run>/cancel": REGISTRY,
    "GET /health/live": OPEN,
    "GET /health/ready": OPEN,
    "GET /login": OPEN,
    "GET /login/-/confirm": OPEN,
    "POST /login/-/confirm": OPEN,
    "GET /login/<provider>": OPEN,
    "GET /login/<provider>/callback": OPEN,
    "GET /token": OPEN,
    "POST /token": OPEN,
    "GET /v2/": KNOWN,
    "GET /v2/<path:name>/blobs/<digest>": PULL,
    "DELETE /v2/<path:name>/blobs/<digest>": DELETE,
    "POST /v2/<path:name>/blobs/uploads/": PUSH,
    "GET /v2/<path:name>/blobs/uploads/<uuid>": PUSH,
    "PATCH /v2/<path:name>/blobs/uploads/<uuid>": PUSH,
    "PUT /v2/<path:name>/blobs/uploads/<uuid>": PUSH,
    "DELETE /v2/<path:name>/blobs/uploads/<uuid>": PUSH,
    "GET /v2/<path:name>/manifests/<reference>": PULL,
    "PUT /v2/<path:name>/manifests/<reference>": PUSH,
    "DELETE /v2/<path:name>/manifests/<reference>": DELETE,
    "GET /v2/<path:name>/referrers/<digest>": PULL,
    "GET /v2/<path:name>/tags/list": PULL,
    "GET /v2/_catalog": KNOWN,
    "GET /v2/as-of.<stamp:stamp>/<path:name>/blobs/<digest>": PULL,
    "GET /v2/as-of.<stamp:stamp>/<path:name>/manifests/<reference>": PULL,
    "GET /v2/as-of.<stamp:stamp>/<path:name>/referrers/<digest>": PULL,
    "GET /v2/as-of.<stamp:stamp>/<path:name>/tags/list": PULL,
}
OF_REPOSITORY = {
    "GET /api/v1/rules": (PULL, {"repository": "team/app"}, None),
    "POST /api/v1/rules": (
        ADMIN, {}, {"name": "new", "kind": "immutability", "definition": {"tags": ["v*"]}, "repository": "team/app"},
    ),
    "GET /api/v1/audit": (ADMIN, {"repository": "team/app"}, None),
    "GET /api/v1/events": (PULL, {"repository": "team/app"}, None),
    "GET /api/v1/collection/explain": (PULL, {"repository": "team/app", "reference": "v1"}, None),
}  # fmt: skip
"""What needs less, or more, where it is about one repository."""

ROLES = {
    "anonymous": {OPEN, ANYBODY},
    "puller": {OPEN, ANYBODY, KNOWN, PULL},
    "pusher": {OPEN, ANYBODY, KNOWN, PULL, PUSH},
    "maintainer": {OPEN, ANYBODY, KNOWN, PULL, PUSH, DELETE},
    "owner": {OPEN, ANYBODY, KNOWN, PULL, PUSH, DELETE, ADMIN},
    "chief": {OPEN, ANYBODY, KNOWN, PULL, PUSH, DELETE, ADMIN, REGISTRY},
    "disabled": {OPEN},
    "stranger": {OPEN, ANYBODY, KNOWN},
}


@pytest.fixture(scope="module")
def town(shared):
    """Give a registry with a client of each kind, each with its key."""
    for name, role in (("puller", "pull"), ("pusher", "push"), ("maintainer", "maintain"), ("owner", "admin")):
        shared.user(name)
        shared.rule(name, f"user:{name}", ["team/*"], role=role)
    shared.user("chief")
    shared.rule("chief", "user:chief", role="admin")
    shared.user("disabled")
    shared.rule("disabled", "user:disabled", role="admin")
    shared.user("stranger")
    shared.rule("stranger", "user:stranger", ["other/*"], role="admin")
    build(shared)
    shared.keys["anonymous"] = ""
    disabled = shared.token("disabled", "repository:team/app:*", "registry:catalog:*")
    shared.access.principals.change(CHIEF, "disabled", PrincipalWish(disabled=True))
    shared.settle()
    return shared, disabled


def build(world):
    """Make what the routes are about, where it is not there or was deleted."""
    world.push("team/app", "v1")
    of_app = {"kind": "immutability", "repository": "team/app", "definition": {"tags": ["rel-*"]}}
    if world.client.get("/api/v1/rules/of-app", environ_overrides=OPERATOR).status_code == 404:
        world.chief("POST", "/api/v1/rules", json={"name": "of-app", **of_app})


def needs_of(route, rule, app):
    pages = app.extensions["moorage_pages"]
    return REGISTRY if rule.endpoint.rpartition(".")[0] in pages else NEEDS[route]


def test_every_route_is_in_the_table(town):
    world, _ = town
    ours = {route for route, rule in routes(world.app).items() if "webhooks." not in rule.endpoint}
    assert ours == set(NEEDS)


def ask(world, route, rule, header, query=None, body=None):
    method = route.partition(" ")[0]
    body = BODIES.get(route) if body is None else body
    given = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    query = QUERIES.get(route, {}) if query is None else query
    return world.client.open(address(rule, ARGUMENTS), method=method, query_string=query, headers=header, **given)


def mismatches(world, name, header):
    wrong, tried = [], 0
    for route, rule in routes(world.app).items():
        cases = [(needs_of(route, rule, world.app), None, None)]
        if route in OF_REPOSITORY:
            cases.append(OF_REPOSITORY[route])
        for need, query, body in cases:
            answer = ask(world, route, rule, header, query, body)
            refused = 401 if name in ("anonymous", "disabled") else 403
            allowed = need in ROLES[name]
            tried += 1
            good = answer.status_code not in (401, 403, 500) if allowed else answer.status_code == refused
            if route.endswith(" /token"):  # it is where the others come from
                good = answer.status_code in (200, 400, 401)
            if not good:
                wrong.append((route, need, answer.status, answer.text[:200]))
            if answer.status_code == 401:
                assert "WWW-Authenticate" in answer.headers
    return wrong, tried


@pytest.mark.parametrize("name", sorted(ROLES, key=lambda name: (len(ROLES[name]), name)))
def test_each_kind_of_client_may_do_what_the_table_says(town, name):
    world, _ = town
    build(world)
    header = {} if name == "anonymous" else world.as_(name)
    wrong, tried = mismatches(world, name, header)
    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 90


def test_a_token_from_before_its_owner_was_disabled_is_refused_everywhere(town):
    world, token = town
    wrong, _ = mismatches(world, "disabled", bearer(token))
    assert not wrong


@pytest.mark.parametrize("name", ["puller", "owner"])
def test_a_token_for_another_repository_is_refused_everywhere(town, name):
    world, _ = town
    build(world)
    header = bearer(world.token(name, "repository:team/else:*"))
    for route, rule in routes(world.app).items():
        if NEEDS.get(route) in (OPEN, ANYBODY, None) or route == "GET /v2/":
            continue
        answer = ask(world, route, rule, header)
        assert answer.status_code in (401, 403), (route, answer.text)
        assert NEEDS[route] not in ROLES[name] or answer.status_code == 401, route


def test_errors_of_the_api_are_problems_and_those_of_the_protocol_are_not(town):
    world, _ = town
    for path, kind in (
        ("/api/v1/jobs", "application/problem+json"),
        ("/webhooks/subscriptions", "application/problem+json"),
        ("/v2/team/app/tags/list", "application/json"),
    ):
        answer = world.client.get(path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (401, kind)
        schemes = [one.partition(" ")[0] for one in answer.headers.getlist("WWW-Authenticate")]
        assert schemes == (["Bearer"] if path.startswith("/v2") else ["Basic", "Bearer"])
        assert json.loads(answer.data)


WITH_SECRETS = {
    "GET /token",
    "POST /token",
    "POST /api/v1/principals/<principal>/keys",
    "POST /api/v1/principals/<principal>/keys/<key>/rotate",
    "POST /api/v1/logins",
    "POST /api/v1/logins/poll",
    "POST /webhooks/subscriptions",
    "POST /webhooks/subscriptions/<name>/rotate",
}
NO_PAGE = "sandbox; default-src 'none'; frame-ancestors 'none'"


def policy_of(answer):
    return {one.strip() for one in answer.headers["Content-Security-Policy"].split(";")}


@pytest.mark.parametrize("name", ["anonymous", "chief"])
def test_no_answer_is_a_page_and_what_holds_a_secret_is_kept_nowhere(town, name):
    world, _ = town
    build(world)
    header = {} if name == "anonymous" else world.as_(name)
    found = routes(world.app)
    assert set(found) >= WITH_SECRETS
    answers = {route: ask(world, route, rule, header) for route, rule in found.items()}
    answers |= {
        f"{method} {path}": world.client.open(path, method=method, headers=header)
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "TRACE", "POST")
        for path in ("/", "/v2/<script>", "/v2/a/b/c", "/api/v1/nothing", "/webhooks/none", "/favicon.ico", "/token")
    }
    for route, answer in answers.items():
        assert answer.headers["X-Content-Type-Options"] == "nosniff", route
        assert "Strict-Transport-Security" not in answer.headers
        if " /login" in route:  # the pages that there are
            assert {"default-src 'none'", "frame-ancestors 'none'"} <= policy_of(answer), route
            assert "script-src" not in answer.headers["Content-Security-Policy"], route
            continue
        assert answer.headers["Content-Security-Policy"] == NO_PAGE, route
        assert not answer.headers.get("Content-Type", "").startswith("text/html"), route
        if route in WITH_SECRETS and answer.status_code < 300:
            assert answer.headers["Cache-Control"] == "no-store", route
    if name == "chief":
        assert {route for route in WITH_SECRETS if answers[route].status_code < 300} >= {"GET /token"}


def test_browsers_are_told_to_stay_with_tls_where_clients_use_it(blank, tmp_path):
    shutil.copytree(blank, tmp_path, dirs_exist_ok=True)
    for url, told in (("https://registry.example", True), ("http://registry.example", False)):
        with world(tmp_path, external_url=url) as made:
            for path in ("/v2/", "/health/live", "/nothing"):
                assert ("Strict-Transport-Security" in made.client.get(path).headers) == told, path

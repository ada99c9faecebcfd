"""What is another's is not there: answers about it are those about what does not exist."""

import re

import pytest

from registry.testing.images import simple_image
from tests.access.routes import ARGUMENTS, BLOB, BODIES, DIGEST, QUERIES, UUID, address, routes
from tests.support.asking import CHIEF, OPERATOR, bearer

PRIVATE, NOTHING = "team/app", "team/nil"
MINE = "mine/app"
OWN = simple_image("mine")
NO_DIGEST = "sha256:" + "0" * 64
UUIDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def town(shared):
    """Give a registry with a private repository, a user without any rights, and one who owns another namespace."""
    shared.user("nobody")
    shared.user("tenant")
    shared.rule("tenant", "user:tenant", ["mine/*"], role="admin")
    shared.push(PRIVATE, "v1", "v2")
    shared.push(MINE, "v1", text="mine")
    return shared


def told(answer, *names):
    """Return all of an answer but names, ids and dates."""
    text = answer.get_data(as_text=True)
    headers = {name: value for name, value in answer.headers.items() if name not in ("Date", "ETag")}

    def plain(value):
        for name in names:
            value = re.sub(rf"\b{re.escape(name)}\b", "?", value)
        return UUIDS.sub("UUID", value)

    return answer.status_code, {name: plain(value) for name, value in headers.items()}, plain(text)


def upload_of(world, repository):
    """Begin an upload, and return its id."""
    return world.chief("POST", f"/v2/{repository}/blobs/uploads/").headers["Docker-Upload-UUID"]


def nothing(_):
    return None


def fixed(text):
    return lambda _: text


def cases(world):
    """Yield how to ask each route about a repository by name: method, path, query, body."""
    upload = upload_of(world, PRIVATE)
    for route, rule in routes(world.app).items():
        if "name" in rule.arguments and not rule.rule.startswith("/webhooks"):
            for uuid in [UUID, upload] if "uuid" in rule.arguments else [UUID]:
                for method in {route.partition(" ")[0]} | (rule.methods & {"HEAD"}):

                    def path(name, uuid=uuid, rule=rule):
                        return address(rule, {**ARGUMENTS, "name": name, "uuid": uuid})

                    yield method, path, fixed(QUERIES.get(route)), fixed(BODIES.get(route))
    yield "GET", fixed("/api/v1/collection/explain"), lambda n: {"repository": n, "reference": "v1"}, nothing
    yield "GET", fixed("/api/v1/collection/explain"), lambda n: {"repository": n, "reference": DIGEST}, nothing
    yield "GET", fixed("/api/v1/events"), lambda n: {"repository": n}, nothing
    yield "GET", fixed("/api/v1/rules"), lambda n: {"repository": n}, nothing
    rule = {"name": "new", "kind": "immutability", "definition": {"tags": ["v*"]}}
    yield "POST", fixed("/api/v1/rules"), nothing, lambda n: {**rule, "repository": n}
    yield "POST", fixed("/api/v1/repositories"), nothing, lambda n: {"name": n}
    yield "POST", fixed(f"/api/v1/repositories/{MINE}/-/rename"), nothing, lambda n: {"name": n}
    uploads = fixed(f"/v2/{MINE}/blobs/uploads/")
    yield "POST", uploads, lambda n: {"mount": BLOB, "from": n}, nothing
    yield "POST", uploads, lambda n: {"mount": BLOB if n == PRIVATE else NO_DIGEST}, nothing
    for query in ({"mount": BLOB, "from": MINE}, {"mount": BLOB}, {"digest": BLOB}):
        yield "POST", lambda n: f"/v2/{n}/blobs/uploads/", fixed(query), nothing
    for digest in (DIGEST, BLOB, NO_DIGEST):
        for path in ("manifests", "blobs", "referrers"):
            yield "GET", lambda n, d=digest, p=path: f"/v2/{n}/{p}/{d}", nothing, nothing


@pytest.mark.parametrize("who", ["", "nobody", "nobody's token", "tenant"])
def test_a_private_repository_is_not_told_from_none(town, who):
    wrong, tried = [], 0
    header = bearer(town.token("nobody", f"repository:{PRIVATE}:*")) if "token" in who else town.as_(who)
    for method, path, query, body in cases(town):
        answers = []
        for name in (PRIVATE, NOTHING):
            given = body(name)
            more = {"data": given} if isinstance(given, bytes) else {"json": given} if given is not None else {}
            answer = town.client.open(path(name), method=method, query_string=query(name), headers=header, **more)
            answers.append(told(answer, name, BLOB, NO_DIGEST))
        tried += 1
        if answers[0] != answers[1] or answers[0][0] == 500:
            wrong.append((method, path(PRIVATE), query(PRIVATE), *answers))
    assert not wrong, "\n".join(map(str, wrong))
    assert tried > 70
    # and nothing of it was done
    assert town.chief("GET", f"/v2/{PRIVATE}/tags/list").json["tags"] == ["v1", "v2"]
    assert town.client.get(f"/v2/{NOTHING}/tags/list", environ_overrides=OPERATOR).status_code == 404


def test_a_mount_without_a_source_takes_one_that_may_be_pulled_and_names_no_other(town):
    shared_image = simple_image("both")
    town.push("aaa/secret", "v1", text="both")
    town.push("open/app", "v1", text="both")
    town.rule("open", "user:tenant", ["open/*"], role="pull")
    digest = shared_image.blobs[0].digest
    answer = town.client.post(f"/v2/{MINE}/blobs/uploads/", query_string={"mount": digest}, headers=town.as_("tenant"))
    assert answer.status_code == 201
    services = town.services
    while services.database.write(services.log.place):
        pass
    listed = town.client.get(
        "/api/v1/events", query_string={"repository": MINE, "type": "org.moorage.blob."}, headers=town.as_("tenant")
    )
    (event,) = [one for one in listed.json["items"] if one.get("subject") == digest]
    assert event["data"]["mountedFrom"] == "open/app"
    assert "secret" not in listed.text


def foreign(world):
    """Return ids of another's things, by what they are."""
    world.chief("DELETE", f"/v2/{PRIVATE}/manifests/v2")
    plan = world.chief("POST", f"/api/v1/repositories/{PRIVATE}/-/retention", json={}).json["id"]
    run = world.chief("POST", "/api/v1/jobs/retention/runs", json={}).json["id"]
    of_app = {"kind": "immutability", "repository": PRIVATE, "definition": {"tags": ["rel-*"]}}
    world.chief("POST", "/api/v1/rules", json={"name": "of-app", **of_app})
    labels = f"/api/v1/repositories/{PRIVATE}/-/manifests/{DIGEST}/labels"
    label = world.chief("POST", labels, json={"key": "a", "value": "b"}).json["id"]
    world.push("team/gone", "v1", text="gone")
    gone = world.chief("DELETE", "/api/v1/repositories/team/gone").json["id"]
    living = world.chief("GET", f"/api/v1/repositories/{PRIVATE}").json["id"]
    return {
        "plan": plan,
        "run": run,
        "label": label,
        "gone": gone,
        "living": living,
        "upload": upload_of(world, PRIVATE),
    }


def put(given, one):
    """Put an id into a query or a body."""
    if not isinstance(given, dict):
        return given
    return {key: one if value == "{}" else value for key, value in given.items()}


def test_ids_of_another_are_those_of_nothing(town):
    ids = foreign(town)
    api, of_image = f"/api/v1/repositories/{MINE}/-", f"/api/v1/repositories/{MINE}/-/manifests"
    uploads = f"/v2/{MINE}/blobs/uploads"
    pairs = [
        *[(method, f"{uploads}/{{}}", ids["upload"], UUID, query, body) for method, query, body in (
            ("GET", None, None), ("PATCH", None, b"x"), ("PUT", {"digest": BLOB}, None), ("DELETE", None, None),
        )],
        ("GET", f"{api}/retention/{{}}", ids["plan"], 999_999, None, None),
        ("GET", f"{api}/retention/{{}}/entries", ids["plan"], 999_999, None, None),
        ("POST", f"{api}/retention/{{}}/run", ids["plan"], 999_999, None, {}),
        ("GET", "/api/v1/runs/{}", ids["run"], 999_999, None, None),
        ("POST", "/api/v1/runs/{}/cancel", ids["run"], 999_999, None, {}),
        ("GET", "/api/v1/events/dead", 1, 1, None, None),
        ("DELETE", "/api/v1/events/dead/{}", 1, 999_999, None, None),
        ("POST", "/api/v1/events/dead/{}/redeliver", 1, 999_999, None, {}),
        *[(method, "/api/v1/rules/{}", "of-app", "of-nil", None, body) for method, body in (
            ("GET", None), ("PUT", {"definition": {"tags": ["x"]}}), ("DELETE", None),
        )],
        ("DELETE", f"{of_image}/{OWN.digest}/labels/{{}}", ids["label"], 999_999, None, None),
        ("GET", f"{of_image}/{{}}", DIGEST, NO_DIGEST, None, None),
        ("DELETE", f"{of_image}/{{}}", DIGEST, NO_DIGEST, None, None),
        ("GET", f"{of_image}/{{}}/labels", DIGEST, NO_DIGEST, None, None),
        ("POST", f"{of_image}/{{}}/labels", DIGEST, NO_DIGEST, None, {"key": "a", "value": "b"}),
        ("GET", f"{of_image}/{{}}/referrers", DIGEST, NO_DIGEST, None, None),
        ("POST", f"{of_image}/{{}}/restore", DIGEST, NO_DIGEST, None, {}),
        ("GET", f"{api}/blobs/{{}}", BLOB, NO_DIGEST, None, None),
        ("GET", "/api/v1/blobs/{}", BLOB, NO_DIGEST, None, None),
        ("GET", f"/v2/{MINE}/blobs/{{}}", BLOB, NO_DIGEST, None, None),
        ("DELETE", f"/v2/{MINE}/blobs/{{}}", BLOB, NO_DIGEST, None, None),
        ("GET", f"/v2/as-of.20240229t120000z/{MINE}/blobs/{{}}", BLOB, NO_DIGEST, None, None),
        ("GET", f"/v2/as-of.20240229t120000z/{MINE}/manifests/{{}}", DIGEST, NO_DIGEST, None, None),
        ("GET", f"/v2/{MINE}/manifests/{{}}", DIGEST, NO_DIGEST, None, None),
        ("DELETE", f"/v2/{MINE}/manifests/{{}}", DIGEST, NO_DIGEST, None, None),
        ("GET", "/api/v1/collection/explain", DIGEST, NO_DIGEST, {"repository": MINE, "reference": "{}"}, None),
        ("GET", "/api/v1/collection/explain", DIGEST, NO_DIGEST, {"reference": "{}"}, None),
        ("PUT", f"{api}/tags/new", DIGEST, NO_DIGEST, None, {"digest": "{}"}),
        ("POST", f"{api}/tags/v1/restore", DIGEST, NO_DIGEST, None, {"digest": "{}"}),
        ("POST", f"{api}/undelete", ids["gone"], 999_999, None, {"id": "{}"}),
        ("POST", f"{api}/undelete", ids["living"], 999_999, None, {"id": "{}"}),
    ]  # fmt: skip
    wrong = []
    for method, path, theirs, none, query, body in pairs:
        answers = []
        for one in (theirs, none):
            more = {"data": body} if isinstance(body, bytes) else {"json": put(body, one)} if body is not None else {}
            answer = town.client.open(
                path.format(one), method=method, query_string=put(query, one), headers=town.as_("tenant"), **more
            )
            status, headers, text = told(answer, str(one))
            answers.append((status, headers.get("WWW-Authenticate"), text))
        if answers[0] != answers[1] or not (400 <= answers[0][0] < 500 or path.endswith("referrers")):
            wrong.append((method, path, *answers))
    assert not wrong, "\n".join(map(str, wrong))
    assert len(pairs) > 30
    assert town.chief("GET", f"/v2/{PRIVATE}/tags/list").json["tags"] == ["v1"]
    assert town.chief("GET", f"/v2/{PRIVATE}/blobs/uploads/{ids['upload']}").status_code == 204
    assert town.chief("GET", "/api/v1/rules/of-app").status_code == 200


@pytest.mark.parametrize("who", ["", "nobody"])
def test_who_there_is_is_told_to_administrators_alone(town, who):
    town.robot("team", "robot")
    town.access.teams.create(CHIEF, "crew")
    key = town.access.keys.create(CHIEF, "tenant", "key").key.prefix
    rule = {"definition": {"to": ["everybody"], "on": ["*"], "role": "admin"}}
    pairs = [
        *[(method, "/api/v1/users/{}", "tenant", "tenanx", body) for method, body in (
            ("GET", None), ("PATCH", {"password": "a long password"}), ("PATCH", {"disabled": True}), ("DELETE", None),
        )],
        *[(method, "/api/v1/robots/{}", "team+robot", "team+robox", body) for method, body in (
            ("GET", None), ("PATCH", {"disabled": True}), ("DELETE", None),
        )],
        *[(method, "/api/v1/teams/crew/members/{}", "tenant", "tenanx", None) for method in ("PUT", "DELETE")],
        *[(method, "/api/v1/teams/{}", "crew", "crex", None) for method in ("GET", "DELETE")],
        *[(method, "/api/v1/teams/{}/members/nobody", "crew", "crex", None) for method in ("PUT", "DELETE")],
        *[(method, "/api/v1/policy/rules/{}", "tenant", "tenanx", body) for method, body in (
            ("GET", None), ("PUT", rule), ("DELETE", None),
        )],
        ("GET", "/api/v1/principals/{}/keys", "tenant", "tenanx", None),
        ("POST", "/api/v1/principals/{}/keys", "tenant", "tenanx", {"name": "mine"}),
        ("DELETE", "/api/v1/principals/tenant/keys/{}", key, "AAAAAAAAAA", None),
        ("POST", "/api/v1/principals/tenant/keys/{}/rotate", key, "AAAAAAAAAA", {}),
        ("GET", "/api/v1/access/explanation?action=pull&principal={}", "tenant", "tenanx", None),
        ("POST", "/api/v1/users", "tenant", "tenanx", {"name": "{}"}),
        ("POST", "/api/v1/teams", "crew", "crex", {"name": "{}"}),
        ("POST", "/api/v1/robots", "robot", "robox", {"namespace": "team", "name": "{}"}),
        ("POST", "/api/v1/policy/rules", "tenant", "tenanx", {"name": "{}", **rule}),
    ]  # fmt: skip
    for method, path, there, missing, body in pairs:
        answers = []
        for one in (there, missing):
            more = {} if body is None else {"json": put(body, one)}
            answer = town.client.open(path.format(one), method=method, headers=town.as_(who), **more)
            answers.append(told(answer, one))
        assert answers[0] == answers[1], (method, path)
        assert answers[0][0] == (403 if who else 401), (method, path)
    town.access.principals.delete(CHIEF, "team+robot")
    town.access.teams.delete(CHIEF, "crew")

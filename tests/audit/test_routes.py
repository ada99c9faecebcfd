"""Every route that changes something leaves a record; a new one fails here until it is said which."""

import pytest

from registry.testing.images import image, layer
from registry.work.worker import Worker
from tests.access.routes import AS_OF, BODIES, address, routes
from tests.support.asking import OPERATOR
from tests.support.auditing import kinds

REPO, RULE = "/api/v1/repositories/<repository:name>", {"to": ["everybody"], "on": ["x"], "role": "pull"}
V2, KEYS = "/v2/<path:name>", "/api/v1/principals/<principal>/keys"
OF_MANIFEST, OF_TAG = f"{REPO}/-/manifests/<digest>", f"{REPO}/-/tags/<tag>"
A = image(layer({"f": b"a"}))
BLOB = next(A.walk())
CHANGES_NOTHING = {
    "POST /api/v1/access/simulation": "it only tells",
    "POST /api/v1/trusts/explanation": "it only tells",
    "POST /api/v1/logins": "it waits for somebody to log in",
    f"POST {REPO}/-/protection": "it only tells",
    f"POST {REPO}/-/retention": "a plan removes nothing; carrying it out is told of",
    f"POST {V2}/blobs/uploads/": "what is uploaded is told of when it is whole",
    f"PATCH {V2}/blobs/uploads/<uuid>": "the same",
    f"DELETE {V2}/blobs/uploads/<uuid>": "the same",
}
NEED_SOMEBODY_ELSE = {
    "POST /token",  # test_entries.py
    "POST /api/v1/logins/poll",  # test_logins.py, as the next
    "POST /login/-/confirm",
    "PUT /api/v1/readonly",  # what of_operations asks by itself: while it is on, nothing is written
    "DELETE /api/v1/readonly",
}
OF_PLUGINS = "/webhooks/"
PLUGIN_PAGE = "plugin.page"


class Town:
    """A registry whose routes are asked as its operator, each with what it then leaves in the audit log."""

    def __init__(self, world, log):
        self.world, self.log = world, log
        self.rules = {
            route: rule for route, rule in routes(world.app).items() if not route.startswith(("GET ", "HEAD "))
        }
        self.asked = {}

    def __call__(self, route, *wanted, body=None, query=None, **named):
        """Ask a route, and require that what is wanted is in the audit log afterwards."""
        self.log.new()
        arguments = {"name": "team/app", "principal": "ann", "user": "ann", "team": "builders", **named}
        given = {"data": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        method = route.partition(" ")[0]
        if method == "POST" and body is None:
            given = {"json": BODIES.get(route, {})} if "/api/" in route else {}
        more = {"content_type": A.media_type} if method == "PUT" and "/manifests/" in route else {}
        answer = self.world.client.open(
            address(self.rules[route], arguments),
            method=method,
            query_string=query,
            environ_overrides=OPERATOR,
            **given,
            **more,
        )
        assert answer.status_code < 400, (route, answer.text)
        found = self.log.new()
        by = {record["kind"]: record for record in found}
        assert set(wanted) <= by.keys(), (route, kinds(found))
        assert all(by[kind]["principal"] == "operator" for kind in wanted), found
        self.asked.setdefault(route, set()).update(wanted)
        return answer.get_json(silent=True)


@pytest.fixture
def town(registry, log):
    return Town(registry, log)


def of_access(town):
    town("POST /api/v1/users", "user.created", body={"name": "ann"})
    town("PATCH /api/v1/users/<user>", "user.changed", body={"description": "x"})
    town("POST /api/v1/robots", "robot.created", body={"namespace": "team", "name": "ci"})
    town("PATCH /api/v1/robots/<robot>", "robot.changed", body={"disabled": True}, robot="team+ci")
    town("POST /api/v1/teams", "team.created", body={"name": "builders"})
    town("PUT /api/v1/teams/<team>/members/<member>", "team.joined", member="ann")
    town("DELETE /api/v1/teams/<team>/members/<member>", "team.left", member="ann")
    town("DELETE /api/v1/teams/<team>", "team.deleted")
    made = town(f"POST {KEYS}", "key.created", body={"name": "k"})["key"]["prefix"]
    rotated = town(f"POST {KEYS}/<key>/rotate", "key.rotated", "key.created", key=made, body={})["key"]["prefix"]
    town(f"DELETE {KEYS}/<key>", "key.deleted", key=rotated)
    town("POST /api/v1/policy/rules", "policy.created", body={"name": "r", "definition": RULE})
    changed = {**RULE, "role": "push"}
    town("PUT /api/v1/policy/rules/<rule>", "policy.changed", body={"definition": changed}, rule="r")
    town("DELETE /api/v1/policy/rules/<rule>", "policy.deleted", rule="r")
    town("PUT /api/v1/policy", "policy.created", body={"rules": {"a": RULE, "b": RULE}})
    town("PUT /api/v1/policy", "policy.changed", "policy.deleted", body={"rules": {"a": changed}})
    linked = {"provider": "company", "subject": "s"}
    made = town("POST /api/v1/users/<user>/identities", "user.linked", body=linked)["id"]
    town("DELETE /api/v1/users/<user>/identities/<identity>", "user.unlinked", identity=str(made))
    trust = BODIES["POST /api/v1/trusts"] | {"robot": "team+ci", "name": "job"}
    town("POST /api/v1/trusts", "trust.created", body=trust)
    town("POST /api/v1/trusts/explanation", body={"token": "e30.e30.e30"})
    town("DELETE /api/v1/trusts/<trust>", "trust.deleted", trust="job")
    town("POST /api/v1/logins", body={"host": "box"})
    town("DELETE /api/v1/users/<user>", "user.deleted")
    town("DELETE /api/v1/robots/<robot>", "robot.deleted", robot="team+ci")
    town("POST /api/v1/access/token-keys", "token-key.rotated")
    town("POST /api/v1/access/simulation", body={"rules": {}, "since": AS_OF})


def of_pushes(town):
    place = town.world.chief("POST", "/v2/team/app/blobs/uploads/").headers["Location"].split("?")[0]
    town(f"POST {V2}/blobs/uploads/")
    uuid = place.rpartition("/")[2]
    town(f"PATCH {V2}/blobs/uploads/<uuid>", body=BLOB.data, uuid=uuid)
    town(f"PUT {V2}/blobs/uploads/<uuid>", "blob.pushed", query={"digest": BLOB.digest}, uuid=uuid)
    other = town.world.chief("POST", "/v2/team/app/blobs/uploads/").headers["Location"].split("?")[0]
    town(f"DELETE {V2}/blobs/uploads/<uuid>", uuid=other.rpartition("/")[2])
    for part in A.walk():
        if part is not A:
            town.world.chief("POST", f"/v2/team/app/blobs/uploads/?digest={part.digest}", data=part.data)
    town(f"PUT {V2}/manifests/<reference>", "manifest.pushed", "tag.changed", body=A.data, reference="v1")
    town(f"PUT {OF_TAG}", "tag.changed", body={"digest": A.digest}, tag="v2")
    town(f"PATCH {OF_TAG}", "tag.updated", body={"immutable": True}, tag="v2")
    town(f"PATCH {OF_TAG}", "tag.updated", body={"immutable": False}, tag="v2")
    town(f"POST {REPO}/-/protection", body={"definition": {"tags": ["v*"]}})
    town(f"DELETE {OF_TAG}", "tag.deleted", tag="v2")
    town(f"POST {OF_TAG}/restore", "tag.restored", body={}, tag="v2")
    label = town(f"POST {OF_MANIFEST}/labels", "manifest.labelled", body={"key": "a", "value": "b"}, digest=A.digest)
    town(f"DELETE {OF_MANIFEST}/labels/<label>", "manifest.unlabelled", digest=A.digest, label=str(label["id"]))
    town(f"DELETE {V2}/manifests/<reference>", "tag.deleted", reference="v2")
    town(f"DELETE {V2}/manifests/<reference>", "manifest.deleted", "tag.deleted", reference=A.digest)
    town(f"POST {OF_MANIFEST}/restore", "manifest.restored", body={}, digest=A.digest)
    town(f"DELETE {OF_MANIFEST}", "manifest.deleted", digest=A.digest)
    town(f"DELETE {V2}/blobs/<digest>", "blob.deleted", digest=BLOB.digest)
    town("POST /api/v1/purges", "digest.purged", body={"digest": BLOB.digest, "reason": "leaked"})
    town("DELETE /api/v1/purges/<digest>", "digest.allowed", digest=BLOB.digest)


def of_repositories(town):
    town("POST /api/v1/repositories", "repository.created", body={"name": "team/own"})
    town(f"PATCH {REPO}", "repository.changed", body={"description": "x"}, name="team/own")
    town(f"POST {REPO}/-/rename", "repository.renamed", body={"name": "team/new"}, name="team/own")
    town(f"DELETE {REPO}", "repository.deleted", name="team/new")
    town(f"POST {REPO}/-/undelete", "repository.restored", body={}, name="team/new")


def of_work(town):
    town.world.push("team/app", "v1")
    few = {"name": "few", "kind": "retention", "definition": {"keep": {"matching": ["none"]}}}
    town("POST /api/v1/rules", "rule.created", body=few)
    protect = {"name": "of", "kind": "immutability", "definition": {"tags": ["x*"]}, "repository": "team/app"}
    town("POST /api/v1/rules", "rule.created", body=protect)
    town("PUT /api/v1/rules/<rule>", "rule.changed", body={"definition": {"tags": ["y*"]}}, rule="of")
    town("DELETE /api/v1/rules/<rule>", "rule.deleted", rule="of")
    plan = town(f"POST {REPO}/-/retention", body={})
    town(f"POST {REPO}/-/retention/<plan>/run", "retention.run", "tag.deleted", body={}, plan=str(plan["id"]))
    run = town("POST /api/v1/jobs/<job>/runs", "job.queued", body={"arguments": {}}, job="history")
    town("POST /api/v1/runs/<run>/cancel", "job.cancelled", run=str(run["id"]))
    town(f"POST {REPO}/-/restore", "job.queued", body={"as_of": AS_OF})
    Worker(town.world.services.queue, "worker").run_due()
    town("PUT /api/v1/plugins/<plugin>/block", "plugin.blocked", body={"reason": "tried"}, plugin="webhooks")
    town("DELETE /api/v1/plugins/<plugin>/block", "plugin.unblocked", plugin="webhooks")


def of_letters(town):
    town.log.seal()
    town.world.alter("INSERT INTO event_consumer (name, position) VALUES ('mirror', 0)")
    for number in (1, 2):
        town.world.alter(
            "INSERT INTO event_delivery"
            " (consumer, position, repository, alone, attempts, first_ms, due_ms, dead_ms, error)"
            " VALUES ('mirror', :number, '', true, 1, 0, 0, 1, '')",
            number=number,
        )
    one, two = (str(row[0]) for row in town.world.rows("SELECT id FROM event_delivery ORDER BY id"))
    town("POST /api/v1/events/dead/<letter>/redeliver", "letter.redelivered", letter=one)
    town("DELETE /api/v1/events/dead/<letter>", "letter.dropped", letter=two)
    town("POST /api/v1/events/replay", "events.replayed", body={"consumer": "mirror", "after": 0})


def of_pages_of_plugins(town):
    hook, url = f"{OF_PLUGINS}subscriptions", "https://hooks.example.org/"
    town(f"POST {hook}", PLUGIN_PAGE, body={"name": "hook", "url": url})
    for verb in ("pause", "resume", "rotate"):
        town(f"POST {hook}/<name>/{verb}", PLUGIN_PAGE, body={}, name="hook")
    town(f"DELETE {hook}/<name>", PLUGIN_PAGE, name="hook")


def of_operations(town):
    town.log.new()
    town.world.chief("PUT", "/api/v1/readonly", json={"reason": "moving"})
    town.world.chief("DELETE", "/api/v1/readonly")
    assert {"registry.closed", "registry.opened"} <= set(kinds(town.log.new()))


CASES = [of_access, of_work, of_pushes, of_repositories, of_letters, of_pages_of_plugins, of_operations]


def test_every_route_leaves_a_record_and_none_is_left_out(town):
    for case in CASES:
        case(town)
    asked = town.asked
    ours = {route for route, rule in town.rules.items() if not rule.rule.startswith(OF_PLUGINS)}
    silent = {route for route, wanted in asked.items() if not wanted}
    assert ours - asked.keys() == NEED_SOMEBODY_ELSE
    assert silent == CHANGES_NOTHING.keys()


def test_what_a_page_of_a_plugin_refuses_is_none(town):
    answer = town.world.client.post("/webhooks/subscriptions", json={}, environ_overrides=OPERATOR)
    assert answer.status_code == 400
    assert PLUGIN_PAGE not in kinds(town.log.new())

"""The switch that makes a registry read-only: what it refuses, what goes on, and that nothing is written."""

import json

import pytest

from registry.access.actors import OPERATOR
from registry.access.throttle import Throttle, Try
from registry.errors import ReadOnly, TooManyRequests
from registry.testing.images import Blob, simple_image
from registry.work.worker import RunContext, Worker, carry_out
from tests.access.routes import ARGUMENTS, BODIES, QUERIES, address, routes
from tests.operations.conftest import rows_of
from tests.support.asking import CHIEF, PASSWORD, basic
from tests.support.asking import OPERATOR as OPERATOR_ASKS

IMAGE = simple_image("x")
WEBHOOK = {"name": "hook", "url": "https://hooks.example/x"}
# What the walk asks otherwise than the table of routes does, so that only the switch is in the way.
WANTED = {
    "PUT /api/v1/policy": {"rules": {"extra": {"to": ["everybody"], "on": ["x"], "role": "pull"}}},
    "POST /webhooks/subscriptions": {"name": "other", "url": WEBHOOK["url"]},
    "POST /webhooks/subscriptions/<name>/rotate": {},
    "POST /webhooks/subscriptions/<name>/pause": {},
    "POST /webhooks/subscriptions/<name>/resume": {},
}
NOT_REFUSED = {
    "PUT /api/v1/readonly": "the switch itself",
    "DELETE /api/v1/readonly": "the switch itself",
    "POST /token": "logins go on",
    "POST /login/-/confirm": "this browser has not logged in",
    "POST /api/v1/trusts/explanation": "tells, and changes nothing",
    "POST /api/v1/repositories/<repository:name>/-/protection": "tries a rule and changes nothing",
    "POST /webhooks/subscriptions/<name>/test": "sends, and says what came of it; nothing of it is kept",
    "POST /webhooks/subscriptions/<name>/redeliver": "there is no such delivery",
}


def switch(registry, reason="the database moves"):
    registry.services.readonly.switch_on(CHIEF, reason)


def fill(registry):
    """Make all that the routes are about; returns what stands in their paths."""
    registry.user("chief")
    registry.rule("chief", "user:chief", role="admin")
    registry.user("extra", password=PASSWORD)
    registry.robot("team", "extra")
    registry.push("team/app", "v1", text="before")
    registry.push("team/app", "v1")
    base = "/api/v1/repositories/team/app/-"
    plan = json.loads(registry.chief("POST", f"{base}/retention", json={}).data)
    label = registry.chief("POST", f"{base}/manifests/{IMAGE.digest}/labels", json={"key": "a", "value": "b"})
    upload = registry.chief("POST", "/v2/team/app/blobs/uploads/")
    registry.chief("POST", "/webhooks/subscriptions", json=WEBHOOK)
    registry.token("extra", secret=PASSWORD)  # the first one makes the key that signs them
    return {
        **ARGUMENTS,
        "plugin": "webhooks",
        "plan": str(plan["id"]),
        "label": str(json.loads(label.data)["id"]),
        "uuid": upload.headers["Docker-Upload-UUID"],
    }


def ask(registry, route, rule, arguments):
    body = WANTED.get(route, BODIES.get(route))
    given = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
    if route == "PUT /v2/<path:name>/manifests/<reference>":
        given = {"data": IMAGE.data, "content_type": IMAGE.media_type}
    method, query = route.partition(" ")[0], QUERIES.get(route, {})
    path = address(rule, arguments)
    return registry.client.open(path, method=method, query_string=query, headers=registry.as_("chief"), **given)


def test_every_route_that_changes_something_is_refused_and_nothing_is_written(registry):
    arguments = fill(registry)
    switch(registry)
    before, tried = rows_of(registry.services.database), 0
    for route, rule in routes(registry.app).items():
        if route.startswith("GET") or route in NOT_REFUSED:
            continue
        answer = ask(registry, route, rule, arguments)
        assert (answer.status_code, answer.headers.get("Retry-After")) == (503, "30"), (route, answer.text)
        assert "read-only: the database moves (switched by operator)" in answer.text
        tried += 1
    assert tried > 45
    for route, rule in routes(registry.app).items():
        if route in NOT_REFUSED and "readonly" not in route:
            assert ask(registry, route, rule, arguments).status_code != 500, route
    assert rows_of(registry.services.database) == before
    registry.services.readonly.switch_off(CHIEF)
    assert ask(registry, "DELETE /v2/<path:name>/manifests/<reference>", _rule(registry), arguments).status_code == 202


def _rule(registry):
    return routes(registry.app)["DELETE /v2/<path:name>/manifests/<reference>"]


def test_pulls_lists_and_logins_go_on_and_write_nothing(registry):
    arguments = fill(registry)
    switch(registry)
    before = rows_of(registry.services.database)
    for route, rule in routes(registry.app).items():
        # A preview tries it, and takes it back; a login by a browser ends in a key, which is written.
        goes_on = route != "GET /api/v1/collection/preview" and not route.startswith("GET /login/")
        if route.startswith("GET") and goes_on:
            answer = ask(registry, route, rule, arguments)
            assert answer.status_code not in (500, 503), (route, answer.text)
    registry.clock.now += 3_600_000  # a lease is over: a client that asks for something would renew it
    for path in (f"/v2/team/app/manifests/{IMAGE.digest}", f"/v2/team/app/blobs/{IMAGE.blobs[0].digest}"):
        assert registry.client.head(path, headers=registry.as_("chief")).status_code == 200
    renewable = {"offline_token": "true", "scope": "repository:team/app:pull"}
    answer = registry.client.get("/token", query_string=renewable, headers=basic("extra", PASSWORD))
    assert (answer.status_code, "refresh_token" in answer.json) == (200, False)
    registry.services.pulls.flush()
    registry.services.caretaker.flush()
    assert rows_of(registry.services.database) == before


def test_a_login_with_wrong_passwords_is_slowed_down_all_the_same(registry):
    registry.user("extra", password=PASSWORD)
    switch(registry)
    before = rows_of(registry.services.database)
    statuses = [registry.client.get("/v2/", headers=basic("extra", "wrong")).status_code for _ in range(7)]
    assert statuses == [401] * 5 + [429] * 2
    throttle = registry.access.authenticator._throttle
    with pytest.raises(TooManyRequests):
        throttle.begin("extra", "127.0.0.1")
    assert rows_of(registry.services.database) == before
    registry.clock.now += 60_000
    assert registry.client.get("/v2/", headers=basic("extra", PASSWORD)).status_code == 200


def test_an_upload_goes_on_afterwards_where_it_stood(registry):
    data = b"x" * 1000
    location = registry.chief("POST", "/v2/team/app/blobs/uploads/").headers["Location"]
    location = registry.chief("PATCH", location, data=data[:400]).headers["Location"]
    switch(registry)
    answer = registry.client.patch(location, data=data[400:], environ_overrides=OPERATOR_ASKS)
    assert answer.status_code == 503
    registry.services.readonly.switch_off(CHIEF)
    location = registry.chief("PATCH", location, data=data[400:], headers={"Content-Range": "400-999"}).headers[
        "Location"
    ]
    registry.chief("PUT", f"{location}?digest={Blob(data).digest}")


def test_who_began_before_the_switch_is_refused_at_the_commit(registry):
    database = registry.services.database
    registry.push("team/app", "v1")

    def work(connection):
        connection.exec_driver_sql("UPDATE repository SET description = 'late'")
        connection.exec_driver_sql(
            "INSERT INTO read_only (id, is_on, reason, actor, since_ms, revision) VALUES (1, 1, 'late', 'x', 0, 1)"
        )
        database.gate.look(connection)  # as the thread that follows does, or who has not looked for two seconds

    with pytest.raises(ReadOnly, match="late"):
        database.write(work)
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM repository WHERE description = 'late'").scalar() == 0


def test_a_process_that_has_not_looked_for_long_looks_before_it_writes(registry, monkeypatch):
    other = registry.services.database.gate
    other.look()
    seen = other._last
    switch(registry)
    other._last = seen  # another process, whose thread is late
    monkeypatch.setattr("registry.db.gate.FRESH_SECONDS", 0.0)
    with pytest.raises(ReadOnly):
        registry.services.database.write(lambda connection: None)


def test_it_is_settled_once_every_process_must_have_seen_it_and_nobody_writes(registry, monkeypatch):
    service = registry.services.readonly
    assert not service.state(CHIEF).on
    switch(registry)
    state = service.state(CHIEF)
    assert (state.on, state.reason, state.actor, state.settled) == (True, "the database moves", OPERATOR, False)
    monkeypatch.setattr("registry.db.gate.FRESH_SECONDS", -1.0)  # as two seconds later
    assert service.state(CHIEF).settled
    monkeypatch.setattr("registry.db.sqlite.BUSY_TIMEOUT_SECONDS", 0)
    database = registry.services.database

    def asked(_):
        database._turn.release()  # who writes is another process
        try:
            return service.state(CHIEF).settled
        finally:
            database._turn.acquire()

    assert database.write(asked, always=True) is False
    service.switch_off(CHIEF)
    assert not service.state(CHIEF).settled


def test_who_comes_late_knows_by_the_time_of_the_switch_that_it_is_settled(registry):
    switch(registry)
    assert not registry.services.readonly.state(CHIEF).settled
    registry.clock.now += 60_001
    assert registry.services.readonly.state(CHIEF).settled


def test_switched_again_it_keeps_its_time_and_takes_the_reason(registry):
    switch(registry)
    since = registry.services.readonly.state(CHIEF).since_ms
    registry.clock.now += 1000
    switch(registry, "another")
    state = registry.services.readonly.state(CHIEF)
    assert (state.since_ms, state.reason) == (since, "another")
    registry.services.readonly.switch_off(CHIEF)
    off = registry.services.readonly.state(CHIEF)
    assert (off.on, off.reason, off.since_ms) == (False, "", since + 1000)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", "x" * 1001, "nul\0"])
def test_a_reason_is_one_line(registry, reason):
    registry.user("chief")
    registry.rule("chief", "user:chief", role="admin")
    answer = registry.client.put("/api/v1/readonly", json={"reason": reason}, headers=registry.as_("chief"))
    assert answer.status_code == 400
    assert not registry.services.readonly.state(CHIEF).on


def test_events_and_readiness_tell_of_it_at_once(registry):
    registry.push("team/app", "v1")
    switch(registry)
    items = json.loads(registry.chief("GET", "/api/v1/events?limit=100").data)["items"]
    told = [one for one in items if one["type"] == "org.moorage.registry.closed"]
    assert [(one["actor"], one["data"]) for one in told] == [(OPERATOR, {"reason": "the database moves"})]
    ready = registry.client.get("/health/ready")
    assert ready.status_code == 200
    assert {"name": "writes", "ok": True, "detail": "read-only: the database moves"} in ready.json["checks"]


def test_wrong_passwords_are_counted_meanwhile_and_not_forgotten_afterwards(registry):
    registry.user("alice", PASSWORD)
    switch(registry)
    throttle = Throttle(registry.services.database)
    tried = throttle.begin("other", "192.0.2.1")
    for _ in range(60):  # of a plugin that fails: they count for the name there alone
        throttle.failed(tried, of_address=False)
    assert throttle.begin("alice", "192.0.2.1")
    for _ in range(9):
        throttle.failed(Try(tried.name, "192.0.2.9", failed=False))
    with pytest.raises(TooManyRequests):
        throttle.begin("other", "192.0.2.9")
    registry.services.readonly.switch_off(CHIEF)
    throttle.failed(throttle.begin("zed", "198.51.100.1"))
    with pytest.raises(TooManyRequests):
        throttle.begin("other", "192.0.2.9")
    registry.clock.turn(seconds=3601)
    assert throttle.begin("other", "192.0.2.9")


def test_jobs_and_events_rest_and_go_on_afterwards(registry):
    registry.push("team/app", "v1")
    switch(registry)
    before = rows_of(registry.services.database)
    queue, dispatcher = registry.services.queue, registry.services.dispatcher("one")
    assert queue.paused()
    assert dispatcher._turn(None) is False
    assert rows_of(registry.services.database) == before
    registry.services.readonly.switch_off(CHIEF)
    assert Worker(queue, "one").run_due()


def test_a_run_that_ends_while_it_is_read_only_is_ended_afterwards(registry):
    services = registry.services
    run = services.runs.queue(CHIEF, "collection", {})
    worker = Worker(services.queue, "one")
    claimed = services.queue.claim("one", services.queue.names)
    switch(registry)
    context = RunContext(claimed, worker._stopping)
    assert context.stopping()
    carry_out(services.queue, claimed, context)
    assert services.runs.show(CHIEF, run.id).state == "RUNNING"
    services.readonly.switch_off(CHIEF)
    context.kept()
    assert services.runs.show(CHIEF, run.id).over

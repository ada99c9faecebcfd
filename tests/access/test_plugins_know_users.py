"""Users of elsewhere: a plugin is asked about whom nobody else knows, and lets in nobody else."""

import logging
import threading

import pytest

from registry.access.actors import Actor
from registry.errors import Unavailable
from registry.hooks import Denied, Identity
from registry.revisions import Condition
from tests.support.asking import CHIEF, PASSWORD, basic, refusal, world
from tests.support.plugins import made_plugin

SECRET = "hunter2-hunter2"


class Directory:
    """A source of users by name: their passwords, and what it says of them; counts how often it was asked."""

    def __init__(self, name="directory", **users):
        self.users = {user: (SECRET, Identity(user)) for user in users} | users
        self.asked = []
        self.behave = None

        def authenticate(credentials):
            return self.answer(credentials)

        self.plugin = made_plugin(name, authenticate=authenticate)

    def answer(self, credentials):
        self.asked.append(credentials.name)
        if self.behave is not None:
            return self.behave(credentials)
        password, identity = self.users.get(credentials.name, (None, None))
        return identity if password == credentials.password else None


@pytest.fixture
def directory():
    return Directory(ann=(SECRET, Identity("ann")))


@pytest.fixture
def town(folder, directory):
    with world(folder, with_plugins=[directory.plugin]) as made:
        made.rule("all", "everybody", role="pull")
        yield made


@pytest.fixture
def now(monkeypatch):
    """Give the time by which a right password is remembered, to be moved."""
    moved = [1000.0]
    monkeypatch.setattr("registry.access.elsewhere.time.monotonic", lambda: moved[0])
    return moved


def enter(town, name="ann", secret=SECRET, path="/v2/_catalog"):
    return town.client.get(path, headers=basic(name, secret)).status_code


def health(town, plugin="directory", hook="authenticate"):
    (tally,) = [one for one in town.services.hooks.calls.tallies if (one.plugin, one.hook) == (plugin, hook)]
    return tally


def test_who_a_plugin_knows_is_made_a_user_at_the_first_login_and_is_the_plugin_s(town):
    assert enter(town) == 200
    row = town.access.principals.show(CHIEF, "ann")
    assert (row.source, row.has_password, row.actor) == ("plugin:directory", False, "ann")
    assert enter(town, secret="wrong") == 401
    assert enter(town, "bob") == 401


@pytest.mark.parametrize("way", ["header", "get", "post"])
def test_every_way_to_log_in_asks_it(town, directory, way):
    form = {"grant_type": "password", "username": "ann", "service": "x", "access_type": "offline"}
    for secret, status in ((SECRET, 200), ("wrong", 401)):
        if way == "header":
            assert enter(town, secret=secret) == status
        elif way == "get":
            answer = town.client.get("/token?offline_token=true", headers=basic("ann", secret))
            assert answer.status_code == status
            assert "refresh_token" not in (answer.json or {}), "nobody would tell of a change of the password"
        else:
            answer = town.client.post("/token", data={**form, "password": secret})
            assert answer.status_code == status
            assert "refresh_token" not in (answer.json or {})
    assert directory.asked == ["ann", "ann"]


def test_who_is_known_here_is_never_asked_about(folder, directory, tmp_path):
    file = tmp_path / "users"
    file.write_text("hans:$2b$04$" + "a" * 53 + "\n")
    directory.behave = lambda credentials: Identity(credentials.name)
    with world(folder, with_plugins=[directory.plugin], htpasswd=file) as town:
        town.user("local", PASSWORD)
        town.user("keyed")
        town.robot("team", "ci")
        town.access.principals.add_user(CHIEF, "filed", password=None, source="htpasswd")
        for name in ("local", "keyed", "team+ci", "filed", "hans"):
            assert enter(town, name) == 401
        assert enter(town, "local", PASSWORD) == 200
        for key in (town.keys["keyed"], town.keys["keyed"][:-1] + "x", "mk_x"):
            enter(town, "keyed", key)
            enter(town, "stranger", key)
        assert enter(town, "x", "") == 401
        assert enter(town, "x", "y" * 1025) == 401
        assert directory.asked == []


@pytest.mark.parametrize("name", ["local", "team+ci", "filed", "other"])
def test_a_plugin_takes_over_no_name_of_somebody_else(folder, name, caplog):
    other, directory = Directory("other", other=(SECRET, Identity("other"))), Directory()
    with world(folder, with_plugins=[other.plugin, directory.plugin]) as town:
        town.user("local", PASSWORD)
        town.robot("team", "ci")
        town.access.principals.add_user(CHIEF, "filed", password=None, source="htpasswd")
        town.rule("all", "everybody", role="admin")
        assert enter(town, "other") == 200
        directory.behave = lambda credentials: Identity(name)
        assert enter(town, "stranger") == (503 if name == "team+ci" else 401)  # the name of a robot is no answer
        assert enter(town, name) == (200 if name == "other" else 401)  # and that is the other's answer
        assert "other" not in directory.asked
        if name != "team+ci":
            assert "who is not let in" in caplog.text


def test_a_plugin_takes_over_no_name_of_the_file_either(folder, directory, tmp_path, caplog):
    file = tmp_path / "users"
    file.write_text("hans:$2b$04$" + "a" * 53 + "\n")
    directory.behave = lambda credentials: Identity("hans")
    with world(folder, with_plugins=[directory.plugin], htpasswd=file) as town:
        assert enter(town, "HANS", path="/v2/") == 401
        assert "who is not let in: the name is in the htpasswd file" in caplog.text
        assert town.access.principals.list(CHIEF, robots=False, limit=9, last="").items == []


def test_what_is_remembered_of_one_address_lets_nobody_in_from_another(town, directory):
    directory.behave = lambda credentials: Identity("ann") if directory.inside else None

    def enter_from(address):
        directory.inside = address == "192.0.2.1"
        return town.client.get(
            "/v2/_catalog", headers=basic("ann", SECRET), environ_overrides={"REMOTE_ADDR": address}
        ).status_code

    assert [enter_from(one) for one in ("192.0.2.1", "198.51.100.1", "192.0.2.1")] == [200, 401, 200]
    assert len(directory.asked) == 2


def test_a_source_that_takes_its_time_does_not_hold_all_threads(town, directory, monkeypatch):
    monkeypatch.setattr("registry.access.elsewhere._PATIENCE_SECONDS", 0.01)
    asked, go = threading.Semaphore(0), threading.Event()

    def slowly(credentials):
        asked.release()
        go.wait(30)
        return Identity(credentials.name)

    directory.behave = slowly
    thread = threading.Thread(target=enter, args=(town, "bob"))
    thread.start()
    assert asked.acquire(timeout=30)
    town.user("local", PASSWORD)
    try:
        answer = town.client.get("/v2/", headers=basic("ann", SECRET))
        assert (answer.status_code, answer.json["errors"][0]["message"]) == (503, "too many log in at once: try again")
        assert enter(town, "local", PASSWORD) == 200
    finally:
        go.set()
        thread.join()
    assert enter(town) == 200


def test_a_user_stays_with_the_plugin_that_knew_it_first(folder):
    one, two = Directory("one", ann=("of-one-secret", Identity("ann"))), Directory("two", ann=(SECRET, Identity("ann")))
    with world(folder, with_plugins=[one.plugin, two.plugin]) as town:
        town.rule("all", "everybody", role="pull")
        assert enter(town) == 200  # the first does not know this password, the second does
        assert enter(town, secret="of-one-secret") == 401
        assert town.access.principals.show(CHIEF, "ann").source == "plugin:two"
    with world(folder, with_plugins=[one.plugin]) as town:
        for secret in (SECRET, "of-one-secret"):
            assert enter(town, secret=secret) == 401


def test_somebody_is_called_as_the_source_says(town, directory):
    directory.users = {name: (SECRET, Identity("ann")) for name in ("ANN", "ann@example.com", "EXAMPLE\\ann")}
    for name in directory.users:
        assert town.client.get("/api/v1/whoami", headers=basic(name, SECRET)).json["principal"] == "ann"
        assert town.client.get("/api/v1/whoami", headers=basic(name, SECRET)).json["principal"] == "ann"
    assert directory.asked == list(directory.users), "each was remembered"
    assert [row.name for row in town.access.principals.list(CHIEF, robots=False, limit=9, last="").items] == ["ann"]


def test_a_right_password_is_remembered_for_a_minute(town, directory, now):
    for _ in range(3):
        assert enter(town) == 200
    assert directory.asked == ["ann"]
    directory.users = {}
    now[0] += 59
    assert enter(town) == 200
    assert enter(town, secret="wrong") == 401
    now[0] += 2
    assert enter(town) == 401
    assert directory.asked == ["ann"] * 3


def test_no_more_than_so_many_are_remembered(town, directory, monkeypatch):
    monkeypatch.setattr("registry.access.elsewhere._MOST", 2)
    directory.behave = lambda credentials: Identity("ann")
    for secret in ("one", "two", "three", "three", "two", "one"):
        assert enter(town, secret=f"{secret}-secret") == 200
    assert len(directory.asked) == 4


def test_who_is_disabled_or_deleted_is_let_in_no_more_or_made_anew(town, directory):
    from registry.access.principals import PrincipalWish

    assert enter(town) == 200
    token = town.token("ann", "registry:catalog:*", secret=SECRET)
    town.access.principals.change(CHIEF, "ann", PrincipalWish(disabled=True))
    town.settle()
    assert enter(town) == 401
    assert town.client.get("/v2/_catalog", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    town.access.principals.delete(CHIEF, "ann", Condition())
    town.settle()
    assert enter(town) == 200
    assert directory.asked == ["ann", "ann"]


def test_teams_that_there_are_are_those_that_it_tells(town, directory, now):
    for name in ("dev", "ops", "admins"):
        town.access.teams.create(CHIEF, name)
    for teams, expected in (
        (["dev", "unknown", "No Team", "x\0y", "dev"], ["dev"]),
        (None, ["dev"]),
        (("ops", "dev"), ["dev", "ops"]),
        (["ops"], ["ops"]),
        ([], []),
    ):
        directory.users["ann"] = (SECRET, Identity("ann", teams))
        now[0] += 61
        assert town.client.get("/api/v1/whoami", headers=basic("ann", SECRET)).json["teams"] == expected


def test_teams_hold_from_the_first_request_on(town, directory):
    town.access.teams.create(CHIEF, "dev")
    town.rule("dev", "team:dev", ["dev/*"], role="push")
    directory.users["ann"] = (SECRET, Identity("ann", ["dev"]))
    assert town.client.post("/v2/dev/app/blobs/uploads/", headers=basic("ann", SECRET)).status_code == 202
    town.push("dev/other", "v1")
    directory.users["bob"] = (SECRET, Identity("bob", ["dev"]))
    assert enter(town, "bob", path="/v2/dev/other/manifests/v1") == 200
    assert enter(town, path="/v2/dev/other/manifests/v1") == 200


def test_what_is_as_it_was_is_not_written(town, directory, now):
    town.access.teams.create(CHIEF, "dev")
    directory.users["ann"] = (SECRET, Identity("ann", ["dev"]))
    assert enter(town) == 200
    before = town.access.explainer._standings.now(at_once=True).revision
    now[0] += 61
    assert enter(town) == 200
    assert town.access.explainer._standings.now(at_once=True).revision == before
    assert directory.asked == ["ann", "ann"]


def test_a_plugin_that_is_blocked_or_gone_vouches_for_nobody(folder, town, directory):
    assert enter(town) == 200
    token = town.token("ann", "registry:catalog:*", secret=SECRET)
    key = town.key("ann")
    bearer = {"Authorization": f"Bearer {token}"}
    assert enter(town, secret=key) == 200
    town.services.plugin_blocks.block(CHIEF, "directory", "for now")
    assert (enter(town), enter(town, secret=key)) == (401, 401)
    assert town.client.get("/v2/_catalog", headers=bearer).status_code == 401
    town.services.plugin_blocks.unblock(CHIEF, "directory")
    assert (enter(town), enter(town, secret=key)) == (200, 200)
    assert town.client.get("/v2/_catalog", headers=bearer).status_code == 200
    with world(folder) as without:
        assert (enter(without), enter(without, secret=key)) == (401, 401)


def bad(credentials):
    raise ValueError(f"no {credentials.password}")


def wrong_error(credentials):
    raise Denied(credentials.password)


def recursing(credentials):
    return recursing(credentials)


def leaving(credentials):
    raise SystemExit(credentials.password)


def spoiling(credentials):
    object.__setattr__(credentials, "nothing", credentials.password)


RUBBISH = {
    "raises": bad,
    "refuses by raising": wrong_error,
    "recurses": recursing,
    "exits": leaving,
    "spoils": spoiling,
    "true": lambda credentials: True,
    "a name": lambda credentials: credentials.name,
    "no text": lambda credentials: Identity(7),
    "no name": lambda credentials: Identity(""),
    "a robot": lambda credentials: Identity("team+ci"),
    "an insider": lambda credentials: Identity("plugin:directory"),
    "the operator": lambda credentials: Identity("operator"),
    "anonymous": lambda credentials: Identity("Anonymous"),
    "a long name": lambda credentials: Identity("x" * 129),
    "odd teams": lambda credentials: Identity("ann", [1]),
    "one team": lambda credentials: Identity("ann", "dev"),
}


@pytest.mark.parametrize("way", RUBBISH)
def test_what_is_no_answer_lets_nobody_in_is_named_and_tells_no_password(town, directory, way, caplog):
    caplog.set_level(logging.DEBUG)
    directory.behave = RUBBISH[way]
    answer = town.client.get("/v2/", headers=basic("ann", SECRET))
    (error,) = answer.json["errors"]
    assert answer.status_code == 503
    assert error["detail"] == {"plugin": "directory", "hook": "authenticate"}
    assert town.access.principals.list(CHIEF, robots=False, limit=9, last="").items == []
    assert health(town).failures == 1
    assert "plugin directory failed in authenticate" in caplog.text
    for text in (caplog.text, answer.text, health(town).last_error):
        assert SECRET not in text


def test_a_plugin_that_changes_what_it_is_told_changes_nothing(folder):
    spoiler, directory = Directory("spoiler"), Directory(ann=(SECRET, Identity("ann")))

    def spoil(credentials):
        for name, value in (("name", "admin"), ("password", "anything")):
            object.__setattr__(credentials, name, value)

    spoiler.behave = spoil
    with world(folder, with_plugins=[spoiler.plugin, directory.plugin]) as town:
        assert enter(town, path="/v2/") == 200
        assert directory.asked == ["ann"]
        assert enter(town, "admin", "anything", path="/v2/") == 401
        assert enter(town, secret="anything", path="/v2/") == 401


def test_a_plugin_that_hangs_lets_nobody_in(folder):
    released = threading.Event()
    directory = Directory()
    directory.behave = lambda credentials: released.wait(30)
    with world(folder, with_plugins=[directory.plugin], hook_deadline=0.05) as town:
        try:
            answer = town.client.get("/v2/", headers=basic("ann", SECRET))
            assert answer.status_code == 503
            assert "plugin directory failed" in answer.json["errors"][0]["message"]
        finally:
            released.set()


def test_another_plugin_that_knows_is_asked_though_one_fails(folder):
    broken, directory = Directory("broken"), Directory(ann=(SECRET, Identity("ann")))
    broken.behave = bad
    with world(folder, with_plugins=[broken.plugin, directory.plugin]) as town:
        assert enter(town, path="/v2/") == 200
        assert enter(town, "bob", path="/v2/") == 503


def test_wrong_passwords_count_and_failures_count_for_the_name_alone(town, directory):
    for _ in range(5):
        assert enter(town, "bob") == 401
    assert enter(town, "bob") == 429
    assert directory.asked == ["bob"] * 5
    directory.behave = bad
    for number in range(60):
        assert enter(town, f"user{number}") == 503
    directory.behave = None
    assert enter(town) == 200, "who failed was the plugin, not this address"
    directory.behave = bad
    for _ in range(5):
        assert enter(town, "eve") == 503
    assert enter(town, "eve") == 429, "a guess may hide behind each failure"


def test_two_first_logins_at_once_make_one_user(town, directory):
    directory.behave = lambda credentials: Identity("ann", [])
    authenticator = town.access.authenticator
    elsewhere, barrier = authenticator._elsewhere, threading.Barrier(2)
    write = town.services.database.write

    def together(work, **more):
        barrier.wait(10)
        return write(work, **more)

    town.services.database.write = together
    elsewhere._few = threading.BoundedSemaphore(2)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(authenticator.login("ann", SECRET, Actor()).proof))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_a_name_that_somebody_else_was_quicker_to_have_is_theirs(town, directory):
    def meanwhile(credentials):
        town.user("ann", "her own password")
        return Identity("ann")

    directory.behave = meanwhile
    assert enter(town) == 401
    assert town.access.principals.show(CHIEF, "ann").source == "local"


def test_it_is_asked_outside_of_transactions(town, directory):
    def writes(credentials):
        town.services.contexts("directory").store.put("asked", credentials.name)
        return Identity("ann", [])

    directory.behave = writes
    assert enter(town) == 200


def test_the_error_of_a_source_is_the_form_of_the_specification(town, directory):
    directory.behave = bad
    answer = town.client.get("/v2/", headers=basic("ann", SECRET))
    assert answer.headers["Retry-After"]
    assert answer.json["errors"][0]["code"] == Unavailable.code
    directory.behave = None
    refusal(town.client.get("/v2/", headers=basic("ann", "wrong")), 401, "UNAUTHORIZED")

"""Access that is taken away is gone: at once for who would change something, within a second for who reads."""

import shutil
import threading
import time
from collections.abc import Callable

import bcrypt
import pytest

from registry.access import standing
from registry.access.actors import Actor
from registry.access.authentication import Credentials
from registry.access.authorizer import Action
from registry.access.principals import PrincipalWish
from registry.errors import Denied, Unauthorized
from registry.names import RepositoryName
from registry.testing.apps import quick_folder
from registry.testing.images import simple_image
from tests.support.asking import CHIEF, OPERATOR, PASSWORD, basic, bearer, world

SCOPE = "repository:team/app:pull,push,delete"
APP = RepositoryName("team/app")


class Steps:
    """Does something once, when a step is reached."""

    def __init__(self):
        self.then: dict[str, Callable[[], None]] = {}

    def __call__(self, name):
        self.then.pop(name, lambda: None)()


@pytest.fixture(scope="module")
def pair(blank):
    """Give two processes' worth of one registry, with a file of users, and the steps of the first."""
    with quick_folder() as folder:
        shutil.copy(blank / "moorage.db", folder)
        users = folder / "users"
        kept = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
        users.write_text(f"hans:{kept}\njuly:{kept}\n")
        more = {"storage_url": f"file://{folder / 'storage'}", "htpasswd": users}
        steps = Steps()
        with world(folder, steps=steps, **more) as one, world(folder, one.clock, **more) as other:
            one.push("team/app", "v1")
            yield one, other, users, steps


@pytest.fixture
def soon(monkeypatch):
    """Let processes look for changes more often than they do."""
    monkeypatch.setattr(standing, "FRESH_SECONDS", 0.02)


def change_password(one, name):
    one.access.principals.change(CHIEF, name, PrincipalWish(password="another long one"))


def disable(one, name):
    one.access.principals.change(CHIEF, name, PrincipalWish(disabled=True))


def delete_key(one, name):
    for key in one.access.keys.list(CHIEF, name):
        one.access.keys.delete(CHIEF, name, key.prefix)


WAYS = {
    "disabled": disable,
    "deleted": lambda one, name: one.access.principals.delete(CHIEF, name),
    "password": change_password,
    "key": delete_key,
    "team": lambda one, name: one.access.teams.leave(CHIEF, f"of-{name}", name),
    "rule": lambda one, name: one.drop_rule(name),
    "denied": lambda one, name: one.rule(f"no-{name}", f"user:{name}", ["team/*"], actions=["push", "delete", "pull"]),
    "no team": lambda one, name: one.access.teams.delete(CHIEF, f"of-{name}"),
}


def made(one, name, password=None):
    """Make a user who may work with team/* by a team."""
    one.user(name, password)
    one.access.teams.create(CHIEF, f"of-{name}")
    one.access.teams.join(CHIEF, f"of-{name}", name)
    one.rule(name, f"team:of-{name}", ["team/*"], role="maintain")


def changes(app, header):
    """Try to push and to delete; return how both were answered."""
    push = app.client.post("/v2/team/app/blobs/uploads/", headers=header)
    delete = app.client.delete("/v2/team/app/manifests/none", headers=header)
    return push.status_code, delete.status_code


def pulls_until_refused(app, header):
    """Pull until that is refused, and return after how many seconds it was."""
    started = time.monotonic()
    while app.client.get("/v2/team/app/tags/list", headers=header).status_code == 200:
        assert time.monotonic() < started + 1
    return time.monotonic() - started


@pytest.mark.parametrize("way", WAYS)
def test_a_token_from_before_is_refused(pair, soon, way):
    one, other, _, _ = pair
    name = f"user-{way}".replace(" ", "-")
    made(one, name, None if way == "key" else PASSWORD)
    form = {"grant_type": "password", "username": name, "password": PASSWORD, "scope": SCOPE, "access_type": "offline"}
    if way == "key":
        form["password"] = one.keys[name]
    got = one.client.post("/token", data=form).json
    header = bearer(got["access_token"])
    for app in (one, other):
        assert changes(app, header) == (202, 404)
        assert app.client.get("/v2/team/app/tags/list", headers=header).status_code == 200
    WAYS[way](one, name)
    for app in (other, one):
        assert set(changes(app, header)) <= {401, 403}
        pulls_until_refused(app, header)
    renewing = {"grant_type": "refresh_token", "refresh_token": got["refresh_token"], "scope": SCOPE}
    renewed = other.client.post("/token", data=renewing)
    if way in ("disabled", "deleted", "password", "key"):
        assert renewed.status_code == 401
    else:
        assert renewed.json["scope"] == ""


def test_a_user_who_left_the_file_is_refused(pair, soon):
    one, other, users, _ = pair
    one.rule("hans", "everybody", ["team/*"], role="maintain")
    header = bearer(one.token("hans", SCOPE, secret=PASSWORD))
    for app in (one, other):
        assert changes(app, header) == (202, 404)
    users.write_text(users.read_text().partition("\n")[2])
    for app in (other, one):
        assert changes(app, header) == (401, 401)
        assert app.client.get("/v2/team/app/tags/list", headers=header).status_code == 401
        assert app.client.get("/token", headers=basic("hans", PASSWORD)).status_code == 401
    assert changes(one, bearer(one.token("july", SCOPE, secret=PASSWORD))) == (202, 404)
    one.drop_rule("hans")


def test_a_user_of_the_file_gets_no_refresh_token(pair):
    one, _, _, _ = pair
    form = {"grant_type": "password", "username": "july", "password": PASSWORD, "access_type": "offline"}
    assert "refresh_token" not in one.client.post("/token", data=form).json


def test_reading_ends_within_a_second_without_a_hint(pair):
    one, other, _, _ = pair
    made(one, "reader")
    header = bearer(one.token("reader", SCOPE))
    assert other.client.get("/v2/team/app/tags/list", headers=header).status_code == 200
    one.drop_rule("reader")
    assert pulls_until_refused(other, header) < 0.9


def test_a_new_password_ends_old_tokens_of_the_same_moment_and_no_new_ones(pair):
    one, other, _, _ = pair
    made(one, "twice", PASSWORD)
    old = one.token("twice", SCOPE, secret=PASSWORD)
    change_password(one, "twice")  # the clock stands still
    new = other.token("twice", SCOPE, secret="another long one")
    for app in (one, other):
        assert changes(app, bearer(old)) == (401, 401)
        assert changes(app, bearer(new)) == (202, 404)
    assert one.client.get("/token", headers=basic("twice", PASSWORD)).status_code == 401


def test_a_manifest_is_not_stored_once_its_pusher_may_not(pair):
    one, _, _, steps = pair
    image = simple_image("x")
    for number, way in enumerate(("rule", "team", "disabled", "password", "denied")):
        name = f"late-{number}"
        made(one, name, PASSWORD if way == "password" else None)
        header = bearer(one.token(name, SCOPE))
        steps.then["manifest.prepared"] = lambda name=name, way=way: WAYS[way](one, name)
        path = f"/v2/team/app/manifests/{name}"
        answer = one.client.put(path, data=image.data, content_type=image.media_type, headers=header)
        assert not steps.then
        assert answer.status_code in (401, 403), answer.text
        assert one.client.get(path, environ_overrides=OPERATOR).status_code == 404


def test_of_several_tags_none_is_set_once_one_may_not(pair):
    one, _, _, steps = pair
    image = simple_image("x")
    one.user("tagger")
    one.rule("tagger", "user:tagger", ["team/*"], role="push")
    header = bearer(one.token("tagger", SCOPE))
    steps.then["manifest.prepared"] = lambda: one.rule("no-b", "user:tagger", actions=["push"], tags=["b"])
    path = f"/v2/team/app/manifests/{image.digest}?tag=a&tag=b&tag=c"
    answer = one.client.put(path, data=image.data, content_type=image.media_type, headers=header)
    assert answer.status_code == 403
    assert one.chief("GET", "/v2/team/app/tags/list").json["tags"] == ["v1"]


def test_a_blob_is_not_stored_once_its_pusher_may_not(pair):
    one, _, _, steps = pair
    made(one, "blobber")
    header = bearer(one.token("blobber", SCOPE))
    blob = simple_image("never stored").blobs[0]
    location = one.client.post("/v2/team/app/blobs/uploads/", headers=header).headers["Location"]
    steps.then["upload.sealed"] = lambda: one.drop_rule("blobber")
    answer = one.client.put(location, query_string={"digest": blob.digest}, data=blob.data, headers=header)
    assert answer.status_code == 403
    assert one.client.get(f"/v2/team/app/blobs/{blob.digest}", environ_overrides=OPERATOR).status_code == 404


def actor_of(app, name):
    return app.access.authenticator.known(Credentials(app.as_(name)["Authorization"]))


def test_what_was_allowed_first_is_confirmed_with_what_was_allowed_last(pair):
    one, _, _, _ = pair
    authorizer, database = one.access.authorizer, one.services.database
    one.user("both")
    one.rule("first", "user:both", ["team/app"], role="push")
    one.rule("second", "user:both", ["team/other"], role="push")
    actor = actor_of(one, "both")
    authorizer.begin()
    authorizer.require(actor, Action.PUSH, APP)
    other_thread(one.drop_rule, "first")
    authorizer.require(actor, Action.PUSH, RepositoryName("team/other"))
    with pytest.raises(Denied):
        database.write(lambda _: None)
    authorizer.begin()
    authorizer.require(actor, Action.PUSH, RepositoryName("team/other"))
    database.write(lambda _: None)
    authorizer.begin()


def other_thread(function, *arguments):
    found = []
    thread = threading.Thread(target=lambda: found.append(function(*arguments)))
    thread.start()
    thread.join()
    assert found, "it raised"
    return found[0]


def test_other_threads_write_on(pair):
    one, _, _, _ = pair
    authorizer, database = one.access.authorizer, one.services.database
    made(one, "threaded")
    authorizer.begin()
    authorizer.require(actor_of(one, "threaded"), Action.PUSH, APP)
    other_thread(one.drop_rule, "threaded")
    assert other_thread(database.write, lambda _: 5) == 5
    with pytest.raises(Denied):
        database.write(lambda _: 5)
    authorizer.begin()
    assert database.write(lambda _: 5) == 5


def test_nothing_of_a_request_is_left_to_the_next_or_to_the_thread(pair):
    one, _, _, _ = pair
    made(one, "before")
    made(one, "after")
    assert changes(one, one.as_("before")) == (202, 404)
    one.drop_rule("before")
    assert one.services.database.write(lambda _: 5) == 5  # what a thread does between requests
    assert changes(one, one.as_("after")) == (202, 404)
    assert changes(one, one.as_("before")) == (403, 403)
    assert one.services.database.write(lambda _: 5) == 5


def test_who_the_registry_itself_is_keeps_no_account_of_what_it_did(pair):
    one, _, _, _ = pair
    one.access.authorizer.begin()
    for kind in ("operator", "job:retention", "plugin:x"):
        one.access.authorizer.require(Actor(kind), Action.DELETE, APP)
    from registry.access.authorizer import _asked

    assert _asked.get() is None


@pytest.mark.parametrize("way", [disable, delete_key, change_password])
def test_a_credential_that_ended_makes_no_new_one(pair, way):
    one, other, _, _ = pair
    name = f"maker-{way.__name__}"
    made(one, name, PASSWORD)
    header = basic(name, one.keys[name] if way is delete_key else PASSWORD)
    actor = other.access.authenticator.known(Credentials(header["Authorization"]))  # and then it waits
    way(one, name)
    other.access.authorizer.begin()
    with pytest.raises((Denied, Unauthorized)):
        other.access.keys.create(actor, name, "mine")
    with pytest.raises((Denied, Unauthorized)):
        other.access.principals.change(actor, name, PrincipalWish(password="yet another one"))


def test_keys_and_tokens_make_no_keys(pair):
    one, _, _, _ = pair
    one.user("keeper", PASSWORD)
    one.robot("team", "keeper")
    authorizer = one.access.authorizer
    for name in ("keeper", "team+keeper"):
        authorizer.begin()
        with pytest.raises(Denied):
            one.access.keys.create(actor_of(one, name), name, "another")
    authorizer.begin()
    actor = one.access.authenticator.known(Credentials(basic("keeper", PASSWORD)["Authorization"]))
    assert one.access.keys.create(actor, "keeper", "another").key.owner == "keeper"
    for token in (one.token("keeper", SCOPE), one.token("keeper", SCOPE, secret=PASSWORD)):
        actor = one.access.authenticator.known(Credentials(f"Bearer {token}"))
        with pytest.raises((Denied, Unauthorized)):
            one.access.keys.create(actor, "keeper", "another")


@pytest.mark.parametrize("way", ["key", "file"])
def test_who_follows_events_hears_no_more_once_what_it_is_known_by_ended(pair, soon, way):
    one, _, users, _ = pair
    one.rule("followers", "everybody", ["team/*"], role="pull")
    if way == "key":
        one.user("follower")
        lives = one.access.keys.create(CHIEF, "follower", "short", lives_ms=1000).text
        header = basic("follower", lives)
    else:
        header = basic("july", PASSWORD)
    database = one.services.database
    while database.write(one.services.log.place):
        pass
    answer = one.client.get(
        "/api/v1/events?after=0&repository=team/app", headers={"Accept": "text/event-stream", **header}, buffered=False
    )
    pieces = iter(answer.response)
    assert next(pieces).startswith(b"retry")
    assert b"event: " in next(pieces)
    if way == "key":
        one.clock.turn(seconds=2)
    else:
        users.write_text("")
    with pytest.raises(StopIteration):
        next(pieces)
    answer.close()
    one.drop_rule("followers")

"""What is tried on SQLite elsewhere, where it differs on PostgreSQL: texts, locks, and two processes at once."""

import multiprocessing
import threading

import pytest

from registry.access.actors import ANONYMOUS, Actor
from registry.access.authentication import Credentials
from registry.access.authorizer import Action
from registry.access.principals import PrincipalWish
from registry.app import create_app
from registry.errors import Denied, TooManyRequests, TrustTaken, Unauthorized
from registry.names import RepositoryName
from registry.revisions import Condition
from registry.schema import upgrade
from registry.settings import Settings
from tests.access.routes import ARGUMENTS, BODIES, QUERIES, address, routes
from tests.access.test_hostile import FORMS, HEADERS, SCOPES
from tests.support.asking import CHIEF, OPERATOR, PASSWORD, basic, bearer, world
from tests.support.issuer import Issuer

pytestmark = pytest.mark.needs_tools
SCOPE = "repository:team/app:pull,push,delete"


@pytest.fixture(scope="module")
def url(postgres):
    url = postgres.create_database("access")
    app = create_app(Settings(database_url=url, storage_url="memory:"))
    upgrade(app)
    app.extensions["moorage"].database.close_idle()
    return url


@pytest.fixture
def pair(url, tmp_path):
    more = {"database_url": url, "storage_url": f"file://{tmp_path / 'storage'}"}
    with world(tmp_path, None, **more) as one, world(tmp_path, one.clock, **more) as other:
        yield one, other


def test_no_text_breaks_it(pair):
    one, _ = pair
    one.user("texts", PASSWORD)
    one.rule("texts", "user:texts", role="admin")
    for header in HEADERS.values():
        answer = one.client.get("/v2/", headers={"Authorization": header})
        assert answer.status_code in (401, 429), (header[:80], answer.text)
    for number, form in enumerate(FORMS):
        environ = {"REMOTE_ADDR": f"192.0.2.{number}"}
        kind = "application/x-www-form-urlencoded"
        answer = one.client.post("/token", data=form, content_type=kind, environ_overrides=environ)
        assert answer.status_code in (400, 401), (form[:80], answer.text)
    for scope in SCOPES:
        assert one.client.get("/token", query_string={"scope": scope}, headers=one.as_("texts")).status_code in (
            200,
            400,
        )
    for odd in ("a\0b", "\0", "é", "x" * 300, "' OR 1=1 --"):
        names = dict.fromkeys(
            ("rule", "job", "plugin", "run", "letter", "plan", "label", "tag", "digest", "reference"), odd
        )
        for route, rule in routes(one.app).items():
            body = BODIES.get(route)
            more = {"data": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
            path = address(rule, {**ARGUMENTS, **names}).replace("\0", "%00")
            method = route.partition(" ")[0]
            for who in (OPERATOR, {}):
                answer = one.client.open(
                    path, method=method, query_string=QUERIES.get(route), environ_overrides=who, **more
                )
                assert answer.status_code < 500, (method, path, answer.text)
    # who is known, and asks for odd things
    form = {"grant_type": "password", "username": "texts", "password": PASSWORD, "access_type": "offline"}
    elsewhere = {"REMOTE_ADDR": "192.0.2.200"}
    for client, status in (("\0", 400), ("é" * 300, 200), ("", 200), ("docker", 200)):
        answer = one.client.post("/token", data={**form, "client_id": client}, environ_overrides=elsewhere)
        assert answer.status_code == status
        query = {"offline_token": "true", "client_id": client}
        assert one.client.get("/token", query_string=query, headers=one.as_("texts")).status_code == status


def test_what_was_taken_away_is_gone_at_once(pair):
    one, other = pair
    for number, take in enumerate(
        (
            one.drop_rule,
            lambda name: one.access.principals.change(CHIEF, name, PrincipalWish(disabled=True)),
            lambda name: one.access.principals.delete(CHIEF, name),
        )
    ):
        name = f"gone-{number}"
        one.user(name)
        one.rule(name, f"user:{name}", ["team/*"], role="maintain")
        header = bearer(one.token(name, SCOPE))
        assert other.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 202
        take(name)
        for app in (other, one):
            assert app.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code in (401, 403)


def test_a_transaction_that_began_before_is_confirmed(pair):
    one, other = pair
    one.user("confirmed")
    one.rule("confirmed", "user:confirmed", ["team/*"], role="push")
    actor = other.access.authenticator.known(Credentials(one.as_("confirmed")["Authorization"]))
    other.access.authorizer.begin()
    other.access.authorizer.require(actor, Action.PUSH, RepositoryName("team/app"))
    one.drop_rule("confirmed")
    with pytest.raises(Denied):
        other.services.database.write(lambda _: None)
    other.access.authorizer.begin()


def test_many_guesses_at_once_are_all_counted(pair):
    one, other = pair
    one.user("guessed", PASSWORD)
    faults, tried = [], []

    def guess(app):
        for _ in range(5):
            try:
                app.access.authenticator.login("guessed", "wrong", Actor(ANONYMOUS, "198.51.100.7"))
            except Unauthorized:
                tried.append(1)
            except TooManyRequests:
                pass
            except Exception as error:  # noqa: BLE001 - each is a finding
                faults.append(error)

    threads = [threading.Thread(target=guess, args=(app,)) for app in (one, other) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    assert 5 <= len(tried) <= 5 + len(threads)


def _ask(url, folder, header, asked, answers):
    with world(folder, database_url=url, storage_url=f"file://{folder / 'storage'}") as app:
        while asked.get():
            answers.put(app.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code)


def test_another_process_refuses_at_once(pair, url, tmp_path):
    one, _ = pair
    one.user("far")
    one.rule("far", "user:far", ["team/*"], role="push")
    header = bearer(one.token("far", SCOPE))
    context = multiprocessing.get_context("spawn")
    asked, answers = context.Queue(), context.Queue()
    process = context.Process(target=_ask, args=(url, tmp_path, header, asked, answers))
    process.start()
    asked.put(True)
    assert answers.get(timeout=60) == 202
    one.drop_rule("far")
    asked.put(True)
    assert answers.get(timeout=60) == 403
    asked.put(False)
    process.join(30)
    assert process.exitcode == 0


def test_a_job_that_is_trusted_ends_at_once_in_another_process(pair, tmp_path):
    one, other = pair
    with Issuer(tmp_path) as issuer:
        issuer.at(one.clock() // 1000)
        one.robot("jobs", "ci")
        one.rule("jobs", "robot:jobs+ci", ["team/*"], role="push")
        definition = {"issuer": issuer.url, "audiences": ["a"], "claims": {"sub": ["J\u00f6b-\u212a"]}}
        one.access.trusts.create(CHIEF, "jobs", "jobs+ci", definition)
        job = issuer.sign(aud="a", sub="J\u00f6b-\u212a")
        given = other.client.get("/token", query_string={"scope": SCOPE}, headers=basic("jobs+ci", job))
        headers = [basic("jobs+ci", job), bearer(given.json["token"])]
        for app in (one, other):
            for header in headers:
                assert app.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 202
        assert (
            one.client.get("/v2/", headers=basic("jobs+ci", issuer.sign(aud="a", sub="J\u00f6b-K"))).status_code == 401
        )
        assert one.client.get("/v2/", headers=basic("jobs+ci", issuer.sign(aud="a\0", sub="\0"))).status_code == 401
        one.access.trusts.delete(CHIEF, "jobs", Condition())
        for app in (other, one):
            for header in headers:
                assert app.client.post("/v2/team/app/blobs/uploads/", headers=header).status_code == 401


def test_of_trusts_made_at_once_one_is_made(pair):
    one, other = pair
    one.robot("races", "ci")
    definition = {"issuer": "https://issuer.example", "audiences": ["a"], "claims": {"sub": ["x"]}}
    outcomes = []

    def make(app):
        try:
            app.access.trusts.create(CHIEF, "race", "races+ci", definition)
            outcomes.append("made")
        except TrustTaken:
            outcomes.append("taken")

    threads = [threading.Thread(target=make, args=(app,)) for app in (one, other) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made"] + ["taken"] * 7

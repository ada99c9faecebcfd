"""Command lines that are logged in by a browser: who waits, who allows it, and who tries what they should not."""

import json
import threading

import pytest

from registry.access import login_requests as module
from registry.access.principals import PrincipalWish
from tests.access.oidc import ADDRESS, ALICE, browser, calm, house, login, provider
from tests.support.asking import CHIEF, OPERATOR, basic
from tests.support.issuer import Issuer

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

ADDRESS_OF_BOX = "198.51.100.7"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def made(folder, process):
    with house(folder, provider(process)) as found:
        calm(process, found)
        yield found


@pytest.fixture
def alice(made):
    return browser(made)


class Box:
    """A machine whose command line asks to be logged in."""

    def __init__(self, made, address=ADDRESS_OF_BOX):
        self._made = made
        self._from = {"REMOTE_ADDR": address}

    def post(self, path, body):
        return self._made.client.post(f"/api/v1{path}", json=body, environ_overrides=self._from)

    def ask(self, **more):
        answer = self.post("/logins", {"host": "box", **more})
        assert answer.status_code == 201, answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        self.login = json.loads(answer.data)
        return self.login

    def poll(self, secret=None, *, wait=5):
        """Return the code of what refuses it, or the key."""
        self._made.clock.turn(seconds=wait)
        answer = self.post("/logins/poll", {"poll_secret": secret or self.login["poll_secret"]})
        found = json.loads(answer.data)
        return (answer.status_code, found["code"]) if answer.status_code >= 400 else found


@pytest.fixture
def box(made):
    found = Box(made)
    found.ask()
    return found


PENDING, SLOW = (400, "AUTHORIZATION_PENDING"), (400, "SLOW_DOWN")
EXPIRED, DENIED = (400, "EXPIRED_TOKEN"), (400, "ACCESS_DENIED")


def follow(at, box):
    """Go from the address that the command line tells to the question."""
    page = at.go(box.login["page_with_code"])
    assert box.login["user_code"] in page.words
    (link,) = page.links
    return at.go(link)


def test_a_command_line_gets_the_key_that_somebody_allowed_once(made, alice, box):
    assert box.login["page"] == f"{ADDRESS}/login"
    assert (box.login["expires_in"], box.login["interval"]) == (600, 5)
    assert box.poll() == PENDING
    page = follow(alice, box)
    assert box.poll() == PENDING
    for shown in (
        "logged in as alice",
        "box",
        ADDRESS_OF_BOX,
        "You yourself are at 127.0.0.1",
        "for 12h",
        box.login["user_code"],
    ):
        assert shown in page.words
    done = alice.press(page, "allow")
    assert "Allowed" in done.words
    assert "mk_" not in done.text, "the key goes to who waits, not through the browser"
    found = box.poll()
    assert (found["key"]["name"], found["key"]["principal"]) == ("login on box", "alice")
    answer = made.client.get("/api/v1/whoami", headers=basic("alice", found["text"]))
    assert json.loads(answer.data)["principal"] == "alice"
    assert box.poll() == EXPIRED
    assert box.poll() == EXPIRED


def test_the_code_can_be_typed_in_any_way(made, alice, box):
    page = alice.go(box.login["page"])
    assert "The code that moorage login shows" in page.words
    code = box.login["user_code"]
    for typed in (code.lower(), code.replace("-", ""), code.replace("-", " ")):
        page = alice.go(f"{ADDRESS}/login?code={typed}".replace(" ", "%20"))
        assert "logged in as alice" in alice.go(page.links[0]).words
    for wrong in ("x", "<b>", "AAAA-AAA1", "A" * 9):
        assert alice.go(f"{ADDRESS}/login?code={wrong}").status == 400


def test_what_a_command_line_says_of_itself_is_only_text(made, alice):
    box = Box(made)
    box.ask(host="<script>alert(1)</script>")
    page = follow(alice, box)
    assert "<script" not in page.text
    assert "<script>alert(1)</script>" in page.words


def test_refusing_ends_it(made, alice, box):
    assert "Refused" in alice.press(follow(alice, box), "deny").words
    assert box.poll() == DENIED
    assert box.poll() == EXPIRED
    assert made.access.keys.list(CHIEF, "alice") == []


@pytest.mark.parametrize("answer", ["", "ALLOW", "x"])
def test_what_is_not_a_yes_is_a_no(alice, box, answer):
    alice.press(follow(alice, box), answer)
    assert box.poll() == DENIED


def test_who_polls_too_often_has_to_wait_longer_each_time(alice, box):
    assert box.poll(wait=0) == PENDING
    assert box.poll(wait=1) == SLOW
    assert box.poll(wait=6) == SLOW
    assert box.poll(wait=11) == SLOW
    assert box.poll(wait=20) == PENDING
    alice.press(follow(alice, box), "allow")
    assert box.poll(wait=1) == SLOW, "also where there is a key"
    assert "text" in box.poll(wait=25)


def test_it_waits_for_ten_minutes(made, alice, box):
    page = follow(alice, box)
    assert box.poll(wait=600) == EXPIRED
    assert alice.press(page, "allow").status == 400
    assert alice.go(login(code=box.login["user_code"])).status == 400
    Box(made).ask()
    with made.services.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM login_request").scalar() == 1, "the other was swept"


def test_a_code_is_answered_for_once(made, alice, box):
    first, second = follow(alice, box), browser(made)
    other = follow(second, box)
    alice.press(first, "deny")
    page = second.press(other, "allow")
    assert page.status == 400
    assert "answered for this code already" in page.words
    assert box.poll() == DENIED
    assert alice.go(login(code=box.login["user_code"])).status == 400


def test_a_code_that_goes_while_the_provider_is_asked(made, alice, box, monkeypatch):
    providers = made.access.providers
    page = providers.page

    def slow(provider, sent):
        made.services.database.write(lambda connection: connection.exec_driver_sql("DELETE FROM login_request"))
        return page(provider, sent)

    monkeypatch.setattr(providers, "page", slow)
    found = alice.go(login(code=box.login["user_code"]))
    assert (found.status, "there is no such code" in found.words) == (400, True)


def test_of_two_polls_at_once_one_gets_the_key(made, alice, box, monkeypatch):
    monkeypatch.setattr(module, "_TOLERANCE_MS", 60_000)
    alice.press(follow(alice, box), "allow")
    barrier, found = threading.Barrier(4), []

    def poll():
        barrier.wait()
        found.append(box.post("/logins/poll", {"poll_secret": box.login["poll_secret"]}).status_code)

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == [201, 400, 400, 400]
    assert len(made.access.keys.list(CHIEF, "alice")) == 1


def test_guesses_are_slowed_down(made, alice, box, monkeypatch):
    monkeypatch.setattr("registry.access.throttle._FREE_OF_ADDRESS", 3)
    guesser = Box(made, "192.0.2.9")
    for secret in ("x", box.login["user_code"], box.login["poll_secret"][:-1]):
        assert guesser.poll(secret) == EXPIRED
    assert guesser.poll("y", wait=0) == (429, "TOOMANYREQUESTS")
    codes = browser(made, "192.0.2.10")
    for code in ("BBBB-BBBB", "CCCC-CCCC", "DDDD-DDDD"):
        assert codes.go(login(code=code)).status == 400
    assert codes.go(login(code="FFFF-FFFF")).status == 429
    alice.press(follow(alice, box), "allow")
    assert "text" in box.poll(), "nobody else waits for that"


def test_how_long_a_key_lives_is_wished_for_within_bounds(folder, process):
    with house(folder, provider(process), login_lifetime=7200) as made:
        calm(process, made)
        at, box = browser(made), Box(made)
        assert box.post("/logins", {"host": "box", "expires_in_seconds": 7201}).status_code == 400
        for wanted, seconds in ((None, 7200), (7200, 7200), (60, 60)):
            box.ask(expires_in_seconds=wanted)
            page = follow(at, box)
            assert f"for {seconds // 60}m" in page.words or f"for {seconds // 3600}h" in page.words
            at.press(page, "allow")
            found = box.poll()
            (row,) = [one for one in made.access.keys.list(CHIEF, "alice") if one.prefix == found["key"]["prefix"]]
            assert row.expires_ms - row.created_ms == seconds * 1000


@pytest.mark.parametrize(
    "body",
    [
        {}, {"host": ""}, {"host": "x" * 65}, {"host": "a\nb"}, {"host": "a\0b"}, {"host": 5}, {"host": "x", "more": 1},
        {"host": "x", "expires_in_seconds": 0}, {"host": "x", "expires_in_seconds": 1 << 70}, {"host": "x", "expires_in_seconds": "1h"}, [],
    ],
)  # fmt: skip
def test_a_bad_wish_is_refused(made, body):
    answer = Box(made).post("/logins", body)
    assert answer.status_code == 400
    assert json.loads(answer.data)["code"] == "INPUT_INVALID"


@pytest.mark.parametrize("body", [{}, {"poll_secret": "x" * 129}, {"poll_secret": None}, {"poll_secret": "\0"}])
def test_a_bad_poll_is_refused(made, body):
    assert json.loads(Box(made).post("/logins/poll", body).data)["code"] == "INPUT_INVALID"


def test_no_browser_can_be_made_to_ask(made):
    """A form of another site sends no JSON."""
    for path in ("/logins", "/logins/poll"):
        answer = made.client.post(f"/api/v1{path}", data="host=x", content_type="application/x-www-form-urlencoded")
        assert answer.status_code == 415


def test_who_is_disabled_or_gone_meanwhile_gives_no_key(made, alice, box):
    alice.press(follow(alice, box), "allow")
    made.access.principals.change(CHIEF, "alice", PrincipalWish(disabled=True))
    assert box.poll() == DENIED
    made.access.principals.change(CHIEF, "alice", PrincipalWish(disabled=False))
    another = Box(made)
    another.ask()
    alice.press(follow(alice, another), "allow")
    made.access.principals.delete(CHIEF, "alice")
    assert another.poll() == EXPIRED


def test_who_is_unlinked_meanwhile_gives_no_key(made, alice, box):
    alice.press(follow(alice, box), "allow")
    (row,) = made.access.links.list(CHIEF, "alice")
    made.access.links.unlink(CHIEF, "alice", row.id)
    assert box.poll() == EXPIRED


def test_a_hundred_keys_are_enough(made, alice, box, monkeypatch):
    monkeypatch.setattr("registry.access.keys.MOST_KEYS", 1)
    alice.press(follow(alice, box), "allow")
    assert "text" in box.poll()
    another = Box(made)
    another.ask()
    alice.press(follow(alice, another), "allow")
    assert another.poll() == (400, "PRINCIPAL_INVALID")


def test_many_requests_from_one_place_are_stopped(made, monkeypatch):
    monkeypatch.setattr("registry.access.login_steps.MOST_OF_ONE_SOURCE", 2)
    box = Box(made, "2001:db8::1")
    box.ask()
    box.ask()
    answer = Box(made, "2001:db8::2").post("/logins", {"host": "box"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    Box(made, "2001:db9::1").ask()


def test_where_there_is_no_provider_nobody_asks(folder):
    with house(folder) as made:
        answer = Box(made).post("/logins", {"host": "box"})
        assert (answer.status_code, json.loads(answer.data)["code"]) == (404, "PROVIDER_UNKNOWN")


# A key may end itself, and identities are looked after


def test_a_key_ends_itself_and_no_other(made, alice, box):
    alice.press(follow(alice, box), "allow")
    mine = box.poll()
    another = Box(made)
    another.ask()
    alice.press(follow(alice, another), "allow")
    other = another.poll()
    header = basic("alice", mine["text"])
    path = "/api/v1/principals/alice/keys"
    assert made.client.delete(f"{path}/{other['key']['prefix']}", headers=header).status_code == 403
    assert made.client.get(path, headers=header).status_code == 403
    token = {"Authorization": f"Bearer {made.client.get('/token', headers=header).json['token']}"}
    assert made.client.delete(f"{path}/{mine['key']['prefix']}", headers=token).status_code in (401, 403)
    assert made.client.delete(f"{path}/{mine['key']['prefix']}", headers=header).status_code == 204
    assert made.client.get("/api/v1/whoami", headers=header).status_code == 401
    assert made.client.get("/api/v1/whoami", headers=basic("alice", other["text"])).status_code == 200


def test_identities_are_linked_listed_and_unlinked(made):
    made.user("bob")
    made.robot("team", "ci")

    def ask(method, path, status=200, body=None):
        found = made.client.open(f"/api/v1{path}", method=method, json=body, environ_overrides=OPERATOR)
        assert found.status_code == status, found.text
        return json.loads(found.data) if found.data else None

    path, wanted = "/users/bob/identities", {"provider": "company", "subject": ALICE["sub"]}
    linked = ask("POST", path, 201, wanted)
    assert (linked["user"], linked["provider"], linked["subject"]) == ("bob", "company", ALICE["sub"])
    assert ask("POST", path, 409, wanted)["context"]["owner"] == "bob"
    assert [one["id"] for one in ask("GET", path)["items"]] == [linked["id"]]
    assert ask("POST", path, 404, {**wanted, "provider": "nowhere"})["code"] == "PROVIDER_UNKNOWN"
    for subject in ("", "x" * 256, "a\nb"):
        assert ask("POST", path, 400, {**wanted, "subject": subject})["code"] == "PRINCIPAL_INVALID"
    for owner in ("nobody-here", "team+ci", "anonymous", "system:x"):
        for method, body in (("GET", None), ("POST", {**wanted, "subject": "another"})):
            assert ask(method, f"/users/{owner}/identities", 404, body)["code"] == "PRINCIPAL_UNKNOWN"
        assert ask("DELETE", f"/users/{owner}/identities/{linked['id']}", 404)
    assert ask("DELETE", f"{path}/9999", 404)["code"] == "IDENTITY_UNKNOWN"
    assert ask("DELETE", f"{path}/{'9' * 18}", 404)
    ask("DELETE", f"{path}/{linked['id']}", 204)
    assert ask("GET", path)["items"] == []

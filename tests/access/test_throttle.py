"""Who guesses is slowed down, and keeps nobody else out."""

import threading
from types import SimpleNamespace

import argon2
import pytest

from registry.access.actors import ANONYMOUS, Actor
from registry.access.throttle import Throttle
from registry.errors import TooManyRequests, Unauthorized
from tests.support.asking import PASSWORD, basic, world

GUESSES, ADDRESSES = 10_000, 50


def counted(app):
    """Return the list that grows with each password that an app compares."""
    passwords, tried = app.access.authenticator._passwords, []
    verify = passwords.verify
    passwords.verify = lambda kept, password: tried.append(password) or verify(kept, password)
    return tried


def guess(app, name, password, address):
    """Return who a name and a password make somebody, None for nobody, and how long one has to wait."""
    try:
        return app.access.authenticator.login(name, password, Actor(ANONYMOUS, address)).principal, 0
    except Unauthorized:
        return None, 0
    except TooManyRequests as error:
        return None, int(error.headers["Retry-After"])


def test_ten_thousand_guesses_keep_the_owner_in_and_get_nobody_in(registry):
    tried = counted(registry)
    registry.user("owner", PASSWORD)
    for number in range(GUESSES):
        name, _ = guess(registry, "owner", f"guess {number}", f"192.0.2.{number % ADDRESSES}")
        assert name is None
        if number % ADDRESSES == 0:
            registry.clock.turn(seconds=10)
    assert GUESSES // ADDRESSES * 10 == 2000  # seconds passed
    assert len(tried) <= ADDRESSES * 17  # 5 at once, and then after 1, 2, 4 … seconds
    assert guess(registry, "owner", PASSWORD, "198.51.100.1") == ("owner", 0)


def test_one_address_is_slowed_down_whatever_names_it_tries(registry):
    tried = counted(registry)
    registry.user("owner", PASSWORD)
    waits = [guess(registry, f"name-{number}", "wrong", "192.0.2.1")[1] for number in range(200)]
    assert len(tried) == 50
    assert waits == [0] * 50 + [1] * 150
    for doubled in (1, 2, 4, 8, 16):
        registry.clock.turn(seconds=doubled)
        assert guess(registry, "owner", "wrong", "192.0.2.1") == (None, 0)
        assert guess(registry, "owner", PASSWORD, "192.0.2.1") == (None, doubled * 2)
    assert guess(registry, "owner", PASSWORD, "192.0.2.2") == ("owner", 0)
    registry.clock.turn(seconds=3601)
    assert guess(registry, "owner", PASSWORD, "192.0.2.1") == ("owner", 0)


def test_no_wait_is_longer_than_a_quarter_of_an_hour(registry):
    waits = []
    for _ in range(60):
        _, wait = guess(registry, "owner", "wrong", "192.0.2.1")
        waits.append(wait)
        registry.clock.turn(seconds=wait)
    assert max(waits) == 900
    assert [wait for wait in waits if wait][:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
        ("no address" * 100, "no address" * 100, True),
    ],
)
def test_what_counts_as_one_client(registry, first, second, same):
    for _ in range(5):
        assert guess(registry, "owner", "wrong", first) == (None, 0)
    assert (guess(registry, "owner", "wrong", second)[1] > 0) == same


def test_a_restart_forgets_nothing_and_success_forgets(registry, folder):
    registry.user("owner", PASSWORD)
    for _ in range(4):
        guess(registry, "owner", "wrong", "192.0.2.1")
    with world(folder, registry.clock) as another:
        assert guess(another, "owner", PASSWORD, "192.0.2.1") == ("owner", 0)
        for _ in range(5):
            assert guess(another, "owner", "wrong", "192.0.2.1") == (None, 0)
        assert guess(another, "owner", "wrong", "192.0.2.1") == (None, 1)
    with world(folder, registry.clock) as third:
        assert guess(third, "owner", PASSWORD, "192.0.2.1") == (None, 1)


def test_who_logged_in_here_and_who_has_a_key_never_waits(registry):
    registry.user("owner", PASSWORD)
    assert registry.client.get("/token", headers=basic("owner", PASSWORD)).status_code == 200
    throttle = Throttle(registry.services.database)
    attempt = throttle.begin("owner", "127.0.0.1")
    for _ in range(60):
        throttle.failed(attempt)
    assert registry.client.get("/token", headers=basic("owner", "wrong")).status_code == 429
    assert registry.client.get("/token", headers=basic("owner", PASSWORD)).status_code == 200
    assert registry.client.get("/token", headers=registry.as_("owner")).status_code == 200


@pytest.fixture
def slow(folder):
    """Give a registry whose hashes take the time that they do outside of tests."""
    with world(folder, slow_hashes=True) as made:
        yield made


def test_over_http_a_guesser_hears_when_to_come_back(slow):
    registry = slow
    registry.user("owner", PASSWORD)
    for _ in range(5):
        assert registry.client.get("/token", headers=basic("owner", "wrong")).status_code == 401
    answer = registry.client.get("/token", headers=basic("owner", "wrong"))
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"
    assert answer.json["errors"][0]["code"] == "TOOMANYREQUESTS"
    form = {"grant_type": "password", "username": "owner", "password": "wrong"}
    assert registry.client.post("/token", data=form).status_code == 429
    assert registry.client.get("/v2/", headers=basic("owner", PASSWORD)).status_code == 429
    elsewhere = {"REMOTE_ADDR": "192.0.2.9"}
    assert registry.client.get("/v2/", headers=basic("owner", PASSWORD), environ_overrides=elsewhere).status_code == 200
    # a key cannot be guessed, and one that is wrong is slowed down as well
    for _ in range(50):
        registry.client.get("/v2/", headers=basic("owner", "mk_" + "A" * 10 + "_" + "A" * 40))
    assert registry.client.get("/v2/", headers=basic("owner", "mk_wrong")).status_code == 429
    assert registry.client.get("/v2/", headers=registry.as_("owner")).status_code == 200


def test_a_few_passwords_are_compared_at_once(registry, monkeypatch):
    passwords = registry.access.authenticator._passwords
    turn, running, most = threading.Lock(), [0], [0]
    all_there = threading.Barrier(4)

    def verify(kept, password):
        with turn:
            running[0] += 1
            most[0] = max(most[0], running[0])
        all_there.wait(30)
        with turn:
            running[0] -= 1
        raise argon2.exceptions.VerifyMismatchError

    monkeypatch.setattr(passwords, "_hasher", SimpleNamespace(verify=verify))
    threads = [threading.Thread(target=passwords.verify, args=("kept", "wrong")) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [4]

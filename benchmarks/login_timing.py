"""How long refusals take, by what is wrong: ``python -m benchmarks.login_timing [ROUNDS]``.

Times must not tell whether there is a user or a key. Kinds are timed in turn, in an order that changes, so that
whatever else the machine does weighs on all alike; what counts is the ratio of the medians.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping

import bcrypt
from flask import Flask

from registry.access.actors import ANONYMOUS, OPERATOR, Actor
from registry.access.parts import Access
from registry.errors import Unauthorized
from registry.testing.apps import blank_data, quick_folder, running_app

_ROUNDS = 1000
_PASSWORD = "correct horse battery"
_CHIEF = Actor(OPERATOR)


def main() -> None:
    """Time each kind of refusal, and print the medians in comparison with the first of its group."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else _ROUNDS
    with quick_folder() as folder:
        blank = blank_data(folder / "blank")
        users = folder / "users"
        users.write_text(f"inside:{bcrypt.hashpw(_PASSWORD.encode(), bcrypt.gensalt(5)).decode()}\n")
        for title, file in (("passwords", None), ("passwords, with a file of users", users)):
            data = folder / ("data" if file is None else "other")
            with running_app(data, blank=blank, authentication=True, htpasswd=file) as app:
                report(title, passwords(app), rounds)
                if file is None:
                    report("API keys", keys(app), rounds)


def passwords(app: Flask) -> Mapping[str, Callable[[], None]]:
    """Return refusals of a password."""
    access: Access = app.extensions["moorage"].access
    access.principals.add_user(_CHIEF, "known", password=_PASSWORD)
    access.principals.add_user(_CHIEF, "keyed", password=None)
    access.principals.add_robot(_CHIEF, "team", "robot")
    names = ("known", "unknown", "keyed", "team+robot", "inside", "odd/name")
    return {name: refused(access, name, "wrong wrong wrong") for name in names}


def keys(app: Flask) -> Mapping[str, Callable[[], None]]:
    """Return refusals of an API key."""
    access: Access = app.extensions["moorage"].access
    text = access.keys.create(_CHIEF, "known", "key").text
    wrong = {
        "known prefix": text[:-1] + ("a" if text[-1] != "a" else "b"),
        "known prefix, all wrong": text[:14] + "A" * 40,
        "unknown prefix": "mk_" + "A" * 10 + "_" + "A" * 40,
    }
    return {kind: refused(access, "known", secret) for kind, secret in wrong.items()}


def refused(access: Access, name: str, secret: str) -> Callable[[], None]:
    """Return the function that logs in and is refused, each time from another address."""
    addresses = iter(range(1 << 24))

    def attempt() -> None:
        number = next(addresses)
        nobody = Actor(ANONYMOUS, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert access.authenticator is not None
        try:
            access.authenticator.login(name, secret, nobody)
        except Unauthorized:
            return
        raise AssertionError(f"{name} was let in")

    return attempt


def report(title: str, kinds: Mapping[str, Callable[[], None]], rounds: int) -> None:
    """Time every kind as often as the others, and print the medians."""
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    order, chance = list(kinds.items()), random.Random(1)
    for _ in range(rounds):
        chance.shuffle(order)
        for kind, attempt in order:
            started = time.perf_counter()
            attempt()
            times[kind].append(time.perf_counter() - started)
    medians = {kind: statistics.median(found) for kind, found in times.items()}
    first = next(iter(medians.values()))
    print(f"{title}: medians of {rounds}")
    for kind, median in medians.items():
        print(f"  {kind:24} {median * 1000:8.3f} ms  {median / first:6.3f}")


if __name__ == "__main__":
    main()

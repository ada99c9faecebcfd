"""The registries that pages of docs/ are about: made once, and copied for each page."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from flask import Flask
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import Connection, text

from registry import schema
from registry.access.actors import OPERATOR, Actor
from registry.testing.apps import running_app
from registry.testing.clock import Clock
from registry.testing.images import Manifest, artifact, image, layer
from tests.support.api import Api

DAY = 86_400_000
# The repository of docs/retention.md: tags with their age and their last pull, in days.
TAGS: Mapping[str, tuple[int, int | None]] = {
    "latest": (1, 0),
    "main-101": (60, None),
    "main-102": (40, 5),
    "main-103": (20, None),
    "main-104": (2, None),
    "pr-12": (45, 2),
    "pr-17": (3, None),
    "v1.0": (400, 90),
    "v1.1": (200, 1),
}
_PASSWORD = "correct horse battery"
UNTAGGED = {"old": 30, "new": 2}


def made(name: str) -> Manifest:
    """Return the image that is called so in these worlds."""
    return image(layer({"f": name.encode()}))


def small(folder: Path) -> Mapping[str, str]:
    """Make the usual registry: `team/app` has a few tags, and a signature; `team/old` is to be deleted.

    `v1` was made three days ago and moved an hour ago. Returns what pages' commands find in their environment.
    """
    clock = Clock()
    clock.milliseconds = round(time.time() * 1000) - 3 * DAY
    with running_app(folder, clock=clock) as app:
        schema.upgrade(app)
        api = Api(app.test_client())
        api.push("team/app", made("first"), "v1")
        clock.advance(60)
        api.push("team/app", made("third"), "v1.0", "nightly", "latest")
        api.push("team/old", made("old"), "v1")
        clock.advance(3 * 86_400 - 3_600)
        second = image(layer({"f": b"second"}), labels={"quay.expires-after": "1y"})
        api.push("team/app", second, "v1", "stable")
        api.push("team/app", artifact("application/vnd.example.signature", subject=second))
    return {"MANIFEST": second.digest, "BLOB": second.layers[0].digest}


def aged(folder: Path) -> Mapping[str, str]:
    """Make the registry of docs/retention.md."""
    with running_app(folder) as app:
        schema.upgrade(app)
        push_aged(app)
    return {"MANIFEST": made("main-101").digest}


def push_aged(app: Flask) -> None:
    """Push what docs/retention.md tells of, and let it be as old as that says."""
    api = Api(app.test_client())
    for name in TAGS:
        api.push("team/app", made(name), name)
    for name in UNTAGGED:
        api.push("team/app", made(name), made(name).digest)
    api.push("team/app", artifact("text/x"), made("main-101").digest.replace(":", "-") + ".sig")
    database = app.extensions["moorage"].database

    def work(connection: Connection) -> None:
        now = database.now(connection)
        connection.execute(text("UPDATE manifest SET lease_until = 0"))
        for name, (days, pulled) in TAGS.items():
            values = {"name": name, "start": now - days * DAY, "digest": made(name).digest}
            connection.execute(text("UPDATE tag SET lifetime_start_ms = :start WHERE name = :name"), values)
            values["pulled"] = None if pulled is None else now - pulled * DAY
            connection.execute(text("UPDATE manifest SET last_pulled_at = :pulled WHERE digest = :digest"), values)
        for name, days in UNTAGGED.items():
            values = {"created": now - days * DAY, "digest": made(name).digest}
            connection.execute(text("UPDATE manifest SET created_ms = :created WHERE digest = :digest"), values)
        connection.execute(
            text("UPDATE tag SET lifetime_start_ms = :start WHERE name LIKE 'sha256-%'"), {"start": now - 60 * DAY}
        )

    database.write(work)


def guarded(folder: Path) -> Mapping[str, str]:
    """Make the registry of several pages, which asks who its clients are; `admin` is its administrator."""
    variables = small(folder)
    with running_app(folder, authentication=True) as app:
        principals = app.extensions["moorage"].access.principals
        principals.add_user(Actor(OPERATOR), "admin", password=_PASSWORD, administrator=True)
    return {**variables, "MOORAGE_AUTHENTICATION": "true", "PASSWORD": _PASSWORD}


def federated(folder: Path) -> Mapping[str, str]:
    """Make the registry of docs/ci-without-secrets.md, with a token of a cluster, and its keys."""
    variables, key = guarded(folder), ECKey.generate_key("P-256", {"kid": "cluster"})
    now = int(time.time())
    claims = {
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["https://registry.example"],
        "sub": "system:serviceaccount:builds:pusher",
        "kubernetes.io": {"namespace": "builds", "serviceaccount": {"name": "pusher"}},
        "iat": now,
        "exp": now + DAY // 1000,
    }
    token = jwt.encode({"alg": "ES256", "kid": "cluster"}, claims, key)
    keys = {"keys": [key.as_dict(private=False)]}
    return {**variables, "ID_TOKEN": token, "JWKS": json.dumps(keys)}


WORLDS: Mapping[str, Callable[[Path], Mapping[str, str]]] = {
    "docs/access.md": guarded,
    "docs/audit.md": guarded,
    "docs/ci-without-secrets.md": federated,
    "docs/logging-in.md": guarded,
    "docs/retention.md": aged,
}
"""Pages that are about another registry than the usual one."""

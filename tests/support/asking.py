"""A registry that asks who its clients are, with principals, rules and credentials made by a word."""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import argon2
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from registry.access import actors
from registry.access.actors import Actor
from registry.access.parts import Access
from registry.app import create_app
from registry.blueprints._asking import OPERATOR_ENVIRON
from registry.revisions import Condition
from registry.services import Services
from registry.setting_providers import OidcProvider
from registry.settings import Settings
from registry.steps import Steps, no_steps
from registry.testing.images import Manifest, simple_image
from tests.support.direct import ManualClock

CHIEF = Actor(actors.OPERATOR)
OPERATOR = {OPERATOR_ENVIRON: True}
"""The environ of the operator's requests."""
PASSWORD = "correct horse battery"
COMPANY = {
    "oidc": {"company": OidcProvider(name="company", issuer="https://login.example", client_id="moorage")},
    "external_url": "https://registry.example",
}
"""Settings of a registry at which people could log in by a provider; nobody asks that one."""


def basic(name: str, secret: str) -> dict[str, str]:
    """Return the header of a name and a password or key."""
    text = base64.b64encode(f"{name}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def bearer(token: str) -> dict[str, str]:
    """Return the header of a token."""
    return {"Authorization": f"Bearer {token}"}


@dataclass
class World:
    """One app, with its client and clock."""

    app: Flask
    clock: ManualClock
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        """The app's services."""
        found: Services = self.app.extensions["moorage"]
        return found

    @property
    def access(self) -> Access:
        """The services of access."""
        return self.services.access

    @property
    def client(self) -> FlaskClient:
        """A client of the app."""
        return self.app.test_client()

    def hash_quickly(self) -> None:
        """Let passwords be hashed in no time."""
        for passwords in (self.access.principals._passwords, getattr(self.access.authenticator, "_passwords", None)):
            assert passwords is not None
            passwords._hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
            passwords._nobody = passwords._hasher.hash("nobody")

    def user(self, name: str, password: str | None = None) -> int:
        """Make a user, with a key that :meth:`as_` uses, and return its id."""
        row = self.access.principals.add_user(CHIEF, name, password=password)
        self.keys[name] = self.key(name)
        return row.id

    def robot(self, namespace: str, name: str) -> int:
        """Make a robot with a key, and return its id."""
        row = self.access.principals.add_robot(CHIEF, namespace, name)
        self.keys[row.name] = self.key(row.name)
        return row.id

    def key(self, owner: str, *scopes: str) -> str:
        """Make an API key."""
        return self.access.keys.create(CHIEF, owner, "key", scopes).text

    def rule(self, name: str, to: str | Sequence[str], on: str | Sequence[str] = "*", **more: object) -> None:
        """Make a rule; with ``actions`` it denies."""
        definition: dict[str, object] = {
            "to": [to] if isinstance(to, str) else list(to),
            "on": [on] if isinstance(on, str) else list(on),
            **({"effect": "deny"} if "actions" in more else {}),
            **more,
        }
        self.access.policies.create(CHIEF, name, definition)
        self.settle()

    def settle(self) -> None:
        """Let this app know at once what was changed, as it would in half a second."""
        self.access.explainer._standings.now(at_once=True)

    def drop_rule(self, name: str) -> None:
        """Remove a rule."""
        self.access.policies.delete(CHIEF, name, Condition())

    def as_(self, name: str) -> dict[str, str]:
        """Return the header of a principal's key; "" is nobody's."""
        return basic(name, self.keys[name]) if name else {}

    def token(self, name: str, *scopes: str, secret: str | None = None) -> str:
        """Return a token for scopes, got with a password or, without one, with a key."""
        header = {} if not name else self.as_(name) if secret is None else basic(name, secret)
        answer = self.client.get("/token", query_string={"scope": list(scopes)}, headers=header)
        assert answer.status_code == 200, answer.text
        return str(json.loads(answer.data)["token"])

    def push(self, repository: str, *tags: str, text: str = "x") -> Manifest:
        """Put an image into a repository, as the operator."""
        image = simple_image(text)
        for part in image.blobs:
            self.chief("POST", f"/v2/{repository}/blobs/uploads/?digest={part.digest}", data=part.data)
        for reference in tags or (image.digest,):
            path = f"/v2/{repository}/manifests/{reference}"
            self.chief("PUT", path, data=image.data, content_type=image.media_type)
        return image

    def rows(self, statement: str, **values: object) -> Sequence[Any]:
        """Return rows of the database."""
        with self.services.database.read() as connection:
            return connection.execute(text(statement), values).all()

    def alter(self, statement: str, **values: object) -> None:
        """Change rows of the database behind the services' back."""
        self.services.database.write(lambda connection: connection.execute(text(statement), values))

    def chief(self, method: str, path: str, **arguments: Any) -> TestResponse:
        """Ask as the operator, who may do all; the answer must be good."""
        answer = self.client.open(path, method=method, environ_overrides=OPERATOR, **arguments)
        assert answer.status_code < 400, answer.text
        return answer


@contextmanager
def world(
    folder: Path,
    clock: ManualClock | None = None,
    *,
    steps: Steps = no_steps,
    slow_hashes: bool = False,
    with_plugins: Sequence[object] = (),
    **more: Any,
) -> Iterator[World]:
    """Give a registry over the data in ``folder`` that asks who its clients are, with plugins.

    Passwords are hashed in no time unless ``slow_hashes`` are wanted, as they are outside of tests.
    """
    clock = clock or ManualClock()
    values: Mapping[str, Any] = {"authentication": True, "data": folder, "storage_url": "memory:", **more}
    app = create_app(Settings(**values), with_plugins, clock=clock, steps=steps)
    app.testing = True
    app.config["PROPAGATE_EXCEPTIONS"] = False
    made = World(app, clock)
    if not slow_hashes:
        made.hash_quickly()
    try:
        yield made
    finally:
        made.services.database.close_idle()


def refusal(answer: TestResponse, status: int, code: str) -> Any:
    """Return the detail of a refusal in the form of the distribution-spec, which names how to get in if it is 401."""
    assert answer.status_code == status, answer.text
    (error,) = json.loads(answer.data)["errors"]
    assert error["code"] == code
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    return error["detail"]

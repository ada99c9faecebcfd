"""A registry that asks who its clients are: `admin` may do everything, `alice` nothing yet."""

import base64
import json
import shutil
from pathlib import Path

import pytest

from registry.access.actors import OPERATOR, Actor
from registry.testing.apps import quick_folder, running_app
from registry.testing.clock import Clock
from tests.support.asking import world

OPERATES = Actor(OPERATOR)
PASSWORDS = {"admin": "admin-secret-1", "alice": "alice-secret-1"}


def basic(name, password=None):
    """Return the header that tells who asks."""
    text = f"{name}:{PASSWORDS[name] if password is None else password}"
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def bearer(text):
    return {"Authorization": f"Bearer {text}"}


class Asking:
    """Asks /api/v1 with some credentials."""

    def __init__(self, client, headers=None):
        self._client = client
        self._headers = headers or {}

    def __call__(self, method, path, body=None, *, status=200, match=None, **query):
        headers = self._headers if match is None else {**self._headers, "If-Match": match}
        given = {} if body is None and method != "POST" else {"json": body or {}}
        answer = self._client.open(f"/api/v1{path}", method=method, headers=headers, query_string=query, **given)
        assert answer.status_code == status, (method, path, answer.status, answer.data[:400])
        self.headers = answer.headers
        return json.loads(answer.data) if answer.data else None

    def refused(self, method, path, status, code, body=None, **named):
        """Ask for what is refused, and return the problem."""
        problem = self(method, path, body, status=status, **named)
        assert problem["code"] == code, problem
        return problem


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def app(blank, clock, monkeypatch):
    monkeypatch.setattr("registry.access.standing.FRESH_SECONDS", 0)  # a change is seen by the next request
    with quick_folder() as folder, running_app(folder, blank=blank, clock=clock, authentication=True) as app:
        principals = app.extensions["moorage"].access.principals
        principals.add_user(OPERATES, "admin", password=PASSWORDS["admin"], administrator=True)
        principals.add_user(OPERATES, "alice", password=PASSWORDS["alice"])
        yield app


@pytest.fixture
def access(app):
    return app.extensions["moorage"].access


@pytest.fixture
def admin(client):
    return Asking(client, basic("admin"))


@pytest.fixture
def alice(client):
    return Asking(client, basic("alice"))


@pytest.fixture
def nobody(client):
    return Asking(client)


@pytest.fixture
def registry(folder: Path):
    """Give a registry of the test's own."""
    with world(folder) as made:
        yield made


@pytest.fixture(scope="module")
def shared(blank):
    """Give one registry to all tests of a module that only ask."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        with world(found) as made:
            yield made

"""What every plugin that knows users, and every one that refuses what the policy allows, must do.

::

    class TestUsers(AuthenticationContract):
        plugin = moorage_users
        settings = {"file": "users.json"}
        known = {"alice": "correct horse"}

    class TestFreeze(AuthorizationContract):
        plugin = moorage_freeze
        settings = {"frozen": ["team/*"]}
        allowed = (access_request("pull"),)
        denied = {"is frozen": access_request("push")}
"""

from __future__ import annotations

import base64
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask

from registry.access.principal_rows import check_user_name
from registry.errors import RegistryError
from registry.hooks import AuthorizationRequest, Denial, Identity, LoginCredentials, PluginContext
from registry.testing.access import access_request
from registry.testing.contracts.hostile import logins
from registry.testing.contracts.observers import plugin_settings as registry_settings
from registry.testing.hooks import Implementations

__all__ = ["AuthenticationContract", "AuthorizationContract"]

_ADDRESS = "192.0.2.1"


class _AccessContract:
    """What both have: the plugin, and a registry with it."""

    plugin: object
    """The module, or object, that implements the hook."""
    settings: Mapping[str, Any] = {}
    """What ``[plugins.NAME]`` of the configuration file holds."""

    @pytest.fixture
    def moorage_plugins(self) -> Sequence[object]:
        """Return what the registry of these tests has."""
        return [self.plugin]

    @pytest.fixture
    def plugin_settings(self) -> Mapping[str, Any]:
        """Return the plugin's settings; override it where they name what a fixture makes (a file, a server)."""
        return self.settings

    @pytest.fixture
    def moorage_settings(self, plugin_settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the registry of these tests is told."""
        return {"authentication": True, **registry_settings(self.plugin, plugin_settings)}

    @pytest.fixture
    def context(self, moorage_context: PluginContext) -> PluginContext:
        """Return what the plugin is handed: the registry of the test."""
        return moorage_context

    def _implements(self, hook: str) -> None:
        hooks = Implementations(self.plugin).hooks
        assert hook in hooks, f"it implements {', '.join(hooks)}, and not {hook}"


class AuthenticationContract(_AccessContract):
    """Subclass it, and name the ``plugin``, its ``settings``, and users that are ``known`` with them."""

    known: Mapping[str, str]
    """The passwords of users by the name that they log in with."""

    def test_it_knows_users(self) -> None:
        """A plugin that knows users implements ``authenticate``."""
        self._implements("authenticate")

    def test_there_are_examples(self) -> None:
        """``known`` holds one user at least."""
        assert self.known, "give users that are known, by name, with their passwords"

    def test_who_is_known_has_one_name(self, context: PluginContext) -> None:
        """The right password is answered by an Identity with a name that a user can have, the same each time."""
        for name, password in self.known.items():
            first, second = (self._ask(name, password, context) for _ in range(2))
            assert isinstance(first, Identity), f"{name}: the right password is answered by {first!r}"
            assert first == second, f"{name} is {first!r} and then {second!r}"
            try:
                check_user_name(first.name)
            except RegistryError as error:
                pytest.fail(f"{name}: {error.message}, not {first.name!r}")

    def test_a_wrong_password_is_answered_by_none(self, context: PluginContext) -> None:
        """A wrong password of somebody who is known is answered by None: not raised, and no Identity."""
        for name, right in self.known.items():
            for password in (f"{right}x", right[:-1] or "x", right.swapcase(), "*", " ", "\x00", "x" * 1024, "\u00e9"):
                if password != right:
                    self._refused(name, password, context)

    def test_whoever_is_not_known_is_answered_by_none(self, context: PluginContext) -> None:
        """Any name that is nobody's is answered by None, whatever the password: wildcards and quotes are just letters.

        A name becomes part of a query of most sources, so that it has to be escaped (RFC 4515 for LDAP).
        """
        passwords = itertools.cycle([*dict.fromkeys(self.known.values()), "*"])
        for name, password in zip(logins(), passwords, strict=False):
            if name not in self.known:
                self._refused(name, password, context)

    def test_no_password_is_told(self, context: PluginContext, caplog: pytest.LogCaptureFixture) -> None:
        """No password is written to the log, right or wrong."""
        caplog.set_level(logging.DEBUG)
        for name, password in self.known.items():
            for shown in (password, f"{password}-and-wrong"):
                self._ask(name, shown, context)
        for password in self.known.values():
            assert password not in caplog.text, "the log holds the password"

    def test_they_log_in(self, moorage_app: Flask) -> None:
        """Who is known is let in by a registry with their password alone."""
        client = moorage_app.test_client()
        for name, password in self.known.items():
            for shown, status in ((password, 200), (f"{password}x", 401)):
                header = base64.b64encode(f"{name}:{shown}".encode()).decode()
                answer = client.get("/v2/", headers={"Authorization": f"Basic {header}"})
                assert answer.status_code == status, f"{name} is answered {answer.status_code}, not {status}"

    def _refused(self, name: str, password: str, context: PluginContext) -> None:
        answer = self._ask(name, password, context)
        assert answer is None, f"{name[:64]!r} with the password {password[:64]!r} is answered by {answer!r}"

    def _ask(self, name: str, password: str, context: PluginContext) -> object:
        credentials = LoginCredentials(name, password, _ADDRESS)
        try:
            return Implementations(self.plugin).call("authenticate", credentials=credentials, context=context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            pytest.fail(f"{name[:64]!r}: authenticate raises {type(error).__name__}: {error}")


class AuthorizationContract(_AccessContract):
    """Subclass it, and name the ``plugin``, its ``settings``, and what it refuses with them."""

    allowed: Sequence[AuthorizationRequest]
    """Requests that it has nothing against."""
    denied: Mapping[str, AuthorizationRequest]
    """Requests that it refuses, each under words of the reason."""

    def test_it_decides(self) -> None:
        """A plugin that refuses what the policy allows implements ``authorize``."""
        self._implements("authorize")

    def test_there_are_examples(self) -> None:
        """``allowed`` and ``denied`` hold one request each at least."""
        assert self.allowed, "give requests that are allowed"
        assert self.denied, "give requests that are denied, by words of the reason"

    def test_what_is_allowed_is_not_refused(self, context: PluginContext) -> None:
        """Each of ``allowed`` is answered by None."""
        for request in self.allowed:
            (answer,) = self._ask([request], context)
            assert answer is None, f"{request}: {answer!r}"

    def test_what_is_denied_is_refused_for_the_reason(self, context: PluginContext) -> None:
        """Each of ``denied`` is answered by a Denial, with the reason."""
        for words, request in self.denied.items():
            (answer,) = self._ask([request], context)
            assert isinstance(answer, Denial), f"{request} is not refused"
            assert words in answer.reason, f"{words!r} is not among the words: {answer.reason}"

    def test_anything_is_decided(self, context: PluginContext) -> None:
        """Whatever is asked, each answer is None or a Denial with a reason; nothing is raised."""
        for request in _requests():
            self._ask([request], context)

    def test_many_are_decided_as_each(self, context: PluginContext) -> None:
        """A page of requests is answered in their order, each as if it were asked about alone."""
        requests = [*self.allowed, *self.denied.values(), *_requests()]
        alone = [self._ask([request], context)[0] for request in requests]
        assert self._ask(requests, context) == alone, "together they are answered otherwise"
        assert self._ask(requests[::-1], context) == alone[::-1], "in another order they are answered otherwise"

    def _ask(self, requests: Sequence[AuthorizationRequest], context: PluginContext) -> list[Denial | None]:
        implementations = Implementations(self.plugin)
        try:
            answer: Any = implementations.call("authorize", requests=tuple(requests), context=context)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            pytest.fail(f"{requests[0]}: authorize raises {type(error).__name__}: {error}")
        if answer is None:
            return [None] * len(requests)
        assert isinstance(answer, Sequence), f"authorize returns a list, not {answer!r}"
        assert len(answer) == len(requests), f"authorize answers {len(requests)} requests with {len(answer)}"
        for one in answer:
            assert one is None or isinstance(one, Denial), f"an answer is None or a Denial, not {one!r}"
            assert one is None or one.reason, "a Denial says why: people read it"
        return list(answer)


def _requests() -> Iterator[AuthorizationRequest]:
    """Yield requests of every kind, some of which few think of."""
    digest = f"sha256:{'0' * 64}"
    for principal in ("anonymous", "alice", "team+ci", "a@b.example"):
        for action in ("pull", "push", "delete", "list", "admin"):
            yield access_request(action, None, principal=principal)
            for reference in ("", "v1", "latest", digest):
                yield access_request(action, "a/very/deep/repository.name", reference, principal=principal, address="")
    for time in (datetime(1970, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)):
        yield access_request(time=time, address="2001:db8::1", teams=("dev", "ops"))
    yield access_request("admin", None, "a name of anything: *?[")

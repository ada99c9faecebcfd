"""The command line's client of ``/api/v1``: over HTTP, or in this process on a local data folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.metadata import version
from typing import Any

import click
import httpx

from registry.cli.credentials import credentials_for
from registry.cli.hints import next_step
from registry.setting_values import hide_password

_PREFIX = "/api/v1"
_LOCAL = "http://moorage.invalid"
_PATIENCE = httpx.Timeout(60, connect=10)
_NO_CONTENT, _SERVER_ERRORS = 204, 500
_PAGE = 1000


class Refused(click.ClickException):
    """What the registry refused; ``code`` is the problem's."""

    def __init__(self, message: str, code: str) -> None:
        """Tell ``message``."""
        super().__init__(message)
        self.code = code


class Broken(click.ClickException):
    """A stream that broke off, or could not be begun for now; asking again may help."""


class Client:
    """Speaks to one registry; every failure becomes one message that says which registry was asked."""

    def __init__(
        self, http: httpx.Client, place: str, working: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        """Ask through ``http``; ``place`` names the registry to people.

        While a context of ``working`` lasts, a local registry runs the jobs that it is asked for.
        """
        self._http = http
        self._place = place
        self.working = working

    def get(self, path: str, query: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - JSON of any shape
        """Return what is at ``path``."""
        return self.send("GET", path, query=query)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401 - JSON of any shape
        """Run one operation and return its answer, None where it has none; raises :class:`Refused`."""
        try:
            answer = self._http.request(
                method,
                f"{_PREFIX}{path}",
                params={name: _text(value) for name, value in (query or {}).items() if value is not None},
                json=dict(body or {}) if body is not None or method == "POST" else None,
            )
        except httpx.HTTPError as error:
            raise click.ClickException(f"cannot ask {self._place}: {str(error) or type(error).__name__}") from None
        if answer.is_success:
            return None if answer.status_code == _NO_CONTENT else self._json(answer)
        raise self._refusal(answer, path, query or {})

    def items(self, path: str, query: Mapping[str, object] | None = None) -> Iterator[dict[str, Any]]:
        """Return all items of a list, page by page."""
        cursor = None
        while True:
            page = self.get(path, {**(query or {}), "limit": _PAGE, "cursor": cursor})
            yield from page["items"]
            cursor = page["next"]
            if cursor is None:
                return

    @contextmanager
    def stream(self, path: str, query: Mapping[str, object], headers: Mapping[str, str]) -> Iterator[Iterator[str]]:
        """Yield the lines of a stream of events; raises :class:`Refused`, or :class:`Broken` where it breaks off."""
        given = {name: _text(value) for name, value in query.items() if value is not None}
        wanted = {**headers, "Accept": "text/event-stream"}
        try:
            with self._http.stream("GET", f"{_PREFIX}{path}", params=given, headers=wanted) as answer:
                if not answer.is_success:
                    answer.read()
                    refused = self._refusal(answer, path, query)
                    raise Broken(refused.message) if answer.status_code >= _SERVER_ERRORS else refused
                yield answer.iter_lines()
        except httpx.HTTPError as error:
            raise Broken(f"{self._place} does not answer: {str(error) or type(error).__name__}") from None

    def _json(self, answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON of any shape
        kind = answer.headers.get("Content-Type", "")
        if kind not in ("application/json", "application/problem+json"):
            raise self._foreign(answer)
        return answer.json()

    def _refusal(self, answer: httpx.Response, path: str, query: Mapping[str, object]) -> click.ClickException:
        problem = self._json(answer)
        if not isinstance(problem, dict) or not {"detail", "code"} <= problem.keys():
            return self._foreign(answer)
        hint = next_step(problem, path, query)
        told = f"{problem['detail']}{_context(problem)} (says {self._place})"
        return Refused(f"{told}\n{hint}" if hint else told, problem["code"])

    def _foreign(self, answer: httpx.Response) -> click.ClickException:
        told = f"{answer.status_code} {answer.headers.get('Content-Type') or 'without a type'}"
        return click.ClickException(
            f"{self._place} does not answer as Moorage does: {told}; --server takes its address alone, without a path"
        )


@contextmanager
def connect(
    server: str | None, flags: Mapping[str, object], credentials: Mapping[str, str] | None = None
) -> Iterator[Client]:
    """Yield a client of ``server``, or of the data that ``flags`` and settings name.

    ``credentials`` replace the header of who the environment or a login says that one is.
    """
    headers = {"User-Agent": f"moorage/{version('moorage')}"}
    if not server:
        from registry.cli.local import opened  # noqa: PLC0415 - who asks a server waits for no registry's imports

        with (
            opened(flags) as (transport, place, working),
            httpx.Client(base_url=_LOCAL, headers=headers, transport=transport) as http,
        ):
            yield Client(http, place, working)
        return
    if not server.startswith(("http://", "https://")):
        raise click.ClickException(f"--server: expected a URL such as http://127.0.0.1:5000, not {server!r}")
    headers |= credentials_for(server) if credentials is None else credentials
    with httpx.Client(base_url=server.rstrip("/"), headers=headers, timeout=_PATIENCE) as http:
        yield Client(http, hide_password(server))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _context(problem: Mapping[str, Any]) -> str:
    """Return what a problem's context adds to its detail."""
    context = problem.get("context")
    if not isinstance(context, dict):
        return ""
    words = {name: _words(value) for name, value in context.items() if value is not None}
    added = [f"{name} {text}" for name, text in words.items() if text not in problem["detail"]]
    return f": {', '.join(added)}" if added else ""


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

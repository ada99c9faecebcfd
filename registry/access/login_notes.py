"""What the audit log is told of logins and tokens: how somebody tried to get in, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from registry.access.actors import Actor
from registry.access.secrets import KeyText
from registry.audit.entries import ALLOWED, DENIED, encode
from registry.audit.notes import LOGIN, TOKEN, Notes
from registry.errors import LoginInvalid, LoginRefused, ProviderFailed, TooManyRequests, Unauthorized, Unavailable

T = TypeVar("T")
OF_PASSWORD, OF_ISSUER, OF_SERVICE = (
    {"with": how} for how in ("password", "token of another issuer", "token of the token service")
)
"""How somebody logs in."""
_REFUSALS = (Unauthorized, TooManyRequests, Unavailable, LoginInvalid, LoginRefused, ProviderFailed)


class LoginNotes:
    """Notes each login, and each token."""

    def __init__(self, notes: Notes, knows: Callable[[str], bool]) -> None:
        """Tell ``notes``; of names, those alone that the registry ``knows``: others may be passwords, typed there."""
        self._notes = notes
        self._knows = knows

    def of(
        self, nobody: Actor, name: str, how: Mapping[str, str], log_in: Callable[[], T], name_of: Callable[[T], str]
    ) -> T:
        """Log in and note ``how`` that was, and as whom, or why not; ``name`` is what the client says of itself."""
        try:
            found = log_in()
        except _REFUSALS as error:
            many = isinstance(error, TooManyRequests)
            self.refused(nobody, name, how, "too many wrong credentials came from there" if many else error.message)
            raise
        self._notes.note(nobody, LOGIN, ALLOWED, principal=name_of(found), detail=encode(how))
        return found

    def refused(self, nobody: Actor, name: str, how: Mapping[str, str], why: str) -> None:
        """Note that somebody was not let in."""
        known = name if name and name.isprintable() and self._knows(name) else ""
        self._notes.note(nobody, LOGIN, DENIED, principal=known, detail=encode({**how, "why": why}))

    def token_given(self, actor: Actor, detail: Mapping[str, object]) -> None:
        """Note that somebody was given a token: for what, and whether it can be renewed."""
        self._notes.note(actor, TOKEN, ALLOWED, detail=encode(dict(detail)))


def of_key(text: str) -> Mapping[str, str]:
    """Return how somebody logs in who shows an API key: by its prefix, if it is written as one."""
    key = KeyText.parse(text)
    return {"with": "key", "key": key.prefix if key else ""}

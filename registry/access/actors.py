"""The party behind a request."""

from __future__ import annotations

from dataclasses import dataclass

ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a principal's name, the client's address and its user agent."""

    principal: str = ANONYMOUS
    address: str = ""
    user_agent: str = ""

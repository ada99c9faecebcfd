"""The rule that allowed what this request does, for whoever writes down that it was done."""

from __future__ import annotations

from contextvars import ContextVar

RULE: ContextVar[str] = ContextVar("rule", default="")
"""The name of the rule by which the last thing was allowed in this request; empty where none was needed."""

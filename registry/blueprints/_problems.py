"""Errors of ``/api/v1`` (RFC 9457, problem details)."""

from __future__ import annotations

from typing import Any

import msgspec

from registry.errors import RegistryError

PROBLEM = "application/problem+json"
PREFIX = "/api/v1"
PAGES = "moorage_pages"
"""The extension of the app that names the plugin of each blueprint that is not ours."""


class Problem(msgspec.Struct):
    """Why a request was refused. ``detail`` is for people; ``code`` and ``context`` are for programs."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    context: Any = None


def problem_of(error: RegistryError, status: int) -> bytes:
    """Return the body that tells of ``error``."""
    urn = f"urn:moorage:problem:{error.code.lower().replace('_', '-')}"
    return msgspec.json.encode(Problem(urn, error.summary, status, error.message, error.code, error.detail))


def is_ours(path: str) -> bool:
    """Tell whether errors at ``path`` are problems."""
    return path == PREFIX or path.startswith(f"{PREFIX}/")

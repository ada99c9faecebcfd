"""Repository names, tags and references, parsed once at the border.

Source: OCI distribution-spec 1.1, "Pulling manifests"; the total length of 255 follows from clients, which
limit ``host/name`` so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from registry.digest import Digest
from registry.errors import DigestInvalid, NameInvalid, TagInvalid

MAX_NAME_LENGTH = 255
MAX_TAG_LENGTH = 128

NAME_PATTERN = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
TAG_PATTERN = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

AS_OF = "as-of."
"""What names of repositories as they were at a time start with; no repository's own name does."""

_NAME = re.compile(NAME_PATTERN)
_TAG = re.compile(TAG_PATTERN)
_SHOWN = 256
_TIME = re.compile(r"[0-9]{8}t[0-9]{6}z|[0-9]{4}-[0-9]{2}-[0-9]{2}t[0-9]{2}-[0-9]{2}-[0-9]{2}z")
"""The forms of a time in a name: ``strptime`` alone would take blanks, other digits and shorter ones as well."""


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """A full repository name such as ``library/alpine``."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``text`` in full; raise :class:`NameInvalid` that names it otherwise."""
        if len(text) > MAX_NAME_LENGTH or _NAME.fullmatch(text) is None:
            raise NameInvalid(detail={"name": text[:_SHOWN]})
        if text.startswith(AS_OF):
            raise NameInvalid("names that start with as-of. stand for what was", detail={"name": text[:_SHOWN]})
        return cls(text)

    @property
    def namespace(self) -> str:
        """The part before the first slash; empty for a name without one."""
        head, slash, _ = self.value.partition("/")
        return head if slash else ""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class TagName:
    """A tag such as ``1.2-alpine``."""

    value: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``text`` in full; raise :class:`TagInvalid` that names it otherwise."""
        if _TAG.fullmatch(text) is None:
            raise TagInvalid(detail={"tag": text[:_SHOWN]})
        return cls(text)

    def __str__(self) -> str:
        return self.value


def parse_as_of(text: str) -> int:
    """Return the time, in milliseconds, that a name ``as-of.20261124t100000z`` speaks of; ``text`` follows the dot.

    With dashes between the parts (``2026-11-24t10-00-00z``) it is the same time. Raises :class:`NameInvalid` that
    tells the form.
    """
    plain = text.replace("-", "") if _TIME.fullmatch(text) else ""
    try:
        found = datetime.strptime(plain, "%Y%m%dt%H%M%Sz").replace(tzinfo=UTC)
    except ValueError:
        raise NameInvalid(
            "a time in a name is written as as-of.20261124t100000z or as-of.2026-11-24t10-00-00z (UTC)",
            detail={"name": f"{AS_OF}{text[:64]}"},
        ) from None
    return round(found.timestamp() * 1000)


Reference = TagName | Digest
"""What names a manifest inside a repository."""


def parse_reference(text: str) -> Reference:
    """Parse a digest where ``text`` has a colon, else a tag.

    Raises :class:`DigestInvalid` or :class:`TagInvalid` with the offending text.
    """
    if ":" in text:
        try:
            return Digest.parse(text)
        except DigestInvalid as error:
            raise DigestInvalid(error.message, detail={"reference": text[:_SHOWN]}) from None
    return TagName.parse(text)

"""Pages of ``/api/v1``: a cursor is where a page ended, as the next request sends it back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import msgspec
from flask import request

from registry.blueprints._http import services
from registry.blueprints.api._inputs import Query
from registry.errors import PaginationInvalid
from registry.pages import Page

T = TypeVar("T")
S = TypeVar("S")
Key = tuple[str | int, ...]
_INT64 = 1 << 63


class PageQuery(Query, kw_only=True):
    """Which part of a list is wanted: at most ``limit`` items, from ``cursor`` on (``next`` of the page before)."""

    limit: Annotated[int, msgspec.Meta(ge=1)] | None = None
    cursor: Annotated[str, msgspec.Meta(max_length=4096)] | None = None

    @property
    def size(self) -> int:
        """The most items to return: as asked, capped by the setting page_size_max."""
        most = services().settings.page_size_max
        return most if self.limit is None else min(self.limit, most)

    def after(self, *first: str | int) -> Key:
        """Return the key that the page before ended with, or ``first``, which also says what a key is made of.

        Raises :class:`PaginationInvalid` for a cursor that no page of this list has.
        """
        if self.cursor is None:
            return first
        try:
            padded = self.cursor + "=" * (-len(self.cursor) % 4)
            found = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=list[str | int])
        except (msgspec.MsgspecError, binascii.Error, ValueError, RecursionError):
            found = []
        if not found or found[0] != request.endpoint or not _same_shape(found[1:], first):
            raise PaginationInvalid("the cursor is not one of this list", detail={"cursor": self.cursor[:256]})
        return tuple(found[1:])


class PageOf(msgspec.Struct, Generic[T]):
    """Some items of a list; ``next`` is the cursor of the next page, or null on the last one."""

    items: list[T]
    next: str | None


def page_of(page: Page[T], show: Callable[[T], S], key: Callable[[T], Key]) -> PageOf[S]:
    """Return a page as it is shown; ``key`` of its last item becomes the cursor."""
    after = cursor_of(key(page.items[-1])) if page.more and page.items else None
    return PageOf([show(item) for item in page.items], after)


def cursor_of(key: Key) -> str:
    """Return the cursor of what comes after ``key`` in the list that is asked for."""
    return base64.urlsafe_b64encode(msgspec.json.encode([request.endpoint, *key])).decode().rstrip("=")


def _same_shape(found: Sequence[str | int], first: Sequence[str | int]) -> bool:
    return len(found) == len(first) and all(
        type(one) is type(other) and _storable(one) for one, other in zip(found, first, strict=True)
    )


def _storable(part: str | int) -> bool:
    return "\0" not in part if isinstance(part, str) else -_INT64 <= part < _INT64

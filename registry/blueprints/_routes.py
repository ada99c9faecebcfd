"""What a route is to the app."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

from werkzeug.routing import Rule


class Route(Rule):
    """A rule that learns to build URLs when it first builds one.

    Only pages of plugins ask for the URLs of views, and learning it for every rule would be half of a start.
    """

    def _compile_builder(
        self,
        append_unknown: bool = True,  # noqa: FBT001, FBT002 - werkzeug calls it like this
    ) -> Callable[..., tuple[str, str]]:
        learnt = cache(partial(super()._compile_builder, append_unknown))
        return lambda _, /, **values: learnt()(self, **values)

"""Forms, as programs of old and browsers send them (WHATWG URL, 5)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import request

from registry.blueprints._http import RequestBody
from registry.errors import RequestInvalid

_LONGEST_FORM = 64 * 1024
_FORM = "application/x-www-form-urlencoded"


def read_form() -> dict[str, str]:
    """Return the fields of the request's form, of each the last; raises :class:`RequestInvalid`."""
    if request.mimetype != _FORM:
        raise RequestInvalid(f"the body must be {_FORM}", detail={"contentType": request.mimetype[:64]})
    data = RequestBody().read_all(_LONGEST_FORM)
    if len(data) > _LONGEST_FORM:
        raise RequestInvalid("the form is too long", detail={"limit": _LONGEST_FORM})
    try:
        found = dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=100))
    except ValueError:
        raise RequestInvalid("the form cannot be read") from None
    if any("\0" in text for text in found.values()):
        raise RequestInvalid("the form holds a NUL character")
    return found

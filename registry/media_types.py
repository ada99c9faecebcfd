"""Media types as the core meets them: their grammar, and the few that belong to no format.

Sources: RFC 6838 section 4.2 (grammar), OCI image-spec 1.1 (the index that lists referrers).
"""

from __future__ import annotations

import re

OCTET_STREAM = "application/octet-stream"
REFERRERS_INDEX = "application/vnd.oci.image.index.v1+json"
"""The media type of the referrers listing, an API answer and never a stored manifest."""

_RESTRICTED = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
_MEDIA_TYPE = re.compile(rf"{_RESTRICTED}/{_RESTRICTED}")


def is_media_type(text: str) -> bool:
    """Tell whether ``text`` is ``type/subtype`` without parameters."""
    return _MEDIA_TYPE.fullmatch(text) is not None


def essence(header: str) -> str:
    """Return a ``Content-Type`` value without its parameters, in lower case (types are case-insensitive)."""
    return header.partition(";")[0].strip().lower()

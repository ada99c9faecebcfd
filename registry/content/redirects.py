"""Blobs that clients fetch from the store themselves: who is sent there, for which blobs, and by which URL.

The URL is a secret that opens one blob for some minutes. It is given to a client that was allowed to read that blob,
and to nobody else: it stands in no log and in no event.
"""

from __future__ import annotations

from collections.abc import Sequence

from registry.access.conditions import Networks
from registry.content.blobs import StoredBlob
from registry.content.keys import storage_unavailable
from registry.hooks.ports import GivesUrls, StorageDriver, StorageError
from registry.media_types import OCTET_STREAM
from registry.setting_values import EVERYBODY

SECONDS = 300
"""How long a URL is good for: clients follow at once, and the clocks of registry and store may be apart."""


class Redirects:
    """Decides which requests for blobs are answered by the store."""

    def __init__(self, storage: StorageDriver, clients: Sequence[str], least: int) -> None:
        """Send ``clients`` (networks, or all) to the store for blobs of ``least`` bytes or more."""
        self._storage = storage if isinstance(storage, GivesUrls) and clients else None
        self._all = EVERYBODY in clients
        self._networks = Networks.of(() if self._all else clients)
        self._least = max(1, least)

    @property
    def any(self) -> bool:
        """Tell whether any client is sent to the store."""
        return self._storage is not None

    def url(self, blob: StoredBlob, address: str) -> str | None:
        """Return where the client at ``address`` gets a blob, None where that is here.

        Raises :class:`~registry.errors.Unavailable` where no URL can be signed.
        """
        if self._storage is None or blob.size < self._least:
            return None
        if not self._all and not self._networks.hold(address):
            return None
        try:
            return self._storage.url_of(blob.storage_key, OCTET_STREAM, SECONDS)
        except StorageError as error:
            raise storage_unavailable(error) from error

"""Who keeps users beside the database."""

from __future__ import annotations

from dataclasses import dataclass

from registry.access.elsewhere import Elsewhere
from registry.access.htpasswd import HtpasswdFile


@dataclass(frozen=True, slots=True)
class Sources:
    """A file, and plugins."""

    htpasswd: HtpasswdFile
    elsewhere: Elsewhere

    def vouches(self, source: str, name: str) -> bool:
        """Tell whether a source knows a user still."""
        return self.htpasswd.vouches(source, name) and self.elsewhere.vouches(source)

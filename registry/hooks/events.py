"""What happened: the events that observers hear of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from registry.errors import RegistryError


class NotYet(RegistryError):
    """An observer cannot take an event now, and is told it again later. This is no failure of the plugin.

    ``paused`` means that nothing is wrong with the event, and that the observer takes none at all for the time being:
    then no attempt is counted, and events wait for as long as it takes (within the time that the registry keeps them).
    """

    code, http_status, summary = "UNAVAILABLE", 503, "an observer cannot take this event now"

    def __init__(self, message: str, *, paused: bool = False) -> None:
        """Say why not."""
        self.paused = paused
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in the registry, told after its commit (CloudEvents 1.0).

    ``id`` is the same whenever the event is told again: an observer that must act once remembers it. ``position``
    goes up by commit, and events of one repository are told in its order. ``type`` is one of those that the guide
    lists (``org.moorage.tag.changed``); ``repository`` is empty for what belongs to none; ``subject`` names what it
    is about (a tag's name, a digest). ``time`` is in UTC. ``actor`` is the principal who did it. ``data`` is
    JSON-shaped, and says what each type's page lists.
    """

    id: str
    position: int
    type: str
    time: datetime
    repository: str
    subject: str
    actor: str
    data: Mapping[str, object]

    def as_cloudevent(self, base: str = "") -> Mapping[str, object]:
        """Return the event in the JSON format of CloudEvents 1.0; ``base`` is the URL that ``source`` starts with.

        Extensions: ``repository`` and ``actor`` where there are any, and ``sequence``: the position, in 16 digits.
        What is empty is left out.
        """
        where = f"/repositories/{self.repository}" if self.repository else ""
        told = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"{base}/api/v1{where}",
            "type": self.type,
            "time": self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "subject": self.subject,
            "datacontenttype": "application/json",
            "repository": self.repository,
            "actor": self.actor,
            "sequence": f"{self.position:016d}",
        }
        return {**{name: value for name, value in told.items() if value}, "data": self.data}

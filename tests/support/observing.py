"""A worker's dispatcher whose one observer writes what it hears to a file; it runs until it is killed.

``python -m tests.support.observing DATABASE_URL DATA FILE`` appends a line an event: position, repository, id.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from registry.app import create_app
from registry.audit.sealing import Sealer
from registry.events.dispatcher import Dispatcher
from registry.events.observers import Observers
from registry.events.retries import RetryTerms
from registry.hooks.events import Event
from registry.settings import Settings


class Writing:
    """Stands where the observers are."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def names(self) -> Mapping[str, Sequence[str] | None]:
        """Name the one consumer."""
        return {"one": ["one"]}

    def hears(self, consumer: str) -> bool:
        """Say that the one consumer can be told."""
        return True

    def tell(self, consumer: str, event: Event) -> None:
        """Write one line in one step, which a kill leaves whole."""
        os.write(self._file, f"{event.position} {event.repository} {event.id}\n".encode())


def main(database_url: str, data: str, path: str) -> None:
    """Dispatch until killed; the holder has the same name every time, so that no lease has to end first."""
    services = create_app(Settings(data=Path(data), database_url=database_url)).extensions["moorage"]
    observers = cast("Observers", Writing(Path(path)))
    sealer = Sealer(services.database)
    dispatcher = Dispatcher(services.database, services.log, observers, "observing", RetryTerms(), sealer)
    dispatcher.run()


if __name__ == "__main__":
    main(*sys.argv[1:])

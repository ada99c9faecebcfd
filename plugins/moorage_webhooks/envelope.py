"""Events as CloudEvents 1.0, in the structured form of its HTTP and JSON bindings."""

from __future__ import annotations

import json
from datetime import UTC

from registry.hooks import Event

CONTENT_TYPE = "application/cloudevents+json"
TEST_TYPE = "org.moorage.webhooks.test"


def cloud_event(event: Event) -> bytes:
    """Return the event's JSON: the same bytes whenever it is told again."""
    envelope: dict[str, object] = {
        "specversion": "1.0",
        "id": event.id,
        "source": "/moorage",
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    sequence = str(event.position) if event.position else ""
    optional = {"subject": event.subject, "repository": event.repository, "actor": event.actor, "sequence": sequence}
    envelope |= {name: value for name, value in optional.items() if value}
    envelope |= {"datacontenttype": "application/json", "data": dict(event.data)}
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()

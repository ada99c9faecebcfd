"""Events as CloudEvents 1.0, in the structured form of its HTTP and JSON bindings."""

from __future__ import annotations

import json

from registry.hooks import Event

CONTENT_TYPE = "application/cloudevents+json"
TEST_TYPE = "org.moorage.webhooks.test"


def cloud_event(event: Event) -> bytes:
    """Return the event's JSON: the same bytes whenever it is told again."""
    return json.dumps(event.as_cloudevent(), ensure_ascii=False, separators=(",", ":"), default=dict).encode()

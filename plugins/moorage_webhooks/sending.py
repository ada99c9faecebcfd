"""One delivery: a signed request, its answer, and what follows from it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from moorage_webhooks import signing
from moorage_webhooks.envelope import CONTENT_TYPE, TEST_TYPE, cloud_event
from moorage_webhooks.journal import Journal
from moorage_webhooks.subscriptions import Subscription, Subscriptions
from registry.hooks import EgressFailed, EgressRefused, Event, NotYet, PluginContext

DELIVERED, FAILED, DEAD = "delivered", "failed", "dead"


class UnknownDelivery(LookupError):
    """No such event is in the subscription's log, or dead for it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a request: a ``status``, or None and the ``error``; when it was ``sent``, how long it took."""

    sent: datetime
    status: int | None
    error: str
    milliseconds: int

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it: any answer of the 200s says so."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more (410)."""
        return self.status == HTTPStatus.GONE


class Deliveries:
    """Sends events to their subscribers, and keeps what came of it."""

    def __init__(self, context: PluginContext) -> None:
        """Take everything from the context."""
        self._context = context
        self._settings = context.settings
        self._subscriptions = Subscriptions(context)
        self._journal = Journal(context)

    def tell(self, subscription: Subscription, event: Event) -> None:
        """Send an event to one subscriber, if it is subscribed to it.

        Raises :class:`NotYet` until the event has arrived, or has failed so often that it is dead: then it is
        kept aside, and those behind it go on.
        """
        if not subscription.wants(event):
            return
        name = subscription.name
        if subscription.paused:
            raise NotYet(f"{name} is paused: {subscription.paused}", paused=True)
        attempt = self._journal.failures(name, event.id) + 1
        body = cloud_event(event)
        outcome = self._send(subscription, event.id, body)
        last = attempt >= self._settings.attempts and not outcome.gone
        state = DELIVERED if outcome.delivered else DEAD if last else FAILED
        entry = self._entry(event.id, event.type, event.repository, body, outcome, attempt, state)
        self._journal.record(name, outcome.sent, entry)
        if outcome.gone:
            self._subscriptions.pause(name, "the receiver answered 410 Gone")
            self._context.log.warning("webhook %s is paused: the receiver answered 410 Gone", name)
        elif state == FAILED:
            self._journal.wait(name, event.id, attempt)
        if state == FAILED:
            reason = f"{name}: {entry['error']} (attempt {attempt} of {self._settings.attempts})"
            raise NotYet(reason, paused=outcome.gone)
        if state == DEAD:
            self._journal.bury(name, event.position, entry)
            self._context.log.warning("webhook %s: event %s is dead after %d attempts", name, event.id, attempt)
        if attempt > 1:
            self._journal.settle(name, event.id)

    def again(self, name: str, event_id: str) -> dict[str, Any]:
        """Send once more what was sent to a subscriber before; a dead delivery that arrives is dead no more.

        Returns the entry of the log. Raises :class:`UnknownDelivery`, and :class:`LookupError` for an unknown name.
        """
        subscription = self._subscriptions.get(name)
        entry = self._journal.find(name, event_id)
        if entry is None:
            raise UnknownDelivery(f"{name} has no delivery of event {event_id[:64]!r}")
        outcome = self._send(subscription, event_id, entry["body"].encode())
        state = DELIVERED if outcome.delivered else FAILED
        attempt = entry["attempt"] + 1
        new = self._entry(event_id, entry["type"], entry["repository"], entry["body"].encode(), outcome, attempt, state)
        self._journal.record(name, outcome.sent, new)
        if outcome.delivered:
            self._journal.revive(name, event_id)
        return new

    def test(self, name: str) -> dict[str, Any]:
        """Send an event that says nothing, to see whether it arrives; returns the entry of the log."""
        subscription = self._subscriptions.get(name)
        data = {"subscription": name}
        event = Event(uuid4().hex, 0, TEST_TYPE, self._context.clock(), "", name, "", data)
        body = cloud_event(event)
        outcome = self._send(subscription, event.id, body)
        entry = self._entry(event.id, event.type, "", body, outcome, 1, DELIVERED if outcome.delivered else FAILED)
        self._journal.record(name, outcome.sent, entry)
        return entry

    def _send(self, subscription: Subscription, event_id: str, body: bytes) -> Outcome:
        started = time.monotonic()
        sent = self._context.clock()
        timestamp = int(sent.timestamp())
        headers = {
            "Content-Type": CONTENT_TYPE,
            signing.ID_HEADER: event_id,
            signing.HEADER: signing.sign(subscription.keys, timestamp, event_id, body),
        }
        status, error = None, ""
        try:
            status = self._context.egress.post(subscription.url, body, headers, self._settings.timeout_seconds).status
        except (EgressRefused, EgressFailed) as failure:
            error = str(failure)
        return Outcome(sent, status, error, round((time.monotonic() - started) * 1000))

    def _entry(
        self, event_id: str, kind: str, repository: str, body: bytes, outcome: Outcome, attempt: int, state: str
    ) -> dict[str, Any]:
        error = "" if outcome.delivered else outcome.error or f"the receiver answered {outcome.status}"
        return {
            "time": outcome.sent.isoformat(timespec="milliseconds"),
            "event": event_id,
            "type": kind,
            "repository": repository,
            "attempt": attempt,
            "state": state,
            "status": outcome.status,
            "error": error,
            "milliseconds": outcome.milliseconds,
            "body": body.decode(),
        }

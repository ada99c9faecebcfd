"""Who is told of what: subscriptions of the store, and those that the settings declare."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from moorage_webhooks import signing
from registry.hooks import EgressRefused, Event, PluginContext, StoreConflict, StoredValue

MOST, MOST_PATTERNS, MOST_KEYS = 200, 50, 3
SHORTEST_SECRET = 16
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_URL = re.compile(r"https?://[!-~]{1,2040}")
_PATTERN = re.compile(r"[!-~]{1,255}")
_KEY = re.compile(r"[!-~]{16,255}")
_DEFINITION, _STATE = "subscription/", "state/"
_TRIES = 10


class SubscriptionInvalid(ValueError):
    """A subscription that cannot be; the message names the field."""


class NoSuchSubscription(LookupError):
    """Nobody is subscribed under this name."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told (``url``), of which events (globs of types and of repositories), and how it knows that it is us.

    ``keys`` are the secrets that sign, newest first: more than one while they are changed. ``paused`` is why events
    wait now, empty where they are sent. ``declared`` ones stand in the settings, and are changed there; of one that is
    not ``enabled`` there, nothing is kept for later. ``generation`` tells one that was added from an earlier one of
    the same name; those that are declared have none.
    """

    name: str
    url: str
    keys: tuple[str, ...] = field(repr=False)
    types: tuple[str, ...] = ("*",)
    repositories: tuple[str, ...] = ("*",)
    paused: str = ""
    declared: bool = False
    enabled: bool = True
    generation: str = ""

    @property
    def consumer(self) -> str:
        """Under which name it is remembered how far it has heard: what waits for an earlier one is not told to it."""
        return f"{self.name}.{self.generation}" if self.generation else self.name

    def wants(self, event: Event) -> bool:
        """Tell whether the event is one of those that are subscribed to."""
        return any(fnmatchcase(event.type, pattern) for pattern in self.types) and any(
            fnmatchcase(event.repository, pattern) for pattern in self.repositories
        )

    def shown(self) -> dict[str, object]:
        """Return what may be shown of it: the secrets may not."""
        return {
            "name": self.name,
            "url": self.url,
            "types": list(self.types),
            "repositories": list(self.repositories),
            "paused": self.paused,
            "declared": self.declared,
            "enabled": self.enabled,
            "secrets": len(self.keys),
        }


def checked(subscription: Subscription) -> Subscription:
    """Return the subscription, or raise :class:`SubscriptionInvalid`."""
    if not _NAME.fullmatch(subscription.name):
        raise SubscriptionInvalid("name: 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit")
    if not _URL.fullmatch(subscription.url):
        raise SubscriptionInvalid("url: a URL starts with http:// or https://, and has 2048 characters at most")
    for what, patterns in (("types", subscription.types), ("repositories", subscription.repositories)):
        if not 1 <= len(patterns) <= MOST_PATTERNS or not all(map(_PATTERN.fullmatch, patterns)):
            raise SubscriptionInvalid(f"{what}: 1 to {MOST_PATTERNS} patterns such as * or team/*, without blanks")
    if not 1 <= len(subscription.keys) <= MOST_KEYS or not all(map(_KEY.fullmatch, subscription.keys)):
        raise SubscriptionInvalid(
            f"secret: {SHORTEST_SECRET} to 255 letters, digits and signs of ASCII, without blanks"
        )
    return subscription


class Subscriptions:
    """The subscriptions of one registry."""

    def __init__(self, context: PluginContext) -> None:
        """Take the store and the settings from the context."""
        self._context = context
        self._store = context.store
        self._declared: dict[str, Subscription] = {
            declared.name: declared.subscription() for declared in context.settings.subscriptions
        }

    def all(self) -> Sequence[Subscription]:
        """Return all, by name."""
        return [self._with_state(one) for one in self._all()]

    def consumers(self) -> Sequence[str]:
        """Return the consumers of those that are enabled; a paused one is among them, and keeps its place."""
        return [one.consumer for one in self._all() if one.enabled]

    def get(self, name: str) -> Subscription:
        """Return one; raises :class:`NoSuchSubscription`."""
        found = self._find(name)
        if found is None:
            raise _unknown(name)
        return self._with_state(found)

    def add(self, subscription: Subscription) -> Subscription:
        """Keep a new one, of a new generation; raises :class:`SubscriptionInvalid`, also where the name is taken."""
        subscription = checked(replace(subscription, generation=secrets.token_hex(4)))
        try:
            self._context.egress.check(subscription.url)
        except EgressRefused as error:
            raise SubscriptionInvalid(f"url: {error}") from error
        if subscription.name in self._declared:
            raise SubscriptionInvalid(f"name: {subscription.name} is declared in the settings")
        if sum(1 for _ in self._store.keys(_DEFINITION)) >= MOST:
            raise SubscriptionInvalid(f"name: there are {MOST} subscriptions already")
        try:
            self._store.put(_DEFINITION + subscription.name, _document(subscription), expected=0)
        except StoreConflict:
            raise SubscriptionInvalid(f"name: {subscription.name} is subscribed already") from None
        return subscription

    def remove(self, name: str) -> None:
        """Forget one."""
        self._stored(name)
        self._store.delete(_DEFINITION + name)
        self._store.delete(_STATE + name)

    def pause(self, name: str, reason: str) -> None:
        """Send nothing more, until it is resumed."""
        self.get(name)
        self._store.put(_STATE + name, {"paused": reason})

    def resume(self, name: str) -> None:
        """Send again."""
        self.get(name)
        self._store.delete(_STATE + name)

    def rotate(self, name: str, *, finish: bool = False) -> str:
        """Sign with a new secret and the one before, and return the new; ``finish`` keeps the newest alone."""
        for _ in range(_TRIES):
            value = self._stored(name)
            subscription = _subscription(name, value.value)
            new = "" if finish else signing.new_secret()
            keys = subscription.keys[:1] if finish else (new, *subscription.keys[:1])
            try:
                self._store.put(_DEFINITION + name, _document(replace(subscription, keys=keys)), value.revision)
            except StoreConflict:
                continue
            return new
        raise SubscriptionInvalid(f"name: {name} is being changed by somebody else")

    def _stored(self, name: str) -> StoredValue:
        """Return the definition of one that is not declared, with the revision by which it is replaced."""
        if name in self._declared:
            raise SubscriptionInvalid(f"name: {name} is declared in the settings: change it there")
        value = self._definition(name)
        if value is None:
            raise _unknown(name)
        return value

    def _definition(self, name: str) -> StoredValue | None:
        return self._store.get(_DEFINITION + name) if _NAME.fullmatch(name) else None

    def _find(self, name: str) -> Subscription | None:
        if name in self._declared:
            return self._declared[name]
        value = self._definition(name)
        return _subscription(name, value.value) if value else None

    def _all(self) -> Iterator[Subscription]:
        stored = {key.removeprefix(_DEFINITION) for key in self._store.keys(_DEFINITION)}
        for name in sorted(stored | set(self._declared)):
            if (found := self._find(name)) is not None:
                yield found

    def _with_state(self, subscription: Subscription) -> Subscription:
        state = self._store.get(_STATE + subscription.name)
        return replace(subscription, paused=state.value["paused"]) if state else subscription


def _unknown(name: str) -> NoSuchSubscription:
    return NoSuchSubscription(f"nobody is subscribed as {name[:64]!r}")


def _document(subscription: Subscription) -> dict[str, object]:
    return {
        "url": subscription.url,
        "keys": list(subscription.keys),
        "types": list(subscription.types),
        "repositories": list(subscription.repositories),
        "generation": subscription.generation,
    }


def _subscription(name: str, document: Mapping[str, Any]) -> Subscription:
    return Subscription(
        name,
        document["url"],
        tuple(document["keys"]),
        tuple(document["types"]),
        tuple(document["repositories"]),
        generation=document.get("generation", ""),
    )

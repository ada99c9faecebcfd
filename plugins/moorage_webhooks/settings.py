"""What the operator may set."""

from __future__ import annotations

from dataclasses import dataclass, field

from moorage_webhooks.subscriptions import Subscription, checked

LONGEST_TIMEOUT = 30.0
"""The registry itself gives a call of a plugin up after a minute."""
MOST_ATTEMPTS = 15
"""The registry itself gives an event up after one more."""


@dataclass(frozen=True)
class Declared:
    """A subscription that stands in the settings."""

    name: str = field(default="", metadata={"about": "its name"})
    url: str = field(default="", metadata={"about": "where events are sent"})
    secret: str = field(default="", metadata={"about": "what signs, 16 characters at least"})
    previous_secret: str = field(default="", metadata={"about": "what signs as well, while the secret is changed"})
    types: tuple[str, ...] = field(default=("*",), metadata={"about": "patterns of types of events"})
    repositories: tuple[str, ...] = field(default=("*",), metadata={"about": "patterns of names of repositories"})
    enabled: bool = field(default=True, metadata={"about": "whether events are sent"})

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        checked(self.subscription())

    def subscription(self) -> Subscription:
        """Return what is declared."""
        keys = tuple(key for key in (self.secret, self.previous_secret) if key)
        return Subscription(
            self.name, self.url, keys, self.types, self.repositories, declared=True, enabled=self.enabled
        )


@dataclass(frozen=True)
class Settings:
    """The settings of the plugin."""

    subscriptions: tuple[Declared, ...] = field(default=(), metadata={"about": "subscriptions, one a table"})
    timeout_seconds: float = field(default=10.0, metadata={"about": "time that a receiver has to answer"})
    attempts: int = field(default=12, metadata={"about": "attempts after which a delivery is dead"})
    deliveries_kept: int = field(default=100, metadata={"about": "entries kept in the log of each subscription"})
    dead_kept: int = field(default=1000, metadata={"about": "dead deliveries kept of each subscription"})

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        names = [declared.name for declared in self.subscriptions]
        if len(set(names)) != len(names):
            raise ValueError("two subscriptions have one name")
        if not 0 < self.timeout_seconds <= LONGEST_TIMEOUT:
            raise ValueError(f"timeout_seconds: more than 0, and {LONGEST_TIMEOUT:g} at most")
        if not 1 <= self.attempts <= MOST_ATTEMPTS:
            raise ValueError(f"attempts: 1 to {MOST_ATTEMPTS}")
        if self.deliveries_kept < 1 or self.dead_kept < 1:
            raise ValueError("deliveries_kept and dead_kept: 1 at least")

"""Events for other hosts: each subscriber is told by signed HTTP requests what happens here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from moorage_webhooks.commands import webhooks_command
from moorage_webhooks.sending import Deliveries
from moorage_webhooks.settings import Settings
from moorage_webhooks.subscriptions import NoSuchSubscription, Subscriptions
from registry.hooks import Event, PluginContext, hookimpl

MOORAGE_API = "1.2"


@hookimpl
def plugin_settings() -> type:
    """Declare the settings."""
    return Settings


@hookimpl
def event_consumers(context: PluginContext) -> Iterable[str]:
    """Let each subscription go on by itself; a paused one keeps its place."""
    return Subscriptions(context).consumers()


@hookimpl
def event_happened(event: Event, consumer: str, context: PluginContext) -> None:
    """Tell a subscriber."""
    try:
        subscription = Subscriptions(context).get(consumer.partition(".")[0])
    except NoSuchSubscription:
        return  # it was removed just now
    if subscription.consumer == consumer:  # else it was removed, and another one has its name
        Deliveries(context).tell(subscription, event)


@hookimpl
def cli_commands(open_context: Callable[[], PluginContext]) -> Iterable[object]:
    """Add ``moorage webhooks``."""
    return [webhooks_command(open_context)]


@hookimpl
def blueprints(context: PluginContext) -> Iterable[object]:
    """Add ``/webhooks``."""
    from moorage_webhooks.pages import webhooks_pages  # noqa: PLC0415 - commands need no Flask, and answer at once

    return [webhooks_pages(context)]

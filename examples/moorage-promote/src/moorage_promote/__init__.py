"""Promote when signed: an image whose label names a tag gets that tag once there is a signature for it.

The label's action only says that somebody wishes it. The observer remembers the wish in the plugin's store, and
moves the tag when a signature comes, or at once where it is there already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from registry.hooks import (
    Denied,
    Digest,
    Effect,
    EmitEvent,
    Event,
    LabelAction,
    LabelValueRefused,
    PluginContext,
    hookimpl,
)

MOORAGE_API = "1.2"
"""The version of the plugin API that this was written for."""

KEY = "org.example.promote-when-signed"
WISH = "promote.wanted"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_WISHED, _PUSHED = f"org.moorage.label.{WISH}", "org.moorage.manifest.pushed"


@dataclass(frozen=True)
class Settings:
    """What ``[plugins.promote]`` of moorage.toml may hold."""

    signatures: tuple[str, ...] = field(
        default=(
            "application/vnd.dev.sigstore.bundle.v0.3+json",
            "application/vnd.dev.cosign.artifact.sig.v1+json",
        ),
        metadata={"about": "artifact types that count as signatures"},
    )


@hookimpl
def plugin_settings() -> type:
    """Declare the settings."""
    return Settings


@hookimpl
def label_actions() -> Sequence[LabelAction]:
    """Give the label its meaning."""
    return [LabelAction(KEY, wish)]


def wish(value: str) -> Sequence[Effect]:
    """Return the event by which the observer hears of the wish."""
    if _TAG.fullmatch(value) is None:
        raise LabelValueRefused(f"{value[:64]!r} is no tag")
    return [EmitEvent(WISH, {"tag": value})]


@hookimpl
def event_happened(event: Event, context: PluginContext) -> None:
    """Remember wishes, and fulfil those whose image is signed."""
    if event.type == _WISHED:
        data = event.data.get("data")
        tag = data.get("tag") if isinstance(data, dict) else None
        if isinstance(tag, str):
            context.store.put(_key(event.repository, event.subject), {"tag": tag})
            _promote(event.repository, event.subject, context)
    elif event.type == _PUSHED:
        subject = event.data.get("refersTo")
        if isinstance(subject, str):
            _promote(event.repository, subject, context)


def _promote(repository: str, subject: str, context: PluginContext) -> None:
    wished = context.store.get(_key(repository, subject))
    if wished is None:
        return
    digest, reader = Digest.parse(subject), context.reader(repository)
    if not any(reader.referrers(digest, kind) for kind in context.settings.signatures):
        return
    try:
        context.tags.set(repository, wished.value["tag"], digest)
    except (Denied, LookupError) as refusal:
        context.log.warning("%s@%s is not promoted: %s", repository, subject, refusal)
    context.store.delete(_key(repository, subject))


def _key(repository: str, subject: str) -> str:
    return f"{subject} {repository}"[:255]

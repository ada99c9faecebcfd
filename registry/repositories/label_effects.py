"""What labels do to a period that is there already."""

from __future__ import annotations

from registry.repositories.tag_values import ExpirySource, Period, TagEffects


def goes_on(row: Period, effects: TagEffects) -> bool:
    """Tell whether a tag's own manifest, pushed again, leaves its period: only an end set by labels is put off."""
    for_ever = row.lifetime_end_ms is None and effects.lives_ms is None
    return for_ever or row.immutable or row.expiry_source == ExpirySource.API


def labelled_end(now: int, row: Period, effects: TagEffects) -> tuple[int | None, str | None]:
    """Return the end of a living period, and who set it, once labels have acted on it."""
    by_api = row.expiry_source == ExpirySource.API
    if effects.immutable:
        return None, ExpirySource.API if by_api and row.lifetime_end_ms is None else None
    if by_api or row.immutable:
        return row.lifetime_end_ms, row.expiry_source
    if effects.lives_ms is None:
        return None, None
    return max(row.lifetime_start_ms + effects.lives_ms, now), ExpirySource.LABEL

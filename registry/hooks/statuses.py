"""What became of each plugin once it was asked what it claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from registry.hooks.guards import Guard
from registry.hooks.manager import ACTIVE, FAILED, PluginStatus, check_required


def settled(
    statuses: Sequence[PluginStatus], guards: Mapping[str, Guard], required: Collection[str]
) -> tuple[PluginStatus, ...]:
    """Return the statuses, those that failed at the start among them.

    Raises :class:`~registry.hooks.manager.PluginError` where one of these is required.
    """
    found = tuple(
        replace(status, state=FAILED, reason=guard.off)
        if status.state == ACTIVE and (guard := guards[status.name]).off
        else status
        for status in statuses
    )
    check_required(found, required)
    return found

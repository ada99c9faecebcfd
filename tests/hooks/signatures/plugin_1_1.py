"""A plugin as it was written for plugin API 1.1: labels with all effects. Recorded: it is not to be changed."""

from datetime import timedelta

from registry.hooks import ExpireTag, KeepLast, LabelAction, LabelValueRefused, Pin, ProtectTag, hookimpl

STAGES = {
    "nightly": [ExpireTag(timedelta(days=1)), KeepLast(3)],
    "golden": [Pin()],
    "released": [ProtectTag()],
    "normal": [],
}


def by_stage(value):
    if value not in STAGES:
        raise LabelValueRefused(f"org.example.eleven is one of: {', '.join(STAGES)}")
    return STAGES[value]


@hookimpl
def label_actions():
    return [LabelAction("org.example.eleven", by_stage)]

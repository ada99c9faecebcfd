"""Rules about what may be pushed, and what tags may stand for, as a table of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from moorage_admission.commands import admission_command
from moorage_admission.judging import Finding, judge
from moorage_admission.rules import Rule, Settings
from registry.hooks import Denied, ManifestPush, PluginContext, RepositoryReader, TagChange, hookimpl

MOORAGE_API = "1.2"

__all__ = ["Rule", "Settings"]


@hookimpl
def plugin_settings() -> type[Settings]:
    """Take rules."""
    return Settings


@hookimpl
def admission_hooks(context: PluginContext) -> Iterable[str]:
    """Be asked only about what there are rules for."""
    rules = context.settings.rules
    return [hook for hook, tags in (("admit_manifest", False), ("admit_tag_change", True)) if of(rules, tags=tags)]


@hookimpl
def admit_manifest(push: ManifestPush, reader: RepositoryReader, context: PluginContext) -> Iterable[str]:
    """Judge what is pushed by the rules for all manifests."""
    return told(judge(of(context.settings.rules, tags=False), reader, push.manifest, push.labels))


@hookimpl
def admit_tag_change(change: TagChange, reader: RepositoryReader, context: PluginContext) -> Iterable[str]:
    """Judge what a tag is to stand for by the rules for tags."""
    return told(judge(of(context.settings.rules, tags=True), reader, change.manifest, change.labels, change.tag))


@hookimpl
def cli_commands(open_context: Callable[[], PluginContext]) -> Iterable[object]:
    """Add the dry run over what is there already."""
    return [admission_command(open_context)]


def of(rules: Iterable[Rule], *, tags: bool) -> Sequence[Rule]:
    """Return the rules that are about tags, or those about all manifests."""
    return [rule for rule in rules if rule.is_about_tags == tags]


def told(findings: Iterable[Finding]) -> Sequence[str]:
    """Return the findings of rules that warn; raise :class:`Denied` with those of rules that deny."""
    found = list(findings)
    denied = [one.text for one in found if one.action == "deny"]
    if denied:
        raise Denied("; ".join(denied))
    return [one.text for one in found]

"""Tags that stand for signed content only: pulls and moves of tags ask for a cosign signature or an attestation.

Keys are given in the settings, and nothing is asked of the network: no transparency log, no certificate authority.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from moorage_signed.formats import SIGNED_PREDICATE, Wanted
from moorage_signed.search import Search, is_evidence
from moorage_signed.settings import PULL, TAG, Rule, Settings
from registry.hooks import Denied, PluginContext, RepositoryReader, TagChange, TagPull, hookimpl

__all__ = ["MOORAGE_API", "Rule", "Settings", "admission_hooks", "admit_pull", "admit_tag_change", "plugin_settings"]

MOORAGE_API = "1.2"
_OF_COSIGN = re.compile(r"sha256-[0-9a-f]{64}\.(?:sig|att)")
_REASONS, _KEYS = 2, 3
_NOTHING = "none is stored with it"
_HOOKS = {PULL: "admit_pull", TAG: "admit_tag_change"}
_AGAIN = {
    PULL: "then pull again",
    TAG: "then tag it again (what is not there yet is pushed by digest or under another tag first)",
}


@hookimpl
def plugin_settings() -> type:
    """Read ``[[plugins.signed.rules]]``."""
    return Settings


@hookimpl
def admission_hooks(context: PluginContext) -> Iterable[str]:
    """Ask to be asked only where a rule is there for it."""
    rules = context.settings.rules
    return [hook for moment, hook in _HOOKS.items() if any(rule.is_asked_at(moment) for rule in rules)]


@hookimpl
def admit_pull(pull: TagPull, reader: RepositoryReader, context: PluginContext) -> None:
    """Refuse a pull by tag of what lacks the signature that a rule asks for."""
    _admit(pull, reader, context, PULL)


@hookimpl
def admit_tag_change(change: TagChange, reader: RepositoryReader, context: PluginContext) -> None:
    """Refuse to let a tag stand for what lacks the signature that a rule asks for."""
    _admit(change, reader, context, TAG)


def _admit(asked: TagPull | TagChange, reader: RepositoryReader, context: PluginContext, moment: str) -> None:
    # cosign tags its own signatures and attestations, which nobody signs.
    if _OF_COSIGN.fullmatch(asked.tag) and is_evidence(asked.manifest):
        return
    for position, rule in enumerate(context.settings.rules):
        if not rule.holds_for(asked.repository, asked.tag, moment):
            continue
        predicate = rule.predicate_type or SIGNED_PREDICATE
        search = Search(reader, Wanted(asked.digest, asked.manifest.digest_bytes, rule.public_keys, predicate))
        if not search.succeeds():
            found = "; ".join(search.failures) or _NOTHING
            name = f"{asked.repository}:{asked.tag}"
            context.log.info("rules[%d] refuses %s, %s, at %s: %s", position, name, asked.digest, moment, found)
            raise Denied(_refusal(asked, rule, search.failures, moment))


def _refusal(asked: TagPull | TagChange, rule: Rule, failures: Sequence[str], moment: str) -> str:
    """Say what was looked for, why nothing found will do, and what to do, in two lines of a screen."""
    names = list(dict.fromkeys(key.name for key in rule.public_keys))
    keys = " or ".join(names[:_KEYS]) + (f" or {len(names) - _KEYS} more" if len(names) > _KEYS else "")
    what, command = "signature", "sign --key KEY"
    if rule.predicate_type:
        what, command = f"attestation of type {rule.predicate_type}", f"attest --key KEY --type {rule.predicate_type}"
    more = f"; and {len(failures) - _REASONS} more" if len(failures) > _REASONS else ""
    found = "; ".join(failures[:_REASONS]) + more or _NOTHING
    return (
        f"{asked.repository}:{asked.tag} carries no {what} by key {keys} ({found}): "
        f"cosign {command} HOST/{asked.repository}@{asked.digest}, {_AGAIN[moment]}"
    )

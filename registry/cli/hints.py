"""What to do next about a refusal, as a command."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from registry.cli.credentials import LOGIN, WAYS

_REPOSITORY = re.compile(r"/repositories/(.+?)(?:/-/.*)?")
_HINTS = (
    # the problem's code, a field that its context must have, what to say; the first that fits is said
    ("MANIFEST_UNKNOWN", "time", "what it stood for, and when: moorage tag history {repository} {tag}"),
    ("MANIFEST_UNKNOWN", "ended", "to bring it back: moorage tag restore {repository} {tag}"),
    ("MANIFEST_UNKNOWN", "tag", "what there is, and what there was: moorage tag history {repository}"),
    ("NOT_RESTORABLE", "tag", "what else can come back: moorage tag history {repository} {tag}"),
    ("NAME_UNKNOWN", "name", "what there is: moorage repo list; what can come back: moorage repo list --deleted"),
    ("DENIED", "ends", "to clear it: moorage tag expire {repository} {tag} --never"),
    ("DENIED", "by_hand", "to undo that: moorage tag unprotect {repository} {tag}"),
    ("DENIED", "tag", "what makes it so: moorage tag show {repository} {tag}"),
    ("LABEL_UNKNOWN", "label", "their ids: moorage label list {repository} {digest}"),
    ("RULE_UNKNOWN", "name", "what there is: moorage {rules} list"),
    ("RULE_TAKEN", "name", "to give it another definition: moorage {rules} change {name}"),
    ("UNAUTHORIZED", "code", f"who asks is told by the environment: {WAYS}; {LOGIN}"),
    ("DENIED", "action", "why: moorage access explain PRINCIPAL {action} {repository}"),
    ("PRINCIPAL_UNKNOWN", "code", "what there is: moorage user list, moorage robot list, moorage team list"),
    ("PROVIDER_UNKNOWN", "provider", "what there is: moorage config show, where the registry runs"),
    ("IDENTITY_UNKNOWN", "owner", "what there is: moorage user identities {owner}"),
    ("KEY_UNKNOWN", "owner", "what there is: moorage key list {owner}"),
    (
        "INSUFFICIENT_STORAGE",
        "code",
        "deleting needs some room as well: free a few megabytes of that disk by other means first",
    ),
    ("CONSUMER_UNKNOWN", "consumer", "who hears of events: moorage events consumers"),
    ("LETTER_UNKNOWN", "letter", "what there is: moorage events dead list"),
    ("JOB_UNKNOWN", "run", "what there is: moorage job runs"),
)


def next_step(problem: Mapping[str, Any], path: str, query: Mapping[str, object]) -> str | None:
    """Return what to do about ``problem``, which the operation at ``path`` met, or None where nothing is known."""
    context = problem.get("context")
    known = {"code": problem["code"], **(context if isinstance(context, dict) else {})}
    match = _REPOSITORY.fullmatch(path)
    known.setdefault("repository", match[1] if match else query.get("repository"))
    known["rules"] = "policy" if path.startswith("/policy") else "rule"
    known["by_hand"] = "by hand" in str(known.get("reason")) or None
    for code, field, hint in _HINTS:
        if problem["code"] == code and known.get(field) is not None:
            wanted = re.findall(r"{(\w+)}", hint)
            return hint.format_map(known).rstrip() if all(known.get(name) is not None for name in wanted) else None
    return None

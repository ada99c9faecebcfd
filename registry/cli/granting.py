"""Rules that are made from a wish, and called by what they say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from registry.cli.client import Client, Refused
from registry.cli.connecting import below

_OTHER = re.compile(r"[^a-z0-9]+")
_LONGEST = 100


def grant_by_rule(client: Client, definition: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """Make a rule of a definition, called ``name`` or by what it says; one that says the same already is left."""
    for wanted in [name] if name else _names(definition):
        try:
            made: dict[str, Any] = client.send("POST", "/policy/rules", {"name": wanted, "definition": definition})
        except Refused as error:
            if error.code != "RULE_TAKEN" or name:
                raise
            made = client.get(below("/policy/rules", wanted))
            if made["definition"] != definition:
                continue
        return made
    raise AssertionError("unreachable")


def _names(definition: Mapping[str, Any]) -> Iterator[str]:
    """Yield names such as ``team-builders-push-team``, then ``...-2`` and so on."""
    parts = [*definition["to"], definition["role"], *("all" if on == "*" else on for on in definition["on"])]
    name = _OTHER.sub("-", "-".join(parts).lower())[:_LONGEST].strip("-")
    yield name
    yield from (f"{name}-{number}" for number in count(2))

"""Plans as they are stored: what each run may remove, and why everything else stays."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.access.actors import Actor
from registry.db.base import table
from registry.db.models import RetentionPage, RetentionPlan
from registry.errors import PlanUnknown
from registry.pages import Page, cut
from registry.retention.decision import Fate

PAGE = 500
KEPT_MS = 30 * 86_400_000
"""How long a plan is kept."""
_PLAN, _PAGE = table(RetentionPlan), table(RetentionPage)
_START = insert(_PLAN).returning(_PLAN.c.id)
_ADD = insert(_PAGE)
_CHANGE = update(_PLAN).where(_PLAN.c.id == bindparam("b_id"))
_READY = _CHANGE.values(state=bindparam("b_state"), counts=bindparam("b_counts"))
_ADVANCE = _CHANGE.where(_PLAN.c.position == bindparam("b_from")).values(
    position=bindparam("b_to"), result=bindparam("b_result")
)
_OVER = _CHANGE.values(state=bindparam("b_state"))
_LIST = (
    select(_PLAN)
    .where(_PLAN.c.repository_id == bindparam("repository"), _PLAN.c.id < bindparam("before"))
    .order_by(_PLAN.c.id.desc())
    .limit(bindparam("limit"))
)
_FORGET = delete(_PLAN).where(_PLAN.c.as_of_ms < bindparam("before"))
_FIND = select(_PLAN).where(_PLAN.c.id == bindparam("plan"), _PLAN.c.repository_id == bindparam("repository"))
_NEXT_PAGE = (
    select(_PAGE.c.number, _PAGE.c.entries)
    .where(_PAGE.c.plan_id == bindparam("plan"), _PAGE.c.number >= bindparam("number"))
    .order_by(_PAGE.c.number)
    .limit(1)
)
_NEXT_REMOVALS = _NEXT_PAGE.where(_PAGE.c.removals > 0)


class Kind(StrEnum):
    """What an entry is about."""

    TAG = "tag"
    MANIFEST = "manifest"


class State(StrEnum):
    """How far a plan is."""

    MAKING = "making"
    READY = "ready"
    OVER = "over"


class Entry(NamedTuple):
    """What becomes of one tag or one untagged manifest, by which rule and why.

    ``id`` is the row's: of the tag's period, or the manifest. ``subject`` is the digest of the manifest that a tag
    goes with. ``pulled_ms`` and ``lease_until`` were seen on the manifest: a change of them is a use of it.
    """

    kind: str
    id: int
    name: str
    digest: str
    fate: str
    rule: str
    why: str
    subject: str
    pulled_ms: int | None
    lease_until: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: decided about a repository at ``as_of_ms`` by the rules that ``rules`` is a digest of.

    ``counts`` tells how many entries of a kind have a fate, by ``"<kind> <fate>"``. ``position`` is that of the first
    entry that no run has come to, and ``result`` what runs have done so far.
    """

    id: int
    repository_id: int
    as_of_ms: int
    rules: str
    state: State
    position: int
    counts: Mapping[str, int]
    result: Mapping[str, Any]

    @property
    def removals(self) -> int:
        """How many entries are to be removed."""
        return sum(count for name, count in self.counts.items() if name.endswith(f" {Fate.REMOVE}"))


def start(connection: Connection, actor: Actor, repository_id: int, as_of: int, rules: str) -> int:
    """Begin a plan, forget those that are too old, and return its id."""
    connection.execute(_FORGET, {"before": as_of - KEPT_MS})
    values = {
        "repository_id": repository_id,
        "as_of_ms": as_of,
        "rules": rules,
        "actor": actor.principal,
        "state": State.MAKING,
        "position": 0,
        "counts": "{}",
        "result": "{}",
    }
    plan_id: int = connection.execute(_START, values).scalar_one()
    return plan_id


def add_page(connection: Connection, plan_id: int, number: int, entries: Sequence[Entry]) -> None:
    """Store the next part of a plan."""
    removals = sum(entry.fate == Fate.REMOVE for entry in entries)
    values = {"plan_id": plan_id, "number": number, "removals": removals, "entries": json.dumps(entries)}
    connection.execute(_ADD, values)


def ready(connection: Connection, plan_id: int, counts: Mapping[str, int]) -> None:
    """Finish a plan: from now on it may be carried out."""
    connection.execute(_READY, {"b_id": plan_id, "b_state": State.READY, "b_counts": json.dumps(counts)})


def advance(connection: Connection, plan_id: int, start: int, end: int, result: Mapping[str, object]) -> bool:
    """Keep how far a run has come and what it has done; returns whether it was at ``start``, as the run thought."""
    values = {"b_id": plan_id, "b_from": start, "b_to": end, "b_result": json.dumps(result)}
    return connection.execute(_ADVANCE, values).rowcount == 1


def over(connection: Connection, plan_id: int) -> None:
    """Close a plan that was carried out to its end."""
    connection.execute(_OVER, {"b_id": plan_id, "b_state": State.OVER})


def find(connection: Connection, repository_id: int, plan_id: int) -> Plan:
    """Return a plan of a repository; raises :class:`PlanUnknown`."""
    row = connection.execute(_FIND, {"plan": plan_id, "repository": repository_id}).first()
    if row is None:
        raise PlanUnknown(detail={"plan": plan_id})
    return _plan(row)


def newest(connection: Connection, repository_id: int, before: int, limit: int) -> Page[Plan]:
    """Return a repository's plans with ids below ``before``, the newest first."""
    values = {"repository": repository_id, "before": before, "limit": limit + 1}
    return cut([_plan(row) for row in connection.execute(_LIST, values)], limit)


def _plan(row: Any) -> Plan:  # noqa: ANN401 - a row of the table has no type of its own
    return Plan(
        row.id,
        row.repository_id,
        row.as_of_ms,
        row.rules,
        State(row.state),
        row.position,
        json.loads(row.counts),
        json.loads(row.result),
    )


def entries_after(
    connection: Connection, plan_id: int, after: int, limit: int, fate: Fate | None
) -> Page[tuple[int, Entry]]:
    """Return at most ``limit`` entries behind the position ``after`` (-1: from the first), each with its own."""
    found: list[tuple[int, Entry]] = []
    for place, entry in _from(connection, plan_id, after + 1, removals=fate is Fate.REMOVE):
        if fate in (None, entry.fate):
            found.append((place, entry))
        if len(found) > limit:
            break
    return cut(found, limit)


def _from(connection: Connection, plan_id: int, place: int, *, removals: bool) -> Iterator[tuple[int, Entry]]:
    statement = _NEXT_REMOVALS if removals else _NEXT_PAGE
    while row := connection.execute(statement, {"plan": plan_id, "number": place // PAGE}).first():
        first = row.number * PAGE
        for position, values in enumerate(json.loads(row.entries), first):
            if position >= place:
                yield position, Entry._make(values)
        place = first + PAGE

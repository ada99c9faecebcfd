"""The chain: whatever is altered, removed, inserted or moved is found, and what is kept elsewhere finds the rest."""

import copy
import hashlib
import json
from itertools import pairwise

import pytest

from registry.audit.chain import START, Head, hash_of
from registry.audit.checking import Checker
from registry.errors import InputInvalid
from tests.support.asking import OPERATOR, PASSWORD, basic
from tests.support.auditing import kinds


@pytest.fixture
def records(registry, log):
    """Give records of every sort: logins, tokens, pulls, denials, pushes, deletions, changes of the policy."""
    registry.user("ann", PASSWORD)
    registry.rule("ann", "user:ann", ["team/*"], role="maintain")
    image = registry.push("team/app", "v1")
    registry.token("ann", "repository:team/app:pull", secret=PASSWORD)
    registry.client.get("/v2/", headers=basic("ann", "wrong"))
    registry.client.get("/v2/team/app/manifests/v1", headers=registry.as_("ann"))
    registry.client.get("/v2/other/app/manifests/v1", headers=registry.as_("ann"))
    registry.client.delete(f"/v2/team/app/manifests/{image.digest}", headers=registry.as_("ann"))
    found = log.all()
    assert {"login", "token", "pull", "denied", "manifest.pushed", "manifest.deleted", "policy.created"} <= set(
        kinds(found)
    )
    return found


def check(records, *heads):
    checker = Checker()
    checker.watch(*heads)
    for record in records:
        checker.take(record)
    return [one.position for one in checker.breaks()]


def head_of(records):
    return Head(records[-1]["position"], records[-1]["hash"])


def other(value):
    if isinstance(value, int):
        return value + 1
    return {**value, "more": 1} if isinstance(value, dict) else f"{value}x"


def test_a_chain_that_nobody_touched_is_sound(records):
    assert check(records) == []
    assert check(records, *(Head(one["position"], one["hash"]) for one in records), Head(0, START)) == []
    assert [one["position"] for one in records] == list(range(1, len(records) + 1))
    assert all(two["previous"] == one["hash"] for one, two in pairwise(records))


def test_each_field_of_each_record_counts(records):
    tried = 0
    for number, record in enumerate(records):
        for field, value in record.items():
            changed = copy.deepcopy(list(records))
            changed[number][field] = other(value)
            assert check(changed), (record["kind"], field)
            tried += 1
    assert tried == len(records) * 16


def test_a_record_that_is_hashed_anew_breaks_the_next_one(records):
    for number in range(len(records) - 1):
        changed = copy.deepcopy(list(records))
        changed[number]["principal"] = "somebody"
        changed[number]["hash"] = hash_of(changed[number])
        assert check(changed) == [number + 2]


def test_a_removed_a_repeated_and_a_moved_record_is_found(records):
    many = len(records)
    for number in range(many - 1):
        assert check([*records[:number], *records[number + 1 :]]), number
        assert check([*records[: number + 1], *records[number:]]), number
        moved = list(records)
        moved[number], moved[number + 1] = moved[number + 1], moved[number]
        assert check(moved), number


def test_an_inserted_record_is_found(records):
    for number in range(len(records)):
        forged = {**records[number], "principal": "nobody"}
        forged["hash"] = hash_of(forged)
        assert check([*records[:number], forged, *records[number:]]), number


def test_an_end_that_was_cut_off_is_found_by_a_head_kept_elsewhere(records):
    head = head_of(records)
    for left in range(len(records)):
        assert check(records[:left]) == []
        assert check(records[:left], head) == [head.position]


def test_a_chain_made_anew_is_found_by_a_head_kept_elsewhere(records):
    head, previous, forged = head_of(records), START, []
    for record in records:
        made = {**record, "address": "10.0.0.1", "previous": previous}
        made["hash"] = previous = hash_of(made)
        forged.append(made)
    assert check(forged) == []
    assert check(forged, head) == [head.position]


def test_a_record_that_says_all_was_removed_hides_nothing_behind_it(records):
    for number in range(1, len(records) - 1):
        changed = copy.deepcopy(list(records))
        changed[number] |= {"kind": "audit.removed", "detail": {"position": 10**9, "hash": "0" * 64}}
        changed[number]["hash"] = hash_of(changed[number])
        assert check(changed) == [number + 2]


def test_what_is_no_record_is_found(records):
    for odd in ({}, {"position": "1"}, {"position": 1}, {"position": 1, "hash": 5}):
        assert check([odd, *records])
    assert check([{**records[0], "detail": "\ud800"}, *records[1:]])


@pytest.mark.parametrize(
    "text", ["", "1", ":", "1:x", f"x:{START}", f"-1:{START}", f"1:{START}0", f"1:{START[:-1]}G", f"{'9' * 40}:{START}"]
)
def test_a_head_is_a_position_and_a_hash(text):
    with pytest.raises(InputInvalid):
        Head.parse(text)


def test_anybody_can_compute_the_hash(records):
    for record in records:
        rest = {name: value for name, value in record.items() if name != "hash"}
        text = json.dumps(rest, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
        assert hashlib.sha256(text.encode()).hexdigest() == record["hash"]


COLUMNS = [
    "time_ms",
    "kind",
    "outcome",
    "principal",
    "address",
    "user_agent",
    "repository",
    "reference",
    "action",
    "rule",
    "request_id",
    "count",
    "detail",
    "previous",
    "hash",
    "position",
]


def columns_are_found(world, log):
    """Alter each column of a row in the database, and put it back."""
    (place,) = (one["position"] for one in log.sealed() if one["kind"] == "manifest.pushed")
    for column in COLUMNS:
        (before,) = world.rows(f"SELECT {column} FROM audit WHERE position = :place", place=place)[0]
        after = (
            before + 1000 if isinstance(before, int) else '{"x":1}' if column == "detail" else f"{before}"[:-1] + "_"
        )
        at = after if column == "position" else place
        world.alter(f"UPDATE audit SET {column} = :after WHERE position = :place", after=after, place=place)
        assert log.breaks(), column
        world.alter(f"UPDATE audit SET {column} = :before WHERE position = :at", before=before, at=at)
        assert not log.breaks(), column


def test_each_column_in_the_database_counts(registry, records, log):
    named = {row[1] for row in registry.rows("PRAGMA table_info(audit)")}
    assert named == set(COLUMNS)
    columns_are_found(registry, log)


def test_rows_deleted_in_the_database_are_found(registry, records, log):
    last = records[-1]["position"]
    registry.alter("DELETE FROM audit WHERE position = :last", last=last)
    assert [one.position for one in log.breaks()] == [last]


def test_the_registry_goes_on_behind_what_was_altered_and_it_is_still_found(registry, records, log):
    registry.alter("UPDATE audit SET principal = 'x' WHERE position = 2")
    registry.user("later")
    log.seal()
    assert [one.position for one in log.breaks()] == [2]


def test_the_api_tells_the_head(registry, records):
    registry.user("later")
    end = registry.chief("GET", "/api/v1/audit/head").get_json()
    assert (end["position"], end["hash"]) == (records[-1]["position"], records[-1]["hash"])
    assert end["waiting"] == 2


def test_lists_are_paged_and_filtered_in_both_orders(registry, records):
    def ask(**query):
        found, cursor = [], None
        while True:
            more = {} if cursor is None else {"cursor": cursor}
            page = registry.client.get(
                "/api/v1/audit", query_string={"limit": 3, **query, **more}, environ_overrides=OPERATOR
            )
            assert page.status_code == 200, page.text
            found += page.get_json()["items"]
            cursor = page.get_json()["next"]
            if cursor is None:
                return found

    assert ask(order="oldest") == list(records)
    assert ask() == list(records)[::-1]
    for query, holds in (
        ({"principal": "ann"}, lambda one: one["principal"] == "ann"),
        ({"outcome": "denied"}, lambda one: one["outcome"] == "denied"),
        ({"kind": "policy."}, lambda one: one["kind"].startswith("policy.")),
        ({"kind": "login,token"}, lambda one: one["kind"] in ("login", "token")),
        ({"repository": "team/app"}, lambda one: one["repository"] == "team/app"),
        ({"until": records[0]["time"]}, lambda _: False),
        ({"since": records[0]["time"]}, lambda _: True),
    ):
        assert ask(**query, order="oldest") == [one for one in records if holds(one)], query


def test_a_repositorys_records_are_for_who_administers_it(registry, records):
    registry.user("owner")
    registry.rule("owner", "user:owner", ["team/app"], role="admin")
    own = registry.client.get("/api/v1/audit?repository=team/app", headers=registry.as_("owner"))
    assert {one["repository"] for one in own.get_json()["items"]} == {"team/app"}
    for path in ("", "?repository=other/app", "/head", "?principal=owner"):
        assert registry.client.get(f"/api/v1/audit{path}", headers=registry.as_("owner")).status_code == 403
    assert registry.client.get("/api/v1/audit?repository=team/app", headers=registry.as_("ann")).status_code == 403


def test_nothing_that_the_api_offers_changes_a_record(registry):
    rules = [rule for rule in registry.app.url_map.iter_rules() if "/audit" in rule.rule]
    assert rules
    assert all(rule.methods <= {"GET", "HEAD", "OPTIONS"} for rule in rules)

"""Retention: plans that explain themselves, and runs that remove just what a plan named."""

import pytest

from registry.access.actors import Actor
from registry.errors import ManifestUnknown, NameUnknown, PlanOutdated, PlanUnknown
from registry.names import RepositoryName
from registry.repositories.rules import Scope
from registry.retention.decision import Fate
from registry.retention.definition import parse_rule
from registry.testing.images import artifact, image, index, layer

DAY = 86_400
FEW = {"keep": {"last": 2}}


def rule(direct, name, definition, *, repository=None, namespace=None, kind="retention"):
    """Make a rule: for one repository, one namespace, or everywhere."""
    scope = Scope(None if repository is None else RepositoryName.parse(repository), namespace)
    direct.services.rules.create(direct.actor, name, kind, scope, definition)


def made(text):
    return image(layer({"f": text.encode()}))


def push_days(direct, *tags):
    """Push an image under each tag, one a day; return them."""
    images = []
    for tag in tags:
        images.append(made(tag))
        direct.push(images[-1], tag)
        direct.clock.turn(seconds=DAY)
    return images


def plan_of(direct):
    return direct.services.retention.plan(direct.actor, direct.repository)


def entries(direct, plan, **asked):
    page = direct.services.retention.entries(direct.actor, direct.repository, plan.id, limit=1000, **asked)
    return [entry for _, entry in page.items]


def named(direct, plan):
    return [entry.name or entry.digest for entry in entries(direct, plan, fate=Fate.REMOVE)]


def run(direct, plan, **more):
    return direct.services.retention.run(direct.actor, direct.repository, plan.id, **more).as_json()


def manifests(direct):
    return set(direct.column("SELECT digest FROM manifest WHERE deleted_at IS NULL"))


def test_a_plan_changes_nothing_and_a_run_removes_what_it_names(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    assert [(entry.name, entry.fate, entry.rule, entry.why) for entry in entries(direct, plan)] == [
        ("a", "remove", "few", "behind the newest 2 of 3"),
        ("b", "keep", "few", "2nd newest of 2 kept"),
        ("c", "keep", "few", "1st newest of 2 kept"),
    ]
    assert plan.counts == {"tag remove": 1, "tag keep": 2}
    assert (direct.tags(), plan.as_of_ms) == (["a", "b", "c"], direct.clock.now)
    direct.clock.turn(seconds=1)
    assert run(direct, plan) == {
        "removed_tags": 1,
        "removed_manifests": 0,
        "skipped": 0,
        "removed_first": ["a"],
        "skipped_first": [],
    }
    assert direct.tags() == ["b", "c"]
    (period,) = direct.periods("a")
    assert (period.ending, period.current) == (direct.clock.now, None)
    with pytest.raises(ManifestUnknown, match=r"\(retention\)"):
        direct.get("a")
    assert direct.services.retention.describe(direct.actor, direct.repository, plan.id).result["removed_tags"] == 1


def test_what_is_removed_is_queued_for_review_after_the_window(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    direct.change("DELETE FROM gc_review")
    run(direct, plan_of(direct))
    window = direct.services.settings.recovery_window * 1000
    assert direct.rows(
        "SELECT digest, due_ms FROM gc_review JOIN manifest ON manifest.id = target WHERE kind = 'manifest'"
    ) == [(made("a").digest, direct.clock.now + window)]


def test_without_rules_everything_stays(direct):
    push_days(direct, "a")
    direct.push(made("untagged"))
    direct.clock.turn(seconds=2 * DAY)
    plan = plan_of(direct)
    assert plan.counts == {"tag not covered": 1, "manifest not covered": 1}
    assert run(direct, plan)["removed_tags"] == 0
    assert direct.tags() == ["a"]


def test_rules_come_from_the_repository_its_namespace_and_everywhere(direct):
    other = RepositoryName.parse("other/app")
    direct.push(made("x"), "x", repository=other)
    push_days(direct, "a", "b", "c", "d")
    rule(direct, "all", {"keep": {"last": 1}})
    rule(direct, "ours", {"select": ["b"], "keep": {"always": True}}, namespace="team")
    rule(direct, "own", {"select": ["c"], "keep": {"always": True}}, repository="team/app")
    rule(direct, "theirs", {"keep": {"always": True}}, namespace="other")
    rule(direct, "elsewhere", {"keep": {"always": True}}, repository="other/app")
    assert [(entry.name, entry.fate, entry.rule) for entry in entries(direct, plan_of(direct))] == [
        ("a", "remove", "all"),
        ("b", "keep", "ours"),
        ("c", "keep", "own"),
        ("d", "keep", "all"),
    ]


def test_protected_tags_stay_and_say_so(direct):
    push_days(direct, "a", "b", "c", "d")
    direct.change("UPDATE tag SET immutable = true WHERE name = 'a'")
    direct.change("UPDATE tag SET label_immutable = true WHERE name = 'b'")
    rule(direct, "cs", {"tags": ["c*"], "retroactive": True}, kind="immutability")
    direct.push(made("c0"), "c0")
    rule(direct, "none", {"keep": {"matching": ["nothing"]}})
    plan = plan_of(direct)
    assert [(entry.name, entry.fate, entry.why) for entry in entries(direct, plan)] == [
        ("a", "keep", "it was made immutable by hand"),
        ("b", "keep", "a label of its image makes it immutable"),
        ("c", "keep", "the rule cs makes it so"),
        ("c0", "keep", "the rule cs makes it so"),
        ("d", "remove", "does not match nothing"),
    ]
    direct.change("UPDATE tag SET immutable = true WHERE name = 'd'")
    found = run(direct, plan)
    assert found["skipped_first"] == [{"name": "d", "reason": "it was made immutable by hand"}]
    assert direct.tags() == ["a", "b", "c", "c0", "d"]


def test_lapsed_tags_are_gone_already_and_those_with_an_end_ahead_are_decided(direct):
    for tag, life in (("lapsed", "1h"), ("ends", "9d")):
        direct.push(image(layer({"f": tag.encode()}), labels={"quay.expires-after": life}), tag)
    direct.clock.turn(seconds=DAY)
    rule(direct, "none", {"keep": {"younger_than": "1h"}})
    assert named(direct, plan_of(direct)) == ["ends"]


def test_a_pull_keeps(direct):
    push_days(direct, "a", "b", "c")
    direct.change(
        "UPDATE manifest SET last_pulled_at = :now WHERE digest = :digest",
        now=direct.clock.now,
        digest=made("a").digest,
    )
    rule(direct, "used", {"keep": {"pulled_within": "2d"}})
    found = {entry.name: (entry.fate, entry.why) for entry in entries(direct, plan_of(direct))}
    assert found == {
        "a": ("keep", "pulled 0s ago, within 2d"),
        "b": ("remove", "not pulled since it came 2d ago, not within 2d"),
        "c": ("keep", "not pulled since it came 1d ago, within 2d"),
    }


# What happens between a plan and its run


def pulled(direct):
    direct.change(
        "UPDATE manifest SET last_pulled_at = :now WHERE digest = :digest",
        now=direct.clock.now - 1,
        digest=made("a").digest,
    )


@pytest.mark.parametrize(
    ("change", "reason", "left"),
    [
        (pulled, "it was pulled since", ["a", "b", "c"]),
        (lambda direct: direct.push(made("a"), "a"), "it was pushed again or named since", ["a", "b", "c"]),
        (lambda direct: direct.push(made("new"), "a"), "it was moved, deleted or has ended since", ["a", "b", "c"]),
        (lambda direct: direct.delete_tag("a"), "it was moved, deleted or has ended since", ["b", "c"]),
        (lambda direct: direct.delete_manifest(made("a")), "it was moved, deleted or has ended since", ["b", "c"]),
        (lambda direct: direct.push(index(made("a"))), "it was pushed again or named since", ["a", "b", "c"]),
    ],
)
def test_what_somebody_used_or_changed_since_is_left_alone(direct, change, reason, left):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    direct.clock.turn(seconds=1)
    change(direct)
    before = direct.rows("SELECT * FROM tag ORDER BY id")
    assert run(direct, plan)["skipped_first"] == [{"name": "a", "reason": reason}]
    assert direct.tags() == left
    assert direct.rows("SELECT * FROM tag ORDER BY id") == before


def test_what_a_plan_did_not_name_is_never_removed(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    push_days(direct, "d", "e", "f")
    assert run(direct, plan)["removed_first"] == ["a"]
    assert direct.tags() == ["b", "c", "d", "e", "f"]


def test_a_plan_of_other_rules_is_refused(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    rule(direct, "all", {"keep": {"always": True}})
    with pytest.raises(PlanOutdated, match="rules are not those"):
        run(direct, plan)
    assert direct.tags() == ["a", "b", "c"]


def test_a_plan_is_carried_out_once(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    run(direct, plan)
    with pytest.raises(PlanOutdated, match="was carried out"):
        run(direct, plan)


def test_a_plan_that_was_never_finished_is_refused(direct):
    push_days(direct, "a")
    plan = plan_of(direct)
    direct.change("UPDATE retention_plan SET state = 'making'")
    with pytest.raises(PlanOutdated, match="never was finished"):
        run(direct, plan)


def test_a_run_that_was_stopped_goes_on(direct):
    rule(direct, "none", {"keep": {"matching": ["nothing"]}})
    direct.push(made("a"), *(f"t{number:03}" for number in range(250)))
    plan = plan_of(direct)
    told = []
    first = run(direct, plan, progress=lambda done, total: told.append((done, total)), stopping=lambda: bool(told))
    assert (first["removed_tags"], told) == (100, [(100, 250)])
    assert run(direct, plan, most=1)["removed_tags"] == 200
    direct.delete_tag("t249")
    last = run(direct, plan)
    assert (last["removed_tags"], last["skipped"], direct.tags()) == (249, 1, [])
    assert last["removed_first"] == [f"t{number:03}" for number in range(100)]


def test_two_runs_of_one_plan_do_not_both_go_on(direct):
    rule(direct, "none", {"keep": {"matching": ["nothing"]}})
    direct.push(made("a"), *(f"t{number:03}" for number in range(250)))
    plan = plan_of(direct)

    def meanwhile(done, total):
        if done == 100:
            run(direct, plan, most=1)

    with pytest.raises(PlanOutdated, match="another run"):
        run(direct, plan, progress=meanwhile)
    assert len(direct.tags()) == 50


def test_a_draft_is_tried_and_never_carried_out(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "keep-b", {"select": ["b"], "keep": {"always": True}})
    rule(direct, "draft", {"keep": {"last": 3}})
    draft = parse_rule("draft", {"keep": {"last": 1}})
    plan = direct.services.retention.plan(direct.actor, direct.repository, drafts=[draft])
    assert [(entry.name, entry.rule) for entry in entries(direct, plan)] == [
        ("a", "draft"),
        ("b", "keep-b"),
        ("c", "draft"),
    ]
    with pytest.raises(PlanOutdated, match="rules are not those"):
        run(direct, plan)
    assert direct.tags() == ["a", "b", "c"]


def test_plans_are_listed_from_the_newest(direct):
    push_days(direct, "a")
    made_plans = [plan_of(direct).id for _ in range(3)]
    page = direct.services.retention.list(direct.actor, direct.repository, 1 << 62, 2)
    assert ([plan.id for plan in page.items], page.more) == (made_plans[:0:-1], True)
    page = direct.services.retention.list(direct.actor, direct.repository, page.items[-1].id, 2)
    assert ([plan.id for plan in page.items], page.more) == (made_plans[:1], False)


def test_unknown_plans_and_repositories_are_told_apart(direct):
    push_days(direct, "a")
    plan = plan_of(direct)
    other = RepositoryName.parse("other/app")
    with pytest.raises(NameUnknown):
        direct.services.retention.plan(Actor(), other)
    direct.push(made("x"), "x", repository=other)
    for repository, number in ((other, plan.id), (direct.repository, plan.id + 1)):
        with pytest.raises(PlanUnknown):
            direct.services.retention.run(Actor(), repository, number)
        with pytest.raises(PlanUnknown):
            direct.services.retention.entries(Actor(), repository, number)


def test_old_plans_are_forgotten(direct):
    push_days(direct, "a")
    old = plan_of(direct)
    direct.clock.turn(seconds=30 * DAY + 1)
    new = plan_of(direct)
    assert direct.column("SELECT id FROM retention_plan") == [new.id]
    assert set(direct.column("SELECT plan_id FROM retention_page")) == {new.id}
    with pytest.raises(PlanUnknown):
        run(direct, old)


def test_entries_come_in_pages_and_by_fate(direct):
    rule(direct, "none", {"select": ["*[05]"], "keep": {"matching": ["nothing"]}})
    direct.push(made("a"), *(f"t{number:04}" for number in range(1200)))
    plan = plan_of(direct)
    for fate, wanted in ((None, 1200), (Fate.REMOVE, 240), (Fate.UNCOVERED, 960), (Fate.KEEP, 0)):
        found, after, more = [], -1, True
        while more:
            page = direct.services.retention.entries(
                direct.actor, direct.repository, plan.id, after=after, limit=70, fate=fate
            )
            found += [entry.name for _, entry in page.items]
            more, after = page.more, page.items[-1][0] if page.items else after
        assert found == sorted(set(found))
        assert len(found) == wanted


def test_a_plan_may_list_removals_alone(direct):
    push_days(direct, "a", "b", "c")
    rule(direct, "few", FEW)
    plan = direct.services.retention.plan(direct.actor, direct.repository, removals_only=True)
    assert [entry.name for entry in entries(direct, plan)] == ["a"]
    assert plan.counts == {"tag remove": 1, "tag keep": 2}


# Untagged manifests

REST = {"for": "untagged", "keep": {"younger_than": "7d"}}


def test_untagged_manifests_are_decided_by_when_they_were_left_without_a_tag(direct):
    old, lately, tagged = made("old"), made("lately"), made("tagged")
    direct.push(old)
    direct.push(lately, "was")
    direct.push(tagged, "is")
    direct.clock.turn(seconds=6 * DAY)
    direct.delete_tag("was")
    direct.clock.turn(seconds=DAY)
    rule(direct, "rest", REST)
    plan = plan_of(direct)
    found = {entry.digest: (entry.kind, entry.fate, entry.rule, entry.why) for entry in entries(direct, plan)}
    assert found == {
        old.digest: ("manifest", "remove", "rest", "7d old, not younger than 7d"),
        lately.digest: ("manifest", "keep", "rest", "1d old, younger than 7d"),
        tagged.digest: ("tag", "not covered", "", "no rule covers it"),
    }
    assert run(direct, plan)["removed_first"] == [old.digest]
    assert manifests(direct) == {lately.digest, tagged.digest}
    assert direct.column("SELECT deleted_at FROM manifest WHERE digest = :digest", digest=old.digest) == [
        direct.clock.now
    ]


def test_what_is_part_of_something_or_refers_to_it_is_never_untagged(direct):
    child = made("child")
    whole = index(child)
    direct.push(whole, "v1")
    direct.push(artifact("text/x-sbom", subject=child))
    direct.push(artifact("text/x-sbom", subject=whole))
    bare = index(made("other"))
    direct.push(bare)
    direct.push(artifact("text/x-sbom", subject=bare))
    direct.clock.turn(seconds=9 * DAY)
    rule(direct, "rest", REST)
    plan = plan_of(direct)
    assert named(direct, plan) == [bare.digest]
    before = manifests(direct)
    run(direct, plan)
    assert manifests(direct) == before - {bare.digest}
    # What only belongs to a manifest that can be restored is left to the collector.
    direct.clock.turn(seconds=9 * DAY)
    assert named(direct, plan_of(direct)) == []


def test_a_lease_and_a_pin_keep_untagged_manifests(direct):
    leased, pinned = made("leased"), made("pinned")
    direct.push(pinned)
    direct.clock.turn(seconds=9 * DAY)
    direct.push(leased)
    direct.change("UPDATE manifest SET label_pin = true WHERE digest = :digest", digest=pinned.digest)
    rule(direct, "rest", {"for": "untagged", "keep": {"younger_than": "1s"}})
    direct.clock.turn(seconds=60)
    found = {entry.digest: (entry.fate, entry.why) for entry in entries(direct, plan_of(direct))}
    assert found == {
        leased.digest: ("keep", "it was pushed or named just now"),
        pinned.digest: ("keep", "a label pins it"),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda direct: direct.put(made("old"), "v1"), "it was deleted, or something holds it since"),
        (lambda direct: direct.put(made("old")), "it was pushed again or named since"),
        (lambda direct: direct.put(index(made("old"))), "it was deleted, or something holds it since"),
        (lambda direct: direct.delete_manifest(made("old")), "it was deleted, or something holds it since"),
        (lambda direct: direct.change("UPDATE manifest SET label_pin = true"), "a label pins it"),
        (lambda direct: direct.change("UPDATE manifest SET last_pulled_at = 1"), "it was pulled since"),
    ],
)
def test_an_untagged_manifest_that_was_used_since_is_left_alone(direct, change, reason):
    direct.push(made("old"))
    direct.clock.turn(seconds=9 * DAY)
    rule(direct, "rest", REST)
    plan = plan_of(direct)
    change(direct)
    before = direct.rows("SELECT id, deleted_at FROM manifest")
    assert run(direct, plan)["skipped_first"] == [{"name": made("old").digest, "reason": reason}]
    assert direct.rows("SELECT id, deleted_at FROM manifest") == before


# What goes with a manifest


def signature_tag(manifest, suffix=".sig"):
    return manifest.digest.replace(":", "-") + suffix


@pytest.mark.parametrize("suffix", [".sig", ".att", ".sbom", ""])
def test_a_tag_made_for_a_manifest_goes_and_stays_with_it(direct, suffix):
    gone, kept, _ = push_days(direct, "a", "b", "c")
    for one in (gone, kept):
        direct.push(artifact("text/x", annotations={"of": one.digest}), signature_tag(one, suffix))
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    made_for = {entry.name: (entry.fate, entry.why) for entry in entries(direct, plan) if entry.subject}
    assert made_for == {
        signature_tag(gone, suffix): ("remove", f"goes with {gone.digest}"),
        signature_tag(kept, suffix): ("keep", f"stays with {kept.digest}"),
    }
    assert run(direct, plan)["removed_first"] == ["a", signature_tag(gone, suffix)]
    assert direct.tags() == sorted(["b", "c", signature_tag(kept, suffix)])


def test_tags_made_for_a_manifest_are_not_counted_among_the_last(direct):
    images = push_days(direct, "a", "b")
    for one in images:
        direct.push(artifact("text/x", annotations={"of": one.digest}), signature_tag(one))
    rule(direct, "few", FEW)
    assert named(direct, plan_of(direct)) == []


def test_a_tagged_referrer_goes_with_its_subject(direct):
    gone, kept, _ = push_days(direct, "a", "b", "c")
    direct.push(artifact("text/x", subject=gone), "sbom-a")
    direct.push(artifact("text/x", subject=kept), "sbom-b")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    assert named(direct, plan) == ["a", "sbom-a"]
    run(direct, plan)
    assert direct.tags() == ["b", "c", "sbom-b"]


def test_signatures_of_signatures_go_with_the_first_subject(direct):
    push_days(direct, "a", "b", "c")
    last = made("a")
    for number in range(3):
        signature = artifact("text/x", annotations={"number": str(number)})
        direct.push(signature, signature_tag(last))
        last = signature
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    assert len(named(direct, plan)) == 4
    run(direct, plan)
    assert direct.tags() == ["b", "c"]


def test_a_subject_that_something_else_holds_keeps_its_signature(direct):
    child, alone = made("child"), made("alone")
    direct.push(index(child), "whole")
    direct.push(child, "old")
    direct.push(alone, "old-too", "keep-me")
    pinned = made("pinned")
    direct.push(pinned, "pinned")
    direct.change("UPDATE manifest SET label_pin = true WHERE digest = :digest", digest=pinned.digest)
    for one in (child, alone, pinned):
        direct.push(artifact("text/x", annotations={"of": one.digest}), signature_tag(one))
    rule(direct, "old", {"select": ["old*", "pinned"], "keep": {"matching": ["nothing"]}})
    assert named(direct, plan_of(direct)) == ["old", "old-too", "pinned"]


def test_signatures_of_parts_go_with_the_whole(direct):
    child = made("child")
    direct.push(index(index(child)), "old")
    direct.push(artifact("text/x"), signature_tag(child))
    rule(direct, "old", {"select": ["old"], "keep": {"matching": ["nothing"]}})
    assert named(direct, plan_of(direct)) == ["old", signature_tag(child)]


def test_the_signature_of_an_untagged_manifest_goes_with_it(direct):
    direct.push(made("old"))
    direct.push(artifact("text/x"), signature_tag(made("old")))
    direct.clock.turn(seconds=9 * DAY)
    rule(direct, "rest", REST)
    plan = plan_of(direct)
    assert named(direct, plan) == [made("old").digest, signature_tag(made("old"))]
    run(direct, plan)
    assert direct.tags() == []


def test_a_signature_stays_while_its_subject_can_be_restored_and_then_is_a_tag_like_any_other(direct):
    signed = made("a")
    direct.push(signed, "a")
    direct.push(artifact("text/x"), signature_tag(signed))
    direct.delete_tag("a")
    rule(direct, "none", {"keep": {"matching": ["nothing"]}})
    assert named(direct, plan_of(direct)) == []
    assert run(direct, plan_of(direct))["removed_tags"] == 0
    direct.change("UPDATE tag SET manifest_id = NULL WHERE name = 'a'")
    for table in ("manifest_blob", "label", "manifest_legacy_image"):
        direct.change(
            f"DELETE FROM {table} WHERE manifest_id = (SELECT id FROM manifest WHERE digest = :digest)",
            digest=signed.digest,
        )
    direct.change("DELETE FROM manifest WHERE digest = :digest", digest=signed.digest)
    assert named(direct, plan_of(direct)) == [signature_tag(signed)]


def test_a_tag_that_says_its_own_digest_is_a_tag_like_any_other(direct):
    push_days(direct, "a", "b")
    direct.push(made("x"), signature_tag(made("x"), ""))
    rule(direct, "few", FEW)
    assert named(direct, plan_of(direct)) == ["a"]


def test_a_signature_stays_where_its_subject_came_back_since(direct):
    gone, *_ = push_days(direct, "a", "b", "c")
    direct.push(artifact("text/x"), signature_tag(gone))
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    direct.clock.turn(seconds=1)
    direct.push(gone, "again")
    skipped = {one["name"]: one["reason"] for one in run(direct, plan)["skipped_first"]}
    assert skipped[signature_tag(gone)] == f"{gone.digest} stays"
    assert signature_tag(gone) in direct.tags()


def test_a_protected_signature_outlives_its_subject(direct):
    gone, *_ = push_days(direct, "a", "b", "c")
    direct.push(artifact("text/x"), signature_tag(gone))
    direct.change("UPDATE tag SET immutable = true WHERE name LIKE 'sha256-%'")
    rule(direct, "few", FEW)
    plan = plan_of(direct)
    assert named(direct, plan) == ["a"]
    run(direct, plan)
    assert direct.tags() == ["b", "c", signature_tag(gone)]


def test_untagged_referrers_are_left_to_the_collector_so_that_a_restored_tag_has_them(direct):
    gone, *_ = push_days(direct, "a", "b", "c")
    referrer = artifact("text/x", subject=gone)
    direct.push(referrer)
    direct.clock.turn(seconds=9 * DAY)
    rule(direct, "few", FEW)
    rule(direct, "rest", REST)
    run(direct, plan_of(direct))
    assert referrer.digest in manifests(direct)


@pytest.mark.parametrize("by_rule", [False, True])
def test_the_signature_of_a_protected_signature_stays_with_it(direct, by_rule):
    gone, *_ = push_days(direct, "a", "b", "c")
    signature = artifact("text/x")
    direct.push(signature, signature_tag(gone))
    if by_rule:
        signed = {"tags": [signature_tag(gone)], "retroactive": True}
        rule(direct, "signed", signed, kind="immutability")
    else:
        direct.change("UPDATE tag SET immutable = true WHERE name LIKE 'sha256-%'")
    direct.push(artifact("text/y"), signature_tag(signature))
    rule(direct, "few", FEW)
    assert named(direct, plan_of(direct)) == ["a"]


def test_what_came_after_the_time_of_the_plan_is_not_in_it(direct):
    direct.push(made("a"), "a")
    direct.push(made("b"))
    direct.clock.turn(ms=-1)
    assert entries(direct, plan_of(direct)) == []

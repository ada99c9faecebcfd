"""Repositories as a whole: made, described, changed, renamed, deleted, restored."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import Engine, event

from registry.errors import (
    ManifestUnknown,
    NameTaken,
    NameUnknown,
    PreconditionFailed,
    TagImmutable,
)
from registry.names import RepositoryName
from registry.repositories.lifecycle import RepositorySettings
from registry.repositories.listing import Selection, Usage
from registry.revisions import Condition
from registry.testing.images import image, layer, simple_image

ANY = Condition()
DAY = 86_400
WINDOW = 14 * DAY
OTHER = RepositoryName.parse("other/app")


def create(direct, name="team/app", **settings):
    return direct.services.lifecycle.create(direct.actor, RepositoryName.parse(name), RepositorySettings(**settings))


def change(direct, condition=ANY, **settings):
    return direct.services.lifecycle.change(
        direct.actor, direct.repository, lambda present: replace(present, **settings), condition
    )


def rename(direct, to, condition=ANY):
    return direct.services.lifecycle.rename(direct.actor, direct.repository, to, condition)


def delete(direct, condition=ANY, *, force=False):
    return direct.services.lifecycle.delete(direct.actor, direct.repository, condition, force=force)


def undelete(direct, row_id=None):
    return direct.services.lifecycle.undelete(direct.actor, direct.repository, row_id)


def listed(direct, **selection):
    page = direct.services.listing.list(direct.actor, Selection(**selection), 100, ("", 0))
    return [row.name for row in page.items]


def describe(direct, name=None):
    return direct.services.listing.describe(direct.actor, name or direct.repository)


def reviews(direct, kind):
    return direct.column("SELECT due_ms FROM gc_review WHERE kind = :kind ORDER BY due_ms", kind=kind)


def test_a_repository_is_made_empty_and_once(direct):
    made = create(direct, description="The app", allow_sparse=True, recovery_seconds=60)
    assert describe(direct) == made
    assert (made.description, made.allow_sparse, made.recovery_seconds) == ("The app", True, 60)
    assert (made.created_ms, made.deleted_at) == (direct.clock.now, None)
    with pytest.raises(NameTaken) as refused:
        create(direct)
    assert refused.value.detail == {"name": "team/app"}
    assert direct.push(simple_image("a"), "v1").newly_created
    assert direct.column("SELECT count(*) FROM repository") == [1]


def test_a_first_push_makes_one_as_well(direct):
    direct.push(simple_image("a"), "v1")
    with pytest.raises(NameTaken):
        create(direct)


def test_repositories_are_listed_by_namespace_prefix_and_pages(direct):
    for name in ("b", "a/b", "a-b/c", "a/c", "a"):
        create(direct, name)
    assert listed(direct) == ["a", "a-b/c", "a/b", "a/c", "b"]
    assert listed(direct, namespace="a") == ["a/b", "a/c"]
    assert listed(direct, namespace="") == ["a", "b"]
    assert listed(direct, namespace="nobody") == []
    assert listed(direct, prefix="a/") == ["a/b", "a/c"]
    assert listed(direct, prefix="a", namespace="a-b") == ["a-b/c"]
    last, found = ("", 0), []
    while True:
        page = direct.services.listing.list(direct.actor, Selection(), 2, last)
        found += [row.name for row in page.items]
        if not page.more:
            break
        last = (page.items[-1].name, page.items[-1].id)
    assert found == listed(direct)


def test_what_a_repository_holds_is_counted(direct):
    assert direct.push(simple_image("a"), "v1", "v2")
    direct.push(simple_image("b"))
    blobs = direct.rows(
        "SELECT count(*) AS count, sum(size) AS size FROM blob JOIN repository_blob ON blob.id = blob_id"
    )[0]
    assert direct.services.listing.usage(direct.actor, direct.repository) == Usage(2, 2, blobs.count, int(blobs.size))
    direct.delete_manifest(simple_image("a"))
    assert direct.services.listing.usage(direct.actor, direct.repository).manifests == 1
    assert direct.services.listing.usage(direct.actor, direct.repository).tags == 0
    with pytest.raises(NameUnknown):
        direct.services.listing.usage(direct.actor, OTHER)


def test_settings_change_one_by_one_and_under_a_revision(direct):
    made = create(direct, description="one", recovery_seconds=60)
    changed = change(direct, description="two")
    assert (changed.description, changed.recovery_seconds) == ("two", 60)
    assert change(direct, recovery_seconds=None).recovery_seconds is None
    with pytest.raises(PreconditionFailed):
        change(direct, Condition(frozenset([made.revision])), description="three")
    assert describe(direct).description == "two"
    change(direct, Condition(frozenset([describe(direct).revision])), description="three")
    assert describe(direct).description == "three"


def test_a_repository_says_itself_whether_it_takes_sparse_manifests(direct):
    create(direct, allow_sparse=True)
    assert direct.put(simple_image("a"), "v1").newly_created


def test_a_shorter_window_brings_reviews_of_the_dead_forward(direct):
    direct.push(simple_image("a"), "v1")
    direct.delete_manifest(simple_image("a"))
    grace = direct.services.settings.grace_seconds * 1000
    assert max(reviews(direct, "manifest")) == direct.clock.now + WINDOW * 1000
    change(direct, recovery_seconds=60)
    assert max(reviews(direct, "manifest")) == direct.clock.now + grace
    before = reviews(direct, "manifest")
    direct.clock.turn(seconds=5)
    change(direct, recovery_seconds=3600)
    assert reviews(direct, "manifest") == before


def test_a_renamed_repository_leaves_nothing_under_its_old_name(direct):
    direct.push(simple_image("a"), "v1")
    row_id = describe(direct).id
    renamed = rename(direct, OTHER)
    assert (renamed.id, renamed.name, describe(direct, OTHER)) == (row_id, "other/app", renamed)
    assert listed(direct, namespace="other") == ["other/app"]
    assert listed(direct, namespace="team") == []
    with pytest.raises(NameUnknown):
        direct.get("v1")
    direct.push(simple_image("b"), "v1")
    assert describe(direct).id != row_id
    with pytest.raises(NameTaken):
        rename(direct, OTHER)
    assert rename(direct, direct.repository) == describe(direct)


def test_a_deleted_repository_is_gone_at_once_and_whole_when_restored(direct):
    direct.push(simple_image("a"), "v1")
    row = describe(direct)
    gone = delete(direct)
    assert gone.deleted_at == direct.clock.now
    assert reviews(direct, "repository") == [direct.clock.now + WINDOW * 1000]
    for look in (lambda: direct.get("v1"), direct.tags, lambda: describe(direct), lambda: delete(direct)):
        with pytest.raises(NameUnknown):
            look()
    assert (listed(direct), listed(direct, deleted=True)) == ([], ["team/app"])
    direct.clock.turn(seconds=WINDOW, ms=-1)
    assert undelete(direct) == row
    assert direct.get("v1").digest == simple_image("a").digest
    assert (listed(direct), listed(direct, deleted=True)) == (["team/app"], [])
    with pytest.raises(NameUnknown, match="no deleted repository"):
        undelete(direct)


def test_a_repository_is_not_restored_after_its_window(direct):
    create(direct, recovery_seconds=60)
    delete(direct)
    assert reviews(direct, "repository") == [direct.clock.now + 60_000]
    direct.clock.turn(seconds=60)
    with pytest.raises(NameUnknown, match="window is over"):
        undelete(direct)


def test_a_push_to_a_deleted_name_makes_a_new_repository_which_the_old_one_waits_for(direct):
    direct.push(simple_image("a"), "v1")
    old = delete(direct)
    direct.push(simple_image("b"), "v2")
    assert describe(direct).id != old.id
    assert direct.tags() == ["v2"]
    with pytest.raises(ManifestUnknown):
        direct.get("v1")
    with pytest.raises(NameTaken):
        undelete(direct)
    rename(direct, OTHER)
    assert undelete(direct).id == old.id
    assert direct.tags() == ["v1"]


def test_of_several_deleted_ones_the_last_is_restored_or_the_one_named(direct):
    rows = []
    for text in "abc":
        direct.push(simple_image(text), text)
        rows.append(delete(direct))
        direct.clock.turn(seconds=1)
    assert undelete(direct).id == rows[2].id
    delete(direct)
    assert undelete(direct, rows[0].id).id == rows[0].id
    assert direct.tags() == ["a"]
    delete(direct)
    with pytest.raises(NameUnknown):
        undelete(direct, 10**9)


def test_immutable_tags_keep_a_repository_unless_forced(direct):
    direct.push(simple_image("a"), "v1", "v2")
    direct.change("UPDATE tag SET immutable = :yes WHERE name = 'v2'", yes=True)
    with pytest.raises(TagImmutable) as refused:
        delete(direct)
    assert refused.value.detail["tag"] == "v2"
    assert direct.tags() == ["v1", "v2"]
    delete(direct, force=True)
    assert listed(direct) == []


def test_an_immutable_tag_whose_life_is_over_keeps_nothing(direct):
    direct.push(image(layer({"f": b"a"}), labels={"quay.expires-after": "1h"}), "v1")
    direct.change("UPDATE tag SET immutable = :yes", yes=True)
    direct.clock.turn(seconds=3600)
    assert delete(direct).name == "team/app"


def test_a_deletion_under_another_revision_is_refused(direct):
    seen = create(direct).revision
    change(direct, description="new")
    for act in (
        lambda: delete(direct, Condition(frozenset([seen]))),
        lambda: rename(direct, OTHER, Condition(frozenset([seen]))),
    ):
        with pytest.raises(PreconditionFailed):
            act()
    assert describe(direct).description == "new"


def test_a_push_while_its_repository_is_deleted_makes_a_new_one(direct, monkeypatch):
    from registry.repositories import repositories

    find, stale = repositories.find_repository, [None, None]
    monkeypatch.setattr(repositories, "find_repository", lambda *where: stale.pop() if stale else find(*where))
    assert direct.push(simple_image("a"), "v1").newly_created
    assert stale == []


def test_two_names_for_one_repository_are_never_both_taken(start):
    one, two = start(), start()
    create(one, "a"), create(one, "b")
    from concurrent.futures import ThreadPoolExecutor

    def attempt(direct, name):
        try:
            return direct.services.lifecycle.rename(direct.actor, RepositoryName(name), RepositoryName("c"), ANY).name
        except NameTaken:
            return None

    with ThreadPoolExecutor() as pool:
        outcomes = list(pool.map(attempt, (one, two), ("a", "b")))
    assert sorted(outcomes, key=str) == [None, "c"]
    assert len(listed(one)) == 2


@pytest.mark.needs_tools
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_collector_waits_for_who_puts_a_repository_back_in_its_last_moment(direct):
    """SQLite takes one writer at a time."""
    made = simple_image("x")
    direct.push(made, "v1")
    delete(direct)
    direct.clock.turn(seconds=WINDOW, ms=-1)
    collector = threading.Thread(target=direct.collect)

    def interrupt(_connection, _cursor, statement, *_others):
        if statement.startswith("UPDATE repository SET") and not collector.ident:
            direct.clock.turn(ms=1)
            collector.start()
            collector.join(0.3)  # it waits for the row that is just changed, or would be done by now

    event.listen(Engine, "before_cursor_execute", interrupt)
    try:
        undelete(direct)
    finally:
        event.remove(Engine, "before_cursor_execute", interrupt)
    collector.join()
    assert direct.get("v1").digest == made.digest
    direct.assert_sound()

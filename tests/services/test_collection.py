"""What the collector takes, what it leaves, and when it looks again."""

import pytest
from sqlalchemy.exc import IntegrityError

from registry.collection import collector
from registry.digest import Digest
from registry.errors import BlobUnknown, ManifestUnknown
from registry.hooks import StorageError
from registry.names import RepositoryName
from registry.testing.images import Blob, artifact, image, index, layer, simple_image
from tests.support.direct import ANYTHING, body

pytestmark = pytest.mark.usefixtures("stays_sound")

DAY = 86_400
WINDOW = 14 * DAY
GRACE = 2 * DAY
OTHER = RepositoryName.parse("team/other")


def built(text, **kwargs):
    return image(layer({"f": text.encode()}), **kwargs)


def has(direct, manifest):
    return direct.lookup(manifest, allow_dead=True) is not None


def due(direct):
    return {row.kind: row.due_ms - direct.clock.now for row in direct.rows("SELECT kind, due_ms FROM gc_review")}


def empty(direct):
    counts = direct.content()
    return {name for name, count in counts.items() if count} <= {"gc_review"}


def test_a_tagged_image_stays_and_is_looked_at_no_more(direct):
    made = direct.push(built("a"), "v1")
    assert made.newly_created
    direct.clock.turn(seconds=GRACE)
    done = direct.collect()
    assert done.looked_at > 0
    assert done.freed.memberships == 0
    assert direct.column("SELECT count(*) FROM gc_review") == [0]
    direct.clock.turn(seconds=10 * WINDOW)
    assert direct.collect().looked_at == 0
    assert direct.blob_bytes(built("a").blobs[0].digest)


def test_a_moved_tag_keeps_the_old_image_for_the_window_and_no_longer(direct):
    direct.push(built("a"), "v1")
    direct.clock.turn(seconds=1)
    direct.push(built("b"), "v1")
    direct.clock.turn(seconds=WINDOW - 1)
    direct.collect()
    assert has(direct, built("a"))
    direct.clock.turn(seconds=1)
    freed = direct.collect_all().freed
    assert (freed.manifests, freed.blobs) == (1, 2)
    assert not has(direct, built("a"))
    assert has(direct, built("b"))
    with pytest.raises(BlobUnknown):
        direct.blob_bytes(built("a").blobs[0].digest)
    assert direct.content()["keys"] == direct.content()["blob"]
    assert direct.periods("v1")[0].digest == built("a").digest


def test_everything_goes_with_the_last_tag(direct):
    direct.push(index(built("a"), built("b")), "v1")
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW + 1)
    direct.collect_all()
    assert empty(direct)
    assert direct.column("SELECT manifest_id FROM tag") == [None]


def test_a_blob_shared_by_images_stays_until_the_last_of_them_goes(direct):
    shared = layer({"base": b"base"})
    direct.push(image(shared, layer({"a": b"a"})), "a")
    direct.push(image(shared, layer({"b": b"b"})), "b")
    direct.delete_tag("a")
    direct.clock.turn(seconds=WINDOW)
    direct.collect()
    assert direct.blob_bytes(shared.digest)
    direct.delete_tag("b")
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    assert empty(direct)


def test_bytes_go_when_no_repository_needs_them(direct):
    direct.push(built("a"), "v1")
    direct.push(built("a"), "v1", repository=OTHER)
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW + 1)
    freed = direct.collect_all().freed
    assert (freed.memberships, freed.blobs) == (2, 0)
    assert direct.content()["blob"] == direct.content()["keys"] == 2


def test_referrers_go_with_their_subject_and_not_before(direct):
    subject = built("a")
    signature = artifact("application/x-sig", Blob(b"signed"), subject=subject)
    direct.push(subject, "v1")
    direct.push(signature)
    direct.clock.turn(seconds=3 * WINDOW)
    direct.collect()
    assert has(direct, signature)
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    assert empty(direct)


def test_a_cycle_of_index_and_referrer_goes_at_once(direct):
    leaf = built("a")
    above = index(leaf, subject=leaf)
    direct.push(above, "v1")
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW + 1)
    direct.collect()
    assert has(direct, leaf)
    direct.clock.turn(seconds=GRACE)
    assert direct.collect().freed.manifests == 2
    direct.collect_all()
    assert empty(direct)


def test_a_child_of_a_living_index_stays_though_its_own_tag_went(direct):
    leaf = built("a")
    direct.push(index(leaf), "all")
    direct.put(leaf, "one")
    direct.delete_tag("one")
    direct.clock.turn(seconds=WINDOW)
    direct.collect()
    assert has(direct, leaf)


def test_a_manifest_deleted_by_a_client_goes_though_an_index_names_it(direct):
    leaf = built("a")
    direct.push(index(leaf, built("b")), "all")
    direct.delete_manifest(leaf)
    direct.clock.turn(seconds=WINDOW)
    direct.collect()
    assert not has(direct, leaf)
    assert direct.get("all").digest == index(leaf, built("b")).digest


def test_a_deleted_index_keeps_its_children_for_its_window(direct):
    leaf = built("a")
    direct.push(index(leaf), "all")
    direct.clock.turn(seconds=WINDOW)
    direct.delete_manifest(index(leaf))
    direct.clock.turn(seconds=WINDOW - 1)
    direct.collect()
    assert has(direct, leaf)
    direct.clock.turn(seconds=1)
    direct.collect_all()
    assert empty(direct)


def test_pushed_by_digest_is_for_good(direct):
    direct.push(built("a"))
    direct.clock.turn(seconds=10 * WINDOW)
    direct.collect()
    assert has(direct, built("a"))


def test_an_expired_tag_goes_a_window_after_its_end(direct):
    direct.push(built("a", labels={"quay.expires-after": "1h"}), "v1")
    direct.clock.turn(seconds=3600 + WINDOW - 1)
    direct.collect()
    assert has(direct, built("a", labels={"quay.expires-after": "1h"}))
    direct.clock.turn(seconds=1)
    direct.collect_all()
    assert empty(direct)


def test_a_blob_that_no_manifest_came_for_goes_after_the_grace_time(direct):
    blob = Blob(b"alone")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE - 1)
    direct.collect()
    assert direct.blob_bytes(blob.digest) == b"alone"
    direct.clock.turn(seconds=1)
    assert direct.collect().freed.bytes == len(b"alone")
    assert empty(direct)


def test_a_mount_renews_the_lease_and_the_review_waits_for_it(direct):
    blob = Blob(b"mounted")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE - 1)
    assert direct.services.mounts.mount(direct.actor, Digest.parse(blob.digest), direct.repository, None)
    direct.clock.turn(seconds=1)
    direct.collect()
    assert direct.blob_bytes(blob.digest)
    assert due(direct)["blob"] == (DAY - 1) * 1000


def test_what_a_sparse_index_names_connects_when_it_arrives(start):
    direct = start(allow_sparse=True)
    leaf = built("late")
    direct.put(index(leaf), "all")
    direct.push(leaf)
    direct.clock.turn(seconds=5 * WINDOW)
    direct.collect()
    assert has(direct, leaf)


def test_a_deleted_blob_stays_for_the_deleted_manifests_that_name_it(direct):
    made = built("a")
    direct.push(made, "v1")
    direct.delete_manifest(made)
    direct.services.blobs.delete(direct.actor, direct.repository, Digest.parse(made.blobs[0].digest))
    direct.clock.turn(seconds=GRACE)
    direct.collect()
    assert direct.content()["blob"] == 2
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    assert empty(direct)


def test_the_shared_empty_layer_goes_and_comes_again(direct):
    made = simple_image("with an empty layer")
    for _ in range(2):
        direct.push(made, "v1")
        direct.delete_tag("v1")
        direct.clock.turn(seconds=WINDOW + 1)
        direct.collect_all()
        assert empty(direct)
    direct.push(made, "v1")
    direct.clock.turn(seconds=5 * WINDOW)
    direct.collect()
    assert has(direct, made)


def test_an_abandoned_upload_goes_with_its_bytes(direct):
    uploads = direct.services.uploads
    uuid = uploads.start(direct.actor, direct.repository, None).uuid
    uploads.append(direct.actor, direct.repository, uuid, body(b"half"), 0)
    direct.clock.turn(seconds=7 * DAY)
    assert direct.collect().freed.uploads == 0
    direct.clock.turn(seconds=120)
    assert direct.collect().freed.uploads == 1
    assert empty(direct)


def test_a_blob_that_is_pushed_again_while_its_bytes_go_has_a_new_key(direct):
    blob = Blob(b"again")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    assert direct.column("SELECT state FROM blob") == ["DELETING"]
    with pytest.raises(BlobUnknown):
        direct.blob_bytes(blob.digest)
    direct.upload(blob)
    direct.services.deletions.drain()
    assert direct.blob_bytes(blob.digest) == b"again"
    assert direct.content()["keys"] == 1


def test_a_failing_store_puts_a_deletion_off_and_blocks_no_other(direct, monkeypatch):
    direct.upload(Blob(b"one"))
    direct.upload(Blob(b"two"))
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    first, delete = [], type(direct.services.storage).delete

    def failing(self, key):
        if not first or key in first:
            first.append(key)
            raise StorageError("the disk is tired")
        delete(self, key)

    monkeypatch.setattr(type(direct.services.storage), "delete", failing)
    assert direct.services.deletions.drain() == 1
    assert direct.services.deletions.drain() == 0
    monkeypatch.undo()
    direct.clock.turn(seconds=60)
    assert direct.services.deletions.drain() == 1
    assert empty(direct)


def test_a_damaged_key_in_the_queue_blocks_no_other(direct):
    direct.upload(Blob(b"one"))
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    direct.change(
        "INSERT INTO storage_deletion (storage_id, storage_key, handle, tail_etag, due_ms, attempts)"
        " VALUES ('memory', '../../etc', '', '', 0, 0)"
    )
    assert direct.services.deletions.drain() == 1


def test_bytes_go_together_where_the_store_can_and_one_by_one_where_one_of_them_cannot(start, files, monkeypatch):
    direct = start(storage_url=f"file://{files}")
    storage, together, single = direct.services.storage, [], []
    remove_many, delete = storage.remove_many, storage.delete
    monkeypatch.setattr(storage, "remove_many", lambda states: together.append(len(states)) or remove_many(states))
    monkeypatch.setattr(storage, "delete", lambda key: single.append(key) or delete(key))
    for text in (b"one", b"two", b"three"):
        direct.upload(Blob(text))
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    assert direct.services.deletions.drain() == 3
    assert (together, single) == ([3], [])
    assert empty(direct)
    for text in (b"four", b"five"):
        direct.upload(Blob(text))
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    direct.change(
        "INSERT INTO storage_deletion (storage_id, storage_key, handle, tail_etag, due_ms, attempts)"
        " VALUES ('file', '../../etc', '', '', 0, 0)"
    )
    assert direct.services.deletions.drain() == 2
    assert (together, len(single)) == ([3, 3], 2)
    assert direct.column("SELECT attempts FROM storage_deletion") == [1]


def test_a_window_that_is_shorter_than_the_grace_time_counts_as_that(direct):
    direct.push(built("a"), "v1")
    direct.change("UPDATE repository SET recovery_seconds = 60")
    direct.clock.turn(seconds=DAY)
    direct.delete_tag("v1")
    direct.clock.turn(seconds=GRACE - 1)
    direct.collect()
    assert has(direct, built("a"))
    direct.clock.turn(seconds=1)
    direct.collect()
    assert not has(direct, built("a"))


def test_a_deleted_repository_keeps_all_for_its_window_and_then_goes(direct):
    direct.push(index(built("a"), built("b")), "v1")
    direct.push(built("c"))
    direct.services.uploads.start(direct.actor, direct.repository, None)
    direct.change("UPDATE repository SET deleted_at = :now, current = NULL", now=direct.clock.now)
    direct.change(
        "INSERT INTO gc_review (kind, repository_id, target, due_ms) SELECT 'repository', id, id, 0 FROM repository"
    )
    direct.clock.turn(seconds=WINDOW - 1)
    direct.collect()
    assert direct.content()["manifest"] == 4
    direct.clock.turn(seconds=1)
    assert direct.collect().freed.repositories == 1
    assert empty(direct)
    assert direct.column("SELECT count(*) FROM tag") == direct.column("SELECT count(*) FROM repository") == [0]


def test_a_preview_tells_what_a_run_then_does_and_changes_nothing(direct):
    direct.push(index(built("a"), built("b")), "v1")
    direct.push(built("c"), "v2")
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW + 1)
    before = direct.content()
    seen = direct.services.collector.preview(1000)
    assert direct.content() == before
    assert not seen.more
    assert index(built("a"), built("b")).digest in {one.name for one in seen.removed}
    assert direct.collect().freed == seen.freed
    assert direct.services.collector.preview(1000).removed == []


def test_a_preview_names_all_that_goes_together(direct):
    leaf = built("a")
    above = index(leaf, subject=leaf)
    direct.push(above, "v1")
    direct.put(leaf, "leaf")
    for tag in ("v1", "leaf"):
        direct.delete_tag(tag)
    direct.clock.turn(seconds=WINDOW + 1)
    seen = direct.services.collector.preview(1000)
    assert {leaf.digest, above.digest} <= {one.name for one in seen.removed if one.kind == "manifest"}


def test_a_preview_counts_every_upload_that_a_run_drops(direct, monkeypatch):
    monkeypatch.setattr(collector, "_PIECE", 2)
    for _ in range(5):
        direct.services.uploads.start(direct.actor, direct.repository, None)
    direct.clock.turn(seconds=8 * DAY)
    seen = direct.services.collector.preview(1000)
    assert direct.collect().freed == seen.freed
    assert seen.freed.uploads == 5


def test_a_preview_holds_up_pushes_for_a_moment_only(direct, monkeypatch):
    monkeypatch.setattr(collector, "_REHEARSAL_SECONDS", 0)
    direct.push(built("a"), "v1")
    direct.clock.turn(seconds=GRACE)
    seen = direct.services.collector.preview(1000)
    assert (seen.looked_at, seen.more) == (0, True)


def test_what_goes_together_goes_in_statements_of_bounded_length(direct, monkeypatch):
    monkeypatch.setattr(collector, "_AT_ONCE", 2)
    leaf, lengths, remove = built("a"), [], direct.services.collector._removal.manifests
    lists = [index(leaf, annotations={"n": str(number)}) for number in range(5)]
    for number, above in enumerate(lists):
        direct.push(above, f"v{number}")
    direct.put(leaf, "first")
    for name in ("first", *(f"v{number}" for number in range(5))):
        direct.delete_tag(name)
    direct.clock.turn(seconds=WINDOW + 1)

    def measure(connection, now, repository_id, ids):
        lengths.append(len(ids))
        return remove(connection, now, repository_id, ids)

    monkeypatch.setattr(direct.services.collector._removal, "manifests", measure)
    direct.collect_all()
    assert max(lengths) == 2
    assert empty(direct)


def test_a_preview_is_bounded(direct):
    for text in "abcd":
        direct.push(built(text), text)
    direct.clock.turn(seconds=GRACE)
    seen = direct.services.collector.preview(3)
    assert (seen.looked_at, seen.more) == (3, True)


def test_a_pull_keeps_what_lost_its_tag(direct):
    direct.push(built("a"), "v1")
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW - 1)
    direct.change("UPDATE manifest SET last_pulled_at = :now", now=direct.clock.now)
    direct.clock.turn(seconds=1)
    direct.collect()
    assert has(direct, built("a"))
    direct.clock.turn(seconds=WINDOW)
    direct.collect_all()
    with pytest.raises(ManifestUnknown):
        direct.get(built("a").digest)
    assert empty(direct)


def check(direct, manifest):
    return direct.services.reader.check(direct.actor, direct.repository, Digest.parse(manifest.digest), ANYTHING)


def ask(direct, digest):
    return direct.services.blobs.check(direct.actor, direct.repository, Digest.parse(digest))


def test_asking_for_a_blob_that_is_due_keeps_it_for_a_lease(direct):
    blob = Blob(b"asked for")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE)
    assert ask(direct, blob.digest).size == 9
    direct.clock.turn(seconds=DAY - 1)
    direct.collect()
    assert direct.blob_bytes(blob.digest)
    direct.clock.turn(seconds=DAY)
    direct.collect()
    with pytest.raises(BlobUnknown):
        ask(direct, blob.digest)


def test_asking_writes_only_where_a_review_comes_within_a_lease(direct):
    def leases():
        return direct.column("SELECT lease_until FROM repository_blob ORDER BY blob_id")

    made = built("a")
    direct.push(made, "v1")
    before = leases()
    direct.clock.turn(seconds=DAY)
    ask(direct, made.blobs[0].digest)
    assert leases() == before
    direct.clock.turn(seconds=1)
    ask(direct, made.blobs[0].digest)
    renewed = leases()
    assert renewed != before
    direct.clock.turn(seconds=DAY / 2)
    ask(direct, made.blobs[0].digest)
    assert leases() == renewed
    direct.clock.turn(seconds=GRACE)
    direct.collect()
    ask(direct, made.blobs[1].digest)
    assert leases() == renewed


def test_a_later_question_is_worth_a_whole_lease_as_well(direct):
    blob = Blob(b"asked for twice")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE)
    ask(direct, blob.digest)
    direct.collect()
    direct.clock.turn(seconds=0.9 * DAY)
    ask(direct, blob.digest)
    direct.live_until(direct.clock.now + DAY * 1000 - 1)
    assert direct.blob_bytes(blob.digest)


def dying(direct, made):
    """Push something that is kept no more, though nothing has been looked at; its parts have no review."""
    direct.push(made, "v1")
    direct.clock.turn(seconds=GRACE)
    direct.collect()
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW)


def test_a_blob_that_was_there_stays_though_its_image_goes_the_moment_after(direct):
    made = built("a")
    dying(direct, made)
    for blob in made.blobs:
        ask(direct, blob.digest)
    direct.collect()
    assert not has(direct, made)
    direct.live_until(direct.clock.now + DAY * 1000 - 1)
    assert direct.put(made, "v2").newly_created


def test_an_image_that_was_there_stays_though_its_index_goes_the_moment_after(direct):
    leaf = built("a")
    dying(direct, index(leaf))
    check(direct, leaf)
    direct.collect()
    assert not has(direct, index(leaf))
    direct.live_until(direct.clock.now + DAY * 1000 - 1)
    assert direct.put(index(leaf), "v2").newly_created


def test_what_was_there_is_not_taken_along_with_something_below_it(direct):
    leaf = built("a")
    middle = index(leaf)
    direct.push(index(middle), "top")
    direct.put(leaf, "leaf")
    for tag in ("leaf", "top"):
        direct.delete_tag(tag)
    direct.clock.turn(seconds=WINDOW)
    check(direct, middle)
    direct.live_until(direct.clock.now + DAY * 1000 - 1)
    assert direct.put(index(middle, annotations={"another": "index"}), "v2").newly_created
    assert has(direct, leaf)


def test_no_window_is_too_short_for_a_push_that_is_under_way(start):
    direct = start(recovery_window=0)
    made = built("a")
    direct.push(made, "v1")
    direct.clock.turn(seconds=GRACE)
    direct.collect()
    check(direct, made)
    direct.delete_tag("v1")
    direct.live_until(direct.clock.now + DAY * 1000 - 1)
    assert direct.put(index(made), "v2").newly_created


def test_asking_for_a_manifest_that_is_due_keeps_it_for_a_lease(direct):
    made = built("a")
    direct.push(made, "v1")
    direct.delete_tag("v1")
    direct.clock.turn(seconds=WINDOW + 1)
    check(direct, made)
    direct.clock.turn(seconds=DAY - 1)
    direct.collect()
    assert has(direct, made)
    direct.clock.turn(seconds=DAY)
    direct.collect_all()
    assert empty(direct)


def test_a_mount_meets_a_blob_that_is_being_given_up(direct):
    blob = Blob(b"going")
    direct.upload(blob)
    direct.clock.turn(seconds=GRACE)
    direct.services.collector.run()
    assert not direct.services.mounts.mount(direct.actor, Digest.parse(blob.digest), OTHER, None)


def test_an_empty_layer_that_went_meanwhile_is_made_again(direct, monkeypatch):
    made = simple_image("empty layer")
    ensure = type(direct.services.blobs).ensure_shared

    def late(self, *args):
        found = ensure(self, *args)
        if not late.done:
            late.done = True
            direct.change("UPDATE blob SET state = 'DELETING' WHERE id = :id", id=found)
        return found

    late.done = False
    monkeypatch.setattr(type(direct.services.blobs), "ensure_shared", late)
    direct.push(made, "v1")
    assert direct.column("SELECT DISTINCT state FROM blob") == ["LIVE"]


def test_a_review_that_the_database_refuses_does_not_keep_the_others(direct, monkeypatch, caplog):
    for text in "abc":
        direct.push(built(text), text)
    direct.clock.turn(seconds=1)
    for text in "abc":
        direct.delete_tag(text)
    direct.clock.turn(seconds=WINDOW)
    bad = direct.lookup(built("a"), allow_dead=True)
    remove = direct.services.collector._removal.manifests

    def refuse(connection, now, repository_id, ids):
        if bad in ids:
            raise IntegrityError("DELETE", {}, Exception("planned failure"))
        return remove(connection, now, repository_id, ids)

    with monkeypatch.context() as broken:
        broken.setattr(direct.services.collector._removal, "manifests", refuse)
        done = direct.collect()
        assert (done.freed.manifests, done.failed) == (2, 1)
        assert "cannot be carried out" in caplog.text
        assert direct.collect().looked_at == 0
    assert [has(direct, built(text)) for text in "abc"] == [True, False, False]
    assert direct.collect_all().freed.manifests == 1
    assert empty(direct)

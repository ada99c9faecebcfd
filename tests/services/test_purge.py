"""Purging a leaked secret: gone at once everywhere, and refused from then on."""

import contextlib
import threading

import pytest

from registry.digest import Digest
from registry.errors import BlobUnknown, DigestPurged, ManifestUnknown, RequestInvalid
from registry.hooks.ports import StorageError
from registry.manifests.creator import EMPTY_LAYER_DIGEST
from registry.names import RepositoryName
from registry.testing.images import Blob, image, index, layer
from tests.support.direct import ManualClock

pytestmark = pytest.mark.usefixtures("stays_sound")

OTHER = RepositoryName.parse("team/other")
SECRET = layer({"key": b"secret"})
LEAKY = image(SECRET)


def purge(direct, blob, reason="a key leaked"):
    return direct.services.purges.purge(direct.actor, Digest.parse(blob.digest), reason)


def test_a_blob_goes_from_every_repository_at_once(direct):
    direct.push(LEAKY, "v1")
    direct.push(LEAKY, "v1", repository=OTHER)
    done = purge(direct, SECRET)
    assert list(done.repositories) == ["team/app", "team/other"]
    assert (done.freed.memberships, done.freed.bytes) == (2, len(SECRET.data))
    with pytest.raises(BlobUnknown):
        direct.blob_bytes(SECRET.digest)
    assert direct.get("v1").digest == LEAKY.digest
    assert direct.content()["keys"] == direct.content()["blob"] == 1


def test_a_purged_blob_does_not_come_back(direct):
    direct.push(LEAKY, "v1")
    purge(direct, SECRET)
    with pytest.raises(DigestPurged) as refused:
        direct.upload(SECRET)
    assert refused.value.detail == {"digest": SECRET.digest, "reason": "a key leaked"}
    assert refused.value.message.endswith("may not come back: a key leaked")
    assert direct.content()["upload"] == 0
    direct.services.deletions.drain()
    assert direct.content()["keys"] == 1
    assert not direct.services.mounts.mount(direct.actor, Digest.parse(SECRET.digest), OTHER, None)
    with pytest.raises(DigestPurged) as refused:
        direct.put(image(SECRET, labels={"another": "image"}), "v2")
    assert refused.value.detail == {"digest": SECRET.digest, "reason": "a key leaked"}
    assert refused.value.message.endswith("may not come back: a key leaked")


def test_nothing_may_name_what_was_purged_also_where_content_may_be_missing(sparse):
    sparse.push(LEAKY, "v1")
    purge(sparse, SECRET)
    for made in (image(SECRET, labels={"another": "image"}), index(LEAKY)):
        if made.children:
            purge(sparse, LEAKY)
        with pytest.raises(DigestPurged):
            sparse.put(made, "v2")


def test_a_purge_whose_row_names_no_key_is_done_and_tells_what_is_left(direct):
    direct.push(LEAKY, "v1")
    direct.change("UPDATE blob SET storage_key = 'none' WHERE digest = :digest", digest=SECRET.digest)
    done = purge(direct, SECRET)
    assert (done.freed.bytes, done.bytes_left) == (0, len(SECRET.data))
    with pytest.raises(BlobUnknown):
        direct.blob_bytes(SECRET.digest)
    direct.change("DELETE FROM storage_deletion")
    direct.change("DELETE FROM blob WHERE storage_key = 'none'")


def test_a_blob_without_a_repository_is_purged_as_well(direct):
    direct.upload(SECRET)
    direct.change("DELETE FROM repository_blob")
    assert purge(direct, SECRET).freed.blobs == 1
    assert direct.content()["keys"] == direct.content()["blob"] == 0


def test_bytes_that_the_store_does_not_remove_are_told_and_go_later(direct, monkeypatch):
    def fail(_key):
        raise StorageError("planned failure")

    direct.push(LEAKY, "v1")
    with monkeypatch.context() as broken:
        broken.setattr(direct.services.storage, "delete", fail)
        for _ in range(2):
            done = purge(direct, SECRET)
            assert (done.freed.bytes, done.bytes_left) == (0, len(SECRET.data))
    with pytest.raises(BlobUnknown):
        direct.blob_bytes(SECRET.digest)
    assert purge(direct, SECRET).bytes_left == 0
    assert direct.content()["keys"] == direct.content()["blob"] == 1


def test_a_purge_does_not_wait_for_other_deletions(direct):
    direct.upload(Blob(b"other"))
    direct.clock.turn(seconds=2 * 86_400)
    direct.services.collector.run()
    direct.upload(SECRET)
    purge(direct, SECRET)
    assert direct.content()["keys"] == direct.content()["storage_deletion"] == 1


def test_a_manifest_goes_with_its_tags_protected_or_not(direct):
    direct.push(index(LEAKY), "all")
    direct.put(LEAKY, "v1")
    direct.change("UPDATE tag SET immutable = true")
    done = purge(direct, LEAKY)
    assert done.freed.manifests == 1
    with pytest.raises(ManifestUnknown, match="purged"):
        direct.get("v1")
    with pytest.raises(ManifestUnknown):
        direct.get(LEAKY.digest)
    assert direct.get("all").digest == index(LEAKY).digest
    with pytest.raises(DigestPurged):
        direct.put(LEAKY, "v2")
    direct.clock.turn(seconds=2 * 86_400)
    direct.collect()
    assert direct.content()["keys"] == 0


def test_what_is_not_here_is_refused_as_well_until_it_is_allowed(direct):
    purge(direct, SECRET)
    with pytest.raises(DigestPurged):
        direct.upload(SECRET)
    direct.services.purges.allow(direct.actor, Digest.parse(SECRET.digest))
    direct.upload(SECRET)
    with pytest.raises(BlobUnknown):
        direct.services.purges.allow(direct.actor, Digest.parse(SECRET.digest))


def test_purges_are_on_record_and_the_first_reason_stands(direct):
    purge(direct, SECRET)
    again = purge(direct, SECRET, "again")
    page = direct.services.purges.list(direct.actor, 10, "")
    assert [(one.digest, one.reason, one.actor) for one in page.items] == [(SECRET.digest, "a key leaked", "anonymous")]
    assert again.purge == page.items[0]
    assert direct.services.explainer.explain(direct.actor, Digest.parse(SECRET.digest)).purged == "a key leaked"


@pytest.mark.parametrize("reason", ["", "  ", "x" * 1001, "a\0b"])
def test_a_purge_needs_a_reason(direct, reason):
    with pytest.raises(RequestInvalid):
        purge(direct, SECRET, reason)


def test_the_layer_that_the_registry_provides_is_not_purged(direct):
    with pytest.raises(RequestInvalid):
        direct.services.purges.purge(direct.actor, EMPTY_LAYER_DIGEST, "why not")


def test_a_purge_reaches_a_push_that_is_under_way(direct):
    direct.upload(LEAKY.blobs[0])
    direct.upload(SECRET)
    purge(direct, LEAKY)
    with pytest.raises(DigestPurged):
        direct.put(LEAKY, "v1")
    assert direct.blob_bytes(SECRET.digest) == SECRET.data


class Gate:
    """Steps that stop once, where a name is reached."""

    def __init__(self, name):
        self.name, self.reached, self.open = name, threading.Event(), threading.Event()

    def __call__(self, name):
        if str(name) == self.name and not self.reached.is_set():
            self.reached.set()
            assert self.open.wait(60)


def refused_or_done(work):
    """Return a thread that pushes, and may be refused."""

    def run():
        with contextlib.suppress(DigestPurged):
            work()

    return threading.Thread(target=run)


def upload(pusher, gate):
    pusher.upload(SECRET)


def put(pusher, gate):
    pusher.put(LEAKY, "v1")


def mount(pusher, gate):
    join = pusher.services.blobs.join

    def slowly(*values):
        join(*values)
        gate("mount.commit")

    pusher.services.blobs.join = slowly
    pusher.services.mounts.mount(pusher.actor, Digest.parse(SECRET.digest), OTHER, pusher.repository)


@pytest.mark.needs_tools
@pytest.mark.parametrize(
    ("act", "step", "before", "purged"),
    [
        (upload, "upload.commit", [], SECRET),
        (upload, "upload.commit", [SECRET], SECRET),
        (mount, "mount.commit", [SECRET], SECRET),
        (put, "manifest.store.commit", LEAKY.blobs, LEAKY),
    ],
)
def test_a_purge_sees_what_is_being_committed(start_with_steps, act, step, before, purged):
    clock, gate = ManualClock(), Gate(step)
    purger, pusher = start_with_steps(clock), start_with_steps(clock, gate)
    purger.upload(Blob(b"the repository"))
    for blob in before:
        purger.upload(blob, OTHER if act is upload else None)
    pushing = refused_or_done(lambda: act(pusher, gate))
    pushing.start()
    assert gate.reached.wait(60)
    purging = threading.Thread(target=lambda: purge(purger, purged))
    purging.start()
    purging.join(0.2)  # time to get ahead of the push, where nothing makes it wait
    gate.open.set()
    pushing.join(60)
    purging.join(60)
    left = "SELECT digest FROM manifest UNION ALL SELECT digest FROM blob WHERE state = 'LIVE'"
    assert purged.digest not in purger.column(left)
    purger.assert_sound()

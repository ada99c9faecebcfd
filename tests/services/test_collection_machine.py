"""A state machine of collection against a small model: what has a root stays, what has none goes, whatever happens."""

import itertools

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from registry.digest import Digest
from registry.errors import BlobUnknown, DeletionRefused, ManifestUnknown, NotRestorable, RegistryError
from registry.names import RepositoryName
from registry.testing.images import Blob, artifact, image, index, layer
from tests.support.direct import ANYTHING
from tests.support.scale import hang_guard, scaled

HOUR, DAY = 3_600_000, 86_400_000
LEASE, GRACE, WINDOW = DAY, 2 * DAY, 14 * DAY
LEVELS = 8
"""More than anything here has above it: each level goes a grace time after the one that held it."""
BASE = layer({"base": b"base"})
A, B = (image(BASE, layer({"own": text})) for text in (b"a", b"b"))
BOTH, NESTED = index(A, B), index(index(A, B))
SIGNATURE = artifact("application/x-sig", Blob(b"of a"), subject=A)
ABOUT = artifact("application/x-sig", Blob(b"of both"), subject=BOTH)
CONTENT = {one.digest: one for one in (A, B, BOTH, NESTED, SIGNATURE, ABOUT)}
SUBJECTS = {SIGNATURE.digest: A.digest, ABOUT.digest: BOTH.digest}
LONE = Blob(b"lone")
TAGS = st.sampled_from(["x", "y"])
CHOSEN = st.sampled_from(list(CONTENT.values()))
_numbers = itertools.count()


class Kept:
    """What the model knows of a manifest that is there."""

    def __init__(self):
        self.pin, self.lease, self.pulled, self.deleted = False, 0, None, None


class Collection(RuleBasedStateMachine):
    """One repository, pushed to, deleted from, restored and collected on a clock that jumps."""

    def __init__(self, direct):
        super().__init__()
        self.direct = direct
        direct.repository = RepositoryName(f"machine/c{next(_numbers)}")
        self.there, self.tags, self.ended = {}, {}, []
        self.promised = {}

    # The model.

    def now(self):
        self.direct.clock.turn(ms=2)
        return self.direct.clock.now

    def parents(self, digest):
        return [one for one in self.there if digest in [child.digest for child in CONTENT[one].children]]

    def above(self, digest):
        subject = SUBJECTS.get(digest)
        return [*self.parents(digest), *([subject] if subject in self.there else [])]

    def until(self, digest, seen=()):
        """Return when the last root of a manifest ends; infinity for one without an end."""
        kept = self.there[digest]
        if kept.deleted is not None:
            return kept.deleted + WINDOW
        ends = [kept.lease]
        if kept.pin or digest in self.tags.values():
            return float("inf")
        ends += [end + WINDOW for one, end in self.ended if one == digest]
        if kept.pulled is not None:
            ends.append(kept.pulled + WINDOW)
        for one in self.above(digest):
            if one in seen:
                continue
            upper = self.there[one]
            ends.append(upper.deleted + WINDOW if upper.deleted is not None else self.until(one, (*seen, digest)))
        return max(ends)

    def settle(self, digest):
        for child in CONTENT[digest].children:
            if child.digest in self.there:
                self.there[child.digest].pin = False
        for one, subject in SUBJECTS.items():
            if subject == digest and one in self.there:
                self.there[one].pin = False
        living = [one for one in self.above(digest) if self.there[one].deleted is None]
        self.there[digest].pin = not (living or digest in self.tags.values())

    def end(self, tag, now):
        self.ended.append((self.tags.pop(tag), now))

    def put(self, manifest, tag, now):
        kept = self.there.setdefault(manifest.digest, Kept())
        kept.deleted, kept.lease = None, now + LEASE
        for child in manifest.children:
            self.there[child.digest].lease = now + LEASE
        if tag is not None and self.tags.get(tag) != manifest.digest:
            if tag in self.tags:
                self.end(tag, now)
            self.tags[tag] = manifest.digest
        self.settle(manifest.digest)

    # What clients do.

    @rule(chosen=CHOSEN, tag=st.one_of(st.none(), TAGS))
    def push(self, chosen, tag):
        now = self.now()
        for part in chosen.walk():
            if part is chosen:
                break
            if isinstance(part, type(chosen)):
                self.direct.put(part)
                self.put(part, None, now)
            else:
                self.direct.upload(part)
        self.direct.put(chosen, *([tag] if tag else []))
        self.put(chosen, tag, now)

    @rule(tag=TAGS)
    def delete_tag(self, tag):
        now = self.now()
        if tag in self.tags:
            self.direct.delete_tag(tag)
            self.end(tag, now)

    @rule(chosen=CHOSEN)
    def delete_manifest(self, chosen):
        now, kept = self.now(), self.there.get(chosen.digest)
        if kept is None or kept.deleted is not None:
            with pytest.raises(RegistryError):
                self.direct.delete_manifest(chosen)
            return
        self.direct.delete_manifest(chosen)
        self.promised.pop(chosen.digest, None)
        kept.deleted, kept.pin, kept.pulled = now, False, None
        for tag in [tag for tag, digest in self.tags.items() if digest == chosen.digest]:
            self.end(tag, now)

    @rule(chosen=CHOSEN)
    def restore(self, chosen):
        now, kept = self.now(), self.there.get(chosen.digest)
        if kept is None or kept.deleted is None:
            return
        reached = self.reach(chosen)
        try:
            back = self.direct.services.restoration.manifest(
                self.direct.actor, self.direct.repository, Digest.parse(chosen.digest)
            )
        except NotRestorable:
            assert any(one.digest not in self.there for one in reached)
            return
        for one in reached:
            if one.digest in self.there:
                self.there[one.digest].deleted, self.there[one.digest].lease = None, now + LEASE
        for tag in back.tags:
            self.tags[tag] = chosen.digest
        self.restored_pin(chosen.digest)

    def reach(self, manifest):
        return [manifest, *(below for child in manifest.children for below in self.reach(child))]

    def restored_pin(self, digest):
        for one, subject in SUBJECTS.items():
            if subject == digest and one in self.there:
                self.there[one].pin = False
        living = [one for one in self.above(digest) if self.there[one].deleted is None]
        self.there[digest].pin = not (living or digest in self.tags.values())

    @rule()
    def upload_and_leave(self):
        self.now()
        self.direct.upload(LONE)

    @rule()
    def delete_blob(self):
        self.now()
        blobs = self.direct.services.blobs
        for blob in (LONE, A.blobs[0]):
            try:
                blobs.delete(self.direct.actor, self.direct.repository, Digest.parse(blob.digest))
                self.promised.pop(blob.digest, None)
            except (BlobUnknown, DeletionRefused, RegistryError):
                continue

    @rule(chosen=CHOSEN)
    def ask_for(self, chosen):
        now = self.now()
        before = self.lease_of(chosen)
        try:
            reader = self.direct.services.reader
            reader.check(self.direct.actor, self.direct.repository, Digest.parse(chosen.digest), ANYTHING)
        except RegistryError:
            assert chosen.digest not in self.there or self.there[chosen.digest].deleted is not None
            return
        after = self.lease_of(chosen)
        if after != before:
            self.there[chosen.digest].lease = after
        self.promised[chosen.digest] = now + LEASE

    @rule(blob=st.sampled_from([LONE, *A.blobs]))
    def ask_for_a_blob(self, blob):
        now = self.now()
        try:
            self.direct.services.blobs.check(self.direct.actor, self.direct.repository, Digest.parse(blob.digest))
        except RegistryError:
            return
        self.promised[blob.digest] = now + LEASE

    @rule(parts=st.lists(CHOSEN, max_size=2))
    def ask_just_before_the_collector_comes(self, parts):
        # Not for all of it: the lease of what holds the rest would keep the rest as well.
        for manifest in parts:
            self.ask_for(manifest)
        for blob in A.blobs:
            self.ask_for_a_blob(blob)
        self.collect()

    def lease_of(self, manifest):
        found = self.direct.column(
            "SELECT lease_until FROM manifest JOIN repository ON repository.id = manifest.repository_id"
            " WHERE digest = :d AND repository.name = :n",
            d=manifest.digest,
            n=self.direct.repository.value,
        )
        return found[0] if found else None

    @rule(length=st.sampled_from([HOUR, DAY, 2 * DAY, 5 * DAY, WINDOW]))
    def wait(self, length):
        self.direct.clock.turn(ms=length)

    @rule()
    def collect(self):
        self.now()
        dead = self.dead()
        self.direct.collect()
        self.forget(dead)

    @rule()
    def let_the_worker_finish(self):
        self.now()
        dead = self.dead()
        self.direct.live_until(self.direct.clock.now + LEVELS * GRACE)
        assert not dead & self.stored()
        self.forget(self.dead())

    def dead(self):
        return {digest for digest in self.there if self.until(digest) <= self.direct.clock.now}

    def forget(self, dead):
        """Learn what was collected: nothing but what nothing kept."""
        stored = self.stored()
        gone = set(self.there) - stored
        assert gone <= dead
        assert stored <= set(self.there)
        for digest in gone:
            del self.there[digest]

    def stored(self):
        return set(
            self.direct.column(
                "SELECT digest FROM manifest JOIN repository ON repository.id = manifest.repository_id WHERE name = :n",
                n=self.direct.repository.value,
            )
        )

    @invariant()
    def what_is_kept_can_be_pulled(self):
        now = self.direct.clock.now
        for digest, kept in self.there.items():
            if kept.deleted is None and self.until(digest) > now:
                assert self.direct.get(digest).payload == CONTENT[digest].data
                for blob in CONTENT[digest].blobs:
                    assert self.direct.blob_bytes(blob.digest) == blob.data

    @invariant()
    def what_a_client_heard_of_is_there_for_a_lease(self):
        for digest, end in self.promised.items():
            if self.direct.clock.now < end:
                assert digest in self.stored() or self.direct.blob_bytes(digest)

    def teardown(self):
        """Let everything end, and see that nothing is left."""
        for digest in [digest for digest, kept in self.there.items() if kept.deleted is None]:
            try:
                self.direct.delete_manifest(CONTENT[digest])
            except ManifestUnknown:
                assert self.until(digest) <= self.direct.clock.now
        for _ in range(3):
            self.direct.clock.turn(ms=WINDOW + 3 * DAY)
            self.direct.collect_all()
        assert self.stored() == set()
        self.direct.assert_sound()
        assert self.direct.content()["blob"] == self.direct.content()["keys"] == 0


def run(direct, examples, steps):
    run_state_machine_as_test(
        lambda: Collection(direct),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )


def test_collection_behaves_as_the_model(direct):
    run(direct, 10, 20)


@pytest.mark.soak
@pytest.mark.needs_tools
@pytest.mark.timeout(hang_guard(1200))
def test_collection_behaves_as_the_model_for_long(direct, figure):
    examples = scaled(10_000)
    run(direct, examples, 50)
    figure(f"{examples} examples of 50 steps, 0 differences from the model")

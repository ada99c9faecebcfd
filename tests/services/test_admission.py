"""What admission asks of the database, on each of them."""

from typing import ClassVar

import pytest

from registry.errors import Denied
from registry.hooks import Digest, hookimpl
from registry.names import TagName
from registry.revisions import Condition
from registry.testing.images import Blob, artifact, simple_image

APP, NEXT = simple_image("app"), simple_image("next")
SIGNATURE = artifact("application/vnd.example.signature", Blob(b"signed"), subject=APP)
SIDECAR = f"sha256-{APP.digest.removeprefix('sha256:')}.sig"
DIGEST = Digest.parse(APP.digest)


class Vouching:
    """Hands out what has a label, a referrer or a sidecar, and keeps what it was asked."""

    __name__ = "vouching"

    def __init__(self):
        self.pulls, self.changes = [], []

    @hookimpl
    def admit_pull(self, pull, reader):
        self.pulls.append(pull.tag)
        if not (pull.labels.get("approved") or reader.referrers(pull.digest) or reader.tag(SIDECAR)):
            raise Denied("nobody vouches for it")

    @hookimpl
    def admit_tag_change(self, change):
        self.changes.append((change.tag, change.previous and str(change.previous), str(change.digest)))


@pytest.fixture
def plugin():
    return Vouching()


@pytest.fixture
def direct(start, plugin):
    direct = start(plugins=[plugin])
    direct.push(APP, "v1")
    return direct


def refused():
    return pytest.raises(Denied, match="nobody vouches for it")


def test_a_verdict_ends_with_the_label_that_it_follows_from(direct, plugin):
    with refused():
        direct.get("v1")
    label = direct.services.labels.add(direct.actor, direct.repository, DIGEST, "approved", "yes")
    direct.get("v1")
    direct.get("v1")
    assert len(plugin.pulls) == 2
    direct.services.labels.remove(direct.actor, direct.repository, DIGEST, label.id)
    with refused():
        direct.get("v1")


def test_a_verdict_ends_with_the_referrer_that_it_follows_from(direct, plugin):
    direct.push(SIGNATURE)
    direct.get("v1")
    direct.get("v1")
    assert len(plugin.pulls) == 1
    direct.delete_manifest(SIGNATURE)
    with refused():
        direct.get("v1")
    direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(SIGNATURE.digest))
    direct.get("v1")


def test_a_verdict_ends_with_the_sidecar_that_it_follows_from(direct):
    direct.push(NEXT, SIDECAR)
    direct.get("v1")
    direct.delete_tag(SIDECAR)
    with refused():
        direct.get("v1")


def test_one_referrer_gone_and_another_back_is_another_state(start, plugin):
    """A count and a highest id would be the same before and after."""
    direct = start(plugins=[plugin])
    direct.push(APP, "v1")
    first, second, third = (
        artifact("application/vnd.example.signature", Blob(text), subject=APP) for text in (b"1", b"2", b"3")
    )
    for one in (first, second, third):
        direct.push(one)
    direct.delete_manifest(first)
    direct.get("v1")
    direct.delete_manifest(second)
    direct.services.restoration.manifest(direct.actor, direct.repository, Digest.parse(first.digest))
    direct.get("v1")
    assert len(plugin.pulls) == 2


def test_tags_are_asked_about_with_what_they_stood_for(direct, plugin):
    direct.clock.turn(seconds=1)
    direct.push(NEXT, "v1", "v2")
    direct.services.changes.move(direct.actor, direct.repository, TagName.parse("v2"), DIGEST, Condition())
    assert plugin.changes == [
        ("v1", None, APP.digest),
        ("v1", APP.digest, NEXT.digest),
        ("v2", None, NEXT.digest),
        ("v2", NEXT.digest, APP.digest),
    ]


def test_a_lapsed_tag_stood_for_nothing(start, plugin):
    direct = start(plugins=[plugin])
    direct.push(APP, "v1")
    direct.expire("v1", direct.clock.now + 60_000)
    direct.clock.turn(seconds=61)
    plugin.changes.clear()
    direct.push(NEXT, "v1")
    assert plugin.changes == [("v1", None, NEXT.digest)]


def test_a_tag_that_was_moved_while_plugins_were_asked_is_asked_about_again(start):
    class Moving:
        """Moves the tag, by somebody else, while it is asked about it the first time."""

        __name__ = "moving"
        heard: ClassVar[list[object]] = []

        @hookimpl
        def admit_tag_change(self, change):
            self.heard.append(change.previous and str(change.previous))
            if change.digest == DIGEST and len(self.heard) == 1:
                other.push(NEXT, "v1")

    other = start()
    direct = start(plugins=[Moving()])
    direct.push(APP, "v1")
    assert Moving.heard == [None, NEXT.digest]


@pytest.mark.needs_tools
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_tag_that_is_moved_beside_its_change_is_asked_about_again(start, plugin, monkeypatch):
    direct, other = start(plugins=[plugin]), start()
    direct.push(APP)
    direct.push(NEXT)
    tag, condition = TagName.parse("v1"), Condition()
    find = direct.services.changes._periods._find_latest
    moves = [
        lambda: other.services.changes.move(other.actor, other.repository, tag, Digest.parse(NEXT.digest), condition)
    ]

    def find_latest(connection, values):
        if moves:
            moves.pop()()
        return find(connection, values)

    monkeypatch.setattr(direct.services.changes._periods, "_find_latest", find_latest)
    direct.services.changes.move(direct.actor, direct.repository, tag, DIGEST, condition)
    assert plugin.changes == [("v1", None, APP.digest), ("v1", NEXT.digest, APP.digest)]


def test_a_denial_is_asked_about_again_after_a_while_as_missing_content_may_have_come(direct, plugin, monkeypatch):
    for _ in range(2):
        with refused():
            direct.get("v1")
    assert len(plugin.pulls) == 1
    monkeypatch.setattr("registry.manifests.pull_admission.DENIED_SECONDS", 0.0)
    with refused():
        direct.get("v1")
    assert len(plugin.pulls) == 2

"""Admission through a whole app: who is asked, with what, and what becomes of each answer."""

import dataclasses

import pytest

from registry.errors import Denied, Unavailable
from registry.hooks import Digest, StorageError
from registry.manifests.reader import Accepted
from registry.manifests.restore_plan import Change
from registry.manifests.tagging import TagChanges
from registry.names import RepositoryName, TagName
from registry.revisions import Condition
from registry.testing.images import DOCKER, OCI, Blob, artifact, simple_image, simple_index
from tests.support.direct import ANYTHING

APP = simple_image("app")
NEXT = simple_image("next")


def refuse(*_):
    raise Denied("not today")


def move(direct, tag, manifest):
    digest = Digest.parse(manifest.digest)
    return direct.services.changes.move(direct.actor, direct.repository, TagName.parse(tag), digest, Condition())


@pytest.fixture
def asking(with_plugins, make_plugin):
    """Make an app with a plugin that keeps what it is asked in a list, and answers with `answer`."""

    def make(*hooks, answer=lambda *_: None):
        asked = []

        def hear(question):
            asked.append(question)
            return answer(question)

        heard = {
            "admit_manifest": lambda push: hear(push),  # noqa: PLW0108 - arguments of hooks go by their names
            "admit_tag_change": lambda change: hear(change),  # noqa: PLW0108 - the same
            "admit_pull": lambda pull: hear(pull),  # noqa: PLW0108 - the same
        }
        return with_plugins(make_plugin("watch", **{hook: heard[hook] for hook in hooks})), asked

    return make


def test_admit_manifest_is_told_all_about_a_push(asking):
    direct, asked = asking("admit_manifest")
    direct.push(APP, "v1", "v2")
    (push,) = asked
    assert (push.repository, str(push.digest), push.tags, push.actor) == (
        "team/app", APP.digest, ["v1", "v2"], "anonymous",
    )  # fmt: skip
    assert push.labels == {"text": "app"}
    assert push.manifest.media_type == OCI.manifest
    assert [str(layer.digest) for layer in push.layers if layer.digest] == [layer.digest for layer in APP.layers]
    assert len(push.layers) == len(push.layers[:])


def test_admit_manifest_refuses_and_nothing_is_stored(asking):
    direct, _ = asking("admit_manifest", answer=refuse)
    with pytest.raises(Denied, match=r"^refused by watch: not today$") as refused:
        direct.push(APP, "v1")
    assert refused.value.detail == {"plugin": "watch", "reason": "not today"}
    assert (refused.value.http_status, refused.value.code) == (403, "DENIED")
    assert direct.rows("SELECT * FROM manifest") == []


@pytest.mark.parametrize(("reason", "shown"), [(123, "123"), (("a", 1), "('a', 1)"), (None, "denied")])
def test_a_reason_that_is_no_text_is_told_as_text(asking, reason, shown):
    def refuse_oddly(_):
        raise Denied(reason)

    direct, _ = asking("admit_manifest", answer=refuse_oddly)
    with pytest.raises(Denied) as refused:
        direct.push(APP, "v1")
    assert refused.value.detail["reason"].endswith(shown)
    assert refused.value.message.startswith("refused by watch: ")


def test_a_reason_that_cannot_be_told_is_the_plugin_s_failure(asking):
    def refuse_oddly(_):
        raise Denied(type("Mute", (), {"__str__": lambda _: 1 / 0})())

    direct, _ = asking("admit_manifest", answer=refuse_oddly)
    with pytest.raises(Denied, match="refused, as the plugin watch failed"):
        direct.push(APP, "v1")


def test_admit_manifest_of_an_index_sees_what_its_images_share(asking):
    direct, asked = asking("admit_manifest")
    direct.push(simple_index("app"), "v1")
    assert [push.labels.get("text") for push in asked] == ["app"] * 3


def test_admit_manifest_is_asked_again_where_a_manifest_is_pushed_again(asking):
    direct, asked = asking("admit_manifest")
    direct.push(APP, "v1")
    direct.services.labels.add(direct.actor, direct.repository, Digest.parse(APP.digest), "approved", "yes")
    direct.put(APP, "v2")
    assert [push.labels.get("approved") for push in asked] == [None, "yes"]


def test_admit_manifest_reads_the_repository(with_plugins, make_plugin):
    found = []

    def admit(push, reader, context):
        found.append((reader.name, list(reader.tags()), reader.read(push.manifest.config.digest), context.plugin))

    direct = with_plugins(make_plugin("reads", admit_manifest=admit))
    direct.push(APP, "v1")
    assert found == [("team/app", [], APP.config.data, "reads")]


def test_admit_manifest_s_warnings_are_handed_on(asking):
    direct, _ = asking("admit_manifest", answer=lambda _: ["old base\nimage", "no source"])
    assert direct.push(APP, "v1").warnings == [r"watch: old base\nimage", "watch: no source"]


def test_admit_manifest_may_be_a_generator(asking):
    def warn_then_refuse(push):
        yield "a warning"
        if "v2" in push.tags:
            raise Denied("v2 is not for you")

    direct, _ = asking("admit_manifest", answer=warn_then_refuse)
    assert direct.push(APP, "v1").warnings == ["watch: a warning"]
    with pytest.raises(Denied, match="refused by watch: v2 is not for you"):
        direct.push(APP, "v2")


def test_admit_manifest_cannot_change_what_others_are_told(with_plugins, make_plugin):
    def spoil(push):
        push.labels["approved"] = "yes"

    direct = with_plugins(make_plugin("spoils", admit_manifest=spoil))
    with pytest.raises(Denied, match="the plugin spoils failed"):
        direct.push(APP, "v1")


def exits(_):
    raise SystemExit(3)


def recurses(question):
    return recurses(question)


def endless(_):
    while True:
        yield "again"


def fails_later(_):
    yield "a warning"
    raise KeyError("secret-path")


HOSTILE = {
    "raises": lambda _: 1 / 0,
    "exits": exits,
    "recurses": recurses,
    "fails later": fails_later,
    "returns a text": lambda _: "fine",
    "returns a number": lambda _: 7,
    "returns yes": lambda _: True,
    "returns no": lambda _: False,
    "returns numbers": lambda _: [1, 2],
}


@pytest.mark.parametrize("answer", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("hook", ["admit_manifest", "admit_tag_change", "admit_pull"])
def test_admission_that_fails_is_closed_and_names_the_plugin(asking, caplog, hook, answer):
    direct, asked = asking(hook, answer=answer)
    with pytest.raises(Denied, match=r"^refused, as the plugin watch failed: the registry's log says how$") as refused:
        direct.push(APP, "v1")
        direct.get("v1")
    assert refused.value.detail == {"plugin": "watch", "hook": hook}
    assert asked
    assert f"plugin watch failed in {hook}" in caplog.text
    assert direct.tags() == (["v1"] if hook == "admit_pull" else [])


def test_admission_by_a_plugin_that_warns_for_ever_comes_to_an_end(asking):
    direct, _ = asking("admit_manifest", answer=endless)
    assert len(direct.push(APP, "v1").warnings) == 100


def test_admission_without_the_database_or_the_storage_is_no_refusal(asking):
    def unavailable(_):
        raise Unavailable("the database is away")

    def no_storage(_):
        raise StorageError("disk on fire")

    for answer in (unavailable, no_storage):
        direct, _ = asking("admit_manifest", answer=answer)
        with pytest.raises(Unavailable):
            direct.push(APP, "v1")


def test_admission_asks_every_plugin_and_one_refusal_is_enough(with_plugins, make_plugin):
    kind = make_plugin("kind", admit_manifest=lambda: ["welcome"])
    strict = make_plugin("strict", admit_manifest=refuse)
    with pytest.raises(Denied, match="refused by strict"):
        with_plugins(kind, strict).push(APP)


def test_admission_reasons_are_bounded_and_on_one_line(asking):
    def shout(_):
        raise Denied("no\nHTTP/1.1 200 OK\0" + "!" * 5000)

    direct, _ = asking("admit_manifest", answer=shout)
    with pytest.raises(Denied) as refused:
        direct.push(APP, "v1")
    assert refused.value.message.startswith(r"refused by watch: no\nHTTP/1.1 200 OK\x00!!!")
    assert len(refused.value.message) < 1100


def test_admission_hooks_that_a_plugin_does_not_need_are_not_asked(with_plugins, make_plugin):
    plugin = make_plugin(
        "modest", admission_hooks=lambda context: ["admit_pull"], admit_manifest=refuse, admit_pull=refuse
    )
    direct = with_plugins(plugin)
    direct.push(APP, "v1")
    with pytest.raises(Denied, match="refused by modest"):
        direct.get("v1")


@pytest.mark.parametrize("answer", ["admit_pull", ["admit_everything"], 7, [7], [""]])
def test_admission_hooks_that_are_none_keep_admission_closed(with_plugins, make_plugin, answer):
    direct = with_plugins(make_plugin("odd", admission_hooks=lambda: answer, admit_pull=lambda: None))
    (status,) = [status for status in direct.services.plugins if status.name == "odd"]
    assert (status.state, status.reason.partition(": ")[0]) == ("failed", "at the start it failed in admission_hooks")
    direct.push(APP, "v1")
    with pytest.raises(Denied, match="refused, as the plugin odd failed"):
        direct.get("v1")


def test_admission_hooks_that_fail_keep_admission_closed(with_plugins, make_plugin):
    direct = with_plugins(make_plugin("odd", admission_hooks=lambda: 1 / 0, admit_manifest=lambda: None))
    with pytest.raises(Denied, match="refused, as the plugin odd failed"):
        direct.push(APP, "v1")


def test_admit_tag_change_is_told_what_the_tag_stood_for(asking):
    direct, asked = asking("admit_tag_change")
    direct.push(APP, "v1")
    direct.clock.turn(seconds=1)
    direct.push(NEXT, "v1")
    direct.clock.turn(seconds=1)
    move(direct, "v1", APP)
    direct.clock.turn(seconds=1)
    direct.restore("v1")
    told = [(change.tag, str(change.digest), change.previous and str(change.previous)) for change in asked]
    assert told == [
        ("v1", APP.digest, None),
        ("v1", NEXT.digest, APP.digest),
        ("v1", APP.digest, NEXT.digest),
        ("v1", NEXT.digest, APP.digest),
    ]
    assert [change.labels for change in asked] == [{"text": "app"}, {"text": "next"}] * 2
    assert {change.manifest.payload for change in asked} == {APP.data, NEXT.data}


def test_admit_tag_change_refuses_pushes_moves_and_restores(asking):
    direct, _ = asking("admit_tag_change", answer=lambda change: refuse() if change.tag == "latest" else None)
    direct.push(APP, "v1")
    for change in (
        lambda: direct.push(APP, "latest"),
        lambda: direct.push(NEXT, "v2", "latest"),
        lambda: move(direct, "latest", APP),
    ):
        with pytest.raises(Denied, match="refused by watch: not today"):
            change()
    assert direct.tags() == ["v1"]
    assert direct.lookup(NEXT, allow_dead=True) is None


def strict_now(strict):
    return lambda _: refuse() if strict else None


def test_admit_tag_change_is_asked_when_a_tag_or_a_manifest_comes_back(asking):
    strict = []
    direct, asked = asking("admit_tag_change", answer=strict_now(strict))
    direct.push(APP, "v1", "v2")
    direct.delete_manifest(APP)
    strict.append(True)
    with pytest.raises(Denied, match="refused by watch"):
        direct.restore("v1", digest=APP.digest)
    digest = Digest.parse(APP.digest)
    with pytest.raises(Denied, match="refused by watch"):
        direct.services.restoration.manifest(direct.actor, direct.repository, digest)
    assert direct.tags() == []
    strict.clear()
    direct.push(NEXT, "v2")
    asked.clear()
    assert direct.services.restoration.manifest(direct.actor, direct.repository, digest).tags == ["v1"]
    assert [change.tag for change in asked] == ["v1"]  # v2 stands for something else, and stays so


class Progress:
    """A run that nobody watches."""

    def __init__(self, actor):
        self.actor = actor

    def stopping(self):
        return False

    def progress(self, done, total=0):
        pass


def test_admit_tag_change_is_asked_for_each_tag_of_a_repository_that_is_put_back(asking):
    direct, asked = asking("admit_tag_change", answer=lambda change: refuse() if change.previous else None)
    direct.push(APP, "v1", "v2")
    then = direct.clock.now
    direct.clock.turn(seconds=1)
    direct.delete_tag("v1")
    direct.delete_tag("v2")
    direct.push(NEXT, "v2")
    asked.clear()
    direct.clock.turn(seconds=1)
    done = direct.services.restoration.apply(direct.repository, then, Progress(direct.actor))
    assert (done[str(Change.SET)], done[str(Change.MOVE)], done[str(Change.REFUSED)]) == (1, 0, 1)
    assert done["left"] == ["v2: refused by watch: not today"]
    assert [change.tag for change in asked] == ["v1", "v2"]


def test_admit_tag_change_is_asked_again_where_the_tag_moved_meanwhile(asking):
    direct, asked = asking("admit_tag_change")
    direct.push(APP, "v1")
    direct.push(NEXT, "v2")
    once = iter([True])
    plain = TagChanges.admit

    def meanwhile(changes, *arguments):
        admitted = plain(changes, *arguments)
        if next(once, False):
            direct.clock.turn(seconds=1)
            direct.delete_tag("v1")
        return admitted

    asked.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TagChanges, "admit", meanwhile)
        move(direct, "v1", NEXT)
    assert [change.previous and str(change.previous) for change in asked] == [APP.digest, None]


def test_admit_pull_refuses_by_tag_and_never_by_digest(asking):
    direct, asked = asking("admit_pull", answer=refuse)
    direct.push(APP, "v1")
    with pytest.raises(Denied, match="refused by watch"):
        direct.get("v1")
    with pytest.raises(Denied, match="refused by watch"):
        direct.services.reader.check(direct.actor, direct.repository, TagName.parse("v1"), ANYTHING)
    assert direct.get(APP.digest).payload == APP.data
    (pull,) = asked
    assert (pull.repository, pull.tag, str(pull.digest)) == ("team/app", "v1", APP.digest)
    assert pull.labels == {"text": "app"}
    assert pull.manifest.payload == APP.data


def test_admit_pull_is_asked_before_a_conversion(asking):
    direct, asked = asking("admit_pull", answer=refuse)
    direct.push(APP, "v1")
    with pytest.raises(Denied):
        direct.get("v1", Accepted((DOCKER.manifest,), anything=False))
    assert len(asked) == 1


def test_admit_pull_is_asked_of_the_past_and_reads_what_was_deleted(with_plugins, make_plugin):
    read = []

    def admit(pull, reader):
        read.append(reader.read(pull.manifest.config.digest))
        raise Denied("not even then")

    direct = with_plugins(make_plugin("watch", admit_pull=admit))
    direct.push(APP, "v1")
    then = direct.clock.now
    direct.clock.turn(seconds=1)
    direct.delete_manifest(APP)
    direct.clock.turn(seconds=1)
    past = direct.services.past
    with pytest.raises(Denied, match="refused by watch: not even then"):
        past.get(direct.actor, direct.repository, TagName.parse("v1"), ANYTHING, then)
    assert read == [APP.config.data]
    by_digest = past.get(direct.actor, direct.repository, Digest.parse(APP.digest), ANYTHING, then)
    assert by_digest.payload == APP.data


def test_admit_pull_is_asked_once_for_as_long_as_nothing_changes(asking):
    direct, asked = asking("admit_pull")
    direct.push(APP, "v1", "v2")
    for _ in range(3):
        direct.get("v1")
    assert [pull.tag for pull in asked] == ["v1"]
    direct.get("v2")
    assert [pull.tag for pull in asked] == ["v1", "v2"]


def test_admit_pull_s_refusals_are_kept_as_well(asking):
    direct, asked = asking("admit_pull", answer=refuse)
    direct.push(APP, "v1")
    for _ in range(3):
        with pytest.raises(Denied, match=r"^refused by watch: not today$"):
            direct.get("v1")
    assert len(asked) == 1


def test_admit_pull_s_verdict_ends_with_what_it_follows_from(with_plugins, make_plugin):
    def admit(pull, reader):
        sidecar = reader.tag(f"sha256-{pull.digest.encoded}.sig")
        if not (pull.labels.get("approved") or reader.referrers(pull.digest) or sidecar):
            raise Denied("nobody vouches for it")

    direct = with_plugins(make_plugin("watch", admit_pull=admit))
    direct.push(APP, "v1")
    refused = pytest.raises(Denied, match="nobody vouches for it")
    with refused:
        direct.get("v1")

    label = direct.services.labels.add(direct.actor, direct.repository, Digest.parse(APP.digest), "approved", "yes")
    direct.get("v1")
    direct.services.labels.remove(direct.actor, direct.repository, Digest.parse(APP.digest), label.id)
    with refused:
        direct.get("v1")

    referrer = artifact("application/vnd.example.signature", Blob(b"signed"), subject=APP)
    direct.push(referrer)
    direct.get("v1")
    direct.delete_manifest(referrer)
    with refused:
        direct.get("v1")

    sidecar = f"sha256-{APP.digest.removeprefix('sha256:')}.sig"
    direct.push(NEXT, sidecar)
    direct.get("v1")
    direct.clock.turn(seconds=1)
    direct.delete_tag(sidecar)
    with refused:
        direct.get("v1")


def test_admit_pull_s_verdict_is_not_kept_where_something_changed_while_it_was_made(with_plugins, make_plugin):
    digest, added = Digest.parse(APP.digest), []

    def admit(pull, reader):
        if not added:
            added.append(direct.services.labels.add(direct.actor, direct.repository, digest, "approved", "yes"))
        if "approved" not in reader.labels(pull.digest):
            raise Denied("nobody vouches for it")

    direct = with_plugins(make_plugin("watch", admit_pull=admit))
    direct.push(APP, "v1")
    direct.get("v1")
    direct.services.labels.remove(direct.actor, direct.repository, digest, added[0].id)
    with pytest.raises(Denied, match="nobody vouches for it"):
        direct.get("v1")


def test_admit_pull_knows_repositories_and_tags_apart(asking):
    direct, asked = asking("admit_pull")
    other = RepositoryName.parse("team/other")
    direct.push(APP, "v1")
    direct.push(APP, "v1", repository=other)
    direct.get("v1")
    dataclasses.replace(direct, repository=other).get("v1")
    assert [pull.repository for pull in asked] == ["team/app", "team/other"]

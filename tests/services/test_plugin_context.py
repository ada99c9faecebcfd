"""What plugins are handed: a store, a reader of repositories, tags, and the registry's time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from registry.errors import Denied, TagImmutable
from registry.hooks import ContentMissing, ContentTooLarge, Digest, StoreConflict
from registry.names import RepositoryName
from registry.testing.images import OCI, Blob, artifact, simple_image, simple_index

APP, NEXT = simple_image("app"), simple_image("next")
ABSENT = Digest.of(b"nobody has this")


def digest(part):
    return Digest.parse(part.digest)


@pytest.fixture
def context(direct):
    return direct.services.contexts("robot")


@pytest.fixture
def store(context):
    return context.store


def test_a_value_is_kept_and_read_by_another_process_of_the_plugin(start, direct, store):
    value = {"list": [1, 2.5, None, True, "é \0"], "deep": {"x": []}}
    revision = store.put("state", value)
    kept = direct.services.contexts("robot").store.get("state")
    assert (kept.value, kept.revision) == (value, revision)
    assert direct.services.contexts("other").store.get("state") is None


def test_a_value_is_replaced_only_where_it_is_as_it_was_read(store):
    first = store.put("n", 1, expected=0)
    with pytest.raises(StoreConflict, match="n is not as it was read"):
        store.put("n", 2, expected=0)
    second = store.put("n", 2, expected=first)
    with pytest.raises(StoreConflict):
        store.put("n", 3, expected=first)
    assert store.get("n").value == 2
    with pytest.raises(StoreConflict):
        store.delete("n", expected=first)
    store.delete("n", expected=second)
    assert store.get("n") is None
    with pytest.raises(StoreConflict):
        store.put("n", 4, expected=second)


def test_a_value_that_was_stored_anew_is_not_taken_for_the_old_one(store):
    old = store.put("n", 1)
    store.delete("n")
    assert store.put("n", 1) != old
    store.delete("gone")  # may be repeated


def test_of_many_writers_each_adds_one(direct, context):
    def add():
        for _ in range(5):
            while True:
                found = context.store.get("count")
                try:
                    context.store.put(
                        "count", (found.value if found else 0) + 1, expected=found.revision if found else 0
                    )
                except StoreConflict:
                    continue
                break

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert context.store.get("count").value == 20


def test_keys_come_by_prefix_in_bytewise_order(store):
    for key in ("b", "a/2", "a/10", "A/1", "a%", "é", "a_1"):
        store.put(key, None)
    assert list(store.keys()) == ["A/1", "a%", "a/10", "a/2", "a_1", "b", "é"]
    assert list(store.keys("a/")) == ["a/10", "a/2"]
    assert list(store.keys("a%")) == ["a%"]
    assert list(store.keys("A")) == ["A/1"]


def test_keys_come_over_many_pages(store, direct):
    names = [f"{number:04}" for number in range(1100)]
    direct.services.database.write(
        lambda connection: connection.exec_driver_sql(
            "INSERT INTO plugin_value (plugin, key, value, revision) VALUES "
            + ", ".join(f"('robot', '{name}', '1', 1)" for name in names)
        )
    )
    assert list(store.keys()) == names


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, float("nan"), "x" * (1 << 20), b"bytes", {(1, 2): 3}],
    ids=lambda one: type(one).__name__,
)
def test_what_is_no_json_or_too_long_is_refused(store, value):
    with pytest.raises(ValueError):
        store.put("key", value)
    assert store.get("key") is None


@pytest.mark.parametrize("key", ["", "x" * 256, "a\0b"])
def test_a_key_that_cannot_be_one_is_refused(store, key):
    for use in (store.get, store.delete, lambda key: store.put(key, 1)):
        with pytest.raises(ValueError, match="1 to 255 characters"):
            use(key)


def test_a_repository_that_is_not_there_reads_as_empty(context):
    for name in ("no/such", "NO VALID NAME"):
        reader = context.reader(name)
        assert reader.name == name
        assert (list(reader.tags()), list(reader.manifests()), reader.tag("v1")) == ([], [], None)
        assert (reader.labels(ABSENT), reader.referrers(ABSENT)) == ({}, [])
        for read in (reader.read, reader.manifest, reader.describe, reader.layers):
            with pytest.raises(ContentMissing):
                read(ABSENT)


def test_a_reader_tells_of_tags(direct, context):
    direct.push(APP, "v1", "v2", "V1", "v_")
    direct.clock.turn(seconds=5)
    direct.expire("v2", direct.clock.now + 3_600_000)
    direct.protect("v1")
    reader = context.reader("team/app")
    assert reader.tag("v1") == digest(APP)
    assert [reader.tag(name) for name in ("v3", "no tag at all", "")] == [None, None, None]
    assert [tag.name for tag in reader.tags()] == ["V1", "v1", "v2", "v_"]
    first, second, _ = reader.tags("v")
    start = datetime.fromtimestamp(direct.clock.now / 1000, UTC) - timedelta(seconds=5)
    assert (first.name, first.digest, first.start, first.end, first.immutable) == (
        "v1", digest(APP), start, None, True,
    )  # fmt: skip
    assert (second.end, second.immutable) == (start + timedelta(seconds=3605), False)
    direct.clock.turn(seconds=3601)
    assert [tag.name for tag in reader.tags("v2")] == []
    assert reader.tag("v2") is None


def test_a_reader_tells_of_manifests(direct, context):
    direct.push(APP, "v1")
    direct.push(simple_index("other"), "v2")
    gone = direct.push(NEXT, "v3").manifest.digest
    direct.delete_manifest(NEXT)
    reader = context.reader("team/app")
    found = list(reader.manifests())
    assert [str(one.digest) for one in found[:1]] == [APP.digest]
    assert len(found) == 4
    described = reader.describe(digest(APP))
    assert described == found[0]
    layers = sum(len(layer.data) for layer in APP.layers)
    assert (described.media_type, described.size) == (OCI.manifest, len(APP.data) + layers)
    assert described.pushed == datetime.fromtimestamp(direct.clock.now / 1000, UTC)
    with pytest.raises(ContentMissing):
        reader.describe(gone)
    assert reader.manifest(digest(APP)).payload == APP.data
    assert reader.read(digest(APP.config)) == APP.config.data
    with pytest.raises(ContentTooLarge):
        reader.read(digest(APP.config), 10)
    assert [str(layer.digest) for layer in reader.layers(digest(APP)) if layer.digest] == [
        layer.digest for layer in APP.layers
    ]


def test_a_reader_tells_of_labels_its_own_first_and_the_latest_of_added_ones(direct, context):
    direct.push(APP, "v1")
    for key, value in (("text", "spoofed"), ("stage", "one"), ("stage", "two")):
        direct.services.labels.add(direct.actor, direct.repository, digest(APP), key, value)
    assert context.reader("team/app").labels(digest(APP)) == {"text": "app", "stage": "two"}


def test_a_reader_tells_of_referrers(direct, context):
    direct.push(APP, "v1")
    kinds = {"application/vnd.example.a": 2, "application/vnd.example.b": 1}
    made = [
        artifact(kind, Blob(f"{kind}{number}".encode()), subject=APP, annotations={"number": str(number)})
        for kind, count in kinds.items()
        for number in range(count)
    ]
    for one in made:
        direct.push(one)
    reader = context.reader("team/app")
    assert [str(one.digest) for one in reader.referrers(digest(APP))] == sorted(one.digest for one in made)
    (only,) = reader.referrers(digest(APP), "application/vnd.example.b")
    assert (str(only.digest), only.size, only.annotations, only.artifact_type) == (
        made[2].digest, len(made[2].data), {"number": "0"}, "application/vnd.example.b",
    )  # fmt: skip
    direct.delete_manifest(made[2])
    assert reader.referrers(digest(APP), "application/vnd.example.b") == []


def test_a_reader_does_not_read_what_other_repositories_have(direct, context):
    direct.push(APP, "v1", repository=RepositoryName.parse("team/secret"))
    direct.push(NEXT, "v1")
    with pytest.raises(ContentMissing):
        context.reader("team/app").read(digest(APP.config))


def test_tags_are_changed_as_the_plugin(direct, context):
    direct.push(APP, "v1")
    context.tags.set("team/app", "stable", digest(APP))
    assert direct.tag("stable").digest == APP.digest
    assert direct.tag("stable").actor == "plugin:robot"
    context.tags.end("team/app", "stable")
    assert direct.tags() == ["v1"]


def test_tags_that_cannot_be_changed_say_why(direct, context):
    direct.push(APP, "v1", "v2")
    direct.push(NEXT, "v3")
    direct.protect("v1")
    with pytest.raises(TagImmutable):
        context.tags.set("team/app", "v1", digest(NEXT))
    with pytest.raises(Denied):
        context.tags.end("team/app", "v1")
    for missing in (
        lambda: context.tags.set("team/app", "v4", ABSENT),
        lambda: context.tags.set("no/such", "v4", digest(APP)),
        lambda: context.tags.end("team/app", "v4"),
        lambda: context.tags.end("no/such", "v4"),
    ):
        with pytest.raises(LookupError):
            missing()
    for wrong in (lambda: context.tags.set("NO", "v4", ABSENT), lambda: context.tags.set("team/app", "a b", ABSENT)):
        with pytest.raises(ValueError):
            wrong()


def test_tags_of_a_plugin_need_admission_like_anybody_s(start):
    from registry.hooks import hookimpl

    class Strict:
        __name__ = "strict"

        @hookimpl
        def admit_tag_change(self, change):
            if change.actor == "plugin:robot":
                raise Denied("no robots")

    direct = start(plugins=[Strict()])
    direct.push(APP, "v1")
    with pytest.raises(Denied, match="refused by strict: no robots"):
        direct.services.contexts("robot").tags.set("team/app", "v2", digest(APP))


def test_repositories_are_all_there_are_in_bytewise_order(direct, context):
    assert list(context.repositories()) == []
    for name in ("b", "a/b", "a-b", "a"):
        direct.push(APP, repository=RepositoryName.parse(name))
    assert list(context.repositories()) == ["a", "a-b", "a/b", "b"]


def test_the_clock_is_the_registry_s_and_the_log_the_plugin_s(direct, context):
    assert context.clock() == datetime.fromtimestamp(direct.clock.now / 1000, UTC)
    assert (context.plugin, context.log.name, context.settings) == ("robot", "moorage.robot", None)

"""Manifests and blobs as the API shows them."""

import pytest

from registry.digest import Digest
from registry.errors import BlobUnknown, ManifestUnknown, NameUnknown
from registry.manifests.catalogue import ManifestSelection
from registry.names import RepositoryName
from registry.testing.images import artifact, image, index, layer, simple_image

OTHER = RepositoryName.parse("other/app")
SIGNATURE = "application/vnd.example.signature"


def listed(direct, limit=100, last=2**62, **selection):
    page = direct.services.manifests.list(direct.actor, direct.repository, ManifestSelection(**selection), limit, last)
    return [row.digest for row in page.items], page.more


def describe(direct, manifest):
    return direct.services.manifests.describe(direct.actor, direct.repository, Digest.parse(manifest.digest))


def blob(direct, part):
    return direct.services.blob_catalogue.describe(direct.actor, Digest.parse(part.digest))


def blob_in(direct, part, repository=None):
    where = repository or direct.repository
    return direct.services.blob_catalogue.describe_in(direct.actor, where, Digest.parse(part.digest))


def test_manifests_are_listed_newest_first_by_kind_and_pages(direct):
    one, two = simple_image("a"), artifact(SIGNATURE, subject=simple_image("a"))
    direct.push(one, "v1")
    direct.push(two)
    direct.push(simple_image("b"), repository=OTHER)
    assert listed(direct) == ([two.digest, one.digest], False)
    assert listed(direct, limit=1) == ([two.digest], True)
    last = describe(direct, two).row.id
    assert listed(direct, limit=1, last=last) == ([one.digest], False)
    assert listed(direct, artifact_type=SIGNATURE) == ([two.digest], False)
    assert listed(direct, media_type="text/plain") == ([], False)
    direct.delete_manifest(one)
    assert listed(direct) == ([two.digest], False)
    assert listed(direct, deleted=True) == ([one.digest], False)
    with pytest.raises(NameUnknown):
        direct.services.manifests.list(direct.actor, RepositoryName.parse("nobody"), ManifestSelection(), 1, 2**62)


def test_a_manifest_is_described_with_all_that_belongs_to_it(direct):
    one = image(layer({"f": b"a"}), layer({"g": b"b"}), labels={"a": "1", "b": "2"})
    both = index(one)
    direct.push(both, "v2", "v1")
    direct.push(artifact(SIGNATURE, subject=one))
    found = describe(direct, one)
    assert (found.tags, found.tag_count, found.label_count, found.referrer_count) == ([], 0, 2, 1)
    assert {part.digest for part in found.blobs} >= {one.config.digest, *(part.digest for part in one.layers)}
    assert all(part.present for part in found.blobs)
    images = found.legacy_images
    assert [item["parent_id"] for item in images] == [None, *(item["image_id"] for item in images[:-1])]
    above = describe(direct, both)
    assert (above.tags, above.tag_count, above.legacy_images) == (["v1", "v2"], 2, [])
    (child,) = above.children
    assert (child.digest, child.size, child.media_type) == (one.digest, len(one.data), one.media_type)
    with pytest.raises(ManifestUnknown):
        describe(direct, simple_image("nobody"))


def test_what_is_missing_is_told(sparse):
    one = simple_image("a")
    sparse.put(index(one), "v1")
    sparse.put(one)
    assert describe(sparse, index(one)).children[0].present
    assert {part.present for part in describe(sparse, one).blobs if part.digest == one.config.digest} == {False}
    sparse.delete_manifest(one)
    assert not describe(sparse, index(one)).children[0].present


def test_a_deleted_manifest_is_still_described(direct):
    direct.push(simple_image("a"), "v1")
    direct.delete_manifest(simple_image("a"))
    found = describe(direct, simple_image("a"))
    assert (found.row.deleted_at, found.tags, found.tag_count) == (direct.clock.now, [], 0)


def test_of_many_tags_the_first_are_named_and_all_are_counted(direct):
    direct.push(simple_image("a"), *(f"t{number:03}" for number in range(101)))
    found = describe(direct, simple_image("a"))
    assert (len(found.tags), found.tags[0], found.tag_count) == (100, "t000", 101)


def test_a_blob_names_its_repositories_and_its_manifests(direct):
    one = simple_image("a")
    direct.push(one, "v1")
    direct.push(one, "v1", repository=OTHER)
    row, repositories = blob(direct, one.config)
    assert (row.size, row.state) == (len(one.config.data), "LIVE")
    assert (repositories.names, repositories.count) == (["other/app", "team/app"], 2)
    _, manifests = blob_in(direct, one.config)
    assert (manifests.names, manifests.count) == ([one.digest], 1)
    direct.delete_manifest(one)
    assert blob_in(direct, one.config)[1].count == 0
    direct.services.blobs.delete(direct.actor, direct.repository, Digest.parse(one.config.digest))
    assert blob(direct, one.config)[1].names == ["other/app"]
    with pytest.raises(BlobUnknown):
        blob_in(direct, one.config)
    with pytest.raises(BlobUnknown):
        blob(direct, one)
    with pytest.raises(NameUnknown):
        blob_in(direct, one.config, RepositoryName.parse("nobody"))

"""What one request may hold in memory, however much there is."""

import pytest

from registry.digest import Digest
from registry.manifests import referrers
from registry.manifests.referrers import Cursor
from registry.names import RepositoryName
from registry.testing.images import Blob, artifact, digest_of, simple_image

SUBJECT = simple_image("subject")
TYPE = "application/vnd.example.note"


def pages(direct, artifact_type, limit):
    """Return the digests of each page."""
    found, after, more = [], Cursor(), True
    while more:
        page = direct.services.referrers.list(
            direct.actor, direct.repository, Digest.parse(SUBJECT.digest), artifact_type, after, limit
        )
        found.append([referrer.descriptor["digest"] for referrer in page.items])
        more = page.more
        after = page.items[-1].cursor if page.items else after
    return found


@pytest.mark.parametrize("artifact_type", [None, TYPE])
def test_a_page_of_referrers_is_bounded_by_its_bytes_too(direct, artifact_type):
    direct.push(SUBJECT, "v1")
    long = [artifact(TYPE, annotations={"n": f"{number}" + "x" * 1_500_000}, subject=SUBJECT) for number in range(5)]
    for manifest in long:
        direct.push(manifest)
    digests = [manifest.digest for manifest in long]
    assert referrers.PAGE_BYTES == 4 * 1024 * 1024
    assert pages(direct, artifact_type, 1000) == [digests[:3], digests[3:]]
    assert pages(direct, artifact_type, 2) == [digests[:2], digests[2:4], digests[4:]]


def test_a_mount_from_anywhere_asks_for_few_of_many_repositories(direct, monkeypatch):
    digest, asked = Digest.parse(digest_of(b"base")), []
    direct.upload(Blob(b"base", "x"))
    names = [RepositoryName(f"other/{number:03}") for number in range(105)]
    for name in names:
        assert direct.services.mounts.mount(direct.actor, digest, name, direct.repository)
    authorize = direct.services.blobs._authorizer.authorize

    def count(requests):
        asked.append(len(requests))
        return authorize(requests)

    monkeypatch.setattr(direct.services.blobs._authorizer, "authorize", count)
    assert direct.services.mounts.mount(direct.actor, digest, RepositoryName("new/one"), None)
    assert max(asked) == 100
    assert direct.services.mounts.mount(direct.actor, digest, RepositoryName("new/two"), names[-1])

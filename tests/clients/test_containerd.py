"""containerd, spoken to by `ctr`."""

import tarfile

import pytest

from registry.testing.images import DOCKER, OCI, simple_image, simple_index
from tests.support.images import layout_blobs, write_layout
from tests.support.services import Containerd

pytestmark = pytest.mark.needs_tools

PULL = ["pull", "--plain-http", "--snapshotter", "native"]


@pytest.fixture(scope="module")
def containerd():
    with Containerd() as running:
        yield running


@pytest.fixture
def images(containerd, command):
    """`ctr images`, on a daemon that holds no image when the test begins."""
    yield (call := command("ctr", "-a", str(containerd.socket), "images"))
    if names := call("ls", "-q").split():
        call("rm", "--sync", *names)


@pytest.fixture
def kept(images, tmp_path):
    """Tell the blobs that the daemon keeps for an image."""

    def read(name, *flags):
        images("export", "--skip-manifest-json", *flags, tmp_path / "kept.tar", name)
        folder = tmp_path / "kept"
        with tarfile.open(tmp_path / "kept.tar") as archive:
            archive.extractall(folder, filter="data")
        return layout_blobs(folder)

    return read


def digests(images):
    return {line.split()[0]: line.split()[2] for line in images("ls").splitlines()[1:]}


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_an_image_is_pulled(images, kept, registry, repository, ref, flavour):
    sent = registry.push(repository, simple_image(repository, flavour), "1")
    images(*PULL, f"{ref}:1")
    assert digests(images) == {f"{ref}:1": sent.digest}
    assert kept(f"{ref}:1") == sent.everything()


def test_an_image_is_pulled_by_digest(images, kept, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository))
    images(*PULL, f"{ref}@{sent.digest}")
    assert digests(images) == {f"{ref}@{sent.digest}": sent.digest}
    assert kept(f"{ref}@{sent.digest}") == sent.everything()


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_all_of_an_index_is_pulled(images, kept, registry, repository, ref, flavour):
    sent = registry.push(repository, simple_index(repository, flavour), "1")
    images(*PULL, "--all-platforms", f"{ref}:1")
    assert digests(images) == {f"{ref}:1": sent.digest}
    assert kept(f"{ref}:1", "--all-platforms") == sent.everything()


@pytest.mark.parametrize("build", [simple_image, simple_index])
def test_what_was_imported_is_pushed(images, registry, repository, ref, tmp_path, build):
    sent = build(repository)
    folder = write_layout(tmp_path / "in", sent, names=["1"])
    with tarfile.open(tmp_path / "in.tar", "w") as archive:
        archive.add(folder, arcname=".")
    images("import", "--no-unpack", "--all-platforms", "--base-name", ref, tmp_path / "in.tar")
    assert digests(images) == {f"{ref}:1": sent.digest}

    images("push", "--plain-http", f"{ref}:1")
    assert registry.everything(repository, "1") == sent.everything()
    assert registry.tags(repository) == ["1"]


def test_what_was_pulled_is_pushed_elsewhere(images, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    images(*PULL, f"{ref}:1")
    images("tag", f"{ref}:1", f"{ref}/elsewhere:2")
    images("push", "--plain-http", f"{ref}/elsewhere:2")
    assert registry.everything(f"{repository}/elsewhere", "2") == sent.everything()


def test_what_is_pushed_again_stays(images, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    images(*PULL, f"{ref}:1")
    images("push", "--plain-http", f"{ref}:1")
    assert registry.everything(repository, "1") == sent.everything()
    assert registry.tags(repository) == ["1"]


def test_an_absent_tag_is_told(images, registry, repository, ref):
    registry.push(repository, simple_image(repository), "1")
    assert "not found" in images.refused(*PULL, f"{ref}:2")

"""skopeo: copies between formats, whole repositories, and what it tells about an image."""

import json

import pytest

from registry.testing.images import DOCKER, OCI, SIGNED_SCHEMA1, image, layer, simple_image, simple_index, untar
from tests.support.images import layout_blobs, write_layout

pytestmark = pytest.mark.needs_tools

ZSTD_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
EMPTY_LAYER = "sha256:a3ed95caeb02ffe68cdd9fd84406680ae93d633cb16422d00e8a7c22955b46d4"


@pytest.fixture
def skopeo(command, tmp_path):
    # As root it keeps what it learnt about blobs for the whole machine; as somebody, in its home.
    return command("skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), _CONTAINERS_ROOTLESS_UID="1000")


@pytest.fixture
def source(repository, tmp_path):
    """An image, and the name of its layout for skopeo."""
    sent = simple_image(repository)
    return sent, f"oci:{write_layout(tmp_path / 'in', sent, names=['1'])}:1"


def to_registry(skopeo, source, target, *flags):
    skopeo("copy", "--dest-tls-verify=false", *flags, source, f"docker://{target}")


def to_layout(skopeo, source, folder, *flags):
    skopeo("copy", "--src-tls-verify=false", *flags, f"docker://{source}", f"oci:{folder}:1")
    return layout_blobs(folder)


def test_an_oci_image_goes_there_and_back(skopeo, source, registry, repository, ref, tmp_path):
    sent, layout = source
    to_registry(skopeo, layout, f"{ref}:1", "--format", "oci")
    assert registry.everything(repository, "1") == sent.everything()
    assert to_layout(skopeo, f"{ref}:1", tmp_path / "out") == sent.everything()
    assert to_layout(skopeo, f"{ref}@{sent.digest}", tmp_path / "by-digest") == sent.everything()


def test_an_image_is_stored_as_schema_2(skopeo, source, registry, repository, ref, tmp_path):
    sent, layout = source
    to_registry(skopeo, layout, f"{ref}:1", "--format", "v2s2")
    stored = registry.manifest(repository, "1")
    assert stored.media_type == DOCKER.manifest
    assert stored.body["config"]["digest"] == sent.config.digest
    assert [one["digest"] for one in stored.body["layers"]] == [one.digest for one in sent.layers]

    skopeo("copy", "--src-tls-verify=false", f"docker://{ref}:1", f"dir:{tmp_path / 'out'}")
    assert (tmp_path / "out" / "manifest.json").read_bytes() == stored.payload
    for part in sent.blobs:
        assert (tmp_path / "out" / part.digest.removeprefix("sha256:")).read_bytes() == part.data


def test_an_image_is_stored_as_signed_schema_1(skopeo, source, registry, repository, ref, tmp_path):
    sent, layout = source
    to_registry(skopeo, layout, f"{ref}:1", "--format", "v2s1")
    stored = registry.manifest(repository, "1")
    assert stored.media_type == SIGNED_SCHEMA1
    assert (stored.body["name"], stored.body["tag"]) == (repository, "1")
    sums = [one["blobSum"] for one in stored.body["fsLayers"]]
    assert sums == [EMPTY_LAYER, *(one.digest for one in reversed(sent.layers))]
    for number in sums:
        assert registry.blob(repository, number)
    leaf = json.loads(stored.body["history"][0]["v1Compatibility"])
    assert leaf["config"]["Labels"] == {"text": repository}

    shown = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{ref}:1"))
    assert shown["Digest"] == stored.digest
    arrived = to_layout(skopeo, f"{ref}:1", tmp_path / "out", "--format", "oci")
    for one in sent.layers:
        assert arrived[one.digest] == one.data


def test_all_of_an_index_goes_there_and_back(skopeo, registry, repository, ref, tmp_path):
    sent = simple_index(repository)
    layout = write_layout(tmp_path / "in", sent, names=["1"])
    to_registry(skopeo, f"oci:{layout}:1", f"{ref}:1", "--all")
    assert registry.everything(repository, "1") == sent.everything()
    assert to_layout(skopeo, f"{ref}:1", tmp_path / "out", "--all") == sent.everything()


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_all_of_an_index_is_copied_to_another_repository(skopeo, registry, repository, ref, flavour):
    sent = registry.push(repository, simple_index(repository, flavour), "1")
    both = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    skopeo("copy", *both, "--all", f"docker://{ref}:1", f"docker://{ref}/elsewhere:2")
    assert registry.everything(f"{repository}/elsewhere", "2") == sent.everything()


def test_one_platform_of_an_index_is_copied(skopeo, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_index(repository), "1")
    chosen = sent.children[1]
    blobs = to_layout(skopeo, f"{ref}:1", tmp_path / "amd64")
    assert blobs == sent.children[0].everything()
    skopeo(
        "--override-arch", "arm64", "copy", "--src-tls-verify=false",
        f"docker://{ref}:1", f"oci:{tmp_path / 'arm64'}:1",
    )  # fmt: skip
    assert layout_blobs(tmp_path / "arm64") == chosen.everything()


def test_layers_are_compressed_with_zstd(skopeo, registry, repository, ref, tmp_path):
    files = {"cargo": repository.encode() * 50}
    layout = write_layout(tmp_path / "in", image(layer(files, gzipped=False)), names=["1"])
    flags = ["--format", "oci", "--dest-compress-format", "zstd"]
    to_registry(skopeo, f"oci:{layout}:1", f"{ref}:1", *flags)

    stored = registry.manifest(repository, "1")
    assert [one["mediaType"] for one in stored.body["layers"]] == [ZSTD_LAYER]
    compressed = registry.blob(repository, stored.body["layers"][0]["digest"])
    assert compressed.startswith(b"\x28\xb5\x2f\xfd")

    skopeo("copy", "--src-tls-verify=false", "--dest-decompress", f"docker://{ref}:1", f"dir:{tmp_path / 'out'}")
    plain = json.loads((tmp_path / "out" / "manifest.json").read_bytes())["layers"][0]["digest"]
    assert untar((tmp_path / "out" / plain.partition(":")[2]).read_bytes()) == files


def test_a_repository_is_synced_out_and_in(skopeo, registry, repository, ref, tmp_path):
    sent = {
        "image": registry.push(repository, simple_image(repository), "image"),
        "multi": registry.push(repository, simple_index(repository), "multi"),
    }
    skopeo("sync", "--src-tls-verify=false", "--all", "--src", "docker", "--dest", "dir", ref, tmp_path)
    name = repository.rpartition("/")[2]
    for tag, content in sent.items():
        folder = tmp_path / f"{name}:{tag}"
        assert (folder / "manifest.json").read_bytes() == content.data
        skopeo("sync", "--dest-tls-verify=false", "--all", "--src", "dir", "--dest", "docker", folder, f"{ref}/back")
    assert registry.tags(f"{repository}/back/{name}") == ["image", "multi"]
    for tag, content in sent.items():
        assert registry.everything(f"{repository}/back/{name}", tag) == content.everything()


def test_a_repository_is_synced_to_another(skopeo, registry, repository, ref):
    sent = {f"v{number}": registry.push(repository, simple_image(f"{number}"), f"v{number}") for number in range(3)}
    both = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    skopeo("sync", *both, "--all", "--src", "docker", "--dest", "docker", ref, f"{ref}/mirror")
    mirror = f"{repository}/mirror/{repository.rpartition('/')[2]}"
    assert registry.tags(mirror) == sorted(sent)
    for tag, content in sent.items():
        assert registry.everything(mirror, tag) == content.everything()


def test_an_image_is_inspected(skopeo, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1", "2")
    inspect = ["inspect", "--tls-verify=false"]
    shown = json.loads(skopeo(*inspect, f"docker://{ref}:1"))
    assert shown["Digest"] == sent.digest
    assert shown["RepoTags"] == ["1", "2"]
    assert shown["Labels"] == {"text": repository}
    assert shown["Layers"] == [one.digest for one in sent.layers]
    assert skopeo(*inspect, "--raw", f"docker://{ref}:1").encode() == sent.data
    assert skopeo(*inspect, "--config", "--raw", f"docker://{ref}:1").encode() == sent.config.data


def test_tags_are_listed(skopeo, registry, repository, ref):
    registry.push(repository, simple_image(repository), "b", "a", "C")
    listed = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{ref}"))
    assert listed == {"Repository": ref, "Tags": ["C", "a", "b"]}


def test_an_image_is_deleted_with_its_tags(skopeo, registry, repository, ref):
    gone = registry.push(repository, simple_image("gone"), "1", "2")
    kept = registry.push(repository, simple_image("kept"), "3")
    skopeo("delete", "--tls-verify=false", f"docker://{ref}:1")
    assert not registry.has_manifest(repository, gone.digest)
    assert registry.tags(repository) == ["3"]
    assert registry.everything(repository, "3") == kept.everything()
    assert "unknown" in skopeo.refused("inspect", "--tls-verify=false", f"docker://{ref}:1")

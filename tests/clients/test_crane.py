"""crane, the command of go-containerregistry."""

import json
import tarfile

import pytest

from registry.testing.images import DOCKER, OCI, image, index, layer, simple_image, simple_index, tar_of, untar
from tests.support.images import layout_blobs, write_layout

pytestmark = pytest.mark.needs_tools


@pytest.fixture
def crane(command):
    return command("crane", "--insecure")


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_an_image_is_pushed_and_pulled(crane, registry, repository, ref, tmp_path, flavour):
    sent = simple_image("crane", flavour)
    crane("push", write_layout(tmp_path / "in", sent), f"{ref}:1")

    assert registry.everything(repository, "1") == sent.everything()
    assert registry.tags(repository) == ["1"]

    crane("pull", "--format=oci", f"{ref}:1", tmp_path / "out")
    assert layout_blobs(tmp_path / "out") == sent.everything()


def test_an_index_is_pushed_and_pulled(crane, registry, repository, ref, tmp_path):
    sent = simple_index("crane index")
    crane("push", "--index", write_layout(tmp_path / "in", *sent.children), f"{ref}:multi")

    arrived = registry.everything(repository, "multi")
    for child in sent.children:
        assert child.everything().items() <= arrived.items()

    crane("pull", "--format=oci", f"{ref}:multi", tmp_path / "out")
    assert layout_blobs(tmp_path / "out") == arrived


def test_a_tarball_holds_what_the_registry_serves(crane, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_image("tarball", DOCKER), "1")
    crane("pull", f"{ref}:1", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        found = {entry.name: archive.extractfile(entry).read() for entry in archive if entry.isfile()}
    assert found[sent.config.digest] == sent.config.data
    assert {one.data for one in sent.layers} <= set(found.values())


@pytest.mark.parametrize("build", [simple_image, simple_index])
def test_what_is_copied_keeps_its_digest(crane, registry, repository, ref, build):
    sent = registry.push(repository, build("copied"), "1")
    crane("copy", f"{ref}:1", f"{ref}/elsewhere:2")
    assert registry.everything(f"{repository}/elsewhere", "2") == sent.everything()
    assert registry.tags(f"{repository}/elsewhere") == ["2"]


def test_all_tags_of_a_repository_are_copied(crane, registry, repository, ref):
    sent = {f"v{number}": registry.push(repository, simple_image(f"{number}"), f"v{number}") for number in range(4)}
    crane("copy", "--all-tags", ref, f"{ref}/mirror")
    assert registry.tags(f"{repository}/mirror") == sorted(sent)
    for tag, content in sent.items():
        assert registry.everything(f"{repository}/mirror", tag) == content.everything()


def test_repositories_and_tags_are_listed(crane, registry, repository, ref, server):
    tags = ["Latest", "a", "b.1", "z_9"]
    registry.push(repository, simple_image("listed"), *tags)
    assert repository in crane("catalog", server.host).splitlines()
    assert crane("ls", ref).splitlines() == tags
    assert crane("ls", "--full-ref", ref).splitlines() == [f"{ref}:{tag}" for tag in tags]


def test_digests_manifests_configs_and_blobs_are_read(crane, registry, repository, ref):
    sent = registry.push(repository, simple_index("read"), "1")
    child = sent.children[1]
    assert crane("digest", f"{ref}:1").strip() == sent.digest
    assert crane("digest", "--platform", "linux/arm64", f"{ref}:1").strip() == child.digest
    assert crane("manifest", f"{ref}:1").encode() == sent.data
    assert crane("manifest", f"{ref}@{child.digest}").encode() == child.data
    assert crane("config", "--platform", "linux/arm64", f"{ref}:1").encode() == child.config.data
    assert crane("blob", f"{ref}@{child.config.digest}").encode() == child.config.data


def test_an_index_is_appended_to(crane, registry, repository, ref):
    first, second = (simple_image("appended", DOCKER, machine) for machine in ("amd64", "s390x"))
    registry.push(repository, index(first, flavour=DOCKER), "base")
    registry.push(repository, second, "s390x")
    crane("index", "append", f"{ref}:base", "-m", f"{ref}:s390x", "-t", f"{ref}:both")

    both = registry.manifest(repository, "both")
    assert [entry["digest"] for entry in both.body["manifests"]] == [first.digest, second.digest]
    assert both.body["manifests"][1]["platform"]["architecture"] == "s390x"
    assert registry.everything(repository, "both").keys() >= {
        *first.everything(),
        *second.everything(),
    }


def test_a_layer_is_appended(crane, registry, repository, ref, tmp_path):
    base = registry.push(repository, simple_image("base"), "1")
    (tmp_path / "more.tar").write_bytes(tar_of({"more": b"cargo"}))
    crane("append", "-b", f"{ref}:1", "-f", tmp_path / "more.tar", "-t", f"{ref}:2")

    grown = registry.everything(repository, "2")
    layers = [entry["digest"] for entry in registry.manifest(repository, "2").body["layers"]]
    assert layers[:-1] == [one.digest for one in base.layers]
    assert untar(grown[layers[-1]]) == {"more": b"cargo"}


def test_labels_and_annotations_are_changed(crane, registry, repository, ref):
    sent = registry.push(repository, simple_image("mutated"), "1")
    crane("mutate", f"{ref}:1", "--label", "port=Kiel", "--annotation", "pier=7", "-t", f"{ref}:2")

    changed = registry.manifest(repository, "2")
    config = json.loads(registry.blob(repository, changed.body["config"]["digest"]))
    assert config["config"]["Labels"] == {"text": "mutated", "port": "Kiel"}
    assert changed.body["annotations"] == {"pier": "7"}
    assert registry.manifest(repository, "1").digest == sent.digest


def test_a_file_system_is_exported(crane, registry, repository, ref, tmp_path):
    sent = registry.push(repository, image(layer({"a": b"old", "b": b"kept"}), layer({"a": b"new"})), "1")
    crane("export", f"{ref}@{sent.digest}", tmp_path / "fs.tar")
    assert untar((tmp_path / "fs.tar").read_bytes()) == {"a": b"new", "b": b"kept"}


def test_a_tag_is_set_and_deleted_and_its_sibling_stays(crane, registry, repository, ref):
    sent = registry.push(repository, simple_image("tagged"), "1")
    crane("tag", f"{ref}:1", "2")
    crane("tag", f"{ref}@{sent.digest}", "3")
    assert registry.tags(repository) == ["1", "2", "3"]
    assert registry.digest(repository, "3") == sent.digest

    crane("delete", f"{ref}:2")
    assert registry.tags(repository) == ["1", "3"]
    assert "MANIFEST_UNKNOWN" in crane.refused("manifest", f"{ref}:2")
    assert registry.everything(repository, "1") == sent.everything()


def test_a_manifest_is_deleted_with_its_tags(crane, registry, repository, ref):
    gone = registry.push(repository, simple_image("deleted"), "1", "2")
    kept = registry.push(repository, simple_image("kept"), "3")
    crane("delete", f"{ref}@{gone.digest}")
    assert not registry.has_manifest(repository, gone.digest)
    assert registry.tags(repository) == ["3"]
    assert registry.everything(repository, "3") == kept.everything()


@pytest.mark.parametrize("build", [simple_image, simple_index])
def test_what_is_stored_is_valid(crane, registry, repository, ref, build):
    registry.push(repository, build("valid"), "1")
    assert "PASS" in crane("validate", "--remote", f"{ref}:1")

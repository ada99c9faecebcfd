"""buildah: builds from nothing and from what the registry has, and keeps its cache there."""

import json

import pytest

from registry.testing.images import DOCKER, OCI, simple_image, untar

pytestmark = pytest.mark.needs_tools


@pytest.fixture
def buildah(container_tool):
    yield (call := container_tool("buildah", BUILDAH_ISOLATION="chroot"))
    call("rmi", "--all", "--force")


def build(buildah, context, tag, *flags):
    return buildah("bud", *flags, "-t", tag, context)


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_an_image_is_built_pushed_and_pulled(buildah, registry, repository, ref, build_context, tmp_path, flavour):
    build(buildah, build_context, f"{ref}:1", "--format", flavour.name)
    buildah("push", "--digestfile", tmp_path / "digest", f"{ref}:1")

    stored = registry.manifest(repository, "1")
    assert stored.digest == (tmp_path / "digest").read_text()
    assert stored.media_type == flavour.manifest
    arrived = registry.everything(repository, "1")
    files = [untar(arrived[one["digest"]]) for one in stored.body["layers"]]
    assert files == [{"hold/cargo.txt": repository.encode()}]
    config = json.loads(arrived[stored.body["config"]["digest"]])
    assert config["config"]["Labels"]["port"] == "Kiel"

    buildah("rmi", "--all", "--force")
    pulled = buildah("pull", "--quiet", f"{ref}:1").strip()
    assert f"sha256:{pulled}" == stored.body["config"]["digest"]


def test_an_image_is_built_on_one_that_is_pulled(buildah, registry, repository, ref, build_context):
    base = registry.push(repository, simple_image(repository), "base")
    (build_context / "Dockerfile").write_text(f"FROM {ref}:base\nCOPY cargo.txt /cargo.txt\n")
    build(buildah, build_context, f"{ref}:2")
    buildah("push", f"{ref}:2")

    arrived = registry.everything(repository, "2")
    layers = [one["digest"] for one in registry.manifest(repository, "2").body["layers"]]
    assert [untar(arrived[one]) for one in layers] == [
        *(untar(one.data) for one in base.layers),
        {"cargo.txt": repository.encode()},
    ]


def test_layers_are_cached_in_the_registry(buildah, registry, repository, ref, build_context):
    first = build(buildah, build_context, "first", "--layers", "--cache-to", f"{ref}/cache")
    assert "Pushing cache" in first
    kept = registry.tags(f"{repository}/cache")
    assert len(kept) == 2
    for tag in kept:
        registry.everything(f"{repository}/cache", tag)
    made = buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", "first")

    buildah("rmi", "--all", "--force")
    second = build(buildah, build_context, "second", "--layers", "--cache-from", f"{ref}/cache")
    assert second.count("Cache pulled from remote") == 2
    assert buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", "second") == made


def test_a_manifest_list_is_built_and_pushed(buildah, registry, repository, ref, build_context, tmp_path):
    for machine in ("amd64", "arm64"):
        flags = ["--arch", machine, "--manifest", "both"]
        build(buildah, build_context, f"{machine}", *flags)
    # Without the flag this one command fails at the first image it meets, and says nothing.
    buildah(
        "manifest", "push", "--tls-verify=false", "--all", "--digestfile", tmp_path / "digest", "both",
        f"docker://{ref}:both",
    )  # fmt: skip
    stored = registry.manifest(repository, "both")
    assert stored.digest == (tmp_path / "digest").read_text()
    assert [one["platform"]["architecture"] for one in stored.body["manifests"]] == ["amd64", "arm64"]
    arrived = registry.everything(repository, "both")
    for one in stored.body["manifests"]:
        child = json.loads(arrived[one["digest"]])
        assert untar(arrived[child["layers"][0]["digest"]]) == {"hold/cargo.txt": repository.encode()}

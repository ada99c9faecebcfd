"""podman with an image store of its own."""

import json

import pytest

from registry.testing.images import DOCKER, OCI, simple_image, simple_index, untar
from tests.support.images import saved_files, write_layout

pytestmark = pytest.mark.needs_tools


@pytest.fixture
def podman(container_tool, image_store):
    yield (call := container_tool("podman", "--tmpdir", f"{image_store}/tmp"))
    call("rmi", "--all", "--force")


@pytest.fixture
def loaded(podman, repository, ref, tmp_path):
    """An image that podman knows as REF:1."""
    sent = simple_image(repository)
    podman("pull", f"oci:{write_layout(tmp_path / 'in', sent)}")
    podman("tag", sent.config.digest.removeprefix("sha256:"), f"{ref}:1")
    return sent


def saved(podman, name, tmp_path):
    podman("save", "--format", "docker-archive", "-o", tmp_path / "saved.tar", name)
    return saved_files(tmp_path / "saved.tar")


def files_of(content):
    return {name: data for one in content.layers for name, data in untar(one.data).items()}


def test_an_image_is_pushed_and_pulled(podman, loaded, registry, repository, ref, tmp_path):
    podman("push", "--digestfile", tmp_path / "digest", f"{ref}:1")
    digest = (tmp_path / "digest").read_text()
    stored = registry.manifest(repository, "1")
    assert stored.digest == digest
    assert stored.media_type == OCI.manifest
    arrived = registry.everything(repository, "1")
    assert arrived[loaded.config.digest] == loaded.config.data
    layers = [untar(arrived[one["digest"]]) for one in stored.body["layers"]]
    assert layers == [untar(one.data) for one in loaded.layers]

    podman("rmi", "--all", "--force")
    podman("pull", f"{ref}:1")
    assert podman("image", "inspect", "--format", "{{.Digest}}", f"{ref}:1").strip() == digest
    assert saved(podman, f"{ref}:1", tmp_path) == files_of(loaded)


def test_an_image_is_pushed_as_schema_2(podman, loaded, registry, repository, ref):
    podman("push", "--format", "v2s2", f"{ref}:1")
    stored = registry.manifest(repository, "1")
    assert stored.media_type == DOCKER.manifest
    assert stored.body["config"]["digest"] == loaded.config.digest
    registry.everything(repository, "1")


def test_an_image_is_pulled_by_digest(podman, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_image(repository, DOCKER))
    podman("pull", f"{ref}@{sent.digest}")
    shown = json.loads(podman("image", "inspect", f"{ref}@{sent.digest}"))[0]
    assert shown["Id"] == sent.config.digest.removeprefix("sha256:")
    assert shown["Labels"] == {"text": repository}
    assert saved(podman, f"{ref}@{sent.digest}", tmp_path) == files_of(sent)


def test_the_platform_of_an_index_is_pulled(podman, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_index(repository), "1")
    for machine, child in zip(("amd64", "arm64"), sent.children, strict=True):
        podman("pull", "--platform", f"linux/{machine}", f"{ref}:1")
        found = podman("image", "inspect", "--format", "{{.Id}} {{.Architecture}}", f"{ref}:1").split()
        assert found == [child.config.digest.removeprefix("sha256:"), machine]


def test_all_tags_are_pulled(podman, registry, repository, ref):
    sent = {f"v{number}": registry.push(repository, simple_image(f"{number}"), f"v{number}") for number in range(3)}
    podman("pull", "--all-tags", ref)
    for tag, content in sent.items():
        found = podman("image", "inspect", "--format", "{{.Digest}}", f"{ref}:{tag}").strip()
        assert found == content.digest


def test_a_manifest_list_is_pushed_and_pulled(podman, registry, repository, ref, tmp_path):
    parts = [registry.push(repository, one) for one in simple_index(repository).children]
    podman("manifest", "create", f"{ref}:list")
    for part in parts:
        podman("manifest", "add", f"{ref}:list", f"docker://{ref}@{part.digest}")
    podman("manifest", "push", "--all", "--digestfile", tmp_path / "digest", f"{ref}:list", f"docker://{ref}:list")

    stored = registry.manifest(repository, "list")
    assert stored.digest == (tmp_path / "digest").read_text()
    assert stored.media_type == OCI.index
    found = [(one["digest"], one["platform"]["architecture"]) for one in stored.body["manifests"]]
    assert found == [(part.digest, part.platform["architecture"]) for part in parts]
    registry.everything(repository, "list")

    podman("rmi", "--all", "--force")
    podman("pull", f"{ref}:list")
    found = podman("image", "inspect", "--format", "{{.Id}}", f"{ref}:list").strip()
    assert f"sha256:{found}" == parts[0].config.digest


def test_a_manifest_list_is_pushed_in_docker_s_format(podman, registry, repository, ref):
    part = registry.push(repository, simple_image(repository, DOCKER))
    podman("manifest", "create", f"{ref}:list")
    podman("manifest", "add", f"{ref}:list", f"docker://{ref}@{part.digest}")
    podman("manifest", "push", "--format", "v2s2", f"{ref}:list", f"docker://{ref}:list")
    stored = registry.manifest(repository, "list")
    assert stored.media_type == DOCKER.index
    assert [one["digest"] for one in stored.body["manifests"]] == [part.digest]
    shown = json.loads(podman("manifest", "inspect", f"{ref}:list"))
    assert shown["manifests"][0]["digest"] == part.digest


def test_tags_are_searched(podman, registry, repository, ref):
    registry.push(repository, simple_image(repository), "b", "a")
    found = json.loads(podman("search", "--list-tags", "--format", "json", ref))
    assert found == [{"Name": ref, "Tags": ["a", "b"]}]


def test_an_absent_tag_is_told(podman, registry, repository, ref):
    registry.push(repository, simple_image(repository), "1")
    assert "manifest unknown" in podman.refused("pull", f"{ref}:2")

"""Docker's own client and daemon, and the BuildKit inside it."""

import json

import pytest

from registry.testing.images import DOCKER, OCI, simple_image, simple_index, untar
from tests.support.images import saved_files, write_layout
from tests.support.services import Dockerd

pytestmark = pytest.mark.needs_tools


@pytest.fixture(scope="module")
def daemon(server):
    with Dockerd(insecure_registries=(server.host,)) as running:
        yield running


@pytest.fixture
def docker(daemon, command):
    """The client, on a daemon that holds no image when the test begins."""
    call = command("docker", DOCKER_HOST=f"unix://{daemon.socket}", BUILDKIT_PROGRESS="plain")
    yield call
    call("system", "prune", "--all", "--force")


@pytest.fixture
def built(docker, build_context, ref):
    """The name of an image that the daemon has built."""
    docker("build", "-t", f"{ref}:1", build_context)
    return f"{ref}:1"


def forget(docker):
    docker("system", "prune", "--all", "--force")
    assert docker("image", "ls", "-q") == ""


def inspected(docker, name):
    return json.loads(docker("image", "inspect", name))[0]


def files_of(docker, name, tmp_path):
    docker("save", "-o", tmp_path / "saved.tar", name)
    return saved_files(tmp_path / "saved.tar")


def test_a_built_image_is_pushed_and_pulled(docker, built, registry, repository, ref, tmp_path):
    image_id = inspected(docker, built)["Id"]
    docker("push", built)
    stored = registry.manifest(repository, "1")
    assert stored.media_type == DOCKER.manifest
    assert stored.body["config"]["digest"] == image_id
    arrived = registry.everything(repository, "1")
    assert json.loads(arrived[image_id])["config"]["Labels"] == {"port": "Kiel"}
    files = [untar(arrived[one["digest"]]) for one in stored.body["layers"]]
    assert files == [{"hold/cargo.txt": repository.encode()}]

    forget(docker)
    docker("pull", built)
    shown = inspected(docker, built)
    assert shown["Id"] == image_id
    assert shown["RepoDigests"] == [f"{ref}@{stored.digest}"]
    assert files_of(docker, built, tmp_path) == {"hold/cargo.txt": repository.encode()}


def test_an_image_is_pulled_by_digest(docker, built, registry, repository, ref):
    docker("push", built)
    image_id = inspected(docker, built)["Id"]
    digest = registry.digest(repository, "1")
    forget(docker)
    assert f"Digest: {digest}" in docker("pull", f"{ref}@{digest}")
    assert inspected(docker, f"{ref}@{digest}")["Id"] == image_id


def test_what_is_pushed_again_is_there_already(docker, built, registry, repository):
    docker("push", built)
    before = registry.manifest(repository, "1")
    again = docker("push", built)
    assert "Layer already exists" in again
    assert f"digest: {before.digest}" in again
    assert registry.manifest(repository, "1") == before
    assert registry.tags(repository) == ["1"]


def test_all_tags_are_pushed_and_pulled(docker, built, registry, repository, ref):
    for tag in ("2", "3"):
        docker("tag", built, f"{ref}:{tag}")
    docker("push", "--all-tags", ref)
    assert registry.tags(repository) == ["1", "2", "3"]
    assert len({registry.digest(repository, tag) for tag in ("1", "2", "3")}) == 1

    forget(docker)
    docker("pull", "--all-tags", ref)
    assert len(docker("image", "ls", "-q", ref).split()) == 3


def test_a_layer_is_mounted_from_another_repository(docker, built, registry, repository, ref):
    docker("push", built)
    docker("tag", built, f"{ref}/elsewhere:2")
    assert f"Mounted from {repository}" in docker("push", f"{ref}/elsewhere:2")
    assert registry.everything(f"{repository}/elsewhere", "2") == registry.everything(repository, "1")


def test_a_tag_moves_to_the_next_build(docker, built, build_context, registry, repository, tmp_path):
    docker("push", built)
    first = registry.manifest(repository, "1")
    (build_context / "cargo.txt").write_text("another freight")
    docker("build", "-t", built, build_context)
    docker("push", built)

    assert registry.digest(repository, "1") != first.digest
    assert registry.manifest(repository, first.digest) == first
    forget(docker)
    docker("pull", built)
    assert files_of(docker, built, tmp_path) == {"hold/cargo.txt": b"another freight"}


def test_a_manifest_list_is_created_annotated_and_pushed(docker, registry, repository, ref):
    parts = simple_index(repository, DOCKER).children
    for number, part in enumerate(parts):
        registry.push(repository, part, f"{number}")
    docker("manifest", "create", "--insecure", f"{ref}:list", f"{ref}:0", f"{ref}:1")
    docker("manifest", "annotate", f"{ref}:list", f"{ref}:1", "--arch", "arm", "--variant", "v7")
    digest = docker("manifest", "push", "--insecure", f"{ref}:list").split()[-1]

    stored = registry.manifest(repository, "list")
    assert (stored.digest, stored.media_type) == (digest, DOCKER.index)
    assert [(one["digest"], one["platform"]) for one in stored.body["manifests"]] == [
        (parts[0].digest, {"architecture": "amd64", "os": "linux"}),
        (parts[1].digest, {"architecture": "arm", "os": "linux", "variant": "v7"}),
    ]
    shown = json.loads(docker("manifest", "inspect", "--insecure", f"{ref}:list"))
    assert shown == stored.body

    docker("pull", f"{ref}:list")
    assert inspected(docker, f"{ref}:list")["Id"] == parts[0].config.digest


@pytest.mark.parametrize("flavour", [OCI, DOCKER], ids=lambda one: one.name)
def test_the_platform_of_an_index_is_pulled(docker, registry, repository, ref, tmp_path, flavour):
    sent = registry.push(repository, simple_index(repository, flavour), "1")
    for machine, child in zip(("amd64", "arm64"), sent.children, strict=True):
        assert f"Digest: {sent.digest}" in docker("pull", "--platform", f"linux/{machine}", f"{ref}:1")
        assert inspected(docker, f"{ref}:1")["Id"] == child.config.digest
        assert files_of(docker, f"{ref}:1", tmp_path) == {
            f"base-{machine}.txt": b"base",
            "text": repository.encode(),
        }


def test_a_signed_schema_1_image_is_pulled(docker, command, registry, repository, ref, tmp_path):
    layout = write_layout(tmp_path / "in", simple_image(repository), names=["1"])
    skopeo = command("skopeo", "--insecure-policy", _CONTAINERS_ROOTLESS_UID="1000")
    skopeo("copy", "--dest-tls-verify=false", "--format", "v2s1", f"oci:{layout}:1", f"docker://{ref}:1")
    assert f"Digest: {registry.digest(repository, '1')}" in docker("pull", f"{ref}:1")
    assert files_of(docker, f"{ref}:1", tmp_path) == {
        "base-amd64.txt": b"base",
        "text": repository.encode(),
    }


def test_buildkit_takes_its_cache_from_a_pushed_image(
    daemon, docker, command, build_context, registry, repository, ref
):
    buildkit = command("docker", DOCKER_HOST=f"unix://{daemon.socket}", DOCKER_BUILDKIT="1")
    buildkit("build", "-t", f"{ref}:1", "--build-arg", "BUILDKIT_INLINE_CACHE=1", build_context)
    buildkit("push", f"{ref}:1")
    stored = registry.manifest(repository, "1")
    config = json.loads(registry.blob(repository, stored.body["config"]["digest"]))
    assert "moby.buildkit.cache.v0" in config

    forget(docker)
    again = buildkit.run("build", "--progress=plain", "-t", f"{ref}:2", "--cache-from", f"{ref}:1", build_context)
    assert again.returncode == 0, again.stderr
    assert f"importing cache manifest from {ref}:1" in again.stderr
    assert "CACHED" in again.stderr


def test_buildkit_builds_on_a_pulled_image(daemon, docker, command, build_context, registry, repository, ref, tmp_path):
    registry.push(repository, simple_index(repository), "base")
    (build_context / "Dockerfile").write_text(f"FROM {ref}:base\nCOPY cargo.txt /more\n")
    command("docker", DOCKER_HOST=f"unix://{daemon.socket}", DOCKER_BUILDKIT="1")(
        "build", "-t", f"{ref}:1", build_context
    )
    docker("push", f"{ref}:1")
    assert files_of(docker, f"{ref}:1", tmp_path) == {
        "base-amd64.txt": b"base",
        "text": repository.encode(),
        "more": repository.encode(),
    }
    arrived = registry.everything(repository, "1")
    layers = registry.manifest(repository, "1").body["layers"]
    assert untar(arrived[layers[-1]["digest"]]) == {"more": repository.encode()}


def test_an_absent_tag_is_told(docker, registry, repository, ref):
    registry.push(repository, simple_image(repository), "1")
    assert "manifest unknown" in docker.refused("pull", f"{ref}:2")

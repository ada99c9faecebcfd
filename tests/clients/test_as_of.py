"""A repository as it was at a time, pulled by clients that know nothing of it but its name."""

import json
import time
from datetime import UTC, datetime

import pytest

from registry.testing.images import image, layer, simple_index
from tests.support.images import layout_blobs, write_layout

pytestmark = pytest.mark.needs_tools

OLD, NEW = simple_index("as of then"), image(layer({"f": b"as of now"}))


@pytest.fixture
def then(server, registry, repository):
    """Push an image, another over it in the next second, and delete the first; give the name of what was."""
    registry.push(repository, OLD, "1", "gone")
    second = int(time.time()) + 1
    while time.time() <= second:
        registry.tags(repository)
    registry.push(repository, NEW, "1")
    registry.delete_manifest(repository, OLD.digest)
    return f"{server.host}/as-of.{datetime.fromtimestamp(second, UTC):%Y%m%dt%H%M%Sz}/{repository}"


def test_crane_lists_and_pulls_what_was(command, then, ref, tmp_path):
    crane = command("crane", "--insecure")
    assert crane("ls", then).split() == ["1", "gone"]
    assert crane("digest", f"{then}:1").strip() == OLD.digest
    assert crane("digest", f"{ref}:1").strip() == NEW.digest
    crane("pull", "--format=oci", f"{then}:1", tmp_path / "out")
    assert layout_blobs(tmp_path / "out") == OLD.everything()
    crane("copy", f"{then}:gone", f"{ref}:back")
    assert crane("digest", f"{ref}:back").strip() == OLD.digest


def test_what_was_takes_no_push(command, then, ref, tmp_path):
    crane = command("crane", "--insecure")
    assert "cannot be changed" in crane.refused("push", write_layout(tmp_path / "in", NEW), f"{then}:2")
    assert crane("ls", ref).split() == ["1"]


def test_skopeo_copies_what_was(command, then, tmp_path):
    skopeo = command("skopeo", "--insecure-policy", "--tmpdir", str(tmp_path), _CONTAINERS_ROOTLESS_UID="1000")
    shown = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{then}:gone"))
    assert shown["RepoTags"] == ["1", "gone"]
    skopeo("copy", "--src-tls-verify=false", "--all", f"docker://{then}:gone", f"oci:{tmp_path / 'out'}:1")
    assert layout_blobs(tmp_path / "out") == OLD.everything()


def test_podman_pulls_what_was(container_tool, image_store, then):
    podman = container_tool("podman", "--tmpdir", f"{image_store}/tmp")
    podman("pull", f"{then}:1")
    podman("image", "exists", f"{then}:1")
    podman("rmi", "--all", "--force")

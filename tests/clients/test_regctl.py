"""regctl, the command of regclient."""

import json
import tarfile

import pytest

from registry.testing.images import DOCKER, OCI, digest_of, image, layer, simple_image, simple_index, untar
from tests.support.images import layout_blobs

pytestmark = pytest.mark.needs_tools

SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature"
THING = "application/vnd.example.thing"


@pytest.fixture
def regctl(command, server):
    return command("regctl", "--host", f"reg={server.host},tls=disabled")


def put(regctl, text, *args):
    """Put an artifact with this text, and return its digest."""
    return regctl("artifact", "put", "--format", "{{.Manifest.GetDescriptor.Digest}}", *args, stdin=text).strip()


def listed(regctl, *args):
    found = json.loads(regctl("artifact", "list", "--format", "{{json .}}", *args))
    return [one["digest"] for one in found["descriptors"] or ()]


@pytest.mark.parametrize("build", [simple_image, simple_index])
def test_a_copy_takes_all_referrers_along(regctl, registry, repository, ref, build):
    sent = registry.push(repository, build(repository), "1")
    sbom = put(regctl, "of all", "--artifact-type", SBOM, "--subject", f"{ref}:1")
    below = put(regctl, "of the list", "--artifact-type", SIGNATURE, "--subject", f"{ref}@{sbom}")

    other = f"{repository}/elsewhere"
    regctl("image", "copy", "--referrers", f"{ref}:1", f"{ref}/elsewhere:2")
    assert registry.tags(other) == ["2"]
    assert registry.everything(other, "2") == sent.everything()
    for digest in (sbom, below):
        assert registry.everything(other, digest) == registry.everything(repository, digest)
    assert [one["digest"] for one in registry.referrers(other, sent.digest)] == [sbom]
    assert [one["digest"] for one in registry.referrers(other, sbom)] == [below]


def test_a_copy_takes_digest_tags_along(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    beside = sent.digest.replace(":", "-") + ".sig"
    signature = registry.push(repository, simple_image("signature"), beside)
    regctl("image", "copy", "--digest-tags", f"{ref}:1", f"{ref}/elsewhere:1")
    assert registry.tags(f"{repository}/elsewhere") == ["1", beside]
    assert registry.digest(f"{repository}/elsewhere", beside) == signature.digest


def test_an_image_is_exported_and_imported(regctl, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_index(repository), "1")
    regctl("image", "export", f"{ref}:1", tmp_path / "image.tar")
    with tarfile.open(tmp_path / "image.tar") as archive:
        archive.extractall(tmp_path / "out", filter="data")
    assert layout_blobs(tmp_path / "out") == sent.everything()

    regctl("image", "import", f"{ref}/back:1", tmp_path / "image.tar")
    assert registry.everything(f"{repository}/back", "1") == sent.everything()


def test_a_layout_is_copied_out_and_in(regctl, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_index(repository), "1")
    sbom = put(regctl, "of all", "--artifact-type", SBOM, "--subject", f"{ref}:1")
    layout = f"ocidir://{tmp_path}/out:1"
    regctl("image", "copy", "--referrers", f"{ref}:1", layout)
    assert sent.everything().items() <= layout_blobs(tmp_path / "out").items()
    regctl("image", "copy", "--referrers", layout, f"{ref}/back:1")
    assert registry.everything(f"{repository}/back", "1") == sent.everything()
    assert [one["digest"] for one in registry.referrers(f"{repository}/back", sent.digest)] == [sbom]


def test_an_image_is_modified(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    regctl("image", "mod", f"{ref}:1", "--create", "2", "--label", "port=Kiel", "--annotation", "[*]pier=7")
    changed = registry.manifest(repository, "2")
    arrived = registry.everything(repository, "2")
    assert changed.body["annotations"] == {"pier": "7"}
    for entry in changed.body["manifests"]:
        child = json.loads(arrived[entry["digest"]])
        assert child["annotations"] == {"pier": "7"}
        config = json.loads(arrived[child["config"]["digest"]])
        assert config["config"]["Labels"] == {"text": repository, "port": "Kiel"}
    assert registry.everything(repository, "1") == sent.everything()


def test_an_image_is_replaced(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    regctl("image", "mod", f"{ref}:1", "--replace", "--annotation", "pier=7")
    changed = registry.manifest(repository, "1")
    assert changed.body["annotations"] == {"pier": "7"}
    assert registry.everything(repository, sent.digest) == sent.everything()


def test_an_image_is_converted_to_docker_s_format_and_back(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    regctl("image", "mod", f"{ref}:1", "--create", "docker", "--to-docker")
    stored = registry.manifest(repository, "docker")
    assert stored.media_type == DOCKER.index
    assert {one["mediaType"] for one in stored.body["manifests"]} == {DOCKER.manifest}
    arrived = registry.everything(repository, "docker")
    for child in sent.children:
        assert child.config.digest in arrived

    regctl("image", "mod", f"{ref}:docker", "--create", "oci", "--to-oci")
    stored = registry.manifest(repository, "oci")
    assert stored.media_type == OCI.index
    assert {one["mediaType"] for one in stored.body["manifests"]} == {OCI.manifest}
    registry.everything(repository, "oci")


def test_an_image_is_digested_with_sha512(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    regctl("image", "mod", f"{ref}:1", "--create", "2", "--digest-algo", "sha512")
    arrived = registry.everything(repository, "2")
    assert {digest.partition(":")[0] for digest in arrived} == {"sha512"}
    files = [untar(data) for data in arrived.values() if data.startswith(b"\x1f\x8b")]
    for child in sent.children:
        assert all(untar(one.data) in files for one in child.layers)
    regctl("image", "copy", f"{ref}:2", f"{ref}/elsewhere:2")
    assert registry.everything(f"{repository}/elsewhere", "2") == arrived


def test_layers_are_compressed_with_zstd(regctl, registry, repository, ref, tmp_path):
    registry.push(repository, image(layer({"cargo": repository.encode()})), "1")
    regctl("image", "mod", f"{ref}:1", "--create", "2", "--layer-compress", "zstd")
    stored = registry.manifest(repository, "2")
    assert [one["mediaType"] for one in stored.body["layers"]] == [f"{OCI.layer}+zstd"]
    assert registry.blob(repository, stored.body["layers"][0]["digest"]).startswith(b"\x28\xb5\x2f\xfd")
    regctl("image", "get-file", f"{ref}:2", "cargo", tmp_path / "cargo")
    assert (tmp_path / "cargo").read_text() == repository


def test_a_layer_is_added(regctl, registry, repository, ref, tmp_path):
    sent = registry.push(repository, simple_image(repository), "1")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "file").write_text("below")
    regctl("image", "mod", f"{ref}:1", "--create", "2", "--layer-add", f"dir={tmp_path / 'more'}")
    layers = [one["digest"] for one in registry.manifest(repository, "2").body["layers"]]
    assert layers[:-1] == [one.digest for one in sent.layers]
    assert untar(registry.everything(repository, "2")[layers[-1]]) == {"file": b"below"}


def test_an_artifact_is_put_and_got(regctl, registry, repository, ref, tmp_path):
    (tmp_path / "cargo.txt").write_text(repository)
    digest = put(
        regctl, "", "--artifact-type", THING, "--annotation", "pier=7", "--file-title", "--strip-dirs",
        "-f", tmp_path / "cargo.txt", "-m", "text/plain", f"{ref}:1",
    )  # fmt: skip
    stored = registry.manifest(repository, "1")
    assert stored.digest == digest
    assert (stored.body["artifactType"], stored.body["annotations"]) == (THING, {"pier": "7"})
    (file,) = stored.body["layers"]
    assert (file["mediaType"], file["digest"]) == ("text/plain", digest_of(repository.encode()))
    assert regctl("artifact", "get", f"{ref}:1") == repository
    regctl("artifact", "get", "--output", tmp_path, f"{ref}@{digest}")
    assert regctl("manifest", "get", "--format", "raw-body", f"{ref}:1").encode() == stored.payload


def test_referrers_are_put_listed_and_got(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    sbom = put(regctl, "a list", "--artifact-type", SBOM, "--annotation", "pier=7", "--subject", f"{ref}:1")
    sign = put(regctl, "a name", "--artifact-type", SIGNATURE, "--annotation", "pier=8", "--subject", f"{ref}:1")
    arm = put(regctl, "a part", "--artifact-type", SBOM, "--platform", "linux/arm64", "--subject", f"{ref}:1")

    assert registry.tags(repository) == ["1"]
    assert sorted(listed(regctl, f"{ref}:1")) == sorted([sbom, sign])
    assert listed(regctl, "--filter-artifact-type", SBOM, f"{ref}:1") == [sbom]
    assert listed(regctl, "--filter-annotation", "pier=8", f"{ref}:1") == [sign]
    assert listed(regctl, "--filter-artifact-type", THING, f"{ref}:1") == []
    assert listed(regctl, "--platform", "linux/arm64", f"{ref}:1") == [arm]
    assert regctl("artifact", "get", "--subject", f"{ref}:1", "--filter-artifact-type", SBOM) == "a list"
    tree = regctl("artifact", "tree", f"{ref}:1")
    assert all(digest in tree for digest in (sent.digest, sbom, sign, arm))
    assert {one["digest"] for one in registry.referrers(repository, sent.digest)} == {sbom, sign}


def test_an_artifact_is_added_to_an_index(regctl, registry, repository, ref):
    for machine in ("amd64", "arm64"):
        put(regctl, machine, "--index", "--artifact-type", THING, "--platform", f"linux/{machine}", f"{ref}:1")
    stored = registry.manifest(repository, "1")
    assert [one["artifactType"] for one in stored.body["manifests"]] == [THING, THING]
    arrived = registry.everything(repository, "1")
    assert {digest_of(b"amd64"), digest_of(b"arm64")} <= arrived.keys()
    assert regctl("artifact", "get", "--platform", "linux/arm64", f"{ref}:1") == "arm64"


def test_tags_are_listed_and_deleted_and_siblings_stay(regctl, registry, repository, ref, server):
    sent = registry.push(repository, simple_index(repository), "1", "2", "3")
    assert regctl("tag", "ls", ref).split() == ["1", "2", "3"]
    assert regctl("tag", "ls", "--limit", "2", ref).split() == ["1", "2"]
    assert repository in regctl("repo", "ls", server.host).split()

    regctl("tag", "delete", f"{ref}:2")
    assert regctl("tag", "ls", ref).split() == registry.tags(repository) == ["1", "3"]
    assert registry.everything(repository, "3") == sent.everything()
    assert "not found" in regctl.refused("manifest", "head", f"{ref}:2")


def test_an_index_is_created_and_changed(regctl, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    amd, arm = sent.children
    regctl("index", "create", f"{ref}:2", "--ref", f"{ref}@{amd.digest}", "--annotation", "pier=7")
    made = registry.manifest(repository, "2")
    assert made.body["annotations"] == {"pier": "7"}
    assert [one["digest"] for one in made.body["manifests"]] == [amd.digest]

    regctl("index", "add", f"{ref}:2", "--ref", f"{ref}:1", "--platform", "linux/arm64")
    found = [
        (one["digest"], one["platform"]["architecture"]) for one in registry.manifest(repository, "2").body["manifests"]
    ]
    assert found == [(amd.digest, "amd64"), (arm.digest, "arm64")]
    assert sent.everything().items() - {(sent.digest, sent.data)} <= registry.everything(repository, "2").items()

    regctl("index", "delete", f"{ref}:2", "--platform", "linux/amd64")
    assert [one["digest"] for one in registry.manifest(repository, "2").body["manifests"]] == [arm.digest]


def test_blobs_and_manifests_are_put_and_got(regctl, registry, repository, ref):
    sent = simple_image(repository)
    for part in sent.layers:
        registry.push_blob(repository, part)
    config = sent.config.data.decode()
    assert sent.config.digest in regctl("blob", "put", ref, stdin=config)
    assert regctl("blob", "get", ref, sent.config.digest) == config
    regctl("manifest", "put", "--content-type", sent.media_type, f"{ref}:1", stdin=sent.data.decode())
    assert registry.everything(repository, "1") == sent.everything()
    assert regctl("image", "digest", f"{ref}:1").strip() == sent.digest
    regctl("manifest", "delete", f"{ref}@{sent.digest}")
    assert not registry.has_manifest(repository, "1")

"""oras: artifacts of any kind, and what refers to them."""

import json

import pytest

from registry.testing.images import EMPTY_TYPE, OCI, digest_of, simple_image, simple_index, untar

pytestmark = pytest.mark.needs_tools

SBOM = "application/vnd.example.sbom"
SIGNATURE = "application/vnd.example.signature"
THING = "application/vnd.example.thing"
HTTP = "--plain-http"


@pytest.fixture
def oras(command):
    return command("oras")


@pytest.fixture
def files(oras, repository):
    """Two files in oras's home, which is where it runs."""
    oras.home.mkdir()
    written = {"cargo.txt": repository.encode(), "list.json": b'{"port": "Kiel"}'}
    for name, data in written.items():
        (oras.home / name).write_bytes(data)
    return written


def attach(oras, subject, artifact_type, *args):
    made = oras("attach", HTTP, "--format", "json", "--artifact-type", artifact_type, subject, *args)
    return json.loads(made)["digest"]


def discovered(oras, subject, *flags):
    """The digests of what refers to a subject, and of what refers to that, as nested dicts."""

    def nested(node):
        return {one["digest"]: nested(one) for one in node.get("referrers") or ()}

    return nested(json.loads(oras("discover", HTTP, "--format", "json", *flags, subject)))


def test_files_are_pushed_and_pulled(oras, files, registry, repository, ref, tmp_path):
    pushed = oras(
        "push", HTTP, "--format", "json", "--artifact-type", THING, "--annotation", "pier=7",
        f"{ref}:1,2", "cargo.txt:text/plain", "list.json:application/json",
    )  # fmt: skip
    stored = registry.manifest(repository, "1")
    assert json.loads(pushed)["digest"] == stored.digest == registry.digest(repository, "2")
    assert registry.tags(repository) == ["1", "2"]
    assert (stored.body["artifactType"], stored.body["config"]["mediaType"]) == (THING, EMPTY_TYPE)
    assert stored.body["annotations"]["pier"] == "7"
    found = [(one["mediaType"], one["digest"]) for one in stored.body["layers"]]
    assert found == [
        ("text/plain", digest_of(files["cargo.txt"])),
        ("application/json", digest_of(files["list.json"])),
    ]

    oras("pull", HTTP, "--output", tmp_path / "out", f"{ref}@{stored.digest}")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    assert oras("manifest", "fetch", HTTP, f"{ref}:1").encode() == stored.payload
    shown = json.loads(oras("manifest", "fetch", HTTP, "--descriptor", f"{ref}:1"))
    assert shown == {"mediaType": OCI.manifest, "digest": stored.digest, "size": len(stored.payload)}


def test_an_artifact_with_a_config_of_its_own_is_pushed(oras, files, registry, repository, ref):
    oras("push", HTTP, "--config", "list.json:application/vnd.example.config+json", f"{ref}:1", "cargo.txt")
    stored = registry.manifest(repository, "1")
    assert stored.body["config"]["mediaType"] == "application/vnd.example.config+json"
    assert registry.everything(repository, "1").keys() == {stored.digest, *map(digest_of, files.values())}
    assert oras("manifest", "fetch-config", HTTP, f"{ref}:1").encode() == files["list.json"]


def test_a_folder_is_pushed_and_pulled(oras, files, registry, repository, ref, tmp_path):
    folder = oras.home / "hold"
    folder.mkdir()
    (folder / "deep").write_text("below")
    oras("push", HTTP, f"{ref}:1", "hold")
    packed = registry.manifest(repository, "1").body["layers"][0]["digest"]
    assert untar(registry.blob(repository, packed)) == {"hold/deep": b"below"}
    oras("pull", HTTP, "--output", tmp_path / "out", f"{ref}:1")
    assert (tmp_path / "out" / "hold" / "deep").read_text() == "below"


def test_what_is_attached_is_discovered(oras, files, registry, repository, ref, tmp_path):
    subject = registry.push(repository, simple_index(repository), "1")
    sbom = attach(oras, f"{ref}:1", SBOM, "--annotation", "pier=7", "cargo.txt:text/plain")
    signature = attach(oras, f"{ref}@{sbom}", SIGNATURE, "--annotation", "by=harbour master")

    assert registry.tags(repository) == ["1"]
    assert discovered(oras, f"{ref}:1") == {sbom: {signature: {}}}
    listed = registry.referrers(repository, subject.digest)
    assert [(one["digest"], one["artifactType"]) for one in listed] == [(sbom, SBOM)]
    assert listed[0]["annotations"]["pier"] == "7"
    assert listed[0]["size"] == len(registry.manifest(repository, sbom).payload)
    stored = registry.manifest(repository, sbom)
    assert stored.body["subject"] == subject.descriptor()
    listed = registry.referrers(repository, sbom)
    assert [(one["digest"], one["artifactType"]) for one in listed] == [(signature, SIGNATURE)]

    oras("pull", HTTP, "--output", tmp_path / "out", f"{ref}@{sbom}")
    assert (tmp_path / "out" / "cargo.txt").read_bytes() == files["cargo.txt"]


def test_referrers_are_found_by_type_and_platform(oras, files, registry, repository, ref):
    subject = registry.push(repository, simple_index(repository), "1")
    arm = subject.children[1]
    whole = attach(oras, f"{ref}:1", SBOM, "cargo.txt")
    sign = attach(oras, f"{ref}:1", SIGNATURE, "list.json")
    part = attach(oras, f"{ref}:1", SBOM, "--platform", "linux/arm64", "cargo.txt")

    assert discovered(oras, f"{ref}:1") == {whole: {}, sign: {}}
    assert discovered(oras, f"{ref}:1", "--artifact-type", SBOM) == {whole: {}}
    assert discovered(oras, f"{ref}:1", "--artifact-type", THING) == {}
    assert discovered(oras, f"{ref}@{arm.digest}") == {part: {}}
    assert [one["digest"] for one in registry.referrers(repository, subject.digest, SIGNATURE)] == [sign]
    assert registry.referrers(repository, subject.digest, THING) == []


def test_a_deleted_referrer_is_listed_no_more(oras, files, registry, repository, ref):
    subject = registry.push(repository, simple_image(repository), "1")
    kept = attach(oras, f"{ref}:1", SBOM, "cargo.txt")
    gone = attach(oras, f"{ref}:1", SIGNATURE, "list.json")
    oras("manifest", "delete", HTTP, "--force", f"{ref}@{gone}")
    assert not registry.has_manifest(repository, gone)
    assert discovered(oras, f"{ref}:1") == {kept: {}}
    assert [one["digest"] for one in registry.referrers(repository, subject.digest)] == [kept]


def test_a_copy_takes_all_referrers_along(oras, files, registry, repository, ref):
    subject = registry.push(repository, simple_index(repository), "1")
    sbom = attach(oras, f"{ref}:1", SBOM, "cargo.txt")
    signature = attach(oras, f"{ref}@{sbom}", SIGNATURE, "list.json")
    part = attach(oras, f"{ref}:1", SBOM, "--platform", "linux/amd64", "list.json")

    other = f"{repository}/elsewhere"
    oras("cp", "--recursive", "--from-plain-http", "--to-plain-http", f"{ref}:1", f"{ref}/elsewhere:1,2")
    assert registry.tags(other) == ["1", "2"]
    assert registry.everything(other, "2") == subject.everything()
    for digest in (sbom, signature, part):
        assert registry.everything(other, digest) == registry.everything(repository, digest)
    assert discovered(oras, f"{ref}/elsewhere:1") == {sbom: {signature: {}}}
    assert registry.referrers(other, subject.digest) == registry.referrers(repository, subject.digest)
    assert discovered(oras, f"{ref}/elsewhere@{subject.children[0].digest}") == {part: {}}


def test_a_copy_without_its_referrers(oras, files, registry, repository, ref):
    subject = registry.push(repository, simple_image(repository), "1")
    attach(oras, f"{ref}:1", SBOM, "cargo.txt")
    oras("cp", "--from-plain-http", "--to-plain-http", f"{ref}:1", f"{ref}/elsewhere:1")
    assert registry.everything(f"{repository}/elsewhere", "1") == subject.everything()
    assert registry.referrers(f"{repository}/elsewhere", subject.digest) == []


def test_a_backup_is_restored(oras, files, registry, repository, ref, tmp_path):
    subject = registry.push(repository, simple_index(repository), "1")
    sbom = attach(oras, f"{ref}:1", SBOM, "cargo.txt")
    oras("backup", HTTP, "--include-referrers", "--output", tmp_path / "kept.tar", f"{ref}:1")
    oras("restore", HTTP, "--input", tmp_path / "kept.tar", f"{ref}/back:1")
    assert registry.everything(f"{repository}/back", "1") == subject.everything()
    assert discovered(oras, f"{ref}/back:1") == {sbom: {}}
    assert registry.everything(f"{repository}/back", sbom) == registry.everything(repository, sbom)


def test_tags_and_repositories_are_listed(oras, registry, repository, ref, server):
    sent = registry.push(repository, simple_image(repository), "1")
    oras("tag", HTTP, f"{ref}:1", "3", "2")
    assert oras("repo", "tags", HTTP, ref).split() == ["1", "2", "3"]
    assert registry.digest(repository, "3") == sent.digest
    assert oras("resolve", HTTP, f"{ref}:2").strip() == sent.digest
    assert repository in oras("repo", "ls", HTTP, server.host).split()
    assert oras("repo", "ls", HTTP, f"{server.host}/clients/").split().count(repository.removeprefix("clients/")) == 1


def test_an_index_is_created(oras, registry, repository, ref):
    parts = simple_index(repository).children
    for number, part in enumerate(parts):
        registry.push(repository, part, f"{number}")
    oras("manifest", "index", "create", HTTP, "--annotation", "pier=7", f"{ref}:both", "0", parts[1].digest)
    stored = registry.manifest(repository, "both")
    assert stored.media_type == OCI.index
    assert stored.body["annotations"] == {"pier": "7"}
    assert stored.body["manifests"] == [part.descriptor(platform=part.platform) for part in parts]
    registry.everything(repository, "both")


def test_blobs_are_pushed_fetched_and_deleted(oras, files, registry, repository, ref):
    digest = digest_of(files["cargo.txt"])
    oras("blob", "push", HTTP, f"{ref}@{digest}", "cargo.txt")
    assert registry.blob(repository, digest) == files["cargo.txt"]
    assert oras("blob", "fetch", HTTP, "--output", "-", f"{ref}@{digest}").encode() == files["cargo.txt"]
    oras("blob", "delete", HTTP, "--force", f"{ref}@{digest}")
    assert "not found" in oras.refused("blob", "fetch", HTTP, "--output", "-", f"{ref}@{digest}")


def test_a_manifest_is_pushed_and_deleted(oras, files, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository))
    (oras.home / "manifest.json").write_bytes(sent.data)
    oras("manifest", "push", HTTP, f"{ref}:1,2", "manifest.json")
    assert registry.tags(repository) == ["1", "2"]
    assert registry.digest(repository, "2") == sent.digest
    oras("manifest", "delete", HTTP, "--force", f"{ref}@{sent.digest}")
    assert registry.tags(repository) == []
    assert "not found" in oras.refused("manifest", "fetch", HTTP, f"{ref}:1")

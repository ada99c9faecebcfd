"""cosign with a key of its own: what it signs and attests is found beside the image."""

import base64
import json

import pytest

from registry.testing.images import simple_image, simple_index

pytestmark = pytest.mark.needs_tools

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# Neither a transparency log nor any other service is to be had.
OFFLINE = ["--key", "cosign.key", "--use-signing-config=false", "--tlog-upload=false", "--yes"]
KNOWN = ["--key", "cosign.pub", "--insecure-ignore-tlog=true"]
HTTP = "--allow-http-registry"
OLD_FORMAT = "--new-bundle-format=false"


@pytest.fixture
def cosign(command):
    call = command("cosign", COSIGN_PASSWORD="harbour")
    call("generate-key-pair")
    return call


def verified(cosign, *args):
    """The digests of the signed manifests that cosign vouches for."""
    shown = json.loads(cosign("verify", HTTP, *KNOWN, *args))
    return [one["critical"]["image"]["docker-manifest-digest"] for one in shown]


def statements(cosign, name, kind):
    shown = cosign("verify-attestation", HTTP, *KNOWN, "--type", kind, name)
    return [json.loads(base64.b64decode(json.loads(line)["payload"])) for line in shown.splitlines()]


def subjects(statement):
    return [f"sha256:{one['digest']['sha256']}" for one in statement["subject"]]


@pytest.mark.parametrize("build", [simple_image, simple_index])
def test_an_image_is_signed_and_verified(cosign, registry, repository, ref, build):
    sent = registry.push(repository, build(repository), "1")
    cosign("sign", HTTP, *OFFLINE, f"{ref}@{sent.digest}")

    assert verified(cosign, f"{ref}:1") == [sent.digest]
    assert registry.tags(repository) == ["1"]
    (signature,) = registry.referrers(repository, sent.digest)
    assert signature["artifactType"] == BUNDLE
    stored = registry.manifest(repository, signature["digest"])
    assert stored.body["subject"]["digest"] == sent.digest
    bundle = json.loads(registry.blob(repository, stored.body["layers"][0]["digest"]))
    assert subjects(json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))) == [sent.digest]
    assert registry.everything(repository, "1") == sent.everything()


def test_every_image_of_an_index_is_signed(cosign, registry, repository, ref):
    sent = registry.push(repository, simple_index(repository), "1")
    cosign("sign", HTTP, *OFFLINE, "--recursive", f"{ref}@{sent.digest}")
    for one in (sent, *sent.children):
        assert verified(cosign, f"{ref}@{one.digest}") == [one.digest]
        assert len(registry.referrers(repository, one.digest)) == 1


def test_an_image_is_signed_in_the_format_with_tags(cosign, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    cosign("sign", HTTP, *OFFLINE, OLD_FORMAT, f"{ref}@{sent.digest}")
    cosign("sign", HTTP, *OFFLINE, OLD_FORMAT, "--annotations", "pier=7", f"{ref}@{sent.digest}")

    tag = sent.digest.replace(":", "-") + ".sig"
    assert registry.tags(repository) == ["1", tag]
    assert len(registry.manifest(repository, tag).body["layers"]) == 2
    assert verified(cosign, OLD_FORMAT, f"{ref}:1") == [sent.digest, sent.digest]
    assert verified(cosign, OLD_FORMAT, "--annotations", "pier=7", f"{ref}:1") == [sent.digest]


def test_an_image_is_attested_and_verified(cosign, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    (cosign.home / "predicate.json").write_text(json.dumps({"hold": repository}))
    flags = ["--predicate", "predicate.json", "--type", "https://example.com/cargo"]
    cosign("attest", HTTP, *OFFLINE, *flags, f"{ref}@{sent.digest}")

    (statement,) = statements(cosign, f"{ref}:1", "https://example.com/cargo")
    assert subjects(statement) == [sent.digest]
    assert statement["predicate"] == {"hold": repository}
    (listed,) = registry.referrers(repository, sent.digest, BUNDLE)
    assert listed["annotations"]["dev.sigstore.bundle.predicateType"] == "https://example.com/cargo"
    assert listed["digest"] in cosign("tree", HTTP, f"{ref}:1")


def test_attestations_are_told_apart(cosign, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    (cosign.home / "predicate.json").write_text("{}")
    cosign("sign", HTTP, *OFFLINE, f"{ref}@{sent.digest}")
    for kind in ("https://example.com/a", "https://example.com/b"):
        cosign("attest", HTTP, *OFFLINE, "--predicate", "predicate.json", "--type", kind, f"{ref}@{sent.digest}")
    assert len(registry.referrers(repository, sent.digest)) == 3
    # To `verify` an attestation by the key is a signature, too.
    assert verified(cosign, f"{ref}:1") == [sent.digest] * 3
    (statement,) = statements(cosign, f"{ref}:1", "https://example.com/b")
    assert statement["predicateType"] == "https://example.com/b"


def test_what_nobody_signed_is_refused(cosign, registry, repository, ref):
    signed = registry.push(repository, simple_image("signed"), "1")
    cosign("sign", HTTP, *OFFLINE, f"{ref}@{signed.digest}")
    registry.push(repository, simple_image("another"), "1")
    assert "no signatures found" in cosign.refused("verify", HTTP, *KNOWN, f"{ref}:1")
    assert verified(cosign, f"{ref}@{signed.digest}") == [signed.digest]


def test_another_key_s_signature_is_refused(cosign, registry, repository, ref):
    sent = registry.push(repository, simple_image(repository), "1")
    cosign("sign", HTTP, *OFFLINE, f"{ref}@{sent.digest}")
    cosign("generate-key-pair", "--output-key-prefix", "other")
    flags = ["--key", "other.pub", "--insecure-ignore-tlog=true"]
    assert "accepted signatures do not match" in cosign.refused("verify", HTTP, *flags, f"{ref}:1")

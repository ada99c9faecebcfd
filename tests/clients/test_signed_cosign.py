"""The plugin that asks for signatures, before a server and the real cosign: in both formats that it stores in.

Tags named `signed-…` are pulled with a signature only, `release-…` are given to what has one, and `attested-…` to what
has an attestation.
"""

import http
import json

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from registry.testing.client import RegistryClient
from registry.testing.images import Blob, Manifest, artifact, simple_image, simple_index, to_json
from tests.support.commands import Command
from tests.support.server import MoorageServer
from tests.support.tools import tool

pytestmark = pytest.mark.needs_tools

CARGO, MANIFEST_OF_LADING = "https://example.com/cargo", "https://example.com/manifest-of-lading"
FORMATS = {"referrers": (), "tags": ("--new-bundle-format=false",)}
OFFLINE = ("--use-signing-config=false", "--tlog-upload=false", "--yes", "--allow-http-registry")
MADE = {
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
both_formats = pytest.mark.parametrize("stored", FORMATS.values(), ids=FORMATS)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder of keys: `release` and `stranger` as cosign makes them, others as it takes them."""
    folder = tmp_path_factory.mktemp("keys")
    cosign = Command(tool("cosign"), folder, env={"COSIGN_PASSWORD": "harbour"})
    for name in ("release", "stranger"):
        cosign("generate-key-pair", "--output-key-prefix", name)
    for name, make in MADE.items():
        (folder / f"{name}.pem").write_bytes(make().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        cosign("import-key-pair", "--key", f"{name}.pem", "--output-key-prefix", name)
    return folder


@pytest.fixture(scope="module")
def server(keys, tmp_path_factory):
    rule = f'keys = ["{keys}/release.pub", "{keys}/p384.pub", "{keys}/rsa.pub"]'
    config = keys / "moorage.toml"
    config.write_text(f"""
[[plugins.signed.rules]]
tags = ["signed-*"]
{rule}

[[plugins.signed.rules]]
tags = ["release-*", "sha256-*"]
at = "tag"
{rule}

[[plugins.signed.rules]]
tags = ["attested-*"]
require = "attestation"
predicate_type = "{CARGO}"
at = "both"
{rule}

[[plugins.signed.rules]]
tags = ["edwards-*"]
keys = ["{keys}/ed25519.pub"]
""")
    data = tmp_path_factory.mktemp("signed") / "data"
    with MoorageServer(data, workers=2, threads=4, env={"MOORAGE_CONFIG": str(config)}) as running:
        yield running
    answers = [json.loads(line) for line in running.log.read_text().splitlines() if '"status"' in line]
    assert answers
    assert [answer for answer in answers if answer["status"] >= http.HTTPStatus.INTERNAL_SERVER_ERROR] == []


@pytest.fixture(scope="module")
def registry(server):
    with httpx.Client(base_url=server.url, timeout=30) as client:
        yield RegistryClient(client)


@pytest.fixture
def crane(command):
    return command("crane", "--insecure")


@pytest.fixture
def cosign(command, keys):
    """Make what cosign makes with one of the keys."""
    call = command("cosign", COSIGN_PASSWORD="harbour")

    def make(what, image, *flags, key="release"):
        call(what, "--key", keys / f"{key}.key", *OFFLINE, *flags, image)

    make.verify = lambda *args: call("verify", "--allow-http-registry", "--insecure-ignore-tlog=true", *args)
    return make


@pytest.fixture
def attest(cosign, tmp_path):
    (tmp_path / "predicate.json").write_text('{"hold": 7}')

    def make(image, kind, *flags, key="release"):
        cosign("attest", image, "--predicate", tmp_path / "predicate.json", "--type", kind, *flags, key=key)

    return make


@pytest.fixture
def sent(registry, repository):
    """An image under a tag of each rule for pulls, and by digest."""
    return registry.push(repository, simple_image(repository), "signed-1", "edwards-1", "free")


def tag_of(image):
    return image.digest.replace(":", "-") + ".sig"


def evidence(registry, repository, image):
    """The one manifest that cosign stored for an image, and the reference that it is deleted by."""
    tag = tag_of(image)
    if registry.has_manifest(repository, tag):
        return registry.manifest(repository, tag).body, tag
    (listed,) = registry.referrers(repository, image.digest)
    return registry.manifest(repository, listed["digest"]).body, listed["digest"]


def store_again(registry, repository, body, image, change=bytes):
    """Store a copy of evidence for an image, with its one layer's bytes changed."""
    layer = body["layers"][0]
    data = registry.blob(repository, layer["digest"])
    copy = Blob(change(data), layer["mediaType"], layer.get("annotations", {}))
    if "subject" in body:
        registry.push(repository, artifact(body["artifactType"], copy, subject=image))
        return
    config = Blob(registry.blob(repository, body["config"]["digest"]), body["config"]["mediaType"])
    written = to_json({**body, "layers": [copy.descriptor()]})
    registry.push(repository, Manifest(written, body["mediaType"], blobs=(config, copy)), tag_of(image))


def tampered(data):
    """Let a claim or a bundle speak of something else, and leave its signature."""
    if b'"dsseEnvelope"' in data:
        bundle = json.loads(data)
        payload = bundle["dsseEnvelope"]["payload"]
        bundle["dsseEnvelope"]["payload"] = (
            payload[:-8] + ("AAAA" if payload[-8:-4] != "AAAA" else "BBBB") + payload[-4:]
        )
        return to_json(bundle)
    return data.replace(b'"optional":null', b'"optional":{"a":1}')


@both_formats
def test_a_pull_by_tag_waits_for_the_signature(crane, cosign, server, registry, repository, ref, sent, stored):
    refused = crane.refused("manifest", f"{ref}:signed-1")
    assert f"{repository}:signed-1 carries no signature by key release.pub or p384.pub or rsa.pub" in refused
    assert f"HOST/{repository}@{sent.digest}, then pull again" in refused
    assert f"rules[0] refuses {repository}:signed-1, {sent.digest}, at pull: none" in server.log.read_text()
    assert crane("digest", f"{ref}:free").strip() == sent.digest
    crane("manifest", f"{ref}@{sent.digest}")

    cosign("sign", f"{ref}@{sent.digest}", *stored)
    for _ in range(4):  # each worker remembers what it found
        assert crane("digest", f"{ref}:signed-1").strip() == sent.digest
    assert registry.everything(repository, "signed-1") == sent.everything()


@both_formats
def test_a_signature_that_is_deleted_counts_no_more(crane, cosign, registry, repository, ref, sent, stored):
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    crane("manifest", f"{ref}:signed-1")
    registry.delete_manifest(repository, evidence(registry, repository, sent)[1])
    for _ in range(4):
        assert "(none is stored with it)" in crane.refused("manifest", f"{ref}:signed-1")


@both_formats
def test_an_index_is_signed_as_a_whole(crane, cosign, registry, repository, ref, stored):
    sent = registry.push(repository, simple_index(repository), "signed-1")
    assert "carries no signature" in crane.refused("manifest", f"{ref}:signed-1")
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    assert registry.everything(repository, "signed-1") == sent.everything()


@both_formats
@pytest.mark.parametrize("key", ["p384", "rsa"])
def test_keys_of_other_kinds_sign_as_well(crane, cosign, ref, sent, stored, key):
    cosign("sign", f"{ref}@{sent.digest}", *stored, key=key)
    assert crane("digest", f"{ref}:signed-1").strip() == sent.digest


@both_formats
def test_another_key_s_signature_is_refused(crane, cosign, ref, sent, stored):
    cosign("sign", f"{ref}@{sent.digest}", *stored, key="stranger")
    assert "it was changed, or made by another key" in crane.refused("manifest", f"{ref}:signed-1")
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    assert crane("digest", f"{ref}:signed-1").strip() == sent.digest


@both_formats
def test_what_was_tampered_with_is_refused(crane, cosign, registry, repository, ref, sent, stored):
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    body, reference = evidence(registry, repository, sent)
    registry.delete_manifest(repository, reference)
    store_again(registry, repository, body, sent, tampered)
    assert "it was changed, or made by another key" in crane.refused("manifest", f"{ref}:signed-1")
    store_again(registry, repository, body, sent)
    assert crane("digest", f"{ref}:signed-1").strip() == sent.digest


@both_formats
def test_the_signature_of_another_image_is_refused(crane, cosign, registry, repository, ref, sent, stored):
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    another = registry.push(repository, simple_image("another"), "signed-2")
    store_again(registry, repository, evidence(registry, repository, sent)[0], another)
    assert f"it is of {sent.digest[:19]}, not of this manifest" in crane.refused("manifest", f"{ref}:signed-2")
    assert crane("digest", f"{ref}:signed-1").strip() == sent.digest


@both_formats
def test_an_image_is_pushed_by_digest_then_signed_then_tagged(crane, cosign, registry, repository, ref, keys, stored):
    sent = registry.push(repository, simple_image(repository))
    refused = crane.refused("tag", f"{ref}@{sent.digest}", "release-1")
    assert f"{repository}:release-1 carries no signature by key release.pub" in refused
    assert "then tag it again" in refused
    assert registry.tags(repository) == []

    # The rule speaks of all tags that start with sha256-, and cosign's own is not asked all the same.
    cosign("sign", f"{ref}@{sent.digest}", *stored)
    crane("tag", f"{ref}@{sent.digest}", "release-1")
    assert crane("digest", f"{ref}:release-1").strip() == sent.digest
    shown = json.loads(cosign.verify("--key", keys / "release.pub", *stored, f"{ref}:release-1"))
    assert [one["critical"]["image"]["docker-manifest-digest"] for one in shown] == [sent.digest]


def test_a_push_of_a_tag_without_a_signature_stores_nothing_under_it(registry, repository):
    content = simple_image(repository)
    with pytest.raises(AssertionError, match=r"answered 403: .*carries no signature"):
        registry.push(repository, content, "release-1")
    with pytest.raises(AssertionError, match=r"answered 403: .*carries no signature"):
        registry.push(repository, content, tag_of(content))
    assert registry.tags(repository) == []


@both_formats
def test_an_attestation_of_the_type_is_asked_for(crane, cosign, attest, registry, repository, ref, stored):
    sent = registry.push(repository, simple_image(repository))
    image = f"{ref}@{sent.digest}"
    cosign("sign", image, *stored)
    attest(image, CARGO, *stored, key="stranger")
    attest(image, MANIFEST_OF_LADING, *stored)
    refused = crane.refused("tag", image, "attested-1")
    assert f"carries no attestation of type {CARGO} by key release.pub" in refused
    attest(image, CARGO, *stored)
    crane("tag", image, "attested-1")
    assert crane("digest", f"{ref}:attested-1").strip() == sent.digest


def test_an_attestation_is_no_signature(crane, attest, ref, sent):
    attest(f"{ref}@{sent.digest}", CARGO)
    assert f"it is an attestation of type {CARGO}" in crane.refused("manifest", f"{ref}:signed-1")


def test_what_cosign_2_made_of_referrers_counts(crane, command, keys, ref, sent):
    cosign = command("cosign", COSIGN_PASSWORD="harbour", COSIGN_EXPERIMENTAL="1")
    flags = ["--new-bundle-format=false", "--registry-referrers-mode=oci-1-1"]
    cosign("sign", "--key", keys / "release.key", *OFFLINE, *flags, f"{ref}@{sent.digest}")
    assert crane("digest", f"{ref}:signed-1").strip() == sent.digest


@both_formats
def test_a_signature_by_ed25519ph_is_refused_with_the_reason(crane, cosign, command, keys, ref, sent, stored):
    cosign("sign", f"{ref}@{sent.digest}", *stored, key="ed25519")
    assert "in a way not checked here (Ed25519ph)" in crane.refused("manifest", f"{ref}:edwards-1")
    flags = ["--allow-http-registry", "--insecure-ignore-tlog=true", "--key", keys / "ed25519.pub", *stored]
    assert "no matching" in command("cosign").refused("verify", *flags, f"{ref}@{sent.digest}")  # not even by cosign

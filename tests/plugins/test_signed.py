"""The plugin that asks for signatures: what passes, and what is refused with which reason."""

import logging
import types

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

import moorage_signed
from moorage_signed import search
from moorage_signed.formats import CHECKERS
from moorage_signed.search import MAX_CANDIDATES
from registry.hooks import Denied, Digest, StorageError, TagChange, TagPull
from registry.testing.images import Blob, simple_image, simple_index, to_json
from tests.support import signatures as made

SIGNER = made.ecdsa_signer()
STRANGER = made.ecdsa_signer()
RSA = made.rsa_signer()
IMAGE = simple_image("cargo")
OTHER = simple_image("another")
VULNERABILITIES = "https://cosign.sigstore.dev/attestation/vuln/v1"

SIGNERS = {
    "p256": SIGNER,
    "p384-sha256": made.ecdsa_signer(ec.SECP384R1()),
    "p384-sha384": made.ecdsa_signer(ec.SECP384R1(), hashes.SHA384()),
    "p521-sha512": made.ecdsa_signer(ec.SECP521R1(), hashes.SHA512()),
    "rsa": RSA,
    "rsa-pss": made.with_pss(RSA),
    "ed25519": made.ed25519_signer(),
}


def tag_of(image, kind="sig"):
    return image.digest.replace(":", "-") + "." + kind


@pytest.fixture
def shelf():
    shelf = made.Shelf()
    shelf.add(IMAGE, "1.2")
    return shelf


def settings(*keys, **rule):
    return moorage_signed.Settings((moorage_signed.Rule(tuple(keys or [SIGNER.pem]), **rule),))


def context(given):
    return types.SimpleNamespace(settings=given, log=logging.getLogger("moorage.signed"))


def pull(shelf, tag="1.2", given=None, image=IMAGE):
    asked = TagPull(shelf.name, tag, Digest.parse(image.digest), shelf.parsed[image.digest], {})
    moorage_signed.admit_pull(asked, shelf, context(given or settings()))


def change(shelf, tag="1.2", given=None, image=IMAGE):
    asked = TagChange(shelf.name, tag, Digest.parse(image.digest), None, shelf.parsed[image.digest], {}, "user:me")
    moorage_signed.admit_tag_change(asked, shelf, context(given or settings(at="tag")))


def refused(shelf, given=None, **asked):
    """The reason that the client is told."""
    with pytest.raises(Denied) as denied:
        pull(shelf, given=given, **asked)
    assert len(denied.value.message) < 700
    return denied.value.message


@pytest.fixture
def found(caplog):
    """All that the log tells of the last refusal: the rule's position, and what was found."""
    caplog.set_level(logging.INFO)
    return lambda: (caplog.records[-1].args[0], caplog.records[-1].args[-1].split("; "))


# The shapes that evidence is stored in: each stores what `signer` says of `about` beside `image`.


def by_tag(shelf, signer=SIGNER, about=IMAGE, image=IMAGE, **critical):
    payload = made.simple_payload(about.digest, **critical)
    shelf.add(made.tagged(made.simple_layer(payload, made.encoded(signer.sign(payload)))), tag_of(image))


def by_bundle(shelf, signer=SIGNER, about=IMAGE, image=IMAGE, predicate_type=made.SIGNED, **changed):
    envelope = made.envelope(signer, made.statement(about.digest, predicate_type, **changed))
    layer = Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)
    shelf.add(made.referrer(image, layer, predicate_type=predicate_type))


def by_message(shelf, signer=SIGNER, about=IMAGE, image=IMAGE):
    layer = Blob(made.bundle(made.message_signature(signer, about.data)), made.BUNDLE)
    shelf.add(made.referrer(image, layer))


def by_old_referrer(shelf, signer=SIGNER, about=IMAGE, image=IMAGE):
    payload = made.simple_payload(about.digest)
    layer = made.simple_layer(payload, made.encoded(signer.sign(payload)))
    shelf.add(made.referrer(image, layer, "application/vnd.dev.cosign.artifact.sig.v1+json"))


def attested_by_tag(shelf, signer=SIGNER, about=IMAGE, image=IMAGE, predicate_type=made.PROVENANCE, **changed):
    envelope = made.envelope(signer, made.statement(about.digest, predicate_type, **changed))
    shelf.add(made.tagged(Blob(to_json(envelope), made.ENVELOPE)), tag_of(image, "att"))


def attested_by_bundle(shelf, signer=SIGNER, about=IMAGE, image=IMAGE, predicate_type=made.PROVENANCE, **changed):
    by_bundle(shelf, signer, about, image, predicate_type, **changed)


SIGNATURES = [by_tag, by_bundle, by_message, by_old_referrer]
ATTESTATIONS = [attested_by_tag, attested_by_bundle]
ATTESTED = {"require": "attestation", "predicate_type": made.PROVENANCE}


@pytest.mark.parametrize("store", SIGNATURES)
@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_a_signature_of_each_kind_passes(shelf, store, signer):
    store(shelf, signer)
    pull(shelf, given=settings(signer.pem))
    change(shelf, given=settings(signer.pem, at="tag"))


@pytest.mark.parametrize("store", ATTESTATIONS)
@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_an_attestation_of_each_kind_passes(shelf, store, signer):
    store(shelf, signer)
    pull(shelf, given=settings(signer.pem, **ATTESTED))


@pytest.mark.parametrize("store", [attested_by_tag, attested_by_bundle])
def test_both_versions_of_statements_pass(shelf, store):
    store(shelf, _type="https://in-toto.io/Statement/v0.1")
    pull(shelf, given=settings(**ATTESTED))


def test_an_index_is_asked_for_itself(shelf):
    index = simple_index("cargo")
    shelf.blobs.update(index.everything())
    digest, parsed = Digest.parse(index.digest), types.SimpleNamespace(digest_bytes=index.data)
    asked = TagPull(shelf.name, "1.2", digest, parsed, {})
    with pytest.raises(Denied):
        moorage_signed.admit_pull(asked, shelf, context(settings()))
    by_bundle(shelf, about=index, image=index)
    moorage_signed.admit_pull(asked, shelf, context(settings()))


@pytest.mark.parametrize("store", SIGNATURES)
def test_one_of_several_keys_is_enough(shelf, store):
    store(shelf)
    pull(shelf, given=settings(STRANGER.pem, SIGNERS["rsa"].pem + SIGNERS["ed25519"].pem, SIGNER.pem))


@pytest.mark.parametrize("good", SIGNATURES)
def test_a_good_one_is_found_among_bad_ones(shelf, good):
    for store in SIGNATURES:
        store(shelf, STRANGER)
    good(shelf)
    pull(shelf)


def test_a_good_layer_is_found_behind_bad_ones(shelf):
    payload = made.simple_payload(IMAGE.digest)
    layers = [made.simple_layer(payload, made.encoded(one.sign(payload))) for one in (STRANGER, SIGNER)]
    shelf.add(made.tagged(*layers), tag_of(IMAGE))
    pull(shelf)


# What is refused.


def test_what_nobody_signed_is_refused(shelf, found):
    message = refused(shelf)
    assert message.startswith("prod/app:1.2 carries no signature by key sha256:")
    assert f"cosign sign --key KEY HOST/prod/app@{IMAGE.digest}, then pull again" in message
    assert found() == (0, ["none is stored with it"])
    with pytest.raises(Denied, match="then tag it again"):
        change(shelf)


def test_what_nobody_attested_is_refused(shelf):
    message = refused(shelf, settings(**ATTESTED))
    assert f"carries no attestation of type {made.PROVENANCE} by key" in message
    assert f"cosign attest --key KEY --type {made.PROVENANCE} HOST/prod/app@{IMAGE.digest}" in message


@pytest.mark.parametrize("store", SIGNATURES)
@pytest.mark.parametrize("other", SIGNERS.values(), ids=SIGNERS)
def test_another_key_s_signature_is_refused(shelf, store, other):
    store(shelf, STRANGER)
    assert "changed, or made by another key" in refused(shelf, settings(other.pem))


@pytest.mark.parametrize("store", ATTESTATIONS)
@pytest.mark.parametrize("other", SIGNERS.values(), ids=SIGNERS)
def test_another_key_s_attestation_is_refused(shelf, store, other):
    store(shelf, STRANGER)
    assert "changed, or made by another key" in refused(shelf, settings(other.pem, **ATTESTED))


def test_a_key_whose_signatures_are_not_all_checked_is_told_of(shelf):
    by_tag(shelf)
    assert "(Ed25519ph)" in refused(shelf, settings(SIGNERS["ed25519"].pem))
    assert "(Ed25519ph)" not in refused(shelf, settings(STRANGER.pem))


@pytest.mark.parametrize("store", [*SIGNATURES, *ATTESTATIONS])
def test_the_signature_of_another_image_is_refused(shelf, store):
    shelf.add(OTHER)
    store(shelf, about=OTHER)
    given = settings(**ATTESTED) if store in ATTESTATIONS else settings()
    assert f"it is of {OTHER.digest[:19]}, not of this manifest" in refused(shelf, given)


@pytest.mark.parametrize("store", [by_bundle, attested_by_tag, attested_by_bundle])
def test_one_of_several_subjects_is_enough_and_another_name_for_the_digest_is_not(shelf, store):
    given = settings(**ATTESTED) if store in ATTESTATIONS else settings()
    value = IMAGE.digest.removeprefix("sha256:")
    for digest in ({"sha512": value}, {"sha256": value.upper()}, {"sha256": value[:-1]}, {"sha256": [value]}, value):
        store(shelf, subject=[{"name": IMAGE.digest, "digest": digest}])
        assert "not of this manifest" in refused(shelf, given)
    store(shelf, subject=[{"digest": {"sha256": "0" * 64}}, {"digest": {"sha1": "0", "sha256": value}}])
    pull(shelf, given=given)


def test_an_attestation_is_no_signature_and_the_other_way_round(shelf, found):
    attested_by_bundle(shelf, predicate_type=VULNERABILITIES)
    assert f"it is an attestation of type {VULNERABILITIES}" in refused(shelf)
    assert f"it is an attestation of type {VULNERABILITIES}" in refused(shelf, settings(**ATTESTED))
    for store in SIGNATURES:
        store(shelf)
    refused(shelf, settings(**ATTESTED))
    assert len([reason for reason in found()[1] if "it is a signature, no attestation" in reason]) == 3


def test_a_claim_of_another_type_is_refused(shelf):
    by_tag(shelf, type="atomic container signature")
    assert "no claim about an image" in refused(shelf)


def test_another_payload_type_is_refused(shelf, found):
    envelope = made.envelope(SIGNER, made.statement(IMAGE.digest), "application/json")
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)))
    assert "its payloadType is application/json" in refused(shelf)
    # The same signature under the type that is looked for.
    relabelled = {**envelope, "payloadType": made.IN_TOTO}
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"dsseEnvelope": relabelled}), made.BUNDLE)))
    refused(shelf)
    assert any("made by another key" in reason for reason in found()[1])


@pytest.mark.parametrize(
    "sign",
    [
        SIGNER.sign,
        lambda statement: SIGNER.key.sign(made.covered(statement), ec.ECDSA(hashes.SHA512())),
        lambda statement: SIGNER.key.sign(made.covered(statement), ec.ECDSA(hashes.SHA224())),
        lambda statement: SIGNER.sign(made.covered(statement)) + b"\x00",
        lambda statement: b"\x00" + SIGNER.sign(made.covered(statement)),
        lambda statement: SIGNER.sign(made.covered(statement))[:-1],
        lambda _: bytes.fromhex("3006020100020100"),
        lambda _: b"\x00" * 64,
    ],
    ids=["without encoding", "sha512", "sha224", "extra byte", "byte before", "cut", "zeros", "raw"],
)
def test_a_signature_made_in_another_way_is_refused(shelf, sign):
    payload = made.statement(IMAGE.digest)
    envelope = {**made.envelope(SIGNER, payload), "signatures": [{"sig": made.encoded(sign(payload))}]}
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)))
    assert "changed, or made by another key" in refused(shelf)


@pytest.mark.parametrize("signer", SIGNERS.values(), ids=SIGNERS)
def test_extra_bytes_are_refused_with_every_algorithm(shelf, signer):
    payload = made.simple_payload(IMAGE.digest)
    signature = made.encoded(signer.sign(payload) + b"\x00")
    shelf.add(made.tagged(made.simple_layer(payload, signature)), tag_of(IMAGE))
    assert "changed, or made by another key" in refused(shelf, settings(signer.pem))


@pytest.mark.parametrize("spelled", ["", "=", "%%%", "QQ", "QR==", "QQ==\n", " QQ==", "Q-_=", "ä", None, 5, ["QQ=="]])
def test_base64_of_another_spelling_is_refused(shelf, spelled):
    envelope = {**made.envelope(SIGNER, made.statement(IMAGE.digest)), "signatures": [{"sig": spelled}]}
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)))
    assert "the signature is no base64" in refused(shelf)


def test_a_signature_whose_annotation_is_missing_is_refused(shelf):
    shelf.add(made.tagged(Blob(made.simple_payload(IMAGE.digest), made.SIMPLE)), tag_of(IMAGE))
    assert "the signature is no base64" in refused(shelf)


GOOD = made.envelope(SIGNER, made.statement(IMAGE.digest))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the bundle is not JSON"),
        (b"\xff", "the bundle is not UTF-8"),
        (b"[]", "the bundle is not a JSON object"),
        (b'{"a":1,"a":1}', "duplicate key"),
        (b'{"a":' + b"[" * 100_000, "nested deeper"),
        (to_json({"dsseEnvelope": GOOD}), "its mediaType is None"),
        (made.bundle({}), "neither an envelope nor a signature"),
        (made.bundle({"dsseEnvelope": GOOD, **made.message_signature(SIGNER, IMAGE.data)}), "neither an envelope"),
        (made.bundle({"dsseEnvelope": []}), "neither an envelope nor a signature"),
        (made.bundle({"dsseEnvelope": {**GOOD, "payload": 7}}), "the payload is no base64"),
        (made.bundle({"dsseEnvelope": {**GOOD, "signatures": []}}), "not 1 to 8 signatures"),
        (made.bundle({"dsseEnvelope": {**GOOD, "signatures": {}}}), "not 1 to 8 signatures"),
        (made.bundle({"dsseEnvelope": {**GOOD, "signatures": ["x"]}}), "the signature is no base64"),
        (made.bundle({"dsseEnvelope": {**GOOD, "signatures": GOOD["signatures"] * 9}}), "not 1 to 8 signatures"),
        (made.bundle({"dsseEnvelope": made.envelope(SIGNER, b"{}")}), "its statement is of type None"),
        (made.bundle({"dsseEnvelope": made.envelope(SIGNER, b"cargo")}), "the statement is not JSON"),
        (
            made.bundle({"dsseEnvelope": made.envelope(SIGNER, made.statement(IMAGE.digest, subject={"a": 1}))}),
            "it is of nothing",
        ),
        (
            made.bundle({"dsseEnvelope": made.envelope(SIGNER, made.statement(IMAGE.digest, ["\n" * 500]))}),
            "it is an attestation of type [",
        ),
        (made.bundle({"messageSignature": {"signature": "QQ=="}}), "by no known algorithm"),
        (
            made.bundle({"messageSignature": {"messageDigest": {"algorithm": "SHA2_256", "digest": "QQ=="}}}),
            "it is of sha256:41",
        ),
    ],
)
def test_a_malformed_bundle_is_refused_with_a_reason(shelf, content, reason):
    shelf.add(made.referrer(IMAGE, Blob(content, made.BUNDLE)))
    message = refused(shelf)
    assert reason in message
    assert message.isprintable()


@pytest.mark.parametrize("critical", [None, [], "x", {}, {"image": []}, {"image": {}, "type": 7}])
def test_a_malformed_claim_is_refused(shelf, critical):
    payload = to_json({"critical": critical})
    shelf.add(made.tagged(made.simple_layer(payload, made.encoded(SIGNER.sign(payload)))), tag_of(IMAGE))
    assert "no claim about an image" in refused(shelf)


def test_one_good_signature_of_an_envelope_is_enough(shelf):
    payload = made.statement(IMAGE.digest)
    both = [made.envelope(one, payload)["signatures"][0] for one in (STRANGER, SIGNER)]
    envelope = {**GOOD, "signatures": both}
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"dsseEnvelope": envelope}), made.BUNDLE)))
    pull(shelf)


# Where it is looked for, and how far.


def test_content_that_is_gone_is_told(shelf):
    by_tag(shelf)
    for digest in [digest for digest, data in shelf.blobs.items() if b"docker-manifest-digest" in data]:
        del shelf.blobs[digest]
    assert "its content is not in the repository" in refused(shelf)


def test_a_tag_that_stands_for_something_else_is_told(shelf):
    shelf.add(OTHER, tag_of(IMAGE))
    assert "holds nothing of cosign's" in refused(shelf)


def test_a_referrer_deleted_meanwhile_is_told(shelf, monkeypatch):
    by_bundle(shelf)
    found = shelf.referrers(Digest.parse(IMAGE.digest))
    shelf.parsed = {IMAGE.digest: shelf.parsed[IMAGE.digest]}
    monkeypatch.setattr(shelf, "referrers", lambda digest: found)
    assert "holds nothing of cosign's" in refused(shelf)


def test_other_referrers_are_not_opened(shelf):
    for number in range(MAX_CANDIDATES + 1):
        shelf.add(made.referrer(IMAGE, Blob(b"%d" % number, "text/spdx+json"), "application/spdx+json"))
    before = shelf.reads
    assert "none is stored with it" in refused(shelf)
    assert shelf.reads == before


def test_the_number_of_candidates_is_bounded(shelf):
    for number in range(MAX_CANDIDATES + 5):
        shelf.add(made.referrer(IMAGE, Blob(b"%d" % number, "text/plain")))
    for number in range(MAX_CANDIDATES + 5):
        shelf.add(made.referrer(IMAGE, Blob(b"%d" % number, made.BUNDLE), predicate_type=VULNERABILITIES))
    before = shelf.reads
    message = refused(shelf)
    assert shelf.reads - before <= MAX_CANDIDATES
    assert f"and {MAX_CANDIDATES - 1} more" in message


def test_what_says_it_is_of_the_wanted_type_comes_first(shelf, monkeypatch):
    monkeypatch.setattr(search, "MAX_CANDIDATES", 1)
    for number in range(50):
        layer = Blob(made.bundle({"dsseEnvelope": {}, "n": number}), made.BUNDLE)
        shelf.add(made.referrer(IMAGE, layer, predicate_type=VULNERABILITIES))
    by_bundle(shelf)
    pull(shelf)


def test_the_bytes_read_are_bounded(shelf, monkeypatch, found):
    monkeypatch.setattr(search, "MAX_EACH", 2000)
    monkeypatch.setattr(search, "MAX_TOTAL", 5000)
    shelf.add(made.referrer(IMAGE, Blob(made.bundle({"filler": "x" * 2000}), made.BUNDLE)))
    assert "longer than the 2000 bytes left" in refused(shelf)
    for number in range(4):
        shelf.add(made.referrer(IMAGE, Blob(made.bundle({"filler": "x" * 1500, "n": number}), made.BUNDLE)))
    refused(shelf)
    assert len([one for one in found()[1] if "bytes left to look at" in one]) == 3


def test_a_sha512_digest_has_no_tag_to_look_under(shelf):
    digest = Digest.of(IMAGE.data, "sha512")
    shelf.parsed[str(digest)] = shelf.parsed[IMAGE.digest]
    asked = TagPull(shelf.name, "1.2", digest, shelf.parsed[IMAGE.digest], {})
    shelf.tag = pytest.fail
    with pytest.raises(Denied, match="none is stored"):
        moorage_signed.admit_pull(asked, shelf, context(settings()))


def test_a_failing_store_is_no_missing_signature(shelf, monkeypatch):
    by_tag(shelf)

    def fail(*_):
        raise StorageError("the disk is gone")

    monkeypatch.setattr(shelf, "read", fail)
    with pytest.raises(StorageError):
        pull(shelf)


# When it is asked.


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ({}, True),
        ({"repositories": ("prod/*",)}, True),
        ({"repositories": ("dev/*", "prod/???")}, True),
        ({"repositories": ("dev/*",)}, False),
        ({"repositories": ("prod",)}, False),
        ({"tags": ("1.*",)}, True),
        ({"tags": ("v*", "latest")}, False),
        ({"at": "tag"}, False),
        ({"at": "both"}, True),
    ],
)
def test_a_rule_holds_for_what_it_names(shelf, rule, asked):
    if asked:
        refused(shelf, settings(**rule))
    else:
        pull(shelf, given=settings(**rule))


def test_a_rule_for_pulls_is_not_asked_when_a_tag_moves(shelf):
    change(shelf, given=settings(at="pull"))
    with pytest.raises(Denied):
        change(shelf, given=settings(at="both"))


def test_every_rule_that_holds_must_be_satisfied(shelf, found):
    both = moorage_signed.Settings((*settings().rules, *settings(STRANGER.pem, **ATTESTED).rules))
    by_tag(shelf)
    refused(shelf, both)
    assert found()[0] == 1
    attested_by_bundle(shelf, STRANGER)
    pull(shelf, given=both)


@pytest.mark.parametrize(
    ("moments", "hooks"),
    [
        ([], []),
        (["pull"], ["admit_pull"]),
        (["tag", "tag"], ["admit_tag_change"]),
        (["pull", "tag"], ["admit_pull", "admit_tag_change"]),
        (["both"], ["admit_pull", "admit_tag_change"]),
    ],
)
def test_what_no_rule_is_for_is_not_asked(moments, hooks):
    rules = [moorage_signed.Rule((SIGNER.pem,), at=moment) for moment in moments]
    assert moorage_signed.admission_hooks(context(moorage_signed.Settings(tuple(rules)))) == hooks


def test_without_rules_nothing_is_asked(shelf):
    pull(shelf, given=moorage_signed.Settings())
    change(shelf, given=moorage_signed.Settings())


@pytest.mark.parametrize("kind", ["sig", "att"])
def test_the_tags_of_cosign_s_own_are_not_asked(shelf, kind):
    by_tag(shelf, STRANGER)
    attested_by_tag(shelf, STRANGER)
    evidence = next(one for digest, one in shelf.parsed.items() if digest == shelf.by_tag[tag_of(IMAGE, kind)])
    digest = Digest.of(evidence.payload)
    asked = TagChange(shelf.name, tag_of(IMAGE, kind), digest, None, evidence, {}, "user:me")
    moorage_signed.admit_tag_change(asked, shelf, context(settings(at="both")))
    renamed = TagChange(shelf.name, "1.3", digest, None, evidence, {}, "user:me")
    with pytest.raises(Denied):
        moorage_signed.admit_tag_change(renamed, shelf, context(settings(at="both")))


def test_files_beside_a_signature_are_asked_for_one(shelf):
    payload = made.simple_payload(IMAGE.digest)
    mixed = made.tagged(made.simple_layer(payload, made.encoded(SIGNER.sign(payload))), *IMAGE.layers)
    shelf.add(mixed)
    refused(shelf, tag=tag_of(IMAGE), image=mixed)


def test_an_image_under_a_tag_of_cosign_s_kind_is_asked(shelf):
    with pytest.raises(Denied):
        change(shelf, tag=tag_of(OTHER))
    refused(shelf, tag=tag_of(OTHER))


def test_every_checker_is_of_a_media_type_of_its_own():
    assert set(CHECKERS) == {made.SIMPLE, made.ENVELOPE, made.BUNDLE}

"""The plugin that asks for signatures keeps the contract of admission, at pulls and when tags move."""

import pytest

import moorage_signed
from registry.testing.contracts import AdmissionContract
from registry.testing.images import Blob, simple_image
from tests.support import signatures as made

SIGNER = made.ecdsa_signer()
SIGNED = simple_image("signed")
ENVELOPE = made.envelope(SIGNER, made.statement(SIGNED.digest))


class Contract(AdmissionContract):
    plugin = moorage_signed
    admitted = (SIGNED,)
    refused = {"carries no signature by key sha256:": simple_image("unsigned")}

    @pytest.fixture(autouse=True)
    def _signature(self, moorage_client):
        layer = Blob(made.bundle({"dsseEnvelope": ENVELOPE}), made.BUNDLE)
        moorage_client.push(self.repository, made.referrer(SIGNED, layer))


class TestPulls(Contract):
    settings = {"rules": [{"keys": [SIGNER.pem]}]}


class TestTags(Contract):
    settings = {"rules": [{"keys": [SIGNER.pem], "at": "tag"}]}

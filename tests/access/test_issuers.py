"""Issuers of OpenID Connect: what is believed of them, how long, and which of their tokens are good."""

import time

import pytest

from registry.access import issuers as module
from registry.access.issuers import IssuerFailed, IssuerInvalid, Issuers, check_issuer
from registry.access.jwks import TokenRefused
from registry.egress.client import EgressClient
from tests.support.issuer import BROKEN, DOWN, GARBLED, HUGE, MOVED, UP, Issuer

AUDIENCE = "moorage.example"


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    with Issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture
def issuer(process):
    yield process
    process.be(UP)
    process.stop_lying()
    process.rotate(keep=False)


@pytest.fixture
def now(monkeypatch):
    """Give the monotonic clock of the issuers, which a test moves."""
    moved = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda base=time.monotonic: base() + moved[0])

    def move(seconds):
        moved[0] += seconds

    return move


@pytest.fixture
def issuers():
    return Issuers(EgressClient(private=True), lambda: int(time.time() * 1000))


def asked(issuer):
    return issuer.hits().get("/jwks", 0)


def test_a_token_is_proved_by_the_published_keys(issuer, issuers):
    claims = issuers.verify(issuer.sign(aud=AUDIENCE, sub="x"), issuer.url, AUDIENCE)
    assert (claims["sub"], claims["iss"]) == ("x", issuer.url)


@pytest.mark.parametrize(
    "algorithm", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
)
def test_every_asymmetric_algorithm_that_a_key_says(issuer, issuers, algorithm):
    issuer.rotate(algorithm)
    assert issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


def test_several_audiences_hold_one(issuer, issuers):
    token = issuer.sign(aud=["other", AUDIENCE])
    assert issuers.verify(token, issuer.url, AUDIENCE)
    with pytest.raises(TokenRefused, match="not for the audience third"):
        issuers.verify(token, issuer.url, "third")


def test_a_new_key_is_looked_for_but_not_at_every_token(issuer, issuers, now):
    issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)
    issuer.rotate(keep=False)
    token, before = issuer.sign(aud=AUDIENCE), asked(issuer)
    with pytest.raises(TokenRefused, match="no key of the issuer"):
        issuers.verify(token, issuer.url, AUDIENCE)  # it was asked a moment ago
    now(module.AGAIN_SECONDS)
    for number in range(50):
        with pytest.raises(TokenRefused, match="no key of the issuer"):
            issuers.verify(issuer.sign(aud=AUDIENCE, header={"kid": f"unknown-{number}"}), issuer.url, AUDIENCE)
    assert issuers.verify(token, issuer.url, AUDIENCE)
    assert asked(issuer) == before + 1


def test_what_was_said_is_used_for_a_while_when_an_issuer_is_down(issuer, issuers, now):
    token = issuer.sign(aud=AUDIENCE)
    issuers.verify(token, issuer.url, AUDIENCE)
    issuer.be(DOWN)
    now(module.FRESH_SECONDS)
    assert issuers.verify(token, issuer.url, AUDIENCE)
    hits = issuer.hits()
    assert issuers.verify(token, issuer.url, AUDIENCE)
    assert issuer.hits() == hits  # it is left alone for a moment
    now(module.STALE_SECONDS)
    with pytest.raises(IssuerFailed, match="openid-configuration"):
        issuers.verify(token, issuer.url, AUDIENCE)
    issuer.be(UP)
    now(module.FAILED_SECONDS)
    assert issuers.verify(token, issuer.url, AUDIENCE)


@pytest.mark.parametrize("how", [DOWN, BROKEN, MOVED, HUGE, GARBLED])
def test_an_issuer_that_answers_nothing_of_use_fails(issuer, issuers, how):
    token = issuer.sign(aud=AUDIENCE)
    issuer.be(how)
    with pytest.raises(IssuerFailed, match=r"127\.0\.0\.1"):
        issuers.verify(token, issuer.url, AUDIENCE)


@pytest.mark.parametrize(
    "lie",
    [
        {"issuer": None},
        {"issuer": "https://accounts.example"},
        {"issuer": ["x"]},
        {"jwks_uri": None},
        {"jwks_uri": 1},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "http://10.0.0.1/keys"},
        {"jwks_uri": "http://169.254.169.254/keys"},
        {"jwks_uri": "https://169.254.169.254/keys"},
        {"jwks_uri": "https://user:secret@127.0.0.1/keys"},
    ],
    ids=str,
)
def test_a_document_that_lies_is_not_believed(issuer, issuers, lie):
    issuer.lie(**lie)
    with pytest.raises(IssuerFailed):
        issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "x",
            "http://issuer.example",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://",
            "https://a b",
            "https://é",
        ),
        *("https://a?b=c", "https://a#b", "https://u@a", "https://a:port", "https://[::1", "https://" + "a" * 1024),
        *("http://127.0.0.1.example", "http://localhost.example", "https://a\n", "//a", "javascript:x"),
    ],
)
def test_what_cannot_be_an_issuer_is_refused(url):
    with pytest.raises(IssuerInvalid):
        check_issuer(url)


@pytest.mark.parametrize(
    "url", ["https://a", "https://a/b/", "https://a:8443", "http://127.0.0.1:1", "http://[::1]", "http://localhost/x"]
)
def test_what_can_be_an_issuer(url):
    check_issuer(url)

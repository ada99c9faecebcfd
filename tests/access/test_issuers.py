"""Issuers of OpenID Connect: what is believed of them, how long, and which of their tokens are good."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from joserfc.jwk import ECKey

from registry.access import issuers as module
from registry.access.issuers import IssuerFailed, IssuerInvalid, Issuers, check_issuer
from registry.access.jwks import TokenRefused
from registry.egress.client import EgressClient
from tests.support.issuer import BROKEN, DOWN, GARBLED, HANGING, HUGE, MOVED, UP, Issuer
from tests.support.ports import PATIENCE

pytestmark = pytest.mark.needs_tools  # it starts processes, or waits for time to pass

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


def ask_beside(monkeypatch, verify):
    """Return a thread in which an issuer is being asked by now, and where its answer will be."""
    asking, answers = threading.Event(), []
    ask = EgressClient.get

    def get(self, url, timeout):
        asking.set()
        return ask(self, url, timeout)

    monkeypatch.setattr(EgressClient, "get", get)
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", PATIENCE)
    first = threading.Thread(target=lambda: answers.append(verify()))
    first.start()
    assert asking.wait(PATIENCE)
    return first, answers


def test_nobody_waits_for_an_issuer_that_hangs_but_who_asks_first(issuer, issuers, now, monkeypatch):
    token = issuer.sign(aud=AUDIENCE)
    assert issuers.verify(token, issuer.url, AUDIENCE)
    now(module.FRESH_SECONDS)
    issuer.be(HANGING)
    first, answers = ask_beside(monkeypatch, lambda: issuers.verify(token, issuer.url, AUDIENCE))
    assert issuers.verify(token, issuer.url, AUDIENCE)  # while the first still asks
    assert not answers
    issuer.be(UP)
    first.join(PATIENCE)
    assert len(answers) == 1


def test_nobody_waits_again_for_an_issuer_that_failed(issuer, issuers, now, monkeypatch):
    token = issuer.sign(aud=AUDIENCE)
    issuer.be(BROKEN)
    with pytest.raises(IssuerFailed):
        issuers.verify(token, issuer.url, AUDIENCE)
    now(module.FAILED_SECONDS)
    issuer.be(HANGING)
    first, answers = ask_beside(monkeypatch, lambda: issuers.verify(token, issuer.url, AUDIENCE))
    with pytest.raises(IssuerFailed, match="answered 500"):
        issuers.verify(token, issuer.url, AUDIENCE)  # while the first still asks
    issuer.be(UP)
    first.join(PATIENCE)
    assert len(answers) == 1


def test_a_token_of_another_issuer_is_refused_whoever_signed_it(issuer, issuers):
    with pytest.raises(TokenRefused, match="of another issuer"):
        issuers.verify(issuer.sign(aud=AUDIENCE, iss="https://issuer.example"), issuer.url, AUDIENCE)


def test_a_time_limit_holds_for_an_issuer_that_hangs(issuer, issuers, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    token = issuer.sign(aud=AUDIENCE)
    issuer.be(HANGING)
    with pytest.raises(IssuerFailed, match="no answer within"):
        issuers.verify(token, issuer.url, AUDIENCE)


def test_several_who_come_first_ask_once(issuer, issuers):
    token, before = issuer.sign(aud=AUDIENCE), asked(issuer)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: issuers.verify(token, issuer.url, AUDIENCE), range(32)))
    assert len(found) == 32
    assert asked(issuer) == before + 1


@pytest.mark.parametrize(
    "keys",
    [
        *(None, [], {}, 1, "x", {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [None, 1, "x", []]}),
        *({"keys": [{"kty": kind}]} for kind in (None, [], {}, 1, "RSA", "EC", "OKP", "oct", "x")),
        {"keys": [{"kty": "oct", "k": "AAAA", "kid": "x", "alg": "HS256"}]},
        {"keys": [{"kty": "RSA", "n": "AAAA", "e": "AQAB"}]},
        {"keys": [{"kty": "RSA", "n": "_" * 5000, "e": "AQAB"}]},
        {"keys": [{"kty": "EC", "crv": ["P-256"], "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        {"keys": [{"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}]},
    ],
    ids=lambda keys: str(keys)[:50],
)
def test_what_is_no_set_of_keys_proves_nothing(issuer, issuers, keys):
    issuer.publish(keys if keys is not None else {"keys": None})
    with pytest.raises(IssuerFailed, match="JWKS"):
        issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": "verify"},
        {"alg": "RS512"},
        {"alg": "HS256"},
        {"alg": 1},
        {"kid": 1},
    ],
    ids=str,
)
def test_a_key_for_something_else_proves_nothing(issuer, issuers, change):
    (key,) = issuer.jwks()["keys"][:1]
    other = ECKey.generate_key("P-256").as_dict(private=False)
    issuer.publish({"keys": [{**key, **change}, {**other, "kid": "other"}]})
    with pytest.raises(TokenRefused):
        issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


def test_bad_keys_beside_a_good_one_do_no_harm(issuer, issuers):
    (key,) = issuer.jwks()["keys"][:1]
    issuer.publish({"keys": [None, {"kty": []}, {"kty": "EC", "crv": "x"}, {"kty": "RSA", "n": 1, "e": []}, key]})
    assert issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


def test_a_key_id_may_be_left_out_where_there_is_one_key(issuer, issuers, now):
    issuer.rotate(keep=False, kid=None)
    token = issuer.sign(aud=AUDIENCE)
    assert issuers.verify(token, issuer.url, AUDIENCE)
    issuer.rotate(kid=None)
    now(module.FRESH_SECONDS)
    with pytest.raises(TokenRefused):
        issuers.verify(issuer.sign(aud=AUDIENCE), issuer.url, AUDIENCE)


def test_a_document_is_kept_with_its_keys(issuer, issuers):
    assert issuers.document(issuer.url)["token_endpoint"] == f"{issuer.url}/token"
    issuer.lie(issuer="https://evil.example")
    assert issuers.document(issuer.url)["token_endpoint"] == f"{issuer.url}/token"


def test_an_issuer_with_a_path(tmp_path, issuers):
    with Issuer(tmp_path, path="/realms/acme") as running:
        assert issuers.verify(running.sign(aud=AUDIENCE), running.url, AUDIENCE)


def test_the_redirect_of_an_issuer_is_not_followed(issuer, issuers):
    issuer.be(MOVED)
    with pytest.raises(IssuerFailed, match="answered 302"):
        issuers.document(issuer.url)
    assert not [path for path in issuer.hits() if path.endswith("/elsewhere")]

"""Tokens of others, as an attacker writes them: what no issuer signed, and what no issuer would sign."""

import json

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import RSAKey

from tests.access.forging import b64, compact, es256, hs256, rs256, unb64

ISSUER, SERVICE = "auth.example", "registry.example"
APP = {"type": "repository", "name": "team/app", "actions": ["pull"]}


class Attack:
    """What an attacker has: a good token for one repository, keys of its own; the issuer's own, to compare."""

    def __init__(self, good, service):
        self.good = good
        head, body, _ = self.good.split(".")
        self.header, self.claims = json.loads(unb64(head)), json.loads(unb64(body))
        pem = RSAKey.import_key({name: value for name, value in service.key().items() if value}).as_pem(private=True)
        self.key = serialization.load_pem_private_key(pem, None)
        self.jwk = service.jwks()["keys"][0]
        self.own = rsa.generate_private_key(65537, 2048)
        self.curve = ec.generate_private_key(ec.SECP256R1())
        self.now = self.claims["iat"]

    @property
    def public_pem(self):
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def signed(self, header=(), **claims):
        """Return a token that the issuer's key signs, but which it never gives; ... takes a claim away."""
        made = {name: value for name, value in {**self.claims, **claims}.items() if value is not ...}
        head = {name: value for name, value in {**self.header, **dict(header)}.items() if value is not ...}
        return compact(head, made, rs256(self.key))

    def own_signed(self, **header):
        return compact({**self.header, **header}, self.claims, rs256(self.own))


FORGED = {
    **{
        f"alg {name!r}": lambda a, name=name: compact({**a.header, "alg": name}, a.claims, lambda _: b"")
        for name in ("none", "None", "NONE", "", None, ["RS256"], 256)
    },
    "no alg": lambda a: a.signed({"alg": ...}),
    **{
        f"{name} with the public key": lambda a, name=name: compact(
            {**a.header, "alg": name}, a.claims, hs256(a.public_pem)
        )
        for name in ("HS256", "RS256", "HS384")
    },
    "HS256 with the JWK": lambda a: compact({**a.header, "alg": "HS256"}, a.claims, hs256(json.dumps(a.jwk).encode())),
    "another algorithm of RSA": lambda a: a.signed({"alg": "PS256"}),
    "the algorithm of a curve": lambda a: compact({**a.header, "alg": "ES256"}, a.claims, es256(a.curve)),
    "small letters": lambda a: a.signed({"alg": "rs256"}),
    "own key": lambda a: a.own_signed(),
    "jwk": lambda a: a.own_signed(jwk={"kty": "RSA", "n": b64(a.own.public_key().public_numbers().n.to_bytes(256)), "e": "AQAB"}),
    "jku": lambda a: a.own_signed(jku="https://evil.example/jwks.json"),
    "x5u": lambda a: a.own_signed(x5u="https://evil.example/cert.pem"),
    "x5c": lambda a: a.own_signed(x5c=[b64(a.public_pem)]),
    **{f"kid {kid!r}": lambda a, kid=kid: a.own_signed(kid=kid) for kid in ("../../dev/null", "' OR 1=1", "", 0, True, [], {})},
    "no kid, own key": lambda a: compact({"alg": "RS256"}, a.claims, rs256(a.own)),
    "crit": lambda a: a.signed({"crit": ["exp"]}),
    "crit b64": lambda a: a.signed({"crit": ["b64"], "b64": False}),
    "signature of nothing": lambda a: a.good.rpartition(".")[0] + ".",
    "no signature": lambda a: a.good.rpartition(".")[0],
    "JWE": lambda a: ".".join([b64('{"alg":"dir","enc":"A128GCM"}'), "", "a", "a", "a"]),
    "claims changed": lambda a: compact(a.header, {**a.claims, "sub": "boss"}, lambda _: unb64(a.good.rpartition(".")[2])),
    **{f"typ {kind!r}": lambda a, kind=kind: a.signed({"typ": kind}) for kind in ("logout+jwt", "", 1, ["JWT"], "JWE")},
    **{
        f"{claim} {value!r}": lambda a, claim=claim, value=value: a.signed(**{claim: value})
        for claim, good in (("iss", ISSUER), ("aud", SERVICE))
        for value in ("other", good + " ", good.upper(), good[:-1], "", None, {}, 1, True, ..., good + "\0", [good.upper()])
    },
    **{
        f"exp {value!r}": lambda a, value=value: a.signed(exp=value)
        for value in (..., None, "", "soon", True, [], {}, float("nan"), float("inf"), 0, -1, -(10**400), 1.5)
    },
    **{
        f"{claim} {value!r}": lambda a, claim=claim, value=value: a.signed(**{claim: value})
        for claim in ("iat", "nbf")
        for value in ("", "soon", True, [], {}, float("nan"), 10**400, 1e12)
    },
    **{
        f"sub {value!r}": lambda a, value=value: a.signed(sub=value)
        for value in (
            "operator", "OPERATOR", "job:retention", "plugin:x", ":", "everybody", "moorage", 1, 0, [], ["x"], {"a": 1}, True, False,
            "a\0", "a\nb", "x" * 256, "Anonymous",
        )
    },
    **{
        f"access {value!r}": lambda a, value=value: a.signed(access=value)
        for value in (
            "repository:team/app:pull", [None], [[]], ["x"], [1], [{}], {"a": 1}, 1, True, [{"type": "repository"}],
            [{**APP, "actions": "pull"}], [{**APP, "actions": 1}], [{**APP, "actions": [["pull"]]}],
            [{**APP, "name": ["team/app"]}], [{**APP, "name": {}}], [{**APP, "name": 1}, APP], [{**APP, "actions": ["pull", 1]}], [{**APP, "type": {}}], [{**APP, "type": "registry"}],
            [{**APP, "name": "team/*"}], [{**APP, "name": "*"}], [{**APP, "name": "TEAM/APP"}], [{**APP, "name": "team/app\0"}],
            [{**APP, "actions": ["PULL"]}], [{**APP, "actions": ["push"]}], [{**APP, "actions": ["pull,push"]}],
        )
    },
    "claims a list": lambda a: compact(a.header, "[]", rs256(a.key)),
    "claims deep": lambda a: compact(a.header, '{"a":' * 2000, rs256(a.key)),
    "header deep": lambda a: compact("[" * 3000, a.claims, rs256(a.key)),
    "very long": lambda a: a.signed(more="x" * 20_000),
}  # fmt: skip

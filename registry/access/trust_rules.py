"""What a trust says: which tokens of an issuer speak for a robot.

A trust names an issuer, audiences, and claims that the token must have. Issuers that sign for everybody (GitHub's jobs,
GitLab's) make one claim necessary that says whose token it is; a trust without it is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from registry.access.issuers import IssuerInvalid, check_issuer, is_for
from registry.access.jwks import KeySet, KeySetInvalid
from registry.access.limits import Limits, parse_scopes
from registry.errors import RuleInvalid, ScopeInvalid, TrustInvalid
from registry.patterns import EXPRESSION, Patterns

MOST_CLAIMS, MOST_AUDIENCES, MAX_NAME = 20, 10, 256
SHORTEST_LIFE, LONGEST_LIFE = 60, 86_400
_SHOWN = 128
_SPECIAL = re.compile(r"[*?\[]")
_ELSEWHERE = {"iss": "issuer", "aud": "audiences"}
_TIMES = frozenset({"exp", "nbf", "iat"})
_NOBODYS = frozenset(
    {
        *("jti", "typ", "nonce", "auth_time", "acr", "amr", "at_hash", "sid"),
        *("ref", "ref_type", "ref_path", "ref_protected", "head_ref", "base_ref", "sha", "workflow", "workflow_ref"),
        *("job_workflow_ref", "event_name", "run_id", "run_number", "run_attempt", "runner_environment"),
        *("environment", "environment_protected", "deployment_tier", "pipeline_source", "repository_visibility"),
    }
)
"""Claims that tell something, but not whose token it is: everybody has a branch ``main``, and may call a workflow."""
_STARTS = ("system:serviceaccount:", "repo:", "project_path:")
"""What the subjects of everybody start with."""
_EXACT, _IN_OWNERS = None, re.compile(r"[^/]+/.*")


@dataclass(frozen=True, slots=True)
class _Crowd:
    """An issuer that signs for everybody: claims that say whose token it is, and how far they must be spelled out."""

    claims: Mapping[str, re.Pattern[str] | None]
    example: str


_CROWDS: Mapping[str, _Crowd] = {
    "https://token.actions.githubusercontent.com": _Crowd(
        {
            "sub": re.compile(r"repo:[^/]+/.*"),
            "repository": _IN_OWNERS,
            **dict.fromkeys(("repository_id", "repository_owner", "repository_owner_id"), _EXACT),
            **dict.fromkeys(("enterprise", "enterprise_id"), _EXACT),
        },
        "repository=OWNER/NAME, repository_owner=OWNER, or sub=repo:OWNER/NAME:*",
    ),
    "https://gitlab.com": _Crowd(
        {
            "sub": re.compile(r"project_path:[^/]+/.*"),
            "project_path": _IN_OWNERS,
            **dict.fromkeys(("project_id", "namespace_id", "namespace_path"), _EXACT),
        },
        "project_path=GROUP/PROJECT, namespace_path=GROUP, or project_id=NUMBER",
    ),
    "https://accounts.google.com": _Crowd(dict.fromkeys(("sub", "email", "hd"), _EXACT), "email=NAME@EXAMPLE"),
}
_OF_OTHERS = "sub=NAME; for a service account of Kubernetes sub=system:serviceaccount:NAMESPACE:NAME"


@dataclass(frozen=True, slots=True)
class Trust:
    """A trust as it is applied. Without ``keys`` the issuer publishes its own; without ``limits`` nothing narrows."""

    issuer: str
    audiences: frozenset[str]
    claims: Mapping[str, Patterns]
    limits: Limits | None
    lifetime_seconds: int | None
    keys: KeySet | None

    def differences(self, claims: Mapping[str, Any]) -> Iterator[str]:
        """Yield what of a token's claims is not as it should be, in words for who may read the trust."""
        for name, patterns in self.claims.items():
            texts = _texts(_value(claims, name))
            if not any(map(patterns.matches, texts)):
                said = " or ".join(repr(text[:_SHOWN]) for text in texts[:5]) or "missing, or no text"
                yield f"claim {name} is {said}, not {patterns}"

    def is_meant(self, claims: Mapping[str, Any]) -> bool:
        """Tell whether a token is for one of the audiences."""
        return is_for(claims, self.audiences)


def parse_trust(definition: Mapping[str, Any]) -> Trust:
    """Read the definition of a trust; raises :class:`TrustInvalid` that names what is wrong there."""
    issuer = definition["issuer"]
    try:
        check_issuer(issuer)
    except IssuerInvalid as error:
        raise TrustInvalid(f"the issuer is none: {error}", detail={"field": "issuer"}) from None
    audiences = definition["audiences"]
    if not 1 <= len(audiences) <= MOST_AUDIENCES or not all(map(_is_name, audiences)):
        raise TrustInvalid(
            f"a trust names 1 to {MOST_AUDIENCES} audiences: what tokens must be for, such as this registry's URL",
            detail={"field": "audiences"},
        )
    if len(definition["claims"]) > MOST_CLAIMS:
        raise TrustInvalid(f"a trust has {MOST_CLAIMS} claims at most", detail={"field": "claims"})
    lifetime = definition.get("lifetime_seconds")
    if lifetime is not None and not SHORTEST_LIFE <= lifetime <= LONGEST_LIFE:
        raise TrustInvalid(f"a lifetime is {SHORTEST_LIFE} s to {LONGEST_LIFE} s", detail={"field": "lifetime_seconds"})
    try:
        limits = parse_scopes(definition.get("scopes", ()))
        claims = {name: _patterns(name, given) for name, given in definition["claims"].items()}
        keys = None if definition.get("keys") is None else KeySet.parse(json.dumps(definition["keys"]))
    except (RuleInvalid, ScopeInvalid) as error:
        raise TrustInvalid(error.message, detail=error.detail) from None
    except KeySetInvalid as error:
        raise TrustInvalid(f"the keys are none: {error}", detail={"field": "keys"}) from None
    return Trust(issuer, frozenset(audiences), claims, limits, lifetime, keys)


def _is_name(text: str) -> bool:
    return 1 <= len(text) <= MAX_NAME and text.isprintable()


def _patterns(name: str, given: Sequence[str]) -> Patterns:
    detail = {"field": "claims", "claim": name[:_SHOWN]}
    if not _is_name(name) or name in _TIMES:
        raise TrustInvalid(f"{name[:_SHOWN]!r} is no claim that a trust can be about", detail=detail)
    if name in _ELSEWHERE:
        raise TrustInvalid(f"claim {name} is what the field {_ELSEWHERE[name]} is for", detail=detail)
    return Patterns.parse(given, f"claim {name}")


def require_identity(trust: Trust) -> None:
    """Raise :class:`TrustInvalid` for a trust in all tokens that its issuer signs."""
    issuer, claims = trust.issuer, trust.claims
    crowd = _CROWDS.get(issuer)
    if any(all(_identifies(crowd, name, one) for one in patterns.include) for name, patterns in claims.items()):
        return
    example = crowd.example if crowd else _OF_OTHERS
    raise TrustInvalid(
        f"this would trust all tokens that {issuer} signs: add a claim that says whose are meant, spelled out as far"
        f" as that takes, such as {example}",
        detail={"field": "claims", "issuer": issuer},
    )


def _identifies(crowd: _Crowd | None, name: str, pattern: str) -> bool:
    """Tell whether a pattern of a claim leaves out whom it does not mean; of expressions nobody can tell."""
    start = _SPECIAL.split(pattern, maxsplit=1)[0]
    if pattern.startswith(EXPRESSION):
        return False
    if crowd is None:
        return bool(start) and name not in _NOBODYS and not any(common.startswith(start) for common in _STARTS)
    if name not in crowd.claims:
        return False
    form = crowd.claims[name]
    return start == pattern if form is _EXACT else form.fullmatch(start) is not None


def _value(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim by its name, or by a JSON pointer to it (RFC 6901), such as ``/kubernetes.io/namespace``."""
    if not name.startswith("/"):
        return claims.get(name)
    value: object = claims
    for part in name[1:].split("/"):
        if not isinstance(value, Mapping):
            return None
        value = value.get(part.replace("~1", "/").replace("~0", "~"))
    return value


def _texts(value: object) -> Sequence[str]:
    """Return a claim's value as texts: of a list each that is one."""
    listed = value if isinstance(value, list) else [value]
    return [json.dumps(one) if isinstance(one, int) else one for one in listed if isinstance(one, str | int)]

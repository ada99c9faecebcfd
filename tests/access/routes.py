"""How each route is asked: what stands in its path, its query and its body."""

import re

from registry.testing.images import simple_image

IMAGE = simple_image("x")
DIGEST = IMAGE.digest
BLOB = IMAGE.blobs[0].digest
UUID = "00000000-0000-4000-8000-000000000000"
PAST = "20240228t120000z"
ARGUMENTS = {
    "name": "team/app",
    "digest": DIGEST,
    "reference": "v1",
    "uuid": UUID,
    "stamp": PAST,
    "tag": "v1",
    "label": "1",
    "plan": "1",
    "letter": "1",
    "run": "1",
    "job": "retention",
    "plugin": "moorage-webhooks",
    "rule": "of-app",
    "principal": "extra",
    "user": "extra",
    "member": "extra",
    "robot": "team+extra",
    "team": "extra",
    "key": "AAAAAAAAAA",
    "identity": "1",
    "provider": "company",
    "trust": "extra",
}
AS_OF = "2024-02-29T12:00:00Z"
BODIES = {
    "POST /api/v1/access/simulation": {"rules": {}, "since": AS_OF},
    "POST /api/v1/access/token-keys": {},
    "POST /api/v1/logins": {"host": "box"},
    "POST /api/v1/logins/poll": {"poll_secret": "nobody's"},
    "PUT /api/v1/policy": {"rules": {}, "dry_run": True},
    "POST /api/v1/policy/rules": {"name": "extra", "definition": {"to": ["everybody"], "on": ["x"], "role": "pull"}},
    "PUT /api/v1/policy/rules/<rule>": {"definition": {"to": ["everybody"], "on": ["x"], "role": "pull"}},
    "POST /api/v1/principals/<principal>/keys": {"name": "extra"},
    "POST /api/v1/principals/<principal>/keys/<key>/rotate": {},
    "POST /api/v1/robots": {"namespace": "team", "name": "extra"},
    "PATCH /api/v1/robots/<robot>": {"description": "tried"},
    "POST /api/v1/teams": {"name": "extra"},
    "POST /api/v1/trusts": {
        "name": "extra",
        "robot": "team+extra",
        "issuer": "https://issuer.example",
        "audiences": ["moorage"],
        "claims": {"sub": ["extra"]},
    },
    "POST /api/v1/trusts/explanation": {"token": "e30.e30.e30"},
    "POST /api/v1/users": {"name": "extra"},
    "PATCH /api/v1/users/<user>": {"description": "tried"},
    "POST /api/v1/users/<user>/identities": {"provider": "company", "subject": "extra"},
    "POST /api/v1/events/dead/<letter>/redeliver": {},
    "POST /api/v1/events/replay": {"consumer": "nobody", "after": 0},
    "POST /api/v1/jobs/<job>/runs": {},
    "PUT /api/v1/plugins/<plugin>/block": {"reason": "tried"},
    "PUT /api/v1/readonly": {"reason": " "},  # which is none: the others are asked with writes on
    "POST /api/v1/purges": {"digest": "sha256:" + "a" * 64, "reason": "tried"},
    "POST /api/v1/repositories": {"name": "team/app"},
    "PATCH /api/v1/repositories/<repository:name>": {"description": "tried"},
    "POST /api/v1/repositories/<repository:name>/-/manifests/<digest>/labels": {"key": "a", "value": "b"},
    "POST /api/v1/repositories/<repository:name>/-/manifests/<digest>/restore": {},
    "POST /api/v1/repositories/<repository:name>/-/protection": {"definition": {"tags": ["v*"]}},
    "POST /api/v1/repositories/<repository:name>/-/rename": {"name": "team/app"},
    "POST /api/v1/repositories/<repository:name>/-/restore": {"as_of": AS_OF},
    "POST /api/v1/repositories/<repository:name>/-/retention": {},
    "POST /api/v1/repositories/<repository:name>/-/retention/<plan>/run": {},
    "PUT /api/v1/repositories/<repository:name>/-/tags/<tag>": {"digest": DIGEST},
    "PATCH /api/v1/repositories/<repository:name>/-/tags/<tag>": {"immutable": False},
    "POST /api/v1/repositories/<repository:name>/-/tags/<tag>/restore": {},
    "POST /api/v1/repositories/<repository:name>/-/undelete": {},
    "POST /api/v1/rules": {"name": "any", "kind": "immutability", "definition": {"tags": ["v*"]}},
    "PUT /api/v1/rules/<rule>": {"definition": {"tags": ["v*"]}},
    "POST /api/v1/runs/<run>/cancel": {},
    "PATCH /v2/<path:name>/blobs/uploads/<uuid>": b"x",
    "PUT /v2/<path:name>/manifests/<reference>": b"{}",
}
QUERIES = {
    "GET /api/v1/access/explanation": {"principal": "extra", "action": "pull"},
    "GET /api/v1/collection/explain": {"reference": DIGEST},
    "GET /api/v1/repositories/<repository:name>/-/restore": {"as_of": AS_OF},
    "PUT /v2/<path:name>/blobs/uploads/<uuid>": {"digest": BLOB},
}


def address(rule, arguments):
    """Return a path that a rule matches."""
    if rule.rule.startswith("/webhooks/"):
        arguments = {**arguments, "name": "hook"}
    return re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", lambda part: arguments[part[1]], rule.rule)


def routes(app):
    """Return the rule of every method and path of an app, those that delete behind the others."""
    found = [(rule.methods - {"HEAD", "OPTIONS"}, rule) for rule in app.url_map.iter_rules()]
    made = {f"{method} {rule.rule}": rule for methods, rule in found for method in methods}
    return dict(sorted(made.items(), key=lambda item: (item[0].startswith("DELETE"), item[0])))

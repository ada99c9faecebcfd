"""An example request for each operation of the API, in an order in which one can follow the other.

The tests of docs/ send them all, page by page, to a registry with a few images (tests/docs/worlds.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NOTHING: Mapping[str, str] = MappingProxyType({})
PATH = MappingProxyType({"name": "team/app", "tag": "v1", "digest": "sha256:..."})
"""What stands for parts of a path, unless an example says otherwise."""


@dataclass(frozen=True)
class Example:
    """A request: parts of its path, its query, its body as JSON, and commands that prepare the registry for it.

    ``not_run`` says why the tests cannot send it.
    """

    path: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    query: str = ""
    body: str = ""
    before: str = ""
    not_run: str = ""


_BLOB = "SHA=$BLOB"
_ALICE = MappingProxyType({"user": "alice"})
_ROBOT = MappingProxyType({"robot": "team+ci"})
_MEMBER = MappingProxyType({"team": "builders", "member": "alice"})
_KEY = MappingProxyType({"principal": "alice", "key": "$PREFIX"})
_TRUST = MappingProxyType({"trust": "app"})
_RULE = MappingProxyType({"rule": "team"})
_NO_PROVIDER = "it needs a provider"
_ADD_ALICE = "moorage user add alice --no-password"
_DELETED = "moorage manifest delete team/app $SHA --yes"

EXAMPLES: Mapping[str, Example] = MappingProxyType(
    {
        "list_repositories": Example(query="prefix=team/&limit=100"),
        "show_repository": Example(),
        "show_usage": Example(),
        "create_repository": Example(body='{"name": "team/new", "description": "The next one"}'),
        "change_repository": Example(body='{"recovery_seconds": 172800}'),
        "rename_repository": Example(path={"name": "team/new"}, body='{"name": "team/newer"}'),
        "delete_repository": Example(path={"name": "team/old"}),
        "undelete_repository": Example(path={"name": "team/old"}, body="{}"),
        "list_tags": Example(query="limit=100"),
        "show_tag": Example(),
        "list_history": Example(query="tag=v1"),
        "move_tag": Example(path={"tag": "stable"}, body='{"digest": "sha256:..."}'),
        "change_tag": Example(path={"tag": "stable"}, body='{"immutable": true}'),
        "restore_tag": Example(body="{}"),
        "delete_tag": Example(),
        "list_manifests": Example(query="limit=100"),
        "show_manifest": Example(),
        "list_manifest_referrers": Example(),
        "delete_manifest": Example(),
        "show_blob": Example(before=_BLOB),
        "show_repository_blob": Example(),
        "list_labels": Example(),
        "add_label": Example(body='{"key": "org.moorage.expires-after", "value": "30d"}'),
        "remove_label": Example(path={"label": "2"}),
        "restore_manifest": Example(body="{}", before=_DELETED),
        "plan_restore": Example(query="as_of=$(date -u -d '2 hours ago' +%FT%TZ)"),
        "restore_repository": Example(body='{"as_of": "\'$(date -u -d "2 hours ago" +%FT%TZ)\'"}'),
        "create_rule": Example(
            body='{"name": "releases", "kind": "immutability", "definition": {"tags": ["v*"]}, "namespace": "team"}'
        ),
        "list_rules": Example(query="kind=immutability"),
        "show_rule": Example(path={"rule": "releases"}),
        "change_rule": Example(path={"rule": "releases"}, body='{"definition": {"tags": ["v*"], "after": "1h"}}'),
        "try_protection": Example(body='{"definition": {"tags": ["v*"], "retroactive": true}}'),
        "delete_rule": Example(path={"rule": "releases"}),
        "plan_retention": Example(
            body="{}",
            before="moorage rule add builds --kind retention --repository team/app "
            '\'{"select": ["nightly"], "keep": {"last": 10}}\'',
        ),
        "list_retention_plans": Example(),
        "show_retention_plan": Example(path={"plan": "1"}),
        "list_retention_entries": Example(path={"plan": "1"}, query="fate=keep"),
        "run_retention_plan": Example(path={"plan": "1"}, body="{}"),
        "collection_status": Example(),
        "explain_content": Example(query="repository=team/app&reference=v1"),
        "preview_collection": Example(query="limit=10"),
        "purge_digest": Example(body='{"digest": "sha256:...", "reason": "a key leaked with it"}', before=_BLOB),
        "list_purges": Example(),
        "allow_purged": Example(),
        "create_user": Example(body='{"name": "alice", "password": "correct horse battery"}'),
        "list_users": Example(),
        "show_user": Example(path=_ALICE),
        "change_user": Example(path=_ALICE, body='{"disabled": true}'),
        "delete_user": Example(path=_ALICE),
        "create_robot": Example(body='{"namespace": "team", "name": "ci", "description": "Builds"}'),
        "list_robots": Example(),
        "show_robot": Example(path=_ROBOT),
        "change_robot": Example(path=_ROBOT, body='{"disabled": true}'),
        "delete_robot": Example(path=_ROBOT),
        "create_team": Example(body='{"name": "builders"}'),
        "list_teams": Example(),
        "join_team": Example(path=_MEMBER, before=_ADD_ALICE),
        "show_team": Example(path=_MEMBER),
        "leave_team": Example(path=_MEMBER),
        "delete_team": Example(path=_MEMBER),
        "create_key": Example(
            path=_KEY,
            body='{"name": "laptop", "scopes": ["push:team/*"], "expires_in_seconds": 7776000}',
            before=_ADD_ALICE,
        ),
        "list_keys": Example(path=_KEY),
        "rotate_key": Example(
            path=_KEY, body='{"overlap_seconds": 3600}', before="MADE=$(moorage key add alice ci); PREFIX=${MADE:3:10}"
        ),
        "delete_key": Example(path=_KEY),
        "list_identities": Example(path=_ALICE, before=_ADD_ALICE),
        "link_identity": Example(
            path=_ALICE, body='{"provider": "company", "subject": "248289761001"}', not_run=_NO_PROVIDER
        ),
        "unlink_identity": Example(path={**_ALICE, "identity": "1"}, not_run=_NO_PROVIDER),
        "request_login": Example(body='{"host": "laptop", "expires_in_seconds": 7200}', not_run=_NO_PROVIDER),
        "poll_login": Example(body='{"poll_secret": "..."}', not_run=_NO_PROVIDER),
        "create_policy_rule": Example(
            body='{"name": "team", "definition": {"to": ["everybody"], "on": ["team/*"], "role": "pull"}}'
        ),
        "create_trust": Example(
            body='{"name": "app", "robot": "team+ci", "issuer": "https://token.actions.githubusercontent.com", '
            '"audiences": ["https://registry.example"], "claims": {"repository": ["acme/app"]}}',
            before="moorage robot add team+ci",
        ),
        "list_trusts": Example(query="limit=100"),
        "explain_trusts": Example(body='{"token": "...", "robot": "team+ci"}', not_run="it needs a token"),
        "show_trust": Example(path=_TRUST),
        "delete_trust": Example(path=_TRUST),
        "list_policy_rules": Example(),
        "show_policy_rule": Example(path=_RULE),
        "change_policy_rule": Example(
            path=_RULE, body='{"definition": {"to": ["everybody"], "on": ["team/*"], "role": "push"}}'
        ),
        "delete_policy_rule": Example(path=_RULE),
        "show_policy": Example(),
        "replace_policy": Example(
            body='{"rules": {"team": {"to": ["everybody"], "on": ["team/*"], "role": "pull"}}, "dry_run": true}'
        ),
        "show_identity": Example(),
        "explain_access": Example(query="principal=alice&action=push&repository=team/app", before=_ADD_ALICE),
        "simulate_access": Example(
            body='{"rules": {"admins": {"to": ["everybody"], "role": "admin"}}, "since": "2026-11-01T00:00:00Z"}'
        ),
        "rotate_token_key": Example(body="{}"),
        "list_audit": Example(query="kind=policy.&limit=100"),
        "list_events": Example(query="after=0&type=org.moorage.tag."),
        "list_consumers": Example(),
        "replay_events": Example(body='{"consumer": "announce", "after": 0}', not_run="it needs a consumer"),
        "list_letters": Example(),
        "redeliver_letter": Example(path={"letter": "1"}, body="{}", not_run="it needs an event that was given up"),
        "drop_letter": Example(path={"letter": "1"}, not_run="it needs an event that was given up"),
        "list_plugins": Example(),
        "block_plugin": Example(path={"plugin": "expiry"}, body='{"reason": "its keys are being replaced"}'),
        "unblock_plugin": Example(path={"plugin": "expiry"}),
        "show_readonly": Example(),
        "switch_readonly_on": Example(body='{"reason": "the database moves"}'),
        "switch_readonly_off": Example(),
        "list_jobs": Example(),
        "run_job": Example(path={"job": "scrub"}, body='{"arguments": {"everything": "true"}}'),
        "list_runs": Example(query="job=scrub"),
        "show_run": Example(path={"run": "1"}),
        "cancel_run": Example(path={"run": "1"}, body="{}"),
    }
)

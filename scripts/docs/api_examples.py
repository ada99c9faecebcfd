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
        "list_events": Example(query="after=0&type=org.moorage.tag."),
        "list_consumers": Example(),
        "replay_events": Example(body='{"consumer": "announce", "after": 0}', not_run="it needs a consumer"),
        "list_letters": Example(),
        "redeliver_letter": Example(path={"letter": "1"}, body="{}", not_run="it needs an event that was given up"),
        "drop_letter": Example(path={"letter": "1"}, not_run="it needs an event that was given up"),
        "list_plugins": Example(),
        "block_plugin": Example(path={"plugin": "expiry"}, body='{"reason": "its keys are being replaced"}'),
        "unblock_plugin": Example(path={"plugin": "expiry"}),
        "list_jobs": Example(),
        "run_job": Example(path={"job": "scrub"}, body='{"arguments": {"everything": "true"}}'),
        "list_runs": Example(query="job=scrub"),
        "show_run": Example(path={"run": "1"}),
        "cancel_run": Example(path={"run": "1"}, body="{}"),
    }
)

"""A plugin as it was written for plugin API 1.2: admission, events, jobs, artifacts and settings.

Recorded: it is not to be changed.
"""

from dataclasses import dataclass

from registry.hooks import Denied, ManifestInvalid, NotYet, PluginJob, hookimpl

MOORAGE_API = "1.2"
TYPE = "application/vnd.example.twelve.v1"


@dataclass(frozen=True)
class Settings:
    closed: tuple[str, ...] = ()


@hookimpl
def plugin_settings():
    return Settings


@hookimpl
def admission_hooks(context):
    return ["admit_manifest", "admit_tag_change", "admit_pull"]


@hookimpl
def admit_manifest(push, reader, context):
    if push.repository in context.settings.closed:
        raise Denied(f"{push.repository} is closed")
    return [f"{len(push.layers)} layers, {sum(1 for _ in reader.tags())} tags"]


@hookimpl
def admit_tag_change(change, reader, context):
    if change.tag == "latest":
        raise Denied("no latest")


@hookimpl
def admit_pull(pull, reader, context):
    if "org.example.secret" in pull.labels:
        raise Denied("secret")


@hookimpl
def artifact_types(context):
    return [TYPE]


@hookimpl
def validate_artifact(manifest, content):
    if len(manifest.blobs) != 2:
        raise ManifestInvalid("one file and its config")


@hookimpl
def artifact_labels(manifest, content):
    return {"org.example.twelve": "yes"}


@hookimpl
def event_happened(event, consumer, context):
    if event.type == "org.moorage.tag.changed":
        if context.store.get("ready") is None:
            context.store.put("ready", True)
            raise NotYet("the second time")
        context.store.put("seen", {"subject": event.subject, "digest": event.data["digest"]})


@hookimpl
def jobs(context):
    return [PluginJob("count", "count repositories", lambda run: {"found": len(list(context.repositories()))})]

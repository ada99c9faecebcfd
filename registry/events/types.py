"""The types of events: the one list from which they are written, checked and documented.

A type's name is ``org.moorage.THING.VERB``, after what happened. Times in data are texts of RFC 3339, in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LABEL_PREFIX = "org.moorage.label."
"""What events that actions of labels ask for begin with; no type of the registry's own does."""
_DIGEST, _TAG, _NOTHING = "the manifest's digest", "the tag", "empty"
_TAG_DATA = {
    "digest": "what the tag stands for",
    "previous": "what it stood for before, or null for a new tag; the same where a push put its end off",
    "expires": "when it ends, or null",
    "immutable": "whether it is protected by hand or by a label",
}


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of events: its name, what it tells, what ``subject`` names, and the fields of ``data``."""

    name: str
    about: str
    subject: str
    data: Mapping[str, str]


def _type(thing: str, verb: str, about: str, subject: str, **data: str) -> EventType:
    return EventType(f"org.moorage.{thing}.{verb}", about, subject, data)


REPOSITORY_CREATED = _type("repository", "created", "a repository was made, by hand or by its first push", _NOTHING)
REPOSITORY_CHANGED = _type(
    "repository",
    "changed",
    "settings of a repository were changed",
    _NOTHING,
    description="its description",
    allowSparse="whether content may be missing, or null: as the registry's settings say",
    recoverySeconds="how long what ended stays restorable, or null: as the registry's settings say",
)
REPOSITORY_RENAMED = _type(
    "repository", "renamed", "a repository has another name: `repository` is the new one", _NOTHING, previous="the old"
)
REPOSITORY_DELETED = _type("repository", "deleted", "a repository was deleted, with all that it holds", _NOTHING)
REPOSITORY_RESTORED = _type("repository", "restored", "a deleted repository was put back", _NOTHING)
MANIFEST_PUSHED = _type(
    "manifest",
    "pushed",
    "a manifest was pushed; each tag that it was pushed to has an event of its own, if it changed",
    _DIGEST,
    mediaType="its media type",
    artifactType="its artifact type, which for an image is its config's media type; or empty",
    size="its length in bytes",
    refersTo="the digest of its subject, or null",
    tags="the tags that it was pushed to",
    created="false where the repository had it already",
)
MANIFEST_DELETED = _type(
    "manifest",
    "deleted",
    "a manifest was deleted; each tag that ended with it has an event of its own",
    _DIGEST,
    reason="`manifest deleted` (by a client), `retention` or `purged`",
)
MANIFEST_RESTORED = _type("manifest", "restored", "a deleted manifest was brought back", _DIGEST)
MANIFEST_LABELLED = _type(
    "manifest", "labelled", "a label was added to a manifest", _DIGEST, key="the label's key", value="its value"
)
MANIFEST_UNLABELLED = _type(
    "manifest", "unlabelled", "an added label was removed", _DIGEST, key="the label's key", value="its value"
)
MANIFEST_PULLED = _type(
    "manifest",
    "pulled",
    "a manifest was pulled, once or more, in the seconds before; a crash may lose it",
    _DIGEST,
    tag="the tag that was asked for, or null where it was the digest",
    count="how many pulls",
)
TAG_CHANGED = _type("tag", "changed", "a tag was made, or moved to another manifest", _TAG, **_TAG_DATA)
TAG_RESTORED = _type("tag", "restored", "a tag was put back to what it stood for before", _TAG, **_TAG_DATA)
TAG_UPDATED = _type(
    "tag",
    "updated",
    "a tag's end or its protection was changed, by hand or by a label; it stands for the same manifest",
    _TAG,
    digest="what the tag stands for",
    expires="when it ends, or null",
    immutable="whether it is protected by hand or by a label",
)
TAG_DELETED = _type(
    "tag",
    "deleted",
    "a tag's life was ended",
    _TAG,
    digest="what it stood for",
    reason="`deleted`, `manifest deleted`, `retention`, `keep last`, `purged`, or `restored` (its repository was put "
    "back to a time without it)",
)
TAG_EXPIRED = _type("tag", "expired", "a tag's end came", _TAG, digest="what it stood for", expired="when its end came")
BLOB_PUSHED = _type(
    "blob",
    "pushed",
    "a blob was uploaded or mounted",
    "the blob's digest",
    size="its length in bytes",
    mountedFrom="the repository that it was mounted from, or null where it was uploaded",
)
BLOB_DELETED = _type(
    "blob", "deleted", "a blob was deleted", "the blob's digest", reason="`deleted` (by a client) or `purged`"
)
DIGEST_PURGED = _type(
    "digest",
    "purged",
    "a digest was removed everywhere, and may not come back; each manifest and tag that went has an event of its own",
    "the digest",
    reason="why, in the words of who did it",
    repositories="the repositories that had it",
)
DIGEST_ALLOWED = _type("digest", "allowed", "a purged digest may come back", "the digest")
REGISTRY_CLOSED = _type(
    "registry",
    "closed",
    "the whole registry was made read-only: nobody is told before that ends",
    _NOTHING,
    reason="why",
)
REGISTRY_OPENED = _type("registry", "opened", "the registry takes writes again", _NOTHING)

TYPES = (
    REPOSITORY_CREATED,
    REPOSITORY_CHANGED,
    REPOSITORY_RENAMED,
    REPOSITORY_DELETED,
    REPOSITORY_RESTORED,
    MANIFEST_PUSHED,
    MANIFEST_DELETED,
    MANIFEST_RESTORED,
    MANIFEST_LABELLED,
    MANIFEST_UNLABELLED,
    MANIFEST_PULLED,
    TAG_CHANGED,
    TAG_RESTORED,
    TAG_UPDATED,
    TAG_DELETED,
    TAG_EXPIRED,
    BLOB_PUSHED,
    BLOB_DELETED,
    DIGEST_PURGED,
    DIGEST_ALLOWED,
    REGISTRY_CLOSED,
    REGISTRY_OPENED,
)
"""Every type of the registry's own."""


def label_event(name: str) -> EventType:
    """Return the type of events that an action of labels asks for by ``name``."""
    return EventType(
        f"{LABEL_PREFIX}{name}",
        "what the action of a label asked for: a tag was made for a manifest with it, or it was added to one",
        _DIGEST,
        {"tag": "the tag that was made, or null", "label": "the label's key", "data": "what the action gave"},
    )

"""Labels of manifests."""

from __future__ import annotations

from typing import Annotated

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.digest import Digest
from registry.errors import (
    DigestInvalid,
    LabelInvalid,
    LabelRefused,
    LabelUnknown,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationInvalid,
)
from registry.manifests.label_service import MAX_KEY, MAX_VALUE
from registry.manifests.stored_labels import StoredLabel
from registry.names import RepositoryName

blueprint = Blueprint("api_labels", __name__, url_prefix=PREFIX)
_PATH = "/repositories/{name}/-/manifests/{digest}/labels"
_ERRORS = (NameInvalid, NameUnknown, DigestInvalid, ManifestUnknown)


class Label(msgspec.Struct):
    """A label. ``source`` is manifest (it came with the content) or api.

    ``warning`` says what the label's action found odd about the value: why it has no effect, or another one.
    """

    id: int
    key: str
    value: str
    media_type: str
    source: str
    warning: str


class NewLabel(Body):
    """A label to add; it acts as if it had come with the manifest."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_KEY)]
    value: Annotated[str, msgspec.Meta(max_length=MAX_VALUE)]


@operation(blueprint, "GET", _PATH, errors=(*_ERRORS, PaginationInvalid))
def list_labels(actor: Actor, name: RepositoryName, digest: Digest, query: PageQuery) -> PageOf[Label]:
    """List a manifest's labels, oldest first, with what their actions had to say."""
    (after,) = query.after(0)
    page = services().labels.list(actor, name, digest, query.size, int(after))
    return page_of(page, _shown, lambda label: (label.id,))


@operation(blueprint, "POST", _PATH, status=201, errors=(*_ERRORS, LabelInvalid))
def add_label(actor: Actor, name: RepositoryName, digest: Digest, wanted: NewLabel) -> Label:
    """Add a label to a manifest; its action runs on all living tags, from each tag's own start."""
    return _shown(services().labels.add(actor, name, digest, wanted.key, wanted.value))


@operation(blueprint, "DELETE", _PATH + "/{label}", errors=(*_ERRORS, LabelUnknown, LabelRefused))
def remove_label(actor: Actor, name: RepositoryName, digest: Digest, label: int) -> None:
    """Remove a label that was added here; what labels alone had set is worked out again."""
    services().labels.remove(actor, name, digest, label)


def _shown(label: StoredLabel) -> Label:
    return Label(label.id, label.key, label.value, label.media_type, label.source, label.warning)

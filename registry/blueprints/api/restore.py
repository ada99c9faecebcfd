"""Undoing deletions of manifests, and putting a repository back to a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from flask import Blueprint

from registry.access.actors import Actor
from registry.blueprints._http import services
from registry.blueprints._problems import PREFIX
from registry.blueprints.api._inputs import Body
from registry.blueprints.api._operations import Reply, operation
from registry.blueprints.api._pages import PageOf, PageQuery, page_of
from registry.blueprints.api._times import Time, milliseconds
from registry.digest import Digest
from registry.errors import (
    Denied,
    DigestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    NotRestorable,
    PaginationInvalid,
    TagImmutable,
)
from registry.manifests.restore_plan import Planned
from registry.names import RepositoryName

blueprint = Blueprint("api_restore", __name__, url_prefix=PREFIX)


class RestoredManifest(msgspec.Struct):
    """What came back; ``taken`` are tags that stand for something else by now and were left alone."""

    digest: str
    tags: Sequence[str]
    taken: Sequence[str]


class PlanQuery(PageQuery, kw_only=True):
    """The time to which the repository is put back."""

    as_of: Time


class PlannedChange(msgspec.Struct):
    """What happens to one tag: keep, set, move, end, impossible or refused; and why nothing can be done."""

    tag: str
    change: str
    present: str | None
    then: str | None
    why: str


class RepositoryRestore(Body):
    """The time to which the repository is put back."""

    as_of: Time


class Started(msgspec.Struct):
    """The run that does it; follow it at ``/api/v1/runs``."""

    run: int


@operation(
    blueprint,
    "POST",
    "/repositories/{name}/-/manifests/{digest}/restore",
    errors=(NameInvalid, NameUnknown, Denied, DigestInvalid, ManifestUnknown, NotRestorable, TagImmutable),
)
def restore_manifest(actor: Actor, name: RepositoryName, digest: Digest) -> RestoredManifest:
    """Bring a deleted manifest back, with the tags that its deletion ended."""
    done = services().restoration.manifest(actor, name, digest)
    return RestoredManifest(done.digest, done.tags, done.taken)


@operation(blueprint, "GET", "/repositories/{name}/-/restore", errors=(NameInvalid, NameUnknown, PaginationInvalid))
def plan_restore(actor: Actor, name: RepositoryName, query: PlanQuery) -> PageOf[PlannedChange]:
    """Tell what putting the repository back to a time would do to each tag; nothing is changed."""
    (last,) = query.after("")
    page = services().restoration.plan(actor, name, milliseconds(query.as_of), query.size, str(last))
    return page_of(page, _planned, lambda planned: (planned.tag,))


@operation(blueprint, "POST", "/repositories/{name}/-/restore", status=202, errors=(NameInvalid, NameUnknown))
def restore_repository(actor: Actor, name: RepositoryName, wanted: RepositoryRestore) -> Reply[Started]:
    """Put the repository back to a time, as a run of the job "restore"; tags that change meanwhile are left alone."""
    as_of = milliseconds(wanted.as_of)
    services().restoration.plan(actor, name, as_of, 1, "")  # so that what cannot be is told at once
    arguments = {"repository": name.value, "as_of": as_of}
    run = services().runs.queue(actor, "restore", arguments)
    return Reply(Started(run.id), location=f"/runs/{run.id}")


def _planned(planned: Planned) -> PlannedChange:
    return PlannedChange(planned.tag, planned.change.value, planned.present, planned.then, planned.why)

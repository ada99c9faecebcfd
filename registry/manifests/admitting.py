"""What plugins are asked before a manifest is stored, a tag is changed, or a tag's manifest is handed out.

They are asked outside of transactions; inside, what they were told of a tag is compared with what the change ended.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

from sqlalchemy import Connection, bindparam, select

from registry.db.engine import Database
from registry.db.models import Repository, Tag
from registry.digest import Digest
from registry.hooks.admission import ManifestPush, TagChange
from registry.hooks.admitting import PUSH, TAG, Admission
from registry.hooks.types import Layer, ParsedManifest
from registry.manifests.rows import ContentChanged
from registry.names import RepositoryName, TagName
from registry.repositories.current import alive


@dataclass(frozen=True, slots=True)
class Admitted:
    """What plugins admitted, with their warnings.

    ``previous`` is what each tag stood for when they were asked; empty where nobody was.
    """

    warnings: Sequence[str] = ()
    previous: Mapping[TagName, str | None] = field(default_factory=dict)

    def require_unchanged(self, tag: TagName, before: str | None) -> None:
        """Raise :class:`ContentChanged` where a tag, as it was changed, stood for something else than plugins heard."""
        if self.previous.get(tag, before) != before:
            raise ContentChanged


class Admitting:
    """Asks about one repository's manifests and tags."""

    def __init__(self, database: Database, admission: Admission) -> None:
        """Ask ``admission``."""
        self._database = database
        self._admission = admission
        self._standing = database.prepare(
            select(Tag.digest)
            .join(Repository, Repository.id == Tag.repository_id)
            .where(
                Repository.name == bindparam("repository"),
                Repository.current == 1,
                Tag.name == bindparam("tag"),
                alive(database.now_clause()),
            )
        )

    def push(self, push: ManifestPush) -> Admitted:
        """Ask about a push and each tag of it; raises :class:`~registry.errors.Denied`."""
        warnings = list(self._admission.push(push)) if self._admission.asked(PUSH) else []
        tags = [TagName(tag) for tag in push.tags]
        repository = RepositoryName(push.repository)
        changed = self.tags(push.actor, repository, tags, push.digest, push.manifest, push.labels)
        return Admitted([*warnings, *changed.warnings], changed.previous)

    def tags(
        self,
        principal: str,
        repository: RepositoryName,
        tags: Sequence[TagName],
        digest: Digest,
        manifest: ParsedManifest,
        labels: Mapping[str, str],
    ) -> Admitted:
        """Ask whether tags may stand for a manifest; raises :class:`~registry.errors.Denied`."""
        if not tags or not self._admission.asked(TAG):
            return Admitted()
        warnings: list[str] = []
        previous = self._previous(repository, tags)
        for tag, before in previous.items():
            was = None if before is None else Digest.parse(before)
            change = TagChange(repository.value, tag.value, digest, was, manifest, labels, principal)
            warnings += self._admission.tag(change)
        return Admitted(warnings, previous)

    def _previous(self, repository: RepositoryName, tags: Sequence[TagName]) -> Mapping[TagName, str | None]:
        with self._database.read() as connection:
            return {tag: self._stands_for(connection, repository, tag) for tag in tags}

    def _stands_for(self, connection: Connection, repository: RepositoryName, tag: TagName) -> str | None:
        row = self._standing(connection, {"repository": repository.value, "tag": tag.value})
        return None if row is None else str(row[0])


class LateLayers(Sequence[Layer]):
    """Layers that are looked up by who needs them."""

    def __init__(self, look_up: Callable[[], Sequence[Layer]]) -> None:
        """Get them from ``look_up``, once."""
        self._look_up = look_up

    @cached_property
    def _found(self) -> Sequence[Layer]:
        return tuple(self._look_up())

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Layer]: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequence[Layer]:
        return self._found[index]

    def __len__(self) -> int:
        return len(self._found)

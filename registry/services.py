"""Everything one app is made of, wired once by :func:`registry.app.create_app`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from registry.access.authorizer import Authorizer
from registry.content.blobs import BlobService
from registry.content.deletions import Deletions
from registry.content.reviews import Reviews
from registry.content.uploads import UploadService
from registry.db.engine import Database
from registry.errors import RegistryError
from registry.hooks.facade import Hooks
from registry.hooks.manager import PluginStatus
from registry.hooks.ports import StorageDriver, StorageError, StorageReadOnly
from registry.manifests.creator import ManifestCreator, PushTerms
from registry.manifests.deletion import ManifestDeletion
from registry.manifests.reader import ManifestReader
from registry.manifests.referrers import ReferrersService
from registry.manifests.signing import SigningKeys
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection
from registry.repositories.repositories import RepositoryService
from registry.repositories.tags import TagService
from registry.retention.service import RetentionService
from registry.settings import Settings
from registry.steps import Steps, no_steps


@dataclass(frozen=True, slots=True)
class Check:
    """Whether one part that the registry needs answers; ``detail`` says why not."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of one app."""

    settings: Settings
    plugins: Sequence[PluginStatus]
    hooks: Hooks
    database: Database
    storage: StorageDriver
    repositories: RepositoryService
    tags: TagService
    blobs: BlobService
    uploads: UploadService
    creator: ManifestCreator
    reader: ManifestReader
    deletion: ManifestDeletion
    referrers: ReferrersService
    deletions: Deletions
    retention: RetentionService

    @property
    def external_url(self) -> str:
        """The URL that Locations start with, or nothing: then they are relative."""
        return self.settings.external_url

    def readiness(self) -> Sequence[Check]:
        """Ask the database and the storage whether they can serve."""
        return [self._database_check(), self._storage_check()]

    def after_fork(self) -> None:
        """Leave the parent process its connections."""
        self.database.after_fork()

    def _database_check(self) -> Check:
        try:
            with self.database.read() as connection:
                connection.execute(text("SELECT count(*) FROM namespace WHERE id = 0"))
        except RegistryError as error:
            return Check("database", ok=False, detail=error.message)
        return Check("database", ok=True, detail="")

    def _storage_check(self) -> Check:
        try:
            self.storage.check()
        except StorageReadOnly as error:
            return Check("storage", ok=True, detail=f"pulls only: {error}")
        except StorageError as error:
            return Check("storage", ok=False, detail=str(error))
        return Check("storage", ok=True, detail="")


def build_services(
    settings: Settings,
    plugins: Sequence[PluginStatus],
    hooks: Hooks,
    database: Database,
    storage: StorageDriver,
    steps: Steps = no_steps,
) -> Services:
    """Wire the services over one database and one store."""
    authorizer = Authorizer()
    lease_ms = int(settings.lease_seconds * 1000)
    deletions = Deletions(database, storage)
    reviews = Reviews(database, grace_ms=settings.grace_seconds * 1000, window_ms=settings.recovery_window * 1000)
    protection = Protection()
    periods = Periods(database, reviews, protection)
    deletion = ManifestDeletion(database, authorizer, periods, reviews)
    blobs = BlobService(database, storage, authorizer, deletions, reviews, lease_ms)
    uploads = UploadService(
        database, storage, authorizer, blobs, deletions, int(settings.upload_deadline * 1000), steps
    )
    creator = ManifestCreator(
        database,
        storage,
        hooks,
        authorizer,
        blobs,
        periods,
        PushTerms(lease_ms, settings.allow_sparse),
        steps,
    )
    reader = ManifestReader(database, storage, hooks, authorizer, SigningKeys(database))
    return Services(
        settings=settings,
        plugins=plugins,
        hooks=hooks,
        database=database,
        storage=storage,
        repositories=RepositoryService(database, authorizer),
        tags=TagService(database, authorizer, periods),
        blobs=blobs,
        uploads=uploads,
        creator=creator,
        reader=reader,
        deletion=deletion,
        referrers=ReferrersService(database, authorizer),
        deletions=deletions,
        retention=RetentionService(database, authorizer, protection, periods, deletion),
    )

"""Everything one app is made of, wired once by :func:`registry.app.create_app`."""

from __future__ import annotations

# Long: it names every service once, and grows by a line with each.
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from registry.access.conditions import Networks
from registry.access.external import ExternalTerms
from registry.access.parts import Access, AccessTerms, wire_access
from registry.audit.log import AuditService
from registry.audit.notes import Notes
from registry.audit.sealing import Sealer
from registry.audit.simulation import AccessSimulator
from registry.audit.trim import AuditTrim
from registry.backup.making import BackupService
from registry.backup.restoring import Restorer
from registry.certificates import ending
from registry.collection.collector import Collector
from registry.collection.explain import Explainer
from registry.collection.purge import PurgeService
from registry.collection.removal import Removal
from registry.collection.status import StatusService
from registry.content.blobs import BlobService
from registry.content.catalogue import BlobCatalogue
from registry.content.deletions import Deletions
from registry.content.leases import Leases
from registry.content.leftovers import Leftovers
from registry.content.mounts import MountService
from registry.content.redirects import Redirects
from registry.content.reviews import Reviews
from registry.content.uploads import UploadService
from registry.db.engine import Database
from registry.egress.client import EgressClient
from registry.errors import RegistryError
from registry.events.dispatcher import Dispatcher
from registry.events.log import EventLog
from registry.events.observers import Observers
from registry.events.outbox import Outbox
from registry.events.retries import RetryTerms
from registry.events.service import EventService
from registry.events.tail import Tail
from registry.events.trim import OutboxTrim
from registry.fsck.check import Fsck, Terms
from registry.fsck.repairs import Repairs
from registry.fsck.scrub import Scrub
from registry.hooks.admitting import Admission
from registry.hooks.context import PluginContext, TagWriter
from registry.hooks.facade import Hooks
from registry.hooks.manager import FAILED, PluginStatus
from registry.hooks.ports import StorageDriver, StorageError, StorageReadOnly
from registry.hooks.statuses import settled
from registry.isolation.blocks import BlockService
from registry.isolation.caretaker import Caretaker
from registry.isolation.health import HealthService
from registry.manifests.admitting import Admitting
from registry.manifests.catalogue import ManifestCatalogue
from registry.manifests.creator import ManifestCreator, PushTerms
from registry.manifests.deletion import ManifestDeletion
from registry.manifests.label_service import LabelService
from registry.manifests.past import PastReader
from registry.manifests.pull_admission import PullAdmission
from registry.manifests.pulls import PullTimes
from registry.manifests.reader import ManifestReader
from registry.manifests.referrers import ReferrersService
from registry.manifests.restoration import Restoration, RestorationParts
from registry.manifests.restore_plan import RestorePlanner
from registry.manifests.revival import Revival
from registry.manifests.rows import ManifestRows
from registry.manifests.signing import SigningKeys
from registry.manifests.tagging import TagChanges
from registry.operations.readonly import ReadOnlyService
from registry.plugin_context.contexts import NO_SETTINGS, Contexts, default_settings
from registry.plugin_context.readers import StoredReaders
from registry.plugin_context.tags import PluginTags
from registry.repositories import immutability
from registry.repositories.history import HistoryService
from registry.repositories.lapses import Lapses
from registry.repositories.lifecycle import RepositoryLifecycle
from registry.repositories.listing import RepositoryListing
from registry.repositories.periods import Periods
from registry.repositories.protection import Protection
from registry.repositories.repositories import RepositoryService
from registry.repositories.rules import RuleService
from registry.repositories.tag_values import LifeBounds
from registry.repositories.tags import TagService
from registry.repositories.trial import ProtectionTrial
from registry.repositories.trim import HistoryTrim
from registry.retention import definition
from registry.retention.service import RetentionService
from registry.retention.sweep import Sweep
from registry.settings import Settings
from registry.steps import Steps, no_steps
from registry.work.builtin import (
    audit_job,
    collection_job,
    events_job,
    history_job,
    lapses_job,
    leftovers_job,
    restore_job,
    retention_job,
    scrub_job,
)
from registry.work.plugin_jobs import plugin_jobs
from registry.work.queue import JobQueue
from registry.work.runs import RunService

_LISTENING = 4
"""Of a process's threads for downloads, one in so many may follow the events."""


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
    listing: RepositoryListing
    lifecycle: RepositoryLifecycle
    tags: TagService
    blobs: BlobService
    mounts: MountService
    redirects: Redirects
    uploads: UploadService
    creator: ManifestCreator
    reader: ManifestReader
    past: PastReader
    deletion: ManifestDeletion
    manifests: ManifestCatalogue
    blob_catalogue: BlobCatalogue
    referrers: ReferrersService
    deletions: Deletions
    collector: Collector
    explainer: Explainer
    collection: StatusService
    purges: PurgeService
    retention: RetentionService
    pulls: PullTimes
    labels: LabelService
    rules: RuleService
    fsck: Fsck
    history: HistoryService
    changes: TagChanges
    restoration: Restoration
    protection_trial: ProtectionTrial
    runs: RunService
    queue: JobQueue
    log: EventLog
    events: EventService
    tail: Tail
    plugin_blocks: BlockService
    caretaker: Caretaker
    contexts: Callable[[str], PluginContext]
    admission: Admission
    access: Access
    notes: Notes
    audit: AuditService
    simulator: AccessSimulator
    readonly: ReadOnlyService
    backups: BackupService
    restorer: Restorer

    trusted_proxies: Networks

    @property
    def external_url(self) -> str:
        """The URL that Locations start with, or nothing: then they are relative."""
        return self.settings.external_url

    def now(self) -> int:
        """Return the registry's time in milliseconds."""
        with self.database.read() as connection:
            return self.database.now(connection)

    def readiness(self) -> Sequence[Check]:
        """Ask the database and the storage whether they can serve, and tell of what does not do well beside them."""
        checks = [self._database_check(), self._storage_check(), self._writes_check(), self._plugins_check()]
        return [*checks, self._certificate_check(cert)] if (cert := self.settings.tls_cert) is not None else checks

    def dispatcher(self, holder: str) -> Dispatcher:
        """Return what tells observers of events, for the worker ``holder``."""
        terms = RetryTerms(attempts=self.settings.event_attempts)
        observers = Observers(self.hooks.calls, self.contexts)
        return Dispatcher(self.database, self.log, observers, holder, terms, Sealer(self.database))

    def after_fork(self) -> None:
        """Leave the parent process its connections, and start what runs in each process that serves."""
        self.database.after_fork()
        self.pulls.start()
        self.notes.start()
        self.caretaker.start()

    def before_exit(self) -> None:
        """Keep what is only in this process's memory."""
        self.pulls.flush()
        self.notes.flush()
        self.caretaker.stop()

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

    def _certificate_check(self, cert: Path) -> Check:
        """Tell of its end; never is it a reason to ask another server, as all have the same."""
        return Check("certificate", ok=True, detail=ending(cert, self.database.clock_ms()))

    def _writes_check(self) -> Check:
        """Tell whether the registry is read-only: pulls go on, and this keeps nobody from asking this server."""
        try:
            closed = self.database.gate.closed()
        except RegistryError as error:
            return Check("writes", ok=True, detail=f"refused: {error.message}")
        return Check("writes", ok=True, detail="" if closed is None else f"read-only: {closed.reason}")

    def _plugins_check(self) -> Check:
        """Whatever a plugin does, pulls go on: this keeps nobody from asking this server."""
        told = ["safe mode: only what is built in is loaded"] if self.settings.safe_mode else []
        told += [f"{status.name} failed to load" for status in self.plugins if status.state == FAILED]
        told += self.hooks.calls.troubles()
        return Check("plugins", ok=True, detail="; ".join(told))


def build_services(
    settings: Settings,
    plugins: Sequence[PluginStatus],
    hooks: Hooks,
    database: Database,
    storage: StorageDriver,
    steps: Steps = no_steps,
    plugin_settings: Mapping[str, object] = NO_SETTINGS,
) -> Services:
    """Wire the services over one database and one store; ``plugin_settings`` are by the plugins' names.

    Raises :class:`~registry.hooks.manager.PluginError` where plugins claim the same.
    """
    # Long: a line a service, and no step that depends on another's outcome.
    made = _Wiring(settings, hooks, database, storage, steps, plugin_settings)
    hooks.open(made.contexts)
    plugins = settled(plugins, hooks.calls.guards, () if settings.safe_mode else settings.required_plugins)
    collector = made.collector()
    health = HealthService(database, hooks.calls)
    blocks = BlockService(database, made.authorizer, hooks.calls, [status.name for status in plugins], health)
    pulls = PullAdmission(database, hooks, made.admission)
    reader = ManifestReader(database, storage, hooks, made.authorizer, SigningKeys(database), made.leases, pulls)
    retention = RetentionService(database, made.authorizer, made.protection, made.periods, made.deletion)
    restoration = made.restoration()
    jobs = [
        lapses_job(Lapses(database, made.periods.events)),
        events_job(OutboxTrim(database, settings.events_kept * 1000)),
        audit_job(AuditTrim(database, settings.audit_retention * 1000)),
        history_job(HistoryTrim(database, settings.history_kept * 1000, settings.recovery_window * 1000)),
        restore_job(restoration),
        scrub_job(made.scrub()),
        collection_job(collector, made.deletions),
        leftovers_job(Leftovers(database, storage, settings.upload_expiry * 1000)),
        retention_job(Sweep(database, retention), settings.retention_every),
        *plugin_jobs(hooks.calls, made.contexts),
    ]
    return Services(
        settings=settings,
        plugins=plugins,
        hooks=hooks,
        database=database,
        storage=storage,
        repositories=RepositoryService(database, made.authorizer),
        listing=RepositoryListing(database, made.authorizer),
        lifecycle=RepositoryLifecycle(database, made.authorizer, made.reviews, made.protection, made.outbox),
        tags=made.tags,
        blobs=made.blobs,
        mounts=MountService(database, made.authorizer, made.blobs),
        redirects=Redirects(storage, settings.storage_redirect, settings.storage_redirect_min),
        uploads=made.uploads(),
        creator=made.creator(),
        reader=reader,
        past=PastReader(database, made.authorizer, reader, pulls),
        deletion=made.deletion,
        manifests=ManifestCatalogue(database, storage, hooks, made.authorizer),
        blob_catalogue=BlobCatalogue(database, made.authorizer),
        referrers=ReferrersService(database, made.authorizer),
        deletions=made.deletions,
        collector=collector,
        explainer=Explainer(database, made.authorizer, made.reviews, window_ms=settings.recovery_window * 1000),
        collection=StatusService(database, made.authorizer, collector),
        pulls=PullTimes(database, made.outbox),
        labels=made.labels,
        history=made.history,
        changes=made.changes,
        restoration=restoration,
        fsck=made.fsck(),
        protection_trial=ProtectionTrial(database, made.history),
        rules=RuleService(
            database,
            made.authorizer,
            {immutability.KIND: immutability.parse_rule, definition.KIND: definition.parse_rule},
        ),
        runs=RunService(database, made.authorizer, jobs),
        queue=JobQueue(database, jobs),
        log=made.log,
        events=EventService(database, made.authorizer, made.log),
        tail=Tail(database, made.log, max(1, settings.transfer_threads // _LISTENING)),
        purges=PurgeService(database, made.authorizer, made.removal, made.periods, made.deletions, made.outbox),
        retention=retention,
        plugin_blocks=blocks,
        caretaker=Caretaker(hooks.calls, blocks, health, database.gate, settings.data),
        contexts=made.contexts,
        admission=made.admission,
        access=made.access,
        notes=made.notes,
        audit=AuditService(database, made.authorizer),
        simulator=AccessSimulator(database, made.access.policies, made.access.policy, made.access.standings),
        readonly=ReadOnlyService(database, made.authorizer, made.outbox, made.log),
        backups=BackupService(database, storage, made.authorizer),
        restorer=Restorer(database, storage),
        trusted_proxies=Networks.of(settings.trusted_proxies),
    )


class _Wiring:
    """What several services share, and those that take many parts."""

    def __init__(
        self,
        settings: Settings,
        hooks: Hooks,
        database: Database,
        storage: StorageDriver,
        steps: Steps,
        plugin_settings: Mapping[str, object],
    ) -> None:
        # Long: a line a part, and no step that depends on another's outcome.
        self._settings = settings
        self._hooks = hooks
        self._database = database
        self._storage = storage
        self._steps = steps
        self._lease_ms = settings.lease_seconds * 1000
        self._window_ms = settings.recovery_window * 1000
        self.protection = Protection(database)
        readers = StoredReaders(database, storage, hooks, self.protection)
        given = {**default_settings(hooks.calls), **plugin_settings}
        egress = EgressClient(settings.egress_allow, settings.egress_ca)
        self.contexts = Contexts(database, readers, self._tags_of, egress, given)
        self.notes = Notes(database, database.clock_ms)
        to_issuers = EgressClient(settings.egress_allow, settings.egress_ca, private=True)
        terms = _access_terms(settings)
        self.access = wire_access(database, terms, hooks.calls, self.contexts, to_issuers, self.notes)
        self.authorizer = self.access.authorizer
        self.deletions = Deletions(database, storage, steps)
        self.reviews = Reviews(database, grace_ms=settings.grace_seconds * 1000, window_ms=self._window_ms)
        self.outbox, self.log = Outbox(database), EventLog(database)
        self.periods = Periods(database, self.reviews, self.protection, self.outbox)
        self.deletion = ManifestDeletion(database, self.authorizer, self.periods, self.reviews, self.outbox)
        self.removal = Removal(self.reviews, self.deletions)
        self.repairs = Repairs(database, self.reviews, self.deletions, self.removal)
        self.leases = Leases(database, self.authorizer, self._lease_ms)
        self.blobs = BlobService(
            database, storage, self.authorizer, self.deletions, self.reviews, self.leases, self.outbox, self._lease_ms
        )

        self.tags = TagService(database, self.authorizer, self.periods)
        self.admission = Admission(hooks.calls, self.contexts, readers)
        self._admitting = Admitting(database, self.admission)
        self.history = HistoryService(database, self.authorizer, self.protection)
        self.revival = Revival(self.outbox, self._lease_ms, allow_sparse=settings.allow_sparse)
        self.lives = LifeBounds(settings.tag_expiry_min * 1000, settings.tag_expiry_max * 1000)
        self.labels = LabelService(
            database, storage, hooks, self.authorizer, self.periods, self.reviews, self.lives, self.outbox
        )
        self.changes = TagChanges(
            database,
            self.authorizer,
            self.periods,
            self.protection,
            self.labels,
            self.revival,
            self.reviews,
            self.lives,
            self._admitting,
        )

    def _tags_of(self, plugin: str) -> TagWriter:
        return PluginTags(plugin, lambda: self.changes, lambda: self.tags)

    def restoration(self) -> Restoration:
        return Restoration(
            self._database,
            self.authorizer,
            RestorePlanner(self._database, self.history, self.revival),
            self.periods,
            self.labels,
            self.changes,
            RestorationParts(ManifestRows(self._database, self.outbox, self._lease_ms), self.revival),
        )

    def fsck(self) -> Fsck:
        young_ms, sparse = int(self._settings.upload_deadline * 1000), self._settings.allow_sparse
        terms = Terms(self._window_ms, self._lease_ms, young_ms, allow_sparse=sparse)
        return Fsck(self._database, self._storage, self._hooks, self.authorizer, self.repairs, terms)

    def scrub(self) -> Scrub:
        every_ms = self._settings.scrub_every * 1000
        return Scrub(
            self._database, self._storage, self.repairs, every_ms=every_ms, bytes_a_second=self._settings.scrub_rate
        )

    def uploads(self) -> UploadService:
        deadline_ms = int(self._settings.upload_deadline * 1000)
        return UploadService(
            self._database, self._storage, self.authorizer, self.blobs, self.deletions, deadline_ms, self._steps
        )

    def creator(self) -> ManifestCreator:
        return ManifestCreator(
            self._database,
            self._storage,
            self._hooks,
            self.authorizer,
            self.blobs,
            self.periods,
            self._admitting,
            PushTerms(self._lease_ms, self._settings.allow_sparse, self.lives),
            self._steps,
        )

    def collector(self) -> Collector:
        return Collector(
            self._database,
            self.removal,
            self.reviews,
            window_ms=self._window_ms,
            upload_expiry_ms=self._settings.upload_expiry * 1000,
            steps=self._steps,
        )


def _access_terms(settings: Settings) -> AccessTerms:
    external = ExternalTerms(
        settings.token_realm,
        settings.token_issuer,
        settings.token_service or settings.own_name,
        settings.token_keys,
    )
    return AccessTerms(
        authentication=settings.authentication,
        service=settings.own_name,
        htpasswd=settings.htpasswd,
        token_seconds=settings.token_lifetime,
        audience=settings.external_url,
        external=external if settings.token_realm else None,
        login_seconds=settings.login_lifetime,
        address=settings.external_url,
        providers=settings.oidc,
        logins_at_once=max(1, settings.threads // 2),  # a source that takes its time leaves threads to all others
    )

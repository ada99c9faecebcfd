"""The jobs of the core."""

from __future__ import annotations

from dataclasses import asdict

from registry.audit.trim import AuditTrim
from registry.collection.collector import Collector
from registry.content.deletions import Deletions
from registry.content.leftovers import Leftovers
from registry.errors import InputInvalid, RequestInvalid
from registry.events.trim import OutboxTrim
from registry.fsck.scrub import Scrub
from registry.manifests.restoration import Restoration
from registry.names import RepositoryName
from registry.repositories.lapses import Lapses
from registry.repositories.trim import HistoryTrim
from registry.retention.sweep import Sweep
from registry.work.jobs import Job, JobContext, Result

_OFTEN = 5.0
_SOON = 1.0
_DAILY = 86_400.0
_HOURLY = 3_600.0
_YEAR_10000 = 253_402_300_800_000
_WORDS = {"true": True, "false": False}
"""What a command line says for them."""


def history_job(trim: HistoryTrim) -> Job:
    """Return the job that forgets periods of tags which ended long ago."""
    return Job(
        name="history",
        about="forget what tags stood for long ago",
        every_seconds=_DAILY,
        run=lambda context: {"periods": trim.run(context.progress, context.stopping)},
    )


def lapses_job(lapses: Lapses) -> Job:
    """Return the job that tells observers of tags whose end has come."""
    return Job(
        name="lapses",
        about="tell of tags whose end has come",
        every_seconds=_SOON,
        run=lambda context: {"tags": lapses.run(context.progress, context.stopping)},
        wanted=lapses.wanted,
    )


def events_job(trim: OutboxTrim) -> Job:
    """Return the job that forgets events which were told long ago."""
    return Job(
        name="events",
        about="forget events that were told long ago",
        every_seconds=_HOURLY,
        run=lambda context: {"events": trim.run(context.progress, context.stopping)},
    )


def audit_job(trim: AuditTrim) -> Job:
    """Return the job that removes records of the audit log which are old."""
    return Job(
        name="audit",
        about="remove records of the audit log that are older than they are to be kept",
        every_seconds=_DAILY,
        run=lambda context: {"records": trim.run(context.progress, context.stopping)},
    )


def restore_job(restoration: Restoration) -> Job:
    """Return the job that puts a repository back to a time; arguments: ``repository``, ``as_of`` (milliseconds)."""

    def run(context: JobContext) -> Result:
        repository, as_of = context.arguments.get("repository"), context.arguments.get("as_of")
        if not isinstance(repository, str) or not isinstance(as_of, int) or isinstance(as_of, bool):
            raise RequestInvalid("restore needs the arguments repository and as_of, a time in milliseconds")
        if not 0 <= as_of < _YEAR_10000:
            raise RequestInvalid("as_of must lie between 1970 and 9999", detail={"as_of": as_of})
        return restoration.apply(RepositoryName.parse(repository), as_of, context)

    return Job(
        name="restore",
        about="put a repository back to a time",
        every_seconds=None,
        run=run,
        exclusive=False,
    )


def scrub_job(scrub: Scrub) -> Job:
    """Return the job that reads all bytes again; argument: ``everything``, also what was read lately."""

    def run(context: JobContext) -> Result:
        everything = context.arguments.get("everything") in (True, "true")
        done = scrub.run(context.progress, context.stopping, everything=everything)
        return {"blobs": done.blobs, "bytes": done.bytes, "damaged": done.damaged}

    return Job(
        name="scrub",
        about="read stored bytes again, and take what is damaged out of service",
        every_seconds=_HOURLY,
        run=run,
        wanted=scrub.wanted,
    )


def collection_job(collector: Collector, deletions: Deletions) -> Job:
    """Return the job that collects what nothing keeps; any number of workers may run it at once."""

    def run(context: JobContext) -> Result:
        done = collector.run(context.progress, context.stopping)
        return {**asdict(done.freed), "failed": done.failed, "keys": deletions.drain(context.stopping)}

    return Job(
        name="collection",
        about="remove what nothing keeps, and the bytes of what went",
        every_seconds=_OFTEN,
        run=run,
        wanted=lambda: collector.wanted() or deletions.wanted(),
        exclusive=False,
    )


def leftovers_job(leftovers: Leftovers) -> Job:
    """Return the job that removes from the store what crashes left of uploads."""
    return Job(
        name="leftovers",
        about="remove from the store what crashes left of uploads",
        every_seconds=_DAILY,
        run=lambda context: asdict(leftovers.run(context.progress, context.stopping)),
        wanted=leftovers.wanted,
    )


def retention_job(sweep: Sweep, every_seconds: float) -> Job:
    """Return the job that removes what rules of retention do not keep.

    Its arguments are ``repository`` (all that rules decide about) and ``dry_run`` (false). A run without any rule
    counts as one: the first rule that is made acts at the next time, and not before somebody could try it.
    """

    def run(context: JobContext) -> Result:
        given = dict(context.arguments)
        name, dry_run = given.pop("repository", None), given.pop("dry_run", False)
        dry_run = _WORDS.get(dry_run, dry_run) if isinstance(dry_run, str) else dry_run
        if given or not isinstance(name, str | None) or not isinstance(dry_run, bool):
            raise InputInvalid(
                "retention takes a repository and dry_run, true or false", detail={"arguments": str(context.arguments)}
            )
        repository = None if name is None else RepositoryName.parse(name)
        return sweep.run(context.actor, repository, context.progress, context.stopping, dry_run=dry_run).as_json()

    return Job(
        name="retention",
        about="remove the tags and untagged manifests that no rule of retention keeps",
        every_seconds=every_seconds,
        run=run,
    )

"""The jobs of the core."""

from __future__ import annotations

from dataclasses import asdict

from registry.collection.collector import Collector
from registry.content.deletions import Deletions
from registry.work.jobs import Job, JobContext, Result

_OFTEN = 5.0


def collection_job(collector: Collector, deletions: Deletions) -> Job:
    """Return the job that collects what nothing keeps; any number of workers may run it at once."""

    def run(context: JobContext) -> Result:
        done = collector.run(context.progress, context.stopping)
        return {**asdict(done.freed), "keys": deletions.drain(context.stopping)}

    return Job(
        name="collection",
        about="remove what nothing keeps, and the bytes of what went",
        every_seconds=_OFTEN,
        run=run,
        wanted=lambda: collector.wanted() or deletions.wanted(),
        exclusive=False,
    )

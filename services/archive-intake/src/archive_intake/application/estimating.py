"""Say what a job would do and cost, without recording anything."""

from dataclasses import dataclass
from typing import Final

from archive_intake.application.accepting import look_around
from archive_intake.application.manifests import SampleManifest
from archive_intake.domain.estimates import DryRun, dry_run_of
from archive_intake.domain.jobs import WantedJob
from archive_intake.ports import Jobs, Sources

SAMPLED_FILES: Final = 10_000  # ten requests


@dataclass(frozen=True, slots=True)
class EstimateArchive:
    """Answers what the call without `dry_run` would be refused for, or do: the order, the files found, and the cost."""

    jobs: Jobs
    sources: Sources
    sample_manifest: SampleManifest

    def __call__(self, wanted: WantedJob) -> DryRun:
        """Lists the first files under the prefix, or reads the first rows of the manifest.

        Raises:
            Problem: 409, a running job overlaps; 422, the manifest cannot be used.
        """
        order = wanted.order
        _, same = look_around(self.jobs, wanted, self.jobs.running(order.project, order.bucket))
        if order.source is not None:
            sample = self.sample_manifest(order, order.source, limit=SAMPLED_FILES)
        else:
            sample = self.sources.sample(order.bucket, order.prefix, limit=SAMPLED_FILES)
        return dry_run_of(order, sample, running_job_id=same.job_id if same else None)

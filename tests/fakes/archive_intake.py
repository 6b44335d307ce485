"""Stand-ins for the archive intake's ports; the first two pass the same contract suite as the DynamoDB ones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import md5
from typing import Any

from archive_intake.domain.answers import SkippedFile, SkippedPage
from archive_intake.domain.fallback import Decision, DecisionOutcome
from archive_intake.domain.jobs import Job, RunningJob, RunningJobs
from archive_intake.ports import JobPage
from glaciate.manifests import BadManifest, Slice
from glaciate.names import JobId, ProjectName
from glaciate.projects import ProjectsDocument


@dataclass
class FakeDecisions:
    """The fallback's decisions in memory."""

    rows: dict[tuple[ProjectName, str], Decision] = field(default_factory=dict)

    def find(self, project: ProjectName, decision_id: str) -> Decision | None:
        return self.rows.get((project, decision_id))

    def note(self, project: ProjectName, decision: Decision) -> None:
        if not self.started(project, decision):
            self.rows[project, decision.due.decision_id] = decision

    def latest(self, project: ProjectName, *, limit: int) -> tuple[Decision, ...]:
        mine = [(key, decision) for (owner, key), decision in self.rows.items() if owner == project]
        return tuple(decision for _, decision in sorted(mine, key=lambda row: row[0], reverse=True))[:limit]

    def started(self, project: ProjectName, decision: Decision) -> bool:
        known = self.find(project, decision.due.decision_id)
        return known is not None and known.outcome is DecisionOutcome.STARTED


@dataclass
class FakeJobs:
    """The book of jobs in memory."""

    decisions: FakeDecisions = field(default_factory=FakeDecisions)
    rows: dict[JobId, Job] = field(default_factory=dict)
    waiting: set[JobId] = field(default_factory=set)
    busy: dict[tuple[ProjectName, str], RunningJobs] = field(default_factory=dict)

    def running(self, project: ProjectName, bucket: str) -> RunningJobs:
        return self.busy.get((project, bucket), RunningJobs(0))

    def accept(
        self, job: Job, *, fingerprint: str, running: RunningJobs, ended: Iterable[JobId], decision: Decision | None
    ) -> bool:
        project, bucket = job.order.project, job.order.bucket
        known = self.running(project, bucket)
        if known.version != running.version or job.job_id in self.rows:
            return False
        if decision is not None:
            if self.decisions.started(project, decision):
                return False
            self.decisions.rows[project, decision.due.decision_id] = decision
        forgotten = set(ended)
        left = [other for other in known.jobs if other.job_id not in forgotten]
        left.append(RunningJob(job.job_id, job.order.prefix, fingerprint))
        left.sort(key=lambda other: other.job_id)
        self.busy[project, bucket] = RunningJobs(known.version + 1, tuple(left))
        self.rows[job.job_id] = job
        self.waiting.add(job.job_id)
        return True

    def find(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Job]:
        return {job_id: self.rows[job_id] for job_id in job_ids if job_id in self.rows}

    def sent(self, job_id: JobId) -> None:
        self.waiting.discard(job_id)

    def unsent(self, *, accepted_before: datetime) -> Iterator[JobId]:
        return iter(sorted(name for name in self.waiting if self.rows[name].accepted_at < accepted_before))

    def page(self, project: ProjectName, *, limit: int, before: JobId | None) -> JobPage:
        found = [job for job in self._newest(project) if before is None or job.job_id < before]
        return JobPage(tuple(found[:limit]), found[limit - 1].job_id if len(found) > limit else None)

    def accepted_since(self, project: ProjectName, moment: datetime) -> Iterable[Job]:
        return (job for job in self._newest(project) if job.accepted_at >= moment)

    def change(self, job_id: JobId, **fields: Any) -> None:
        """What the packer does to a job's row."""
        self.rows[job_id] = replace(self.rows[job_id], **fields)

    def _newest(self, project: ProjectName) -> list[Job]:
        mine = [job for job in self.rows.values() if job.order.project == project]
        return sorted(mine, key=lambda job: job.job_id, reverse=True)


@dataclass(frozen=True)
class FakeProjects:
    """A document in memory."""

    document: ProjectsDocument

    def load(self) -> ProjectsDocument:
        return self.document


@dataclass
class FakeManifests:
    """Manifests in memory."""

    objects: dict[tuple[str, str], bytes] = field(default_factory=dict)
    slice_bytes: int = 50

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        body = self.objects.get((bucket, key))
        if body is None:
            raise BadManifest("it can't be read: NoSuchKey")
        version = f'"{md5(body, usedforsecurity=False).hexdigest()}"'
        if etag not in {None, version}:
            raise BadManifest("it changed while it was read")
        return Slice(body[start : start + self.slice_bytes], version, len(body))


@dataclass
class FakeSkippedFiles:
    """Skipped files in memory; a token is a position."""

    files: dict[JobId, tuple[SkippedFile, ...]] = field(default_factory=dict)

    def page(self, job_id: JobId, *, limit: int, token: str | None) -> SkippedPage:
        files, start = self.files.get(job_id, ()), int(token or 0)
        end = start + limit
        return SkippedPage(files[start:end], str(end) if len(files) > end else None)

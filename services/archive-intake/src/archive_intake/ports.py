"""What the intake needs of the world."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from archive_intake.domain.answers import ArchivesPage, SkippedPage
from archive_intake.domain.estimates import SourceSample
from archive_intake.domain.fallback import Decision
from archive_intake.domain.jobs import Job, RunningJobs
from glaciate.holds import Hold
from glaciate.manifests import Slice
from glaciate.names import JobId, ProjectName
from glaciate.projects import ProjectsDocument


class Projects(Protocol):
    """Who may archive what."""

    def load(self) -> ProjectsDocument:
        """The document as it is now."""


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, newest first, and the id to go on before, if there are more."""

    jobs: tuple[Job, ...]
    before: JobId | None


class Sources(Protocol):
    """The source buckets."""

    def sample(self, bucket: str, prefix: str, *, limit: int) -> SourceSample:
        """The first files under a prefix, `limit` at the most."""


class Manifests(Protocol):
    """The lists of source files that callers keep in S3."""

    def read(self, bucket: str, key: str, *, start: int, etag: str | None) -> Slice:
        """Some bytes from a position on, of that version if one is named; no bytes where the object ends.

        Raises:
            BadManifest: it is not there, not that version, or not to be read.
        """


class Jobs(Protocol):
    """The book of accepted jobs."""

    def running(self, project: ProjectName, bucket: str) -> RunningJobs:
        """What may be running over a bucket: every running job, and some that have ended."""

    def accept(
        self, job: Job, *, fingerprint: str, running: RunningJobs, ended: Iterable[JobId], decision: Decision | None
    ) -> bool:
        """Records a job, that its first message is unsent, that its prefix is taken, and the decision that asked for it: all or nothing.

        False, and nothing recorded, where another job was accepted since `running` was read, the id is taken, or the decision
        has already started a job. The `ended` are forgotten among the running ones.
        """

    def find(self, job_ids: Iterable[JobId]) -> Mapping[JobId, Job]:
        """Those of the jobs that exist, as they are now."""

    def sent(self, job_id: JobId) -> None:
        """Notes that a job's first message was sent."""

    def unsent(self, *, accepted_before: datetime) -> Iterable[JobId]:
        """The jobs accepted before a moment whose first message is not known to be sent."""

    def page(self, project: ProjectName, *, limit: int, before: JobId | None) -> JobPage:
        """The newest jobs of a project."""

    def accepted_since(self, project: ProjectName, moment: datetime) -> Iterable[Job]:
        """The jobs of a project accepted at a moment or later, newest first."""


class Holds(Protocol):
    """What is decided about the sources that jobs hold."""

    def find(self, job_id: JobId) -> Hold | None:
        """None where nothing is held yet and nobody has kept anything."""

    def keep(self, job_id: JobId, *, now: datetime) -> Hold:
        """Keeps the sources for good; raises `DeletionBegan`."""

    def due(self, now: datetime, *, at_most: int) -> Iterable[JobId]:
        """The jobs whose day has come, and those that should be looked at again; the longest due first."""

    def begin(self, job_id: JobId, *, now: datetime, look_again_at: datetime) -> bool:
        """Decides that the sources are deleted now; True where there is something to be done. Looked at again at a later moment."""


class Decisions(Protocol):
    """What the fallback decided."""

    def find(self, project: ProjectName, decision_id: str) -> Decision | None:
        """A decision, if it was taken."""

    def note(self, project: ProjectName, decision: Decision) -> None:
        """Records a decision that started nothing; a decision that started a job stays as it is."""

    def latest(self, project: ProjectName, *, limit: int) -> tuple[Decision, ...]:
        """The last decisions, newest first."""


class Vault(Protocol):
    """Where archives are kept."""

    def page(self, job: Job, *, limit: int, token: str | None) -> ArchivesPage:
        """The next archives of a job, in the order of their numbers.

        Raises:
            Problem: 400, the token is none of ours.
        """


class SkippedFiles(Protocol):
    """The lists of skipped files that the packer keeps."""

    def page(self, job_id: JobId, *, limit: int, token: str | None) -> SkippedPage:
        """The next files.

        Raises:
            Problem: 400, the token is none of ours.
        """

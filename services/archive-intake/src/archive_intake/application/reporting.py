"""Say how jobs stand."""

from dataclasses import dataclass
from typing import Final

from archive_intake.domain.answers import JobStatus, ProjectJobs, decision_summary_of, status_of, summary_of
from archive_intake.ports import Decisions, Holds, Jobs, Projects, SkippedFiles, Vault
from glaciate.errors import invalid, not_found
from glaciate.names import JobId, ProjectName, is_job_id, is_request_id
from glaciate.requests import DeleteAfterDays

_DECISIONS_LISTED: Final = 50


def job_id_of(text: str) -> JobId:
    """A text as a job's id.

    Raises:
        Problem: 400, it is none.
    """
    if is_request_id(text):
        raise invalid(f"{text} is a restore request: ask GET /restore/{text}")
    if not is_job_id(text):
        raise invalid(f"{text!r} is not a job's id: that has 12 of the characters 0-9 and a-z without i, l, o, u")
    return JobId(text)


def _token(text: str | None) -> JobId | None:
    if text is not None and not is_job_id(text):
        raise invalid("next_token is none of this list's")
    return JobId(text) if text else None


@dataclass(frozen=True, slots=True)
class DescribeJob:
    """Says how a job stands, with a page of its skipped files and a page of its archives."""

    jobs: Jobs
    skipped: SkippedFiles
    vault: Vault
    holds: Holds

    def __call__(
        self, name: str, *, limit: int, skipped_token: str | None = None, archives_token: str | None = None
    ) -> JobStatus:
        """Reads the job's rows, its lists of skipped files, and the vault.

        Raises:
            Problem: 404, no such job; 400, not a job's id, or a token that is none of ours.
        """
        job_id = job_id_of(name)
        job = self.jobs.find([job_id]).get(job_id)
        if job is None:
            raise not_found("JobNotFound", f"there is no archive job {job_id}")
        skipped = self.skipped.page(job_id, limit=limit, token=skipped_token)
        archives = self.vault.page(job, limit=limit, token=archives_token)
        hold = self.holds.find(job_id) if isinstance(job.order.disposition, DeleteAfterDays) else None
        return status_of(job, skipped=skipped, archives=archives, hold=hold)


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Lists a project's jobs, newest first, and what the fallback decided."""

    projects: Projects
    jobs: Jobs
    decisions: Decisions

    def __call__(self, project_name: str, *, limit: int, token: str | None) -> ProjectJobs:
        """Reads one page. Its token is the id of its last job.

        Raises:
            Problem: 404, no such project; 400, a token that is none of ours.
        """
        before = _token(token)
        project = ProjectName(self.projects.load().require(project_name).name)
        page = self.jobs.page(project, limit=limit, before=before)
        latest = self.decisions.latest(project, limit=_DECISIONS_LISTED) if before is None else ()
        return ProjectJobs(
            project_name=project,
            jobs=tuple(summary_of(job) for job in page.jobs),
            fallback=tuple(decision_summary_of(decision) for decision in latest),
            next_token=page.before,
        )

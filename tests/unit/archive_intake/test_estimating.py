"""A dry run says what the call would do and cost, and records nothing."""

from dataclasses import dataclass

import pytest

from archive_intake.application.accepting import AcceptArchive, SendAccepted
from archive_intake.application.estimating import EstimateArchive
from archive_intake.application.manifests import SampleManifest
from archive_intake.domain.estimates import SourceSample, archives_of
from archive_intake.domain.jobs import fingerprint
from fakes.archive_intake import FakeJobs, FakeManifests
from fakes.archive_jobs import NOW, SOURCE, a_wanted_job, an_order
from fakes.outbox import FakeCommandQueue, FakeEventBus
from glaciate.errors import Problem
from glaciate.requests import ArchiveRequest

MEGABYTE = 1_000_000
NO_MANIFESTS = SampleManifest(FakeManifests())
SMALL = an_order(file_count=3, archive_size=10)


@dataclass(frozen=True)
class FakeSources:
    """Sources of which a sample is known."""

    known: SourceSample

    def sample(self, bucket: str, prefix: str, *, limit: int) -> SourceSample:
        return self.known


@pytest.mark.parametrize(
    ("sizes", "archives"),
    [
        ((), 0),
        ((0,), 1),
        ((1, 1, 1), 1),
        ((1, 1, 1, 1), 2),
        ((6 * MEGABYTE, 5 * MEGABYTE), 2),
        ((5 * MEGABYTE, 5 * MEGABYTE), 1),
        ((11 * MEGABYTE,), 1),
        ((1, SMALL.direct_threshold_bytes, 1), 2),
    ],
)
def test_archives_are_counted_as_the_caps_say(sizes: tuple[int, ...], archives: int) -> None:
    assert archives_of(sizes, SMALL) == archives


def test_an_estimate_compares_packing_with_a_lifecycle_rule() -> None:
    sample = SourceSample((10_000,) * 5_000, complete=True)

    dry_run = EstimateArchive(FakeJobs(), FakeSources(sample), NO_MANIFESTS)(a_wanted_job("logs/"))

    assert dry_run.dry_run is True
    assert (dry_run.sources.files, dry_run.sources.bytes, dry_run.sources.complete) == (5_000, 50_000_000, True)
    assert dry_run.estimate.archives == 1
    assert dry_run.estimate.cost.lifecycle_rule.once_usd == pytest.approx(0.25)
    assert 0 < dry_run.estimate.cost.packed.once_usd < 0.01
    assert dry_run.estimate.per_1000_files.lifecycle_rule.once_usd == pytest.approx(0.05)
    assert dry_run.order.prefix == "logs/"
    assert dry_run.running_job_id is None


def test_keeping_tags_is_in_the_price() -> None:
    estimate = EstimateArchive(FakeJobs(), FakeSources(SourceSample((10_000,) * 5_000)), NO_MANIFESTS)

    plain, tagged = (estimate(a_wanted_job("logs/", preserve_tags=preserve)).estimate for preserve in (False, True))

    assert tagged.cost.packed.once_usd - plain.cost.packed.once_usd == pytest.approx(0.002)
    assert tagged.per_1000_files.packed.once_usd - plain.per_1000_files.packed.once_usd == pytest.approx(0.0004)
    assert tagged.cost.lifecycle_rule == plain.cost.lifecycle_rule


def test_sources_that_cannot_be_listed_leave_the_price_of_a_thousand() -> None:
    sample = SourceSample(complete=False, unreadable="AccessDenied")

    dry_run = EstimateArchive(FakeJobs(), FakeSources(sample), NO_MANIFESTS)(a_wanted_job("logs/"))

    assert (dry_run.sources.files, dry_run.sources.unreadable) == (0, "AccessDenied")
    assert dry_run.estimate.per_1000_files.packed.once_usd > 0


def test_a_dry_run_answers_what_the_call_would_be_refused_for_or_has_started() -> None:
    jobs = FakeJobs()
    accept = AcceptArchive(jobs, SendAccepted(jobs, FakeCommandQueue(), FakeEventBus()), lambda: NOW)
    estimate = EstimateArchive(jobs, FakeSources(SourceSample()), NO_MANIFESTS)
    running = accept(a_wanted_job("logs/", call="one"))
    before = (dict(jobs.rows), jobs.running(running.order.project, SOURCE))

    same = estimate(a_wanted_job("logs/", call="one"))
    with pytest.raises(Problem) as refusal:
        estimate(a_wanted_job("logs/2026/", call="two"))

    assert same.running_job_id == running.job_id
    assert refusal.value.details["job_id"] == running.job_id
    assert (jobs.rows, jobs.running(running.order.project, SOURCE)) == before


def test_a_dry_run_is_the_call_that_it_tries() -> None:
    call = ArchiveRequest(project_name="demo", bucket_name=SOURCE, prefix="logs/")
    dry = call.model_copy(update={"dry_run": True})
    others = [call.model_copy(update={"prefix": "x"}), call.model_copy(update={"file_count": 2})]

    assert fingerprint(call, None) == fingerprint(dry, None)
    assert fingerprint(call, "key") == fingerprint(call, "key")
    assert len({fingerprint(found, None) for found in (call, *others)} | {fingerprint(call, "key")}) == 4

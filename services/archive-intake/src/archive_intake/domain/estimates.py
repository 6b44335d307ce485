"""What a job would do and cost, before anything is recorded."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from archive_intake.domain.answers import PriceNote, price_note
from glaciate.costs import Cost, lifecycle_cost, packed_cost
from glaciate.jobs import JobOrder
from glaciate.names import JobId


@dataclass(frozen=True, slots=True)
class SourceSample:
    """The sizes of the first files under a prefix, in key order; `complete`: there are no more. Or why there are none to tell."""

    sizes: tuple[int, ...] = ()
    complete: bool = True
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class SampledSources:
    """What was found under the prefix, as far as it was listed, before the job's filters."""

    files: int
    bytes: int
    complete: bool
    unreadable: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What packing costs, and what a lifecycle rule would."""

    packed: Cost
    lifecycle_rule: Cost


@dataclass(frozen=True, slots=True)
class Estimate:
    """The cost of the sampled files; `per_1000_files`: what each further thousand adds, storage of their bytes aside."""

    archives: int
    cost: Comparison
    per_1000_files: Comparison
    prices: PriceNote
    assumes: str = "that nothing is compressed, and that every file listed is archived"


@dataclass(frozen=True, slots=True)
class DryRun:
    """The answer of `POST /archive` with `dry_run`. `running_job_id`: the same call is being carried out already, by this job."""

    order: JobOrder
    sources: SampledSources
    estimate: Estimate
    running_job_id: JobId | None
    dry_run: Literal[True] = True


def archives_of(sizes: Iterable[int], order: JobOrder) -> int:
    """How many archives files of these sizes, in key order, fill: by count, by size, and one for each that is kept as it is."""
    archives = files = filled = 0
    for size in sizes:
        if size >= order.direct_threshold_bytes:
            archives += 1
            continue
        if files in (0, order.max_files) or filled + size > order.max_bytes:
            archives += 1
            files = filled = 0
        files += 1
        filled += size
    return archives


def dry_run_of(order: JobOrder, sample: SourceSample, *, running_job_id: JobId | None) -> DryRun:
    """What an order would do to the files of a sample."""
    files, size_bytes = len(sample.sizes), sum(sample.sizes)
    archives = archives_of(sample.sizes, order)
    return DryRun(
        order=order,
        sources=SampledSources(files, size_bytes, sample.complete, sample.unreadable),
        estimate=Estimate(
            archives=archives,
            cost=_comparison(order, files=files, size_bytes=size_bytes, archives=archives),
            per_1000_files=_comparison(order, files=1000, size_bytes=0, archives=-(-1000 // order.max_files)),
            prices=price_note(),
        ),
        running_job_id=running_job_id,
    )


def _comparison(order: JobOrder, *, files: int, size_bytes: int, archives: int) -> Comparison:
    storage_class = order.storage_class
    return Comparison(
        packed=packed_cost(
            files=files,
            size_bytes=size_bytes,
            archives=archives,
            storage_class=storage_class,
            tagged=order.preserve_tags,
        ),
        lifecycle_rule=lifecycle_cost(files=files, size_bytes=size_bytes, storage_class=storage_class),
    )

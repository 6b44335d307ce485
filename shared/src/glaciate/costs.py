"""What things cost, by the price file: packing against a lifecycle rule, and a restore's estimate. No price stands in code."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from pydantic_core import from_json

from glaciate.requests import StorageClass, Tier

GB = 1024**3


@cache
def price_list() -> Mapping[str, Any]:
    """The prices, with their date and region."""
    prices: Mapping[str, Any] = from_json((files("glaciate") / "prices.json").read_bytes())
    return prices


@dataclass(frozen=True, slots=True)
class Cost:
    """Dollars once, and dollars a month."""

    once_usd: float
    monthly_usd: float


def lifecycle_cost(*, files: int, size_bytes: int, storage_class: StorageClass) -> Cost:
    """What a lifecycle rule costs that moves the files one by one: a transition each, and overhead each while archived."""
    prices = price_list()
    transition = prices["per_1000_transitions"].get(storage_class, 0.0)
    per_gb = prices["per_gb_month"]
    overhead = 0.0
    if storage_class.needs_thaw:
        extra = prices["archived_overhead_bytes"]
        overhead = files * (extra["standard"] * per_gb["STANDARD"] + extra["archive"] * per_gb[storage_class]) / GB
    return Cost(once_usd=files / 1000 * transition, monthly_usd=size_bytes / GB * per_gb[storage_class] + overhead)


def packed_cost(
    *,
    files: int,
    size_bytes: int,
    archives: int,
    storage_class: StorageClass,
    part_size_bytes: int = 16 * 1024**2,
    tagged: bool = False,
) -> Cost:
    """What packing costs: a GET and an index row a file, the parts of each archive, its completion, its catalog, its plan.

    `size_bytes` is what lies in the vault. `tagged`: tags are kept, another request a file. Compute is left out: it is measured
    in the bill, not foretold.
    """
    prices = price_list()
    requests = prices["per_1000_requests"]
    dynamodb = prices["dynamodb"]
    per_gb = prices["per_gb_month"]
    parts = archives + size_bytes / part_size_bytes
    once = (
        files * (2 if tagged else 1) * requests["get"] / 1000
        + files / 1000 * requests["list"] / 1000
        + (parts + 3 * archives) * requests["put"] / 1000
        + archives * prices["per_1000_writes"][storage_class] / 1000
        + files * dynamodb["per_million_writes"] / 1e6
    )
    extra = prices["archived_overhead_bytes"]
    overhead = 0.0
    if storage_class.needs_thaw:
        overhead = archives * (extra["standard"] * per_gb["STANDARD"] + extra["archive"] * per_gb[storage_class]) / GB
    index = files * dynamodb["row_overhead_bytes"] / GB * dynamodb["per_gb_month"]
    return Cost(once_usd=once, monthly_usd=size_bytes / GB * per_gb[storage_class] + overhead + index)


@dataclass(frozen=True, slots=True)
class RestoreEstimate:
    """A restore's quote. S3 thaws whole archives, so retrieval is paid on `archive_bytes`, not on the wanted files alone."""

    archives: int
    archive_bytes: int
    file_bytes: int
    retrieval_usd: float
    requests_usd: float
    temporary_copy_usd: float
    transfer_usd: float
    total_usd: float
    hours: float


@dataclass(frozen=True, slots=True)
class ArchiveToRead:
    """What of an archive a quote depends on. `thawed`: a readable copy is there already."""

    storage_class: StorageClass
    size_bytes: int
    wanted_files: int
    wanted_bytes: int
    thawed: bool = False


def restore_estimate(archives: tuple[ArchiveToRead, ...], *, tier: Tier, days: int, file_days: int) -> RestoreEstimate:
    """What a restore of these archives' files costs, and how long S3 may take.

    `days` is how long the archives' readable copies stay, `file_days` how long the restored files stay only for the restore's sake.
    """
    prices = price_list()
    retrieval = requests = hours = 0.0
    standard = prices["per_gb_month"]["STANDARD"]
    copies = 0
    for archive in archives:
        size = archive.size_bytes / GB
        if archive.storage_class.needs_thaw and not archive.thawed:
            retrieval += size * prices["retrieval_per_gb"][archive.storage_class][tier]
            requests += prices["retrieval_per_1000_requests"][archive.storage_class][tier] / 1000
            hours = max(hours, float(prices["hours"][archive.storage_class][tier]))
            copies += archive.size_bytes
        retrieval += archive.wanted_bytes / GB * prices["read_per_gb"].get(archive.storage_class, 0.0)
        requests += (
            archive.wanted_files * (prices["per_1000_requests"]["get"] + prices["per_1000_requests"]["put"]) / 1000
        )
    wanted = sum(archive.wanted_bytes for archive in archives) / GB
    temporary = (copies / GB * days + wanted * file_days) * standard / 30
    transfer = wanted * prices["transfer_per_gb"]["same_region"]
    return RestoreEstimate(
        archives=len(archives),
        archive_bytes=sum(archive.size_bytes for archive in archives),
        file_bytes=sum(archive.wanted_bytes for archive in archives),
        retrieval_usd=retrieval,
        requests_usd=requests,
        temporary_copy_usd=temporary,
        transfer_usd=transfer,
        total_usd=retrieval + requests + temporary + transfer,
        hours=hours,
    )


def tiers_of(storage_class: StorageClass) -> Mapping[str, float]:
    """The retrieval tiers that a storage class has, with the hours each may take; empty where it is readable at once."""
    hours: Mapping[str, float] = price_list()["hours"].get(storage_class, {})
    return hours

"""What things cost, by the price file: packing against a lifecycle rule, and a restore's estimate. No price stands in code."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import TypeAdapter
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


class Asked(StrEnum):
    """What S3's RestoreObject was asked for, which decides what the asking costs."""

    THAW = "THAW"  # a copy of an archive that has none
    UPGRADE = "UPGRADE"  # a faster tier for a thaw that runs
    EXTENSION = "EXTENSION"  # a longer stay for a copy that is there


@dataclass(frozen=True, slots=True)
class Charge:
    """One RestoreObject that S3 granted, of an archive of `size_bytes`: its copy stays `days` (the longer) for it.

    `id` tells two of the same kind apart. As text it is always the same, so that it can be kept twice and counted once.
    """

    asked: Asked
    storage_class: StorageClass
    tier: Tier
    size_bytes: int
    days: float
    id: str = ""

    @property
    def text(self) -> str:
        """As it is kept."""
        return _CHARGE.dump_json(self).decode()


_CHARGE: Final = TypeAdapter(Charge)


def read_charge(text: str) -> Charge:
    """A charge from its text."""
    return _CHARGE.validate_json(text)


@dataclass(frozen=True, slots=True)
class RestoreCost:
    """What a restore costs by line, in dollars."""

    retrieval_usd: float = 0.0
    requests_usd: float = 0.0
    temporary_copy_usd: float = 0.0
    transfer_usd: float = 0.0
    total_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class RestoreEstimate(RestoreCost):
    """A restore's quote. S3 thaws whole archives, so retrieval is paid on `archive_bytes`, not on the wanted files alone."""

    archives: int = 0
    archive_bytes: int = 0
    file_bytes: int = 0
    hours: float = 0.0


@dataclass(frozen=True, slots=True)
class ArchiveToRead:
    """What of an archive a quote depends on. `readable_days`: so long from now its readable copy stays; None where there is none."""

    storage_class: StorageClass
    size_bytes: int
    wanted_files: int
    wanted_bytes: int
    readable_days: float | None = None


def restore_cost(charges: Iterable[Charge], read: Iterable[ArchiveToRead], *, file_days: int) -> RestoreCost:
    """What these askings cost, and reading and writing the files wanted, which stay `file_days` only for the restore's sake.

    An extension is charged "only for the request - there are no data transfer charges" (API reference of RestoreObject), and its
    copy's storage. What an upgrade is charged beyond its request is not said there: only the request is counted.
    """
    prices = price_list()
    standard = prices["per_gb_month"]["STANDARD"] / 30
    retrieval = requests = temporary = transfer = 0.0
    for charge in charges:
        if charge.asked is Asked.THAW:
            retrieval += charge.size_bytes / GB * prices["retrieval_per_gb"][charge.storage_class][charge.tier]
        if charge.asked is not Asked.UPGRADE:
            temporary += charge.size_bytes / GB * charge.days * standard
        requests += prices["retrieval_per_1000_requests"][charge.storage_class][charge.tier] / 1000
    each_file = (prices["per_1000_requests"]["get"] + prices["per_1000_requests"]["put"]) / 1000
    for archive in read:
        wanted = archive.wanted_bytes / GB
        retrieval += wanted * prices["read_per_gb"].get(archive.storage_class, 0.0)
        requests += archive.wanted_files * each_file
        temporary += wanted * file_days * standard
        transfer += wanted * prices["transfer_per_gb"]["same_region"]
    return RestoreCost(retrieval, requests, temporary, transfer, retrieval + requests + temporary + transfer)


def restore_estimate(archives: tuple[ArchiveToRead, ...], *, tier: Tier, days: int, file_days: int) -> RestoreEstimate:
    """What a restore of these archives' files costs, and how long S3 may take.

    `days` is how long the archives' readable copies are wanted, `file_days` how long the restored files stay only for the restore's sake.
    """
    charges = [charge for archive in archives if (charge := _foreseen(archive, tier=tier, days=days)) is not None]
    thawed = [charge.storage_class for charge in charges if charge.asked is Asked.THAW]
    return RestoreEstimate(
        **asdict(restore_cost(charges, archives, file_days=file_days)),
        archives=len(archives),
        archive_bytes=sum(archive.size_bytes for archive in archives),
        file_bytes=sum(archive.wanted_bytes for archive in archives),
        hours=max((float(tiers_of(storage_class)[tier]) for storage_class in thawed), default=0.0),
    )


def _foreseen(archive: ArchiveToRead, *, tier: Tier, days: int) -> Charge | None:
    """What will be asked of S3 for an archive that is wanted for `days`: nothing where it can be read for so long."""
    if not archive.storage_class.needs_thaw:
        return None
    if archive.readable_days is None:
        return Charge(Asked.THAW, archive.storage_class, tier, archive.size_bytes, days)
    missing = days - archive.readable_days
    return Charge(Asked.EXTENSION, archive.storage_class, tier, archive.size_bytes, missing) if missing > 0 else None


def tiers_of(storage_class: StorageClass) -> Mapping[str, float]:
    """The retrieval tiers that a storage class has, with the hours each may take; empty where it is readable at once."""
    hours: Mapping[str, float] = price_list()["hours"].get(storage_class, {})
    return hours

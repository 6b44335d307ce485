"""The cost model meets the figures that the design was made from."""

import pytest

from glaciate.costs import (
    GB,
    ArchiveToRead,
    Asked,
    Charge,
    lifecycle_cost,
    packed_cost,
    price_list,
    read_charge,
    restore_cost,
    restore_estimate,
    tiers_of,
)
from glaciate.requests import StorageClass, Tier

DEEP = StorageClass.DEEP_ARCHIVE


def test_a_hundred_million_small_files_cost_5000_dollars_by_lifecycle_rule() -> None:
    cost = lifecycle_cost(files=100_000_000, size_bytes=100_000_000 * 10_000, storage_class=DEEP)

    assert cost.once_usd == pytest.approx(5000)
    assert cost.monthly_usd == pytest.approx(21.49, rel=0.05)


def test_the_same_files_packed_cost_about_a_fiftieth() -> None:
    cost = packed_cost(files=100_000_000, size_bytes=300_000_000_000, archives=10_000, storage_class=DEEP)

    assert 90 < cost.once_usd < 130
    assert cost.monthly_usd < 10


def test_keeping_tags_costs_another_get_a_file() -> None:
    def once(*, tagged: bool) -> float:
        return packed_cost(files=1_000_000, size_bytes=GB, archives=100, storage_class=DEEP, tagged=tagged).once_usd

    assert once(tagged=True) - once(tagged=False) == pytest.approx(1000 * price_list()["per_1000_requests"]["get"])


def test_readable_classes_have_neither_overhead_nor_tiers() -> None:
    cost = lifecycle_cost(files=1000, size_bytes=GB, storage_class=StorageClass.STANDARD_IA)

    assert cost.monthly_usd == pytest.approx(price_list()["per_gb_month"]["STANDARD_IA"])
    assert tiers_of(StorageClass.STANDARD_IA) == {}


def test_deep_archive_has_no_expedited_tier() -> None:
    assert set(tiers_of(DEEP)) == {"Standard", "Bulk"}


def test_a_thaw_is_paid_for_the_whole_archive() -> None:
    one_file = ArchiveToRead(DEEP, size_bytes=10 * GB, wanted_files=1, wanted_bytes=1000)

    estimate = restore_estimate((one_file,), tier=Tier.STANDARD, days=3, file_days=14)

    assert estimate.retrieval_usd == pytest.approx(10 * 0.02)
    assert estimate.hours == 12
    assert estimate.total_usd == pytest.approx(
        estimate.retrieval_usd + estimate.requests_usd + estimate.temporary_copy_usd + estimate.transfer_usd
    )


def test_restored_files_are_paid_for_as_long_as_they_stay_and_not_at_all_where_they_belong() -> None:
    files = (ArchiveToRead(StorageClass.STANDARD, size_bytes=GB, wanted_files=1, wanted_bytes=GB),)

    for_a_month, for_good = (
        restore_estimate(files, tier=Tier.STANDARD, days=3, file_days=file_days) for file_days in (30, 0)
    )

    assert for_a_month.temporary_copy_usd == pytest.approx(0.023)
    assert for_good.temporary_copy_usd == 0
    assert for_good.transfer_usd == 0  # within the Region


def test_bulk_is_cheaper_and_slower() -> None:
    archive = (ArchiveToRead(DEEP, size_bytes=GB, wanted_files=1, wanted_bytes=1000),)

    standard, bulk = (restore_estimate(archive, tier=tier, days=3, file_days=14) for tier in (Tier.STANDARD, Tier.BULK))

    assert bulk.total_usd < standard.total_usd
    assert bulk.hours > standard.hours


def test_an_archive_that_is_thawed_already_is_not_paid_again() -> None:
    archive = ArchiveToRead(DEEP, size_bytes=GB, wanted_files=1, wanted_bytes=1000, readable_days=3)

    estimate = restore_estimate((archive,), tier=Tier.STANDARD, days=3, file_days=14)

    assert estimate.retrieval_usd == 0
    assert estimate.hours == 0


def test_a_copy_that_lapses_before_the_wanted_days_is_extended_for_a_request_and_the_days_added() -> None:
    archive = ArchiveToRead(DEEP, size_bytes=GB, wanted_files=0, wanted_bytes=0, readable_days=2.5)

    estimate = restore_estimate((archive,), tier=Tier.BULK, days=32, file_days=14)

    assert estimate.retrieval_usd == 0
    assert estimate.requests_usd == pytest.approx(0.025 / 1000)
    assert estimate.temporary_copy_usd == pytest.approx(29.5 / 30 * 0.023)
    assert estimate.hours == 0


def test_an_upgrade_costs_its_request_and_neither_the_retrieval_nor_the_copy_again() -> None:
    upgrade = Charge(Asked.UPGRADE, DEEP, Tier.STANDARD, size_bytes=GB, days=0, id="1")

    cost = restore_cost([upgrade], (), file_days=14)

    assert (cost.retrieval_usd, cost.temporary_copy_usd) == (0, 0)
    assert cost.total_usd == cost.requests_usd == pytest.approx(0.10 / 1000)


def test_a_charge_survives_being_kept() -> None:
    charge = Charge(Asked.EXTENSION, DEEP, Tier.STANDARD, size_bytes=GB, days=2.1, id="2026-07-01T10:30:00+00:00")

    assert read_charge(charge.text) == charge
    assert read_charge(charge.text).text == charge.text

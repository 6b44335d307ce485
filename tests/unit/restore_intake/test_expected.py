"""By when a request is expected, as its parts say."""

from datetime import UTC, datetime, timedelta

import pytest

from glaciate.names import ArchiveId, ProjectName, RequestId
from glaciate.restores import Part, PartState
from restore_intake.domain.ordering import last_expected

NOW = datetime(2026, 7, 1, 10, 30, tzinfo=UTC)
PROMISED = NOW + timedelta(hours=12)


def part(state: PartState, hours: float | None) -> Part:
    return Part(
        request_id=RequestId("r-01aaaaa00001"),
        archive_id=ArchiveId("01aaaaa000010000"),
        state=state,
        project=ProjectName("demo"),
        vault_bucket="vault",
        vault_key="a.zip",
        storage_class="DEEP_ARCHIVE",
        files=1,
        expected_by=None if hours is None else NOW + timedelta(hours=hours),
    )


@pytest.mark.parametrize(
    ("parts", "hours"),
    [
        ([], 12),
        ([(PartState.THAWING, 1), (PartState.THAWING, 3)], 3),
        ([(PartState.THAWING, 48)], 48),
        ([(PartState.THAWING, 1), (PartState.PENDING, None)], 12),  # it may take as long as was promised
        ([(PartState.THAWING, 48), (PartState.PENDING, None)], 48),
        ([(PartState.THAWING, 1), (PartState.UNPACKING, None)], 1),  # it is being read
        ([(PartState.THAWING, 1), (PartState.COMPLETED, 12)], 1),
        ([(PartState.COMPLETED, 1)], 12),
    ],
)
def test_the_last_living_part_decides_and_one_that_does_not_say_keeps_the_promise(
    parts: list[tuple[PartState, float | None]], hours: float
) -> None:
    assert last_expected([part(*one) for one in parts], PROMISED) == NOW + timedelta(hours=hours)


def test_nothing_is_expected_where_nobody_says() -> None:
    assert last_expected([part(PartState.PENDING, None)], None) is None

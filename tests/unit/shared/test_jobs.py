"""How large a file a worker may be asked to hold."""

import pytest

from fakes.archive_jobs import an_order
from glaciate.jobs import largest_threshold, too_large_for


@pytest.mark.parametrize(
    ("memory_mib", "threshold_mib"), [(256, 0), (512, 0), (1024, 170), (2048, 512), (4096, 1194), (30_720, 2048)]
)
def test_a_third_of_the_memory_beyond_its_own_needs_is_for_one_file(memory_mib: int, threshold_mib: int) -> None:
    assert largest_threshold(memory_mib) // 1024**2 == threshold_mib


def test_an_order_that_fits_is_not_refused_and_one_that_does_not_says_why() -> None:
    order = an_order()

    assert too_large_for(1024, order) is None
    reason = too_large_for(600, order)
    assert reason is not None
    for part in ("demo", "67,108,864", "600 MiB", "30,758,229", "direct_threshold", "WorkerMemoryMib"):
        assert part in reason

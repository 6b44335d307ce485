"""Small files are fetched in chunks: how long these are follows how many threads fetch."""

from datetime import UTC, datetime

import pytest

from packer.adapters.lanes import Lanes
from packer.adapters.sources import _chunks
from packer.domain.sources import SourceFile

FILES = [SourceFile(f"{number:03}", 10_000, '"e"', datetime(2026, 1, 1, tzinfo=UTC)) for number in range(300)]
WINDOW = 4_000_000


@pytest.mark.parametrize(("lanes", "files"), [(8, 16), (16, 12), (40, 5), (200, 1)])
def test_the_window_has_room_for_two_chunks_a_lane(lanes: int, files: int) -> None:
    chunks = list(_chunks(iter(FILES), Lanes(most=lanes, open=lanes), WINDOW))

    assert max(len(chunk.files) for chunk in chunks) == files
    assert [file for chunk in chunks for file in chunk.files] == FILES


def test_the_first_chunks_are_short() -> None:
    chunks = list(_chunks(iter(FILES), Lanes(most=8), WINDOW))

    assert [len(chunk.files) for chunk in chunks[:4]] == [1, 2, 3, 4]


def test_a_file_larger_than_its_lane_s_share_goes_alone() -> None:
    large = SourceFile("large", WINDOW, '"e"', datetime(2026, 1, 1, tzinfo=UTC))

    chunks = list(_chunks([*FILES[:1], large, *FILES[1:2]], Lanes(most=8), WINDOW))

    assert [chunk.files for chunk in chunks] == [(FILES[0],), (large,), (FILES[1],)]

"""The restore intake and what it speaks to."""

from collections.abc import Iterator

import pytest

from fakes.restore_world import World, restore_world


@pytest.fixture
def world() -> Iterator[World]:
    with restore_world() as world:
        yield world

import uuid

import pytest

from local_glaciate import glaciate, place  # noqa: F401  fixtures


@pytest.fixture
def prefix() -> str:
    """A prefix that no other test uses."""
    return f"{uuid.uuid4().hex[:8]}/"

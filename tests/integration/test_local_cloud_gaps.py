"""Every gap of MiniStack is filled, and still there without the fill."""

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from glaciate_local.cloud import Server
from glaciate_local.gaps import GAPS
from integration.probes import PROBES

pytestmark = pytest.mark.cloud

NOT_PROBED = {
    "queues and threads": "a race between threads does not show on demand",
}


def test_every_gap_has_a_probe() -> None:
    assert set(PROBES) | set(NOT_PROBED) == {gap.name for gap in GAPS}


@pytest.mark.parametrize("gap", PROBES)
def test_the_gap_is_filled(server: Server, gap: str) -> None:
    PROBES[gap](server)


@pytest.mark.slow
@pytest.mark.parametrize("gap", PROBES)
def test_ministack_alone_still_has_the_gap(bare_server: Server, gap: str) -> None:
    with pytest.raises((AssertionError, ClientError, BotoCoreError, KeyError, pytest.fail.Exception)):
        PROBES[gap](bare_server)

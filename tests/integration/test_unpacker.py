"""The unpacker's worker, as a process, on what the packer's worker packed, against a local cloud."""

import os
import signal
from typing import Any

import pytest

from glaciate.catalog import MEMBER_NAME
from glaciate.names import RequestId
from glaciate_local.cloud import Server
from packer_cloud import PackerCloud
from unpacker_cloud import UnpackerCloud
from waiting import until

pytestmark = pytest.mark.cloud

BIG = os.urandom(3_000_000)
FILES = {f"in/{number:03}/f {number} ü.csv": b"a,b,c\n" * number for number in range(40)} | {
    "in/large.bin": os.urandom(900_000)
}


@pytest.fixture
def unpacker(server: Server) -> UnpackerCloud:
    return UnpackerCloud(PackerCloud(server))


def pack(unpacker: UnpackerCloud, files: dict[str, bytes] = FILES) -> dict[str, Any]:
    """One archive of these files."""
    unpacker.packer.put(files, ContentType="text/csv", Metadata={"owner": "x"})
    unpacker.packer.accept("in/", direct_threshold_bytes=2_000_000)
    unpacker.packer.run_worker()
    unpacker.packer.told()
    (archive,) = unpacker.packer.archive_rows()
    return archive


def thaw(unpacker: UnpackerCloud, archive: dict[str, Any]) -> None:
    unpacker.packer.thawed(archive["vault_key"])


def ended(unpacker: UnpackerCloud) -> dict[str, dict[str, Any]]:
    """The ends told, by request."""
    return {event["request_id"]: event for _, event in unpacker.packer.told(until="RestoreCompleted.v1")}


def test_packed_files_come_back_byte_by_byte_with_what_was_known_of_them(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker)
    keys = ["in/039/f 39 ü.csv", "in/000/f 0 ü.csv", "in/large.bin"]
    one = unpacker.want(archive, *keys)
    other = unpacker.want(archive, *FILES)
    thaw(unpacker, archive)
    unpacker.announce(archive)

    said = unpacker.run_worker(WHOLE_MEMBER_BYTES="500000", COALESCE_LIMIT_BYTES="300000")

    assert unpacker.back(one) == {key: FILES[key] for key in keys}, said
    assert unpacker.back(other) == FILES
    head = unpacker.packer.s3.head_object(Bucket=unpacker.restored, Key=f"back/{one}/in/large.bin")
    assert (head["ContentType"], head["Metadata"]) == ("text/csv", {"owner": "x"})
    assert unpacker.rows(one)["request"]["state"] == "COMPLETED"
    assert unpacker.rows(other)["request"]["state"] == "COMPLETED"
    assert unpacker.open_uploads() == []
    assert unpacker.commands("unpack") == []


def test_a_file_kept_as_it_is_comes_back(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker, {"in/big.bin": BIG})
    request = unpacker.want(archive, "in/big.bin")
    thaw(unpacker, archive)
    unpacker.announce(archive)

    said = unpacker.run_worker()

    assert archive["kind"] == "object"
    assert unpacker.back(request) == {"in/big.bin": BIG}, said
    assert ended(unpacker)[request]["outcome"] == "COMPLETED"


def test_a_flipped_byte_costs_one_file_and_says_so(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker)
    damaged = next(
        member for member in unpacker.packer.catalog(archive["archive_id"]).members if member.key == "in/large.bin"
    )
    data = bytearray(unpacker.packer.thawed(archive["vault_key"]))
    data[damaged.offset + 1000] ^= 1
    unpacker.packer.s3.put_object(Bucket=unpacker.packer.vault, Key=archive["vault_key"], Body=bytes(data))
    request = unpacker.want(archive, *FILES)
    unpacker.announce(archive)

    unpacker.run_worker()

    assert unpacker.back(request) == {key: FILES[key] for key in FILES if key != "in/large.bin"}
    event = ended(unpacker)[request]
    assert (event["outcome"], event["restored"], event["failed"]) == ("PARTIAL", 40, 1)
    (failure,) = event["failures"]
    assert failure["key"] == "in/large.bin"
    assert "CRC-32" in failure["reason"]


def test_an_archive_that_is_cold_again_is_thawed_again(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker)
    request = unpacker.want(archive, "in/large.bin")
    unpacker.announce(archive)

    unpacker.run_worker()

    assert unpacker.rows(request)[f"part#{archive['archive_id']}"]["state"] == "PENDING"
    assert [(command["type"], command["request_id"]) for command in unpacker.commands("thaw")] == [
        ("ThawFiles.v1", request)
    ]
    assert unpacker.back(request) == {}


def test_our_own_catalog_member_is_no_file_of_anybodys(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker)
    request = unpacker.want(archive, MEMBER_NAME)
    thaw(unpacker, archive)
    unpacker.announce(archive)

    unpacker.run_worker()

    assert ended(unpacker)[request]["outcome"] == "FAILED"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize("after_files", [1, 20])
def test_a_worker_stopped_half_way_is_replaced_by_another(
    unpacker: UnpackerCloud, how: signal.Signals, after_files: int
) -> None:
    archive = pack(unpacker)
    request = unpacker.want(archive, *FILES)
    thaw(unpacker, archive)
    unpacker.announce(archive)

    worker = unpacker.start_worker(READ_CONCURRENCY="1", COALESCE_GAP_BYTES="0", COALESCE_LIMIT_BYTES="1")
    until(f"{after_files} files", lambda: _arrived(unpacker, request) >= after_files, every_seconds=0.05)
    worker.send_signal(how)
    worker.communicate(timeout=60)
    said = unpacker.run_worker(IDLE_SECONDS="5")

    assert unpacker.back(request) == FILES, said
    assert unpacker.rows(request)["request"]["state"] == "COMPLETED"
    assert ended(unpacker)[request]["restored"] == len(FILES)
    assert unpacker.commands("unpack") == []


def test_two_workers_that_hear_of_one_archive_at_once_end_as_one_would(unpacker: UnpackerCloud) -> None:
    archive = pack(unpacker)
    request = unpacker.want(archive, *FILES)
    thaw(unpacker, archive)
    for _ in range(3):
        unpacker.announce(archive)

    workers = [unpacker.start_worker(IDLE_SECONDS="8", WHOLE_MEMBER_BYTES="500000") for _ in range(2)]
    said = [worker.communicate(timeout=120)[0].decode() for worker in workers]

    assert [worker.returncode for worker in workers] == [0, 0], said
    assert unpacker.back(request) == FILES
    row = unpacker.rows(request)["request"]
    assert (row["state"], row["restored"], row["failed"], row["parts_ended"]) == (
        "COMPLETED",
        str(len(FILES)),
        "0",
        "1",
    )
    assert unpacker.open_uploads() == []
    assert unpacker.commands("unpack") == []
    assert unpacker.commands("unpack-dead-letters") == []


def _arrived(unpacker: UnpackerCloud, request: RequestId) -> int:
    return len(unpacker.packer.keys(unpacker.restored, f"back/{request}/"))

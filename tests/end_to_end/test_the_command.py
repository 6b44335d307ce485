"""The README's commands on the local cloud, in processes of their own, as a person or a script runs them."""

import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from glaciate.events import RestoreAccepted
from glaciate.names import ProjectName, RequestId
from glaciate_cli.addressees import AddressedQueue
from glaciate_cli.dead_letters import DeadLetterQueue
from glaciate_local.place import Place
from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud

GLACIATE = Path(sys.executable).with_name("glaciate")
UNREADABLE = '{"type": "Nonsense.v1", "correlation_id": "c"}'


@pytest.fixture
def folder(cloud: dict[str, Any], tmp_path: Path) -> Path:
    """A working directory below one that has the local cloud's local.json."""
    (tmp_path / ".glaciate").mkdir()
    (tmp_path / ".glaciate" / "local.json").write_text(json.dumps(cloud))
    below = tmp_path / "below"
    below.mkdir()
    return below


def environment(**more: str) -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | more


def glaciate(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GLACIATE, *arguments], cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=120
    )


def document(folder: Path, *arguments: str) -> dict[str, Any]:
    done = glaciate(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def archived(place: Place) -> str:
    """A prefix with ten files."""
    prefix = f"{uuid.uuid4().hex[:8]}/in coming/"
    for number in range(10):
        key = f"{prefix}{uuid.uuid5(uuid.NAMESPACE_URL, prefix + str(number)).hex}.txt"
        place.s3.put_object(Bucket=place.bucket("source"), Key=key, Body=b"hello " * number)
    return prefix


def test_archive_status_files_and_restore_work_as_the_readme_says(place: Place, folder: Path, archived: str) -> None:
    source = f"s3://{place.bucket('source')}/{archived}"

    accepted = document(folder, "archive", source, "--file-count", "4")
    ended = document(folder, "status", accepted["job_id"], "--watch")
    files = document(folder, "files", "--prefix", archived)["files"]
    name = files[3]["key"].rpartition("/")[2]
    restored = document(folder, "restore", name, "--tier", "bulk", "--to", "back/", "--wait")

    assert (ended["state"], ended["counts"]["archived"], ended["counts"]["archives"]) == ("COMPLETED", 10, 3)
    assert len(files) == 10
    assert restored["state"] == "COMPLETED"
    assert [file["location"] for file in restored["files"]] == [
        f"s3://{place.bucket('restore')}/back/{files[3]['key']}"
    ]
    assert accepted["job_id"] in [job["job_id"] for job in document(folder, "jobs")["jobs"]]
    assert restored["request_id"] in [request["request_id"] for request in document(folder, "requests")["requests"]]


def test_in_a_pipe_the_output_is_plain_lines(place: Place, folder: Path, archived: str) -> None:
    done = glaciate(folder, "archive", f"s3://{place.bucket('source')}/{archived}", "--wait")

    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "COMPLETED" in done.stdout


def test_on_a_terminal_progress_is_redrawn_in_place(place: Place, folder: Path, archived: str) -> None:
    ours, theirs = pty.openpty()
    command = [GLACIATE, "archive", f"s3://{place.bucket('source')}/{archived}", "--wait"]
    with subprocess.Popen(
        command, cwd=folder, env=environment(TERM="xterm-256color"), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += (block := os.read(ours, 65536))
            except OSError:  # the other side has closed
                break
            if not block:
                break
        process.wait(timeout=60)
    os.close(ours)

    assert process.returncode == 0
    assert b"\x1b[" in shown
    assert b"COMPLETED" in shown


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("restore", "nobody-has-this.txt"), 1, "nobody-has-this.txt"),
        (("status", "r-000000000000"), 1, "404"),
        (("archive", "s3://another-bucket/"), 1, "BucketNotAllowed"),
        (("files", "--project", "strangers"), 1, "404"),
        (("archive", "s3://"), 2, "s3://bucket/prefix"),
    ],
)
def test_what_cannot_be_done_is_refused_plainly(folder: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    done = glaciate(folder, *arguments)

    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_wrong_key_is_refused_plainly(cloud: dict[str, Any], folder: Path) -> None:
    wrong = cloud | {"secret_access_key": "wrong"}
    (folder / "wrong.json").write_text(json.dumps(wrong))

    done = glaciate(folder, "jobs", "--local-json", "wrong.json")

    assert done.returncode == 1
    assert "403" in done.stderr
    assert "Traceback" not in done.stderr


def test_messages_that_nobody_understands_end_in_the_dead_letters_and_are_replayed_only_when_asked_for(
    place: Place, folder: Path
) -> None:
    queues = ("pack", "thaw", "unpack", "notify")
    for queue in queues:
        place.sqs.send_message(QueueUrl=place.local["queues"][queue], MessageBody=UNREADABLE)

    def dead() -> bool:
        """Whether each queue's dead letters hold one."""
        urls = (place.local["queues"][f"{queue}_dlq"] for queue in queues)
        return all(DeadLetterQueue(place.sqs, url, AddressedQueue(place.sqs, "")).count() for url in urls)

    LocalGlaciate(place).launch_workers()
    until("a message in the dead letters of each queue", dead, seconds=120)
    letters = [message for entry in document(folder, "dlq", "list")["queues"] for message in entry["messages"]]
    assert [letter["body"] for letter in letters] == [UNREADABLE] * 4
    assert all(letter["unreadable"] and "Nonsense.v1" in letter["reason"] for letter in letters)

    left = [document(folder, "dlq", "replay", queue)["replayed"] for queue in queues]
    again = [document(folder, "dlq", "replay", queue, "--unreadable")["replayed"] for queue in queues]

    assert left == [[], [], [], []]
    assert [[message["body"] for message in replayed] for replayed in again] == [[UNREADABLE]] * 4
    LocalGlaciate(place).launch_workers()
    until("the messages to die again", dead, seconds=120)


def test_a_replayed_message_is_handled(place: Place, folder: Path) -> None:
    request_id = f"r-{uuid.uuid4().hex[:12]}"
    accepted = RestoreAccepted(
        correlation_id="c",
        request_id=RequestId(request_id),
        project=ProjectName("demo"),
        topic_arn=place.local["topic_arn"],
        wanted="one.txt",
    )
    envelope = {"detail-type": accepted.name, "source": "glaciate", "detail": accepted.model_dump(mode="json")}
    place.sqs.send_message(QueueUrl=place.local["queues"]["notify_dlq"], MessageBody=json.dumps(envelope))

    done = document(folder, "dlq", "replay", "notify", "--type", "RestoreAccepted.v1")

    assert len(done["replayed"]) == 1
    assert LocalGlaciate(place).mail(request_id, "one.txt")

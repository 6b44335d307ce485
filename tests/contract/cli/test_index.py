"""`glaciate index rebuild`: what it says on the queue the packer understands."""

import json

import pytest

from contract.cli.test_dead_letters import Command, glaciate, waiting  # noqa: F401  a fixture
from fakes.queue import Queue
from glaciate.contracts import read_body
from glaciate.messages import COMMANDS, RebuildIndex


def asked(queue: Queue) -> RebuildIndex:
    (body,) = waiting(queue)
    message = read_body(body, COMMANDS)
    assert isinstance(message, RebuildIndex)
    return message


@pytest.mark.parametrize(
    ("options", "project"), [((), "demo"), (("--project", "lab"), "lab"), (("--all-projects",), None)]
)
def test_the_packer_is_asked(queue: Queue, glaciate: Command, options: tuple[str, ...], project: str | None) -> None:  # noqa: F811
    result = glaciate("index", "rebuild", *options)

    assert result.exit_code == 0
    message = asked(queue)
    assert (message.project, message.after) == (project, None)
    assert message.correlation_id in result.stdout
    assert (project or "every project") in result.stdout


def test_scripts_get_a_document(queue: Queue, glaciate: Command) -> None:  # noqa: F811
    document = json.loads(glaciate("index", "rebuild", "--json").stdout)

    assert (document["queue"], document["project"]) == ("pack", "demo")
    assert document["correlation_id"] == asked(queue).correlation_id


def test_one_project_or_all(queue: Queue, glaciate: Command) -> None:  # noqa: F811
    result = glaciate("index", "rebuild", "--all-projects", "--project", "lab")

    assert result.exit_code == 2
    assert not waiting(queue)


def test_a_queue_that_is_gone_is_told_plainly(queue: Queue, glaciate: Command) -> None:  # noqa: F811
    queue.sqs.delete_queue(QueueUrl=queue.url)

    result = glaciate("index", "rebuild")

    assert result.exit_code == 5
    assert "AWS refused SendMessage" in result.stderr

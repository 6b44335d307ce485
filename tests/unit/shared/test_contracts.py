"""What is said on queues and on the bus can be read back, and what cannot be read says why."""

import json
from pathlib import Path

import pytest

from glaciate.contracts import Command, Contract, Event, read_body
from glaciate.errors import Unreadable
from glaciate.events import EVENTS, ArchiveReadable, ObjectRestoreCompleted
from glaciate.messages import COMMANDS, PackArchive, PlanArchives, ThawFiles

EXAMPLES = Path(__file__).parents[3] / "docs" / "events"
CONTRACTS = (*COMMANDS, *EVENTS)


def _example(contract: type[Contract]) -> str:
    return (EXAMPLES / f"{contract.name.replace(' ', '')}.json").read_text()


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.name)
def test_every_contract_reads_its_frozen_example(contract: type[Contract]) -> None:
    message = read_body(_example(contract), CONTRACTS)

    assert type(message) is contract
    assert message.correlation_id


@pytest.mark.parametrize("contract", COMMANDS, ids=lambda contract: contract.name)
def test_a_command_comes_back_from_its_own_body(contract: type[Contract]) -> None:
    message = read_body(_example(contract), COMMANDS)
    assert isinstance(message, Command)

    assert read_body(message.to_body(), COMMANDS) == message


def test_every_event_says_who_tells_it_and_every_command_who_obeys() -> None:
    assert all(contract.producers for contract in CONTRACTS)
    assert all(contract.consumers for contract in COMMANDS)
    assert all(issubclass(contract, Event) for contract in EVENTS)


def test_names_differ_and_our_own_carry_a_version() -> None:
    names = [contract.name for contract in CONTRACTS]

    assert len(set(names)) == len(names)
    assert [name for name in names if not name.rpartition(".v")[2].isdigit()] == [ObjectRestoreCompleted.name]


def test_a_field_added_later_does_not_disturb() -> None:
    body = json.loads(_example(PlanArchives)) | {"added_later": 1}

    assert isinstance(read_body(json.dumps(body), COMMANDS), PlanArchives)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "not a JSON object but list"),
        ("{}", "None is not a message of this queue"),
        ('{"type": ["PlanArchives.v1"]}', "is not a message of this queue"),
        ('{"type": "PlanArchives.v9", "correlation_id": "c", "job_id": "j"}', "'PlanArchives.v9' is not a message"),
        ('{"type": "PlanArchives.v1", "correlation_id": "c"}', "job_id"),
        ('{"detail-type": "ArchiveReadable.v1"}', "detail"),
        ('{"detail-type": "Object Restore Completed", "detail": {}}', "not a Object Restore Completed"),
    ],
)
def test_what_cannot_be_read_says_why(body: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_body(body, (PlanArchives, PackArchive, ThawFiles, ArchiveReadable, ObjectRestoreCompleted))


def test_a_message_of_another_queue_is_not_taken() -> None:
    with pytest.raises(Unreadable, match=r"takes PackArchive\.v1, PlanArchives\.v1"):
        read_body(_example(ThawFiles), (PackArchive, PlanArchives))

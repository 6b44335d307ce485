"""The restore intake on AWS as moto plays it, all but the vault, which is as strict about archived objects as AWS."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from moto import mock_aws

from fakes.aws import client
from fakes.strict_thaw import StrictS3
from fakes.vault import SOURCE, VaultKit, make_all_tables
from glaciate.contracts import Command, Contract, read_body
from glaciate.errors import Transient
from glaciate.events import EVENTS
from glaciate.holds import DynamoHolds
from glaciate.messages import COMMANDS, ThawFiles
from glaciate.names import ArchiveId, RequestId
from glaciate.outbox import EventBridgeBus, SqsCommandQueue
from glaciate.part_documents import S3PartDocuments
from glaciate.parts import FileResult
from glaciate.projects import Project, ProjectsDocument
from glaciate.requests import RestoreRequest
from glaciate.restore_ledger import RestoreLedger
from glaciate.restores import PartState
from glaciate.tables import WAITING_LIST, WaiterRow
from restore_intake.adapters.index import DynamoIndex, S3Catalogs
from restore_intake.adapters.jobs import DynamoDeletions
from restore_intake.adapters.requests import DynamoRequests
from restore_intake.adapters.vault import S3Vault
from restore_intake.application.accepting import AcceptRestore, QuoteRestore
from restore_intake.application.asking import AskS3
from restore_intake.application.closing import CloseRequest, EndCancelled
from restore_intake.application.describing import CancelRestore, DescribeRestore, ListRestores
from restore_intake.application.finding import FindWanted
from restore_intake.application.listing import ListFiles
from restore_intake.application.reminding import RemindOfExpiry
from restore_intake.application.resolving import ResolveRequest
from restore_intake.application.sweeping import Sweep
from restore_intake.application.thawing import ThawFilesOfRequest, ThawPart

TOPIC = "arn:aws:sns:us-east-1:123456789012:glaciate"
LOOK_AFTER = timedelta(minutes=15)
SWEEP_EVERY = timedelta(minutes=15)
RESTORED_DAYS = 14


@dataclass
class Gate:
    """A queue that can be closed."""

    inner: SqsCommandQueue
    closed: bool = False

    def send(self, *commands: Command) -> None:
        if self.closed:
            msg = "the queue takes nothing"
            raise Transient(msg)
        self.inner.send(*commands)


@dataclass
class FixedProjects:
    """One project, `demo`."""

    originals: tuple[str, ...] = ()

    def load(self) -> ProjectsDocument:
        demo = Project(name="demo", source_buckets=(SOURCE, "other-bucket"), original_buckets=self.originals)
        return ProjectsDocument(projects=(demo,))


@dataclass
class World:
    """Everything the intake speaks to, and its use cases."""

    s3: StrictS3
    sqs: Any
    vault: VaultKit
    queue_url: str
    queue: Gate
    events_url: str
    accept: AcceptRestore
    quote: QuoteRestore
    describe: DescribeRestore
    list_restores: ListRestores
    cancel: CancelRestore
    list_files: ListFiles
    thaw_files: ThawFilesOfRequest
    sweep: Sweep
    ledger: RestoreLedger
    requests: DynamoRequests
    index: DynamoIndex
    bus: EventBridgeBus
    projects: FixedProjects

    def post(self, **body: Any) -> RequestId:
        """`POST /restore`, accepted."""
        request = RestoreRequest.model_validate({"project_name": "demo", **body})
        answer = self.accept(request, correlation_id="trail-1", stage_url="https://api.example.com/live")
        return RequestId(answer["request_id"])

    def drain(self) -> int:
        """Handles every message of the thaw queue; returns how many."""
        handled = 0
        while commands := self.commands():
            for command in commands:
                self.thaw_files(command)
                handled += 1
        return handled

    def unpack(self, request_id: RequestId, archive: ArchiveId, *, settled: bool = True) -> bool:
        """What the unpacker does, as far as the ledger sees it. False where the part has ended: that is only settled."""
        begun = self.ledger.begin_unpacking(request_id, archive, readable_until=None) is not None
        if begun:
            wanted = self.ledger.documents.wanted(request_id, archive)
            results = tuple(FileResult(file.key, file.destination, "RESTORED", file.size) for file in wanted)
            self.ledger.documents.put_results(request_id, archive, results)
            self.ledger.end_part(request_id, archive, state=PartState.COMPLETED, restored=len(wanted), failed=0)
        if settled:
            self.ledger.settle(request_id, archive, tell=self.bus.publish)
        return begun

    def unpack_for_all(self, archive: ArchiveId) -> None:
        """The same for everybody who waits for an archive."""
        for request_id in self.ledger.waiting_requests(archive):
            self.unpack(request_id, archive)

    def sweep_until_quiet(self, between: Callable[[], None] = lambda: None) -> None:
        """Lets the sweeper come by until it has nothing to look at; handles what it sends, and does something `between`."""
        for _round in range(10):
            self.s3.advance(minutes=16)
            looked_at = self.sweep(at_most=100)
            self.drain()
            between()
            if not looked_at:
                return
        waiting = [(row.id, row.item, row.list_order) for row in WaiterRow.listing.query(WAITING_LIST)]
        msg = f"the sweeper never comes to rest: {waiting}"
        raise AssertionError(msg)

    def commands(self) -> list[ThawFiles]:
        """What waits on the thaw queue, taken from it."""
        return [_command(body) for body in self._take(self.queue_url)]

    def lose_messages(self) -> None:
        """What waits on the thaw queue never arrives."""
        while self._take(self.queue_url):
            pass

    def told(self) -> list[Contract]:
        """The events on the bus since the last look."""
        events: list[Contract] = []
        while messages := self._take(self.events_url):
            events += [read_body(body, EVENTS) for body in messages]
        return events

    def files(self, request_id: RequestId, **page: Any) -> dict[str, dict[str, Any]]:
        """The files of a request as its status tells them, by key."""
        status = self.describe(request_id, limit=page.get("limit", 100), token=page.get("token"))
        return {file["key"]: file for file in status["files"]}

    def _take(self, url: str) -> list[str]:
        sqs = self.sqs
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [message["Body"] for message in messages]


def _command(body: str) -> ThawFiles:
    message = read_body(body, COMMANDS)
    assert isinstance(message, ThawFiles)
    return message


def _bus_with_ear() -> tuple[EventBridgeBus, str]:
    events, sqs = client("events"), client("sqs")
    events.create_event_bus(Name="bus")
    url = sqs.create_queue(QueueName="ear")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="all", EventBusName="bus", EventPattern=json.dumps({"source": ["glaciate"]}))
    events.put_targets(Rule="all", EventBusName="bus", Targets=[{"Id": "ear", "Arn": arn}])
    return EventBridgeBus(events, "bus"), url


@contextmanager
def restore_world(cloud: AbstractContextManager[object] | None = None) -> Iterator[World]:
    """The world in `cloud`, an empty one; left out: as moto plays it."""
    with cloud or mock_aws():
        make_all_tables()
        client("s3").create_bucket(Bucket="work")
        s3: Any = StrictS3()
        bus, events_url = _bus_with_ear()
        sqs = client("sqs")
        queue_url = sqs.create_queue(QueueName="thaw")["QueueUrl"]
        queue = Gate(SqsCommandQueue(sqs, queue_url))
        documents = S3PartDocuments(client("s3"), "work")
        ledger = RestoreLedger(
            documents, restored_days=RESTORED_DAYS, kept_days=90, now=s3.clock, pause=lambda _seconds: None
        )
        requests = DynamoRequests(ledger)
        catalogs = S3Catalogs(s3, "vault-bucket")
        index = DynamoIndex(catalogs)
        find = FindWanted(index, catalogs)
        vault = S3Vault(s3)
        projects = FixedProjects()
        deletions = DynamoDeletions(DynamoHolds())
        quote = QuoteRestore(
            projects, find, vault, requests, deletions, s3.clock, "us-east-1", "123456789012", TOPIC, RESTORED_DAYS
        )
        close = CloseRequest(ledger, bus)
        end_cancelled = EndCancelled(requests, ledger, close)
        ask = AskS3(requests, vault, s3.clock)
        thaw = ThawPart(requests, ledger, vault, ask, bus, close, s3.clock, LOOK_AFTER, SWEEP_EVERY)
        resolve = ResolveRequest(find, requests, documents, s3.clock, LOOK_AFTER)
        yield World(
            s3=s3,
            sqs=sqs,
            vault=VaultKit(s3),
            queue_url=queue_url,
            queue=queue,
            events_url=events_url,
            accept=AcceptRestore(quote, requests, documents, queue, s3.clock, "restored", LOOK_AFTER),
            quote=quote,
            describe=DescribeRestore(requests, documents, "restored", RESTORED_DAYS),
            list_restores=ListRestores(projects, requests),
            cancel=CancelRestore(requests, end_cancelled, queue),
            list_files=ListFiles(projects, index, catalogs, vault, s3.clock),
            thaw_files=ThawFilesOfRequest(requests, resolve, thaw, end_cancelled, close, queue, bus),
            sweep=Sweep(
                requests,
                ledger,
                thaw,
                end_cancelled,
                close,
                RemindOfExpiry(requests, bus, s3.clock),
                queue,
                s3.clock,
                LOOK_AFTER,
            ),
            ledger=ledger,
            requests=requests,
            index=index,
            bus=bus,
            projects=projects,
        )

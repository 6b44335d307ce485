"""An unpacker on a local cloud: restores of what a real packer packed, and workers as real processes."""

import json
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import worker_process
from glaciate import tables
from glaciate.names import ArchiveId, RequestId, new_request_id, part_key
from glaciate.parts import WantedFile, write_wanted
from packer_cloud import PROJECT, PackerCloud


@dataclass(frozen=True)
class UnpackerCloud:
    """What the restore intake does, done by hand, beside a packer's cloud."""

    packer: PackerCloud

    def __post_init__(self) -> None:
        self.packer.s3.create_bucket(Bucket=self.restored)

    @property
    def restored(self) -> str:
        return f"restored-{self.packer.name}"

    def want(self, archive: dict[str, Any], *keys: str, parts: int = 1, request: RequestId | None = None) -> RequestId:
        """A request with one part more; the first call of a request says how many parts it has."""
        request_id = request or new_request_id(datetime.now(UTC))
        archive_id = ArchiveId(archive["archive_id"])
        sizes = {member.key: member.size for member in self.packer.catalog(archive_id).members}
        wanted = [WantedFile(key, f"back/{request_id}/{key}", sizes.get(key, 0)) for key in keys]
        self.packer.s3.put_object(
            Bucket=self.packer.work, Key=part_key(request_id, archive_id), Body=write_wanted(wanted)
        )
        part = tables.PartRow(
            request_id,
            tables.part_item(archive_id),
            state="THAWING",
            archive_id=archive_id,
            project=PROJECT,
            vault_bucket=archive["vault_bucket"],
            vault_key=archive["vault_key"],
            storage_class=archive["storage_class"],
            files=len(keys),
        )
        rows: list[Any] = [part, tables.WaiterRow(tables.waiting_key(archive_id), request_id, project=PROJECT)]
        if request is None:
            rows.append(
                tables.RequestRow(
                    request_id,
                    tables.REQUEST_ITEM,
                    state="THAWING",
                    project=PROJECT,
                    request={},
                    wanted="files",
                    correlation_id=f"c-{request_id}",
                    topic_arn="arn:aws:sns:us-east-1:000000000000:told",
                    tier="Standard",
                    days=3,
                    destination_prefix=f"back/{request_id}/",
                    location=f"s3://{self.restored}/back/{request_id}/",
                    accepted_at=datetime.now(UTC),
                    resolved=True,
                    parts=parts,
                    files=len(keys),
                )
            )
        for row in rows:
            self.packer.server.client("dynamodb").put_item(TableName=self.packer.jobs, Item=row.to_dynamodb_dict())
        return request_id

    def announce(self, archive: dict[str, Any]) -> None:
        """What EventBridge delivers when S3 has thawed an archive."""
        detail = {"bucket": {"name": archive["vault_bucket"]}, "object": {"key": archive["vault_key"]}}
        envelope = {"id": "e-1", "source": "aws.s3", "detail-type": "Object Restore Completed", "detail": detail}
        self.packer.sqs.send_message(QueueUrl=self.packer.queue("unpack"), MessageBody=json.dumps(envelope))

    def environment(self, **more: str) -> dict[str, str]:
        ours = {
            "POWERTOOLS_SERVICE_NAME": "unpacker",
            "UNPACK_QUEUE_URL": self.packer.queue("unpack"),
            "UNPACK_DEAD_LETTERS_URL": self.packer.queue("unpack-dead-letters"),
            "THAW_QUEUE_URL": self.packer.queue("thaw"),
            "RESTORE_BUCKET": self.restored,
            "READ_CONCURRENCY": "8",
        }
        return self.packer.environment(**(ours | more))

    def start_worker(self, **environment: str) -> subprocess.Popen[bytes]:
        return worker_process.start("unpacker", self.environment(**environment))

    def run_worker(self, **environment: str) -> str:
        """Runs a worker until it leaves by itself; what it said."""
        return worker_process.run("unpacker", self.environment(**environment))

    def back(self, request_id: RequestId) -> dict[str, bytes]:
        """What arrived for a request, by source key."""
        prefix = f"back/{request_id}/"
        return {
            key.removeprefix(prefix): self.packer.s3.get_object(Bucket=self.restored, Key=key)["Body"].read()
            for key in self.packer.keys(self.restored, prefix)
        }

    def rows(self, request_id: RequestId) -> dict[str, dict[str, Any]]:
        """A request's rows by their sort key."""
        found = self.packer.server.client("dynamodb").query(
            TableName=self.packer.jobs,
            KeyConditionExpression="id = :id",
            ExpressionAttributeValues={":id": {"S": request_id}},
        )["Items"]
        rows = [{name: next(iter(value.values())) for name, value in item.items()} for item in found]
        return {row["item"]: row for row in rows}

    def commands(self, queue: str) -> list[dict[str, Any]]:
        """What waits on a queue."""
        answer = self.packer.sqs.receive_message(QueueUrl=self.packer.queue(queue), MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", ())]

    def open_uploads(self) -> list[Any]:
        uploads: list[Any] = self.packer.s3.list_multipart_uploads(Bucket=self.restored).get("Uploads", [])
        return uploads

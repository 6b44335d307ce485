"""A packer on a local cloud, without the rest of Glaciate: buckets, tables, queues, and workers as real processes."""

import io
import json
import os
import subprocess
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import waiting
import worker_process
from glaciate import tables
from glaciate.catalog import Catalog, read_catalog
from glaciate.jobs import JobOrder
from glaciate.messages import DeleteHeldSources, PlanArchives
from glaciate.names import JobId, ProjectName, catalog_key, new_job_id, skipped_prefix
from glaciate.requests import Compression, Disposition, StorageClass
from glaciate_local.cloud import Server

PROJECT = ProjectName("demo")
SRC = Path(__file__).parents[1]


@dataclass(frozen=True)
class PackerCloud:
    """Names are new for each, so that tests share a server without meeting."""

    server: Server
    name: str = field(default_factory=lambda: uuid4().hex[:10])

    def __post_init__(self) -> None:
        for bucket in (self.source, self.vault, self.work):
            self.s3.create_bucket(Bucket=bucket)
        dynamodb = self.server.client("dynamodb")
        for table, keys in ((self.files, "nd"), (self.archives, ("owner", "range_id")), (self.jobs, ("id", "item"))):
            dynamodb.create_table(
                TableName=table,
                KeySchema=[
                    {"AttributeName": keys[0], "KeyType": "HASH"},
                    {"AttributeName": keys[1], "KeyType": "RANGE"},
                ],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                BillingMode="PAY_PER_REQUEST",
            )
        self.server.client("events").create_event_bus(Name=self.bus)
        rule = {"Name": f"{self.name}-all", "EventBusName": self.bus}
        self.server.client("events").put_rule(**rule, EventPattern='{"source": ["glaciate"]}')
        heard = self.queue("heard")
        arn = self.sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        allowed = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.sqs.set_queue_attributes(QueueUrl=heard, Attributes={"Policy": policy})
        self.server.client("events").put_targets(
            Rule=rule["Name"], EventBusName=self.bus, Targets=[{"Id": "heard", "Arn": arn}]
        )

    @property
    def s3(self) -> Any:
        return self.server.client("s3")

    @property
    def sqs(self) -> Any:
        return self.server.client("sqs")

    @property
    def source(self) -> str:
        return f"source-{self.name}"

    @property
    def vault(self) -> str:
        return f"vault-{self.name}"

    @property
    def work(self) -> str:
        return f"work-{self.name}"

    @property
    def files(self) -> str:
        return f"files-{self.name}"

    @property
    def archives(self) -> str:
        return f"archives-{self.name}"

    @property
    def jobs(self) -> str:
        return f"jobs-{self.name}"

    @property
    def bus(self) -> str:
        return f"bus-{self.name}"

    def queue(self, what: str) -> str:
        url: str = self.sqs.create_queue(QueueName=f"{what}-{self.name}")["QueueUrl"]
        return url

    def environment(self, **more: str) -> dict[str, str]:
        """What the job definition gives a worker."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.server.endpoint,
            "AWS_ACCESS_KEY_ID": self.server.root_access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.server.root_secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "POWERTOOLS_SERVICE_NAME": "packer",
            "POWERTOOLS_TRACE_DISABLED": "true",
            "PACK_QUEUE_URL": self.queue("pack"),
            "PACK_DEAD_LETTERS_URL": self.queue("pack-dead-letters"),
            "EVENT_BUS_NAME": self.bus,
            "ARCHIVES_TABLE": self.archives,
            "FILES_TABLE": self.files,
            "JOBS_TABLE": self.jobs,
            "VAULT_BUCKET": self.vault,
            "WORK_BUCKET": self.work,
            "VISIBILITY_SECONDS": "3",
            "LEASE_SECONDS": "3",
            "IDLE_SECONDS": "1",
            "FETCH_CONCURRENCY": "8",
            **more,
        }

    def put(self, files: Mapping[str, bytes], **options: Any) -> None:
        for key, body in files.items():
            self.s3.put_object(Bucket=self.source, Key=key, Body=body, **options)

    def accept(self, prefix: str = "", **order: Any) -> JobId:
        """What archive-intake does: the job's row, and the command."""
        job_id = new_job_id(datetime.now(UTC))
        wanted = JobOrder(
            **{
                "project": PROJECT,
                "bucket": self.source,
                "prefix": prefix,
                "max_files": 1000,
                "max_bytes": 100_000_000,
                "storage_class": StorageClass.DEEP_ARCHIVE,
                "output_prefix": f"archives/{PROJECT}/",
                "disposition": Disposition.KEEP,
                "compression": Compression.FAST,
                "direct_threshold_bytes": 64 * 1024**2,
                **order,
            }
        )
        row = tables.JobRow(
            job_id,
            tables.JOB_ITEM,
            state="ACCEPTED",
            project=PROJECT,
            bucket=self.source,
            prefix=prefix,
            request=wanted.model_dump(mode="json"),
            correlation_id=f"c-{job_id}",
            topic_arn="arn:aws:sns:us-east-1:000000000000:told",
            accepted_at=datetime.now(UTC),
        )
        self.server.client("dynamodb").put_item(TableName=self.jobs, Item=row.to_dynamodb_dict())
        self.send(PlanArchives(correlation_id=f"c-{job_id}", job_id=job_id).to_body())
        return job_id

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue("pack"), MessageBody=body)

    def start_worker(self, *, processes: int = 1, **environment: str) -> subprocess.Popen[bytes]:
        return worker_process.start("packer", self.environment(**environment), "--processes", str(processes))

    def run_worker(self, *, processes: int = 1, **environment: str) -> str:
        """Runs a worker until it leaves by itself; what it said."""
        return worker_process.run("packer", self.environment(**environment), "--processes", str(processes))

    def job(self, job_id: JobId) -> dict[str, Any]:
        (row,) = self._items(self.jobs, {"id": job_id, "item": tables.JOB_ITEM})
        return row

    def hold(self, job_id: JobId) -> dict[str, Any]:
        (row,) = self._items(self.jobs, {"id": job_id, "item": tables.HOLD_ITEM})
        return row

    def delete_held(self, job_id: JobId) -> None:
        """What archive-intake's schedule does when the day has come."""
        self.server.client("dynamodb").update_item(
            TableName=self.jobs,
            Key={"id": {"S": job_id}, "item": {"S": tables.HOLD_ITEM}},
            UpdateExpression="SET #state = :deleting",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":deleting": {"S": "DELETING"}},
        )
        self.send(DeleteHeldSources(correlation_id=f"c-{job_id}", job_id=job_id).to_body())

    def archive_rows(self) -> list[dict[str, Any]]:
        return sorted(self._items(self.archives, {}), key=lambda row: str(row["archive_id"]))

    def file_rows(self) -> list[dict[str, Any]]:
        return self._items(self.files, {})

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def thawed(self, vault_key: str) -> bytes:
        """An archive's bytes, after S3 was asked for a readable copy."""
        head = self.s3.head_object(Bucket=self.vault, Key=vault_key)
        if head.get("StorageClass", "STANDARD") in {"DEEP_ARCHIVE", "GLACIER"} and "Restore" not in head:
            wish = {"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
            self.s3.restore_object(Bucket=self.vault, Key=vault_key, RestoreRequest=wish)
            waiting.until(
                "the thaw",
                lambda: "expiry" in self.s3.head_object(Bucket=self.vault, Key=vault_key)["Restore"],
                every_seconds=0.05,
            )
        body: bytes = self.s3.get_object(Bucket=self.vault, Key=vault_key)["Body"].read()
        return body

    def zip_of(self, vault_key: str) -> zipfile.ZipFile:
        return zipfile.ZipFile(io.BytesIO(self.thawed(vault_key)))

    def catalog(self, archive_id: Any) -> Catalog:
        return read_catalog(self.s3.get_object(Bucket=self.vault, Key=catalog_key(archive_id))["Body"].read())

    def skipped(self, job_id: JobId) -> dict[str, str]:
        lines: dict[str, str] = {}
        for key in self.keys(self.work, skipped_prefix(job_id)):
            for line in self.s3.get_object(Bucket=self.work, Key=key)["Body"].read().splitlines():
                item = json.loads(line)
                lines[item["key"]] = item["reason"]
        return lines

    def told(self, *, until: str = "ArchiveJobCompleted.v1") -> list[tuple[str, dict[str, Any]]]:
        """The events up to the first of a name; the bus is a little late."""
        found: list[tuple[str, dict[str, Any]]] = []
        url = self.queue("heard")

        def hear() -> bool:
            for message in self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
                envelope = json.loads(message["Body"])
                found.append((envelope["detail-type"], envelope["detail"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return any(name == until for name, _ in found)

        waiting.until(until, hear, every_seconds=0.05)
        return found

    def open_uploads(self) -> list[Any]:
        uploads: list[Any] = self.s3.list_multipart_uploads(Bucket=self.vault).get("Uploads", [])
        return uploads

    def _items(self, table: str, wanted: Mapping[str, str]) -> list[dict[str, Any]]:
        pages = self.server.client("dynamodb").get_paginator("scan").paginate(TableName=table)
        rows = [
            {name: next(iter(value.values())) for name, value in item.items()}
            for page in pages
            for item in page["Items"]
        ]
        return [row for row in rows if wanted.items() <= row.items()]

"""Two things that happen to restores: somebody else's thaw is joined; a member of an archive is damaged."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Self

from glaciate.catalog import Member, read_catalog
from glaciate.names import archive_of_vault_key, catalog_key
from glaciate_cli.api import Document
from glaciate_cli.screen import dollars
from glaciate_local.demo_files import DemoFile
from glaciate_local.demo_stage import DemoFailed, Stage, require, table_of
from glaciate_local.place import Place

_DEFLATED: Final = 8  # ZIP's number
_LARGE_ENOUGH_BYTES: Final = 500
_FILES: Final = 3
_SOON_SECONDS: Final = 30
_ENDED: Final = {"COMPLETED", "PARTIAL", "FAILED", "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP in the vault, and three of its files."""

    vault_key: str
    members: tuple[Member, ...]


def free_archives(place: Place, job: Document, asked_for: Collection[str]) -> list[Archive]:
    """The job's ZIPs of which no other request wants a file.

    Raises:
        DemoFailed: there is none.
    """
    found = []
    for vault_key, _size in place.listing("vault", f"{job['output_prefix']}{job['job_id']}"):
        if not vault_key.endswith(".zip"):
            continue
        name = catalog_key(archive_of_vault_key(vault_key))
        catalog = place.s3.get_object(Bucket=place.bucket("vault"), Key=name)["Body"].read()
        members = read_catalog(catalog).members
        fit = [one for one in members if one.method == _DEFLATED and one.compressed_size >= _LARGE_ENOUGH_BYTES]
        if len(fit) >= _FILES and not any(member.key in asked_for for member in members):
            found.append(Archive(vault_key, tuple(fit[:_FILES])))
    require(bool(found), "each archive is wanted by one of the other restores")
    return found


@dataclass(slots=True)
class Join:
    """Two requests, one thaw. While the block runs, a queue hears of every thaw that S3 begins in the vault."""

    stage: Stage
    place: Place
    run: str
    _heard_url: str = ""
    _undo: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        sqs, name = self.place.sqs, f"glaciate-demo-thaws-{self.run}"
        events = self.place.client("events")
        self._undo.callback(events.close)
        self._heard_url = sqs.create_queue(QueueName=name)["QueueUrl"]
        self._undo.callback(sqs.delete_queue, QueueUrl=self._heard_url)
        answer = sqs.get_queue_attributes(QueueUrl=self._heard_url, AttributeNames=["QueueArn"])
        arn = answer["Attributes"]["QueueArn"]
        may_send = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
        policy = {"Version": "2012-10-17", "Statement": [{**may_send, "Resource": arn}]}
        sqs.set_queue_attributes(QueueUrl=self._heard_url, Attributes={"Policy": json.dumps(policy)})
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Restore Initiated"],
            "detail": {"bucket": {"name": [self.place.bucket("vault")]}},
        }
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        self._undo.callback(events.delete_rule, Name=name)
        events.put_targets(Rule=name, Targets=[{"Id": "heard", "Arn": arn}])
        self._undo.callback(events.remove_targets, Rule=name, Ids=["heard"])
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def __call__(self, archives: Sequence[Archive]) -> tuple[Archive, tuple[str, str]]:
        """Asks for two files of an archive, the second while it thaws; the archive, and the requests.

        Raises:
            DemoFailed: no archive thawed for long enough.
        """
        with self.stage.step("A second POST /restore joins the thaw that the first began"):
            for archive in archives:
                first, second = (str(member.key) for member in archive.members[:2])
                first_id = self._ask(first)
                self.stage.say(f"{first_id}: {first}")
                began = _begun(self.place, first_id)
                self.stage.say(f"{began['state']}: S3 was asked to thaw {archive.vault_key}")
                second_id = self._ask(second)
                self.stage.say(f"{second_id}: {second}, which lies in the same archive")
                joins = _begun(self.place, second_id)
                if joins["state"] == "THAWING" and self.place.api.status(first_id)["state"] == "THAWING":
                    self.stage.good("THAWING too: it waits for the thaw that runs")
                    return archive, (first_id, second_id)
                self.stage.say("That thaw was over too soon; once more, with another archive.")
        msg = "every thaw was over before a second request came: GLACIATE_LOCAL_THAW_SECONDS makes them longer"
        raise DemoFailed(msg)

    def show_one_thaw(self, archive: Archive, requests: Sequence[Document]) -> None:
        """Shows that S3 was asked once for both, and who has paid for it.

        Raises:
            DemoFailed: it was asked more often.
        """
        with self.stage.step("Both came out of one thaw"):
            begun = self._heard().count(archive.vault_key)
            require(begun == 1, f"S3 was asked {begun} times to thaw {archive.vault_key}")
            paid = [float(request["cost"]["retrieval_usd"] + request["cost"]["requests_usd"]) for request in requests]
            require(paid[0] > paid[1], f"the request that joined has paid {paid[1]}, the first {paid[0]}")
            self.stage.say(
                f"Paid for thawing and reading: {dollars(paid[0])} by the first, {dollars(paid[1])} by the second."
            )
            self.stage.good("S3 began one thaw of the archive (one RestoreObject), and both requests COMPLETED")

    def _ask(self, key: str) -> str:
        body = {"project_name": self.place.local["project"], "filename": [key], "retrieval_tier": "Standard"}
        return str(self.place.api.restore(body, idempotency_key=f"join-{self.run}-{key}"[-128:])["request_id"])

    def _heard(self) -> list[str]:
        """The keys of which a thaw has begun, one for each thaw."""
        keys: list[str] = []
        while messages := self.place.sqs.receive_message(QueueUrl=self._heard_url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                keys.append(str(json.loads(message["Body"])["detail"]["object"]["key"]))
                self.place.sqs.delete_message(QueueUrl=self._heard_url, ReceiptHandle=message["ReceiptHandle"])
        return keys


@dataclass(frozen=True, slots=True)
class Damage:
    """One flipped byte in an archive: its file is reported, the others arrive."""

    stage: Stage
    place: Place
    run: str

    def __call__(self, archive: Archive, files: Mapping[str, DemoFile]) -> tuple[Document, Member]:
        """Damages a readable archive, restores three files of it, and mends it; the request, and the damaged member.

        Raises:
            DemoFailed: anything but that file is missing, or the request does not say so.
        """
        with self.stage.step("One byte of that archive is damaged, and three of its files are restored"):
            s3, bucket, key = self.place.s3, self.place.bucket("vault"), archive.vault_key
            damaged = archive.members[1]
            before = s3.get_object(Bucket=bucket, Key=key)
            content = bytearray(before["Body"].read())
            at = damaged.offset + damaged.compressed_size // 2
            content[at] ^= 0xFF
            put = s3.put_object(Bucket=bucket, Key=key, Body=bytes(content), StorageClass="DEEP_ARCHIVE")
            self.stage.say(f"Byte {at:,} of {len(content):,} is flipped by hand, in the middle of {damaged.key}")
            try:
                request = self._restore(archive)
            finally:
                s3.delete_object(Bucket=bucket, Key=key, VersionId=put["VersionId"])
            self._check(request, damaged, files)
            again = s3.head_object(Bucket=bucket, Key=key)
            require(again["ETag"] == before["ETag"], f"{key} is not what it was")
            self.stage.say("The vault keeps versions: deleting the damaged one has made the good one current again.")
        return request, damaged

    def _restore(self, archive: Archive) -> Document:
        keys = [str(member.key) for member in archive.members]
        body = {"project_name": self.place.local["project"], "filename": keys, "retrieval_tier": "Standard"}
        identifier = str(self.place.api.restore(body, idempotency_key=f"damage-{self.run}")["request_id"])

        def look() -> tuple[str, bool]:
            status = self.place.api.status(identifier)
            return f"{status['state']} {status['counts']['restored']}", status["state"] in _ENDED

        self.stage.await_end("restoring", look)
        return self.place.api.whole_status(identifier)

    def _check(self, request: Document, damaged: Member, files: Mapping[str, DemoFile]) -> None:
        shown = table_of("file", "state", "reason")
        for file in request["files"]:
            shown.add_row(str(file["key"]).partition("/")[2], str(file["state"]), str(file["reason"] or ""))
        self.stage.show(shown)
        identifier = request["request_id"]
        require(request["state"] == "PARTIAL", f"{identifier} ended {request['state']}")
        failed = [file["key"] for file in request["files"] if file["state"] != "RESTORED"]
        require(failed == [damaged.key], f"{identifier} reports {failed}, damaged was {damaged.key}")
        arrived = [file for file in request["files"] if file["state"] == "RESTORED"]
        require(len(arrived) == _FILES - 1, f"{identifier} lists {len(arrived)} files as restored")
        for file in arrived:
            bucket, _, key = str(file["location"]).removeprefix("s3://").partition("/")
            restored = self.place.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            require(
                restored == files[str(file["key"])].read(), f"{file['key']} came back different: s3://{bucket}/{key}"
            )
        self.stage.good("PARTIAL: the damaged file is named and was not delivered, the others arrived and are equal")


def _begun(place: Place, identifier: str) -> Document:
    """The status of a request once it is more than accepted.

    Raises:
        DemoFailed: that takes long.
    """
    deadline = time.monotonic() + _SOON_SECONDS
    while (status := place.api.status(identifier))["state"] == "ACCEPTED":
        require(time.monotonic() < deadline, f"{identifier} is only accepted after {_SOON_SECONDS} s")
        time.sleep(0.1)
    return status

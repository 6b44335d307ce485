"""`make demo`: the main job on the local cloud, on real files, from the first upload to the last comparison.

`GLACIATE_DEMO_KEEP=1` leaves the local cloud up at the end.
"""

import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import obstore
from botocore.exceptions import BotoCoreError, ClientError
from obstore.exceptions import BaseError
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from glaciate.costs import Cost, lifecycle_cost, packed_cost, price_list
from glaciate.requests import StorageClass
from glaciate_cli.api import Document
from glaciate_cli.errors import CommandFailed
from glaciate_cli.screen import dollars, size
from glaciate_local import demo_files
from glaciate_local.cloud import CloudFailed, one_at_a_time, running_server, stop
from glaciate_local.demo_files import DemoFile, TooFewFiles
from glaciate_local.demo_mishaps import Damage, Join, free_archives
from glaciate_local.demo_stage import DemoFailed, Stage, as_json, require, table_of
from glaciate_local.place import Place
from glaciate_local.settings import LocalSettings, SettingIsWrong
from glaciate_local.up import up

FILES_PER_ARCHIVE: Final = 600
MEGABYTES_PER_ARCHIVE: Final = 10
_THAW_SECONDS: Final = 4.0  # so that a second request comes while the first one's archive thaws
_ENDED: Final = {"COMPLETED", "PARTIAL", "FAILED", "CANCELLED"}
_THREADS: Final = 16


@dataclass(frozen=True, slots=True)
class Wanted:
    """A restore: what is asked for, and which originals must come back."""

    title: str
    body: Mapping[str, Any]
    files: Mapping[str, DemoFile]  # by full key


@dataclass(slots=True)
class Demo:
    """The story."""

    stage: Stage
    place: Place
    run: str

    def __call__(self) -> None:
        """Runs it.

        Raises:
            DemoFailed: something differs from what must be.
        """
        files = self._upload()
        job = self._archive(len(files))
        archives = self._show_archives(job)
        self._show_sources_gone()
        wanted = self._choose(files)
        unasked = free_archives(self.place, job, {key for one in wanted for key in one.files})
        with Join(self.stage, self.place, self.run) as join:
            archive, joined = join(unasked)
            requests = self._restore(wanted, joined)
            join.show_one_thaw(archive, requests[: len(joined)])
        asked = [Wanted("", {}, {member.key: files[member.key]}) for member in archive.members[: len(joined)]]
        self._compare((*asked, *wanted), requests)
        damaged, member = Damage(self.stage, self.place, self.run)(archive, files)
        ended = [str(request["request_id"]) for request in (*requests, damaged)]
        self._read_notifications(str(job["job_id"]), ended, partial=(ended[-1], member.key))
        self._show_costs(job, archives, requests)

    @property
    def _prefix(self) -> str:
        return f"demo-{self.run}/"

    @property
    def _report(self) -> str:
        return f"report-{self.run}.csv"

    def _upload(self) -> Mapping[str, DemoFile]:
        with self.stage.step("Real files from this machine go to a source bucket"):
            files = {f"{self._prefix}{file.key}": file for file in demo_files.gather(self._report)}
            bucket = self.place.bucket("source")

            store = self.place.store("source")

            def put(item: tuple[str, DemoFile]) -> int:
                content = item[1].read()
                obstore.put(store, item[0], content)
                return len(content)

            with ThreadPoolExecutor(_THREADS) as pool, self.stage.console.status(" uploading", spinner="dots"):
                total = sum(pool.map(put, files.items()))
            self.stage.say(
                f"{len(files):,} files, {size(total)}: the Python standard library, documents of installed packages, "
                "an empty file, names with spaces, non-ASCII and very long names, two files of one name, "
                f"and one file of {size(demo_files.BIG_FILE_BYTES)}."
            )
            self.stage.good(f"uploaded to s3://{bucket}/{self._prefix}")
        return files

    def _archive(self, count: int) -> Document:
        with self.stage.step("POST /archive packs them and deletes the sources"):
            body = {
                "project_name": self.place.local["project"],
                "bucket_name": self.place.bucket("source"),
                "prefix": self._prefix,
                "file_count": FILES_PER_ARCHIVE,
                "archive_size": MEGABYTES_PER_ARCHIVE,
                "storage_class": "DEEP_ARCHIVE",
                "disposition": "delete",
            }
            self.stage.show(as_json(body))
            accepted = self.place.api.archive(body, idempotency_key=f"archive-{self.run}")
            identifier = str(accepted["job_id"])
            self.stage.say(f"202 Accepted: job {identifier}")
            job: Document = {}

            def look() -> tuple[str, bool]:
                nonlocal job
                job = self.place.api.status(identifier)
                counts = job["counts"]
                return f"{counts['archived']:,} of {counts['planned']:,} files", job["state"] in _ENDED

            self.stage.await_end("packing", look)
            counts = job["counts"]
            require(
                job["state"] == "COMPLETED", f"job {identifier} ended {job['state']}: {job.get('reason')}, {counts}"
            )
            require(counts["archived"] == count, f"{counts['archived']} files archived, {count} uploaded")
            self.stage.good(
                f"COMPLETED: {counts['archived']:,} files in {counts['archives']} archives, "
                f"{size(counts['bytes_in'])} became {size(counts['bytes_out'])}"
            )
        return job

    def _show_archives(self, job: Document) -> int:
        with self.stage.step("The archives in the vault"):
            prefix = f"{job['output_prefix']}{job['job_id']}"
            found = self.place.listing("vault", prefix)
            bucket = self.place.bucket("vault")
            self.stage.say(f"s3://{bucket}/{job['output_prefix']}")
            table = table_of("archive", "size", "storage class", "reading it")
            for key, length in found:
                storage_class = self.place.s3.head_object(Bucket=bucket, Key=key).get("StorageClass", "STANDARD")
                said = self._try_to_read(bucket, key)
                table.add_row(key.removeprefix(job["output_prefix"]), size(length), storage_class, said)
                require(storage_class == "DEEP_ARCHIVE", f"{key} is {storage_class}")
                require(said == "403 InvalidObjectState", f"reading {key} says {said}")
            self.stage.show(table)
            require(len(found) == job["counts"]["archives"], f"{len(found)} archives lie in the vault: {prefix}")
            self.stage.say("A ZIP holds many small files; the .object is the big file, kept as it is.")
            self.stage.good("each lies in Deep Archive, and none can be read without being thawed first")
        return len(found)

    def _try_to_read(self, bucket: str, key: str) -> str:
        try:
            self.place.s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            return f"{error.response['ResponseMetadata']['HTTPStatusCode']} {error.response['Error']['Code']}"
        return "200"

    def _show_sources_gone(self) -> None:
        with self.stage.step("The sources"):
            left = self.place.listing("source", self._prefix)
            require(not left, f"{len(left)} sources are still there, such as {left[:3]}")
            self.stage.good("are gone: each was deleted after its archive was verified and indexed")

    def _choose(self, files: Mapping[str, DemoFile]) -> tuple[Wanted, ...]:
        report = f"{self._prefix}reports/{self._report}"
        plain = [key for key in files if key.startswith(f"{self._prefix}packages/")][:3]
        special = (
            demo_files.EMPTY,
            demo_files.SPACES,
            demo_files.NOT_ASCII,
            demo_files.LONG,
            *demo_files.TWINS,
            demo_files.BIG,
        )
        keys = [*(f"{self._prefix}{key}" for key in special), *plain]
        folder = f"{self._prefix}{demo_files.FOLDER}"
        inside = {key: file for key, file in files.items() if key.startswith(folder)}
        project = self.place.local["project"]
        return (
            Wanted(
                f"one file by its bare name, {self._report}",
                {"project_name": project, "filename": self._report, "retrieval_tier": "Standard"},
                {report: files[report]},
            ),
            Wanted(
                f"{len(keys)} files by their keys, the awkward ones and the big one among them",
                {"project_name": project, "filename": keys, "retrieval_tier": "Bulk"},
                {key: files[key] for key in keys},
            ),
            Wanted(
                f"a folder by its prefix, {folder} ({len(inside)} files)",
                {"project_name": project, "prefix": folder, "retrieval_tier": "Standard"},
                inside,
            ),
        )

    def _restore(self, wanted: Sequence[Wanted], running: Sequence[str] = ()) -> list[Document]:
        with self.stage.step("POST /restore brings single files back, three requests more at once"):
            identifiers = list(running)
            for number, one in enumerate(wanted):
                accepted = self.place.api.restore(one.body, idempotency_key=f"restore-{self.run}-{number}")
                identifiers.append(str(accepted["request_id"]))
                self.stage.say(f"{identifiers[-1]}: {one.title}")
            self.stage.say("S3 thaws the archives (hours on AWS, a few seconds here); then the files are read out.")
            requests: list[Document] = []

            def look() -> tuple[str, bool]:
                requests[:] = [self.place.api.status(identifier) for identifier in identifiers]
                how = ", ".join(f"{request['state']} {request['counts']['restored']}" for request in requests)
                return how, all(request["state"] in _ENDED for request in requests)

            self.stage.await_end("restoring", look)
            for request in requests:
                what = f"{request['request_id']} ended {request['state']}: {request.get('reason')}, {request['counts']}"
                require(request["state"] == "COMPLETED", what)
            self.stage.good(f"all {len(requests)} COMPLETED, the two of the step before among them")
            return [self.place.api.whole_status(identifier) for identifier in identifiers]

    def _compare(self, wanted: Sequence[Wanted], requests: Sequence[Document]) -> None:
        with self.stage.step("Every restored file is compared with its original, byte by byte"):
            compared = total = 0
            for one, request in zip(wanted, requests, strict=True):
                listed = {str(file["key"]): file for file in request["files"]}
                differ = sorted(listed.keys() ^ one.files.keys())
                require(not differ, f"{request['request_id']} lists other files than were asked for: {differ[:3]}")
                for key, original in one.files.items():
                    bucket, _, restored_key = str(listed[key]["location"]).removeprefix("s3://").partition("/")
                    restored = self.place.s3.get_object(Bucket=bucket, Key=restored_key)["Body"].read()
                    require(restored == original.read(), f"{key} came back different: s3://{bucket}/{restored_key}")
                    compared += 1
                    total += len(restored)
            where = str(next(iter(requests[0]["files"]))["location"])
            self.stage.say(f"They lie in the restore bucket under their own keys, such as {where}")
            self.stage.good(f"{compared} files, {size(total)}: all equal")

    def _read_notifications(self, job_id: str, request_ids: Sequence[str], *, partial: tuple[str, str]) -> None:
        with self.stage.step("Glaciate told by e-mail what happened"):
            awaited = {job_id, *request_ids}
            mails: list[Mapping[str, Any]] = []

            def look() -> tuple[str, bool]:
                mails.extend(self._receive(awaited))
                missing = [name for name in awaited if not any(_tells_the_end(mail, name) for mail in mails)]
                return f"{len(missing)} still to come", not missing

            self.stage.await_end("waiting for the notifications", look)
            self.stage.say(f"{len(mails)} messages. This one tells of the damaged file:")
            request_id, key = partial
            told = next(mail for mail in mails if _tells_the_end(mail, request_id))
            require("PARTIAL" in told["Message"], f"the notification of {request_id} does not say PARTIAL")
            require(key in told["Message"], f"the notification of {request_id} does not name {key}")
            self.stage.show(
                Panel(
                    Text(str(told["Message"]).rstrip()),
                    title=Text(str(told["Subject"])),
                    title_align="left",
                    padding=(0, 1),
                )
            )
            self.stage.good("one for the job, and for each restore when it was accepted and when it had ended")

    def _receive(self, names: Iterable[str]) -> Iterator[Mapping[str, Any]]:
        url = str(self.place.local["notifications_url"])
        answer = self.place.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        for message in answer.get("Messages", []):
            self.place.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            mail = json.loads(message["Body"])
            if any(name in mail["Message"] for name in names):
                yield mail

    def _show_costs(self, job: Document, archives: int, requests: Sequence[Document]) -> None:
        prices = price_list()
        counts = job["counts"]
        files, bytes_in, bytes_out = counts["archived"], counts["bytes_in"], counts["bytes_out"]
        deep = StorageClass.DEEP_ARCHIVE
        many, each, per_archive = 100_000_000, 10_000, 10_000
        smaller = many * each * bytes_out // bytes_in
        rows = (
            (
                f"these {files:,} files",
                lifecycle_cost(files=files, size_bytes=bytes_in, storage_class=deep),
                packed_cost(files=files, size_bytes=bytes_out, archives=archives, storage_class=deep),
            ),
            (
                "100 million files of 10 KB",
                lifecycle_cost(files=many, size_bytes=many * each, storage_class=deep),
                packed_cost(files=many, size_bytes=smaller, archives=many // per_archive, storage_class=deep),
            ),
        )
        with self.stage.step("What it costs on AWS, against a lifecycle rule that moves file by file"):
            table = table_of("", "once", "a month", "once", "a month", right=True)
            table.columns[1].header, table.columns[2].header = "rule: once", "a month"
            table.columns[3].header, table.columns[4].header = "Glaciate: once", "a month"
            for title, rule, packed in rows:
                table.add_row(title, *_sums(rule), *_sums(packed))
            self.stage.show(table)
            self.stage.say(
                f"Prices of {prices['date']}, {prices['region']}, without compute. "
                f"100 million files: {per_archive:,} to a ZIP, compressed as these were."
            )
            quoted = sum(request["estimate"]["total_usd"] for request in requests)
            self.stage.say(f"The {len(requests)} restores: {dollars(quoted)}, as quoted when they were accepted.")
            rule, packed = rows[1][1], rows[1][2]
            self.stage.good(
                f"at 100 million files {rule.once_usd / packed.once_usd:.0f} times cheaper to archive, "
                f"{rule.monthly_usd / packed.monthly_usd:.1f} times cheaper to keep"
            )


def _sums(cost: Cost) -> tuple[str, str]:
    return dollars(cost.once_usd), dollars(cost.monthly_usd)


def _tells_the_end(mail: Mapping[str, Any], name: str) -> bool:
    said = f"{mail.get('Subject')} {mail['Message']}".lower()
    return name in said and any(word in said for word in ("completed", "restored", "archived"))


def main() -> int:
    """The command: 0 when everything is as it must be."""
    console = Console(file=sys.stdout, highlight=False)
    stage = Stage(console)
    started = time.monotonic()
    try:
        settings = LocalSettings.from_environment()
        if "GLACIATE_LOCAL_THAW_SECONDS" not in os.environ:
            settings = replace(settings, thaw_seconds=_THAW_SECONDS)
        was_up = running_server(settings) is not None
    except (CloudFailed, SettingIsWrong) as failed:
        console.print(Text(f"The demo failed: {failed}", style="red"))
        return 1
    failure: str | None = None
    try:
        with stage.step("The local cloud: MiniStack with the same template that goes to AWS"):
            with console.status(" starting and deploying", spinner="dots"), redirect_stdout(io.StringIO()):
                local = up(settings)
            stage.good(f"up at {local['aws_endpoint_url']}, nothing on AWS is touched")
        Demo(stage, Place.of(local), f"{datetime.now(UTC):%Y%m%d-%H%M%S}")()
    except (BaseError, BotoCoreError, CloudFailed, CommandFailed, ClientError, DemoFailed, TooFewFiles) as failed:
        failure = str(failed)
    except KeyboardInterrupt:
        failure = "interrupted"
    finally:
        if not was_up and os.environ.get("GLACIATE_DEMO_KEEP") != "1":
            with one_at_a_time(settings):
                stop(settings, keep=failure is not None)
    console.print()
    if failure is not None:
        console.print(Text(f"The demo failed: {failure}", style="bold red"))
        console.print(Text(f"What the services said is in {settings.directory}"))
        return 1
    if running_server(settings) is not None:
        console.print(Text("The local cloud is still up; `make down` stops it."))
    console.print(
        Text(
            f"Everything came back as it was, but for the file damaged on purpose, in {time.monotonic() - started:.0f} s.",
            style="bold green",
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

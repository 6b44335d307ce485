"""The `glaciate` command. `glaciate COMMAND --help` says what each takes; docs/command.md shows them at work."""

import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TextIO

import click

from glaciate_cli.api import Document, GlaciateApi, is_request_id
from glaciate_cli.context import Invocation, glaciate_command, project_option
from glaciate_cli.dead_letter_commands import dlq
from glaciate_cli.errors import Exit
from glaciate_cli.index_commands import index
from glaciate_cli.views import exit_of, has_ended, show_accepted, show_files, show_listing, show_status

_PAGE_SIZE: Final = 100
_STORAGE_CLASSES: Final = ("DEEP_ARCHIVE", "GLACIER", "GLACIER_IR", "STANDARD_IA", "STANDARD")
_TIERS: Final = ("Standard", "Bulk", "Expedited")


class S3Prefix(click.ParamType[tuple[str, str]]):
    """`s3://bucket/prefix` as bucket and prefix."""

    name = "s3://bucket/prefix"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """The two parts; the prefix is taken as it stands."""
        scheme, _, rest = str(value).partition("://")
        bucket, _, prefix = rest.partition("/")
        if scheme != "s3" or not bucket:
            self.fail(f"{value!r} is not s3://bucket/prefix", param, ctx)
        return bucket, prefix


class Moment(click.ParamType[datetime]):
    """A date, a time, or an age such as `30d` or `12h`."""

    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, in UTC where no zone is given."""
        if isinstance(value, datetime):
            return value
        if age := re.fullmatch(r"(\d+)([dh])", str(value)):
            return datetime.now(UTC) - timedelta(**{"days" if age[2] == "d" else "hours": int(age[1])})
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is neither a date such as 2025-12-31 or 2025-12-31T08:00Z, nor an age such as 30d or 12h",
                param,
                ctx,
            )
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="glaciate-cli")
def main() -> None:
    """Packs the many small files of an S3 prefix into ZIPs in Glacier Deep Archive, and brings single files back.

    \b
    Exit codes: 0 fine; 1 the call was refused; 2 wrong usage; 3 the job or request ended FAILED or CANCELLED;
    4 it ended PARTIAL; 5 no answer, no deployment or no credentials; 6 still running when --timeout passed.
    """


main.add_command(dlq)
main.add_command(index)

_key_option = click.option(
    "--idempotency-key",
    default=lambda: str(uuid.uuid4()),
    help="Sent twice with the same key, a call is done once. A new key each time unless given.",
)
_wait_options = (
    click.option("--wait", is_flag=True, help="Follow it until it ends; the exit code says how."),
    click.option("--timeout", type=click.FloatRange(min=0), help="With --wait: stop waiting after so many seconds."),
)


def _waiting(function: Any) -> Any:
    for option in reversed(_wait_options):
        function = option(function)
    return function


@main.command(no_args_is_help=True)
@click.argument("source", type=S3Prefix())
@project_option
@click.option("--file-count", type=click.IntRange(min=1), help="Files per archive at the most.")
@click.option("--archive-size", type=click.IntRange(min=1), help="MB (1,000,000 bytes) per archive at the most.")
@click.option("--storage-class", type=click.Choice(_STORAGE_CLASSES, case_sensitive=False), help="Of the archives.")
@click.option("--disposition", type=click.Choice(["keep", "delete"]), help="What becomes of archived sources.")
@click.option(
    "--delete-after-days",
    type=click.IntRange(min=1),
    metavar="DAYS",
    help="Delete archived sources so many days after; `glaciate keep` cancels it.",
)
@click.option("--compression", type=click.Choice(["fast", "best", "stored"]))
@click.option("--output-prefix", help="Where in the vault the archives lie.")
@click.option("--preserve-tags", is_flag=True, default=None, help="Keep object tags: one request a file more.")
@click.option("--include", multiple=True, metavar="GLOB", help="Only keys that match; may be repeated.")
@click.option("--exclude", multiple=True, metavar="GLOB", help="No keys that match; may be repeated.")
@click.option("--older-than", type=Moment(), help="Only files last modified before: a date, or an age such as 30d.")
@click.option(
    "--manifest", "manifest_uri", metavar="URI", help="Take the files from this CSV or S3 Inventory manifest.json."
)
@click.option("--expect-files", type=click.IntRange(min=0), help="Archive nothing unless there are so many files.")
@click.option("--expect-bytes", type=click.IntRange(min=0), help="Archive nothing unless they have so many bytes.")
@click.option(
    "--rearchive", is_flag=True, default=None, help="Archive unchanged files again that an earlier job archived."
)
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@_waiting
@_key_option
@glaciate_command
def archive(
    invocation: Invocation,
    *,
    source: tuple[str, str],
    project: str | None,
    disposition: str | None,
    delete_after_days: int | None,
    older_than: datetime | None,
    manifest_uri: str | None,
    expect_files: int | None,
    expect_bytes: int | None,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
    idempotency_key: str,
    **fields: Any,
) -> Exit:
    """Archive the files under SOURCE (s3://bucket/prefix). What is left out comes from the project's defaults.

    With --manifest, archive the files that it names; they must be under SOURCE, and SOURCE may be a whole bucket.
    """
    if disposition is not None and delete_after_days is not None:
        msg = "give either --disposition or --delete-after-days"
        raise click.UsageError(msg)
    api, project_name = invocation.api_and_project(project)
    manifest = {"uri": manifest_uri, "file_count": expect_files, "total_size": expect_bytes}
    declared = {name: value for name, value in manifest.items() if value is not None}
    body = {
        "project_name": project_name,
        "bucket_name": source[0],
        "prefix": source[1],
        "disposition": {"delete_after_days": delete_after_days} if delete_after_days else disposition,
        "older_than": older_than.isoformat() if older_than else None,
        "manifest": declared or None,
        "dry_run": dry_run or None,
        **fields,
    }
    accepted = api.archive(body, idempotency_key=idempotency_key)
    return _go_on(invocation, api, accepted, str(accepted.get("job_id") or ""), wait=wait, timeout=timeout)


@main.command(no_args_is_help=True)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--names-from", type=click.File(encoding="utf-8"), help="A file with a name a line; - reads standard input."
)
@project_option
@click.option("--prefix", help="Every file under a prefix, instead of names.")
@click.option("--glob", help="Every file that matches, such as '2025/*/report-?.csv', instead of names.")
@click.option("--archive", "archive_id", metavar="ARCHIVE", help="Everything in an archive, instead of names.")
@click.option("--job", "job_id", metavar="JOB", help="Everything that a job archived, instead of names.")
@click.option("--all-versions", is_flag=True, help="Every version, each under a name that says which.")
@click.option("--bucket", "bucket_name", help="Only files that came from this bucket.")
@click.option(
    "--tier", type=click.Choice(_TIERS, case_sensitive=False), help="How fast S3 thaws; Standard unless given."
)
@click.option("--days", type=click.IntRange(min=1), help="How long the archives' readable copies stay; 3 unless given.")
@click.option(
    "--to", "destination_prefix", metavar="PREFIX", help="Where in the restore bucket; else PROJECT/REQUEST/."
)
@click.option(
    "--to-original", is_flag=True, help="Back to the buckets and keys they came from, where the project allows it."
)
@click.option("--overwrite", is_flag=True, help="With --to-original, in place of what is there now.")
@click.option("--as-of", type=Moment(), help="The version sealed last before this moment; the newest unless given.")
@click.option("--topic", "sns_topic_arn", metavar="ARN", help="Whom to tell; the project's topic unless given.")
@click.option("--allow-missing", is_flag=True, help="Go on without the names that no archive holds.")
@click.option("--all-matches", is_flag=True, help="A bare name brings every file of that name.")
@click.option(
    "--max-cost", "max_cost_usd", type=click.FloatRange(min=0), metavar="USD", help="Refuse what would cost more."
)
@click.option("--dry-run", is_flag=True, help="Say what it would bring, cost and take.")
@_waiting
@_key_option
@glaciate_command
def restore(
    invocation: Invocation,
    *,
    names: tuple[str, ...],
    names_from: TextIO | None,
    project: str | None,
    tier: str | None,
    as_of: datetime | None,
    all_versions: bool,
    to_original: bool,
    overwrite: bool,
    allow_missing: bool,
    all_matches: bool,
    dry_run: bool,
    wait: bool,
    timeout: float | None,
    idempotency_key: str,
    **fields: Any,
) -> Exit:
    """Bring files back by NAME (a bare file name or a full key, up to 1,000 at once), or all that an option names."""
    listed = (*names, *_lines(names_from)) if names_from else names
    others = [name for name in ("prefix", "glob", "archive_id", "job_id") if fields[name] is not None]
    if bool(listed) + len(others) != 1:
        msg = "give either names or one of --prefix, --glob, --archive and --job"
        raise click.UsageError(msg)
    api, project_name = invocation.api_and_project(project)
    body = {
        "project_name": project_name,
        "filename": listed,
        "retrieval_tier": tier,
        "as_of": as_of.isoformat() if as_of else None,
        "versions": "all" if all_versions else None,
        "to": "original" if to_original else None,
        "overwrite": overwrite or None,
        "allow_missing": allow_missing or None,
        "all_matches": all_matches or None,
        "dry_run": dry_run or None,
        **fields,
    }
    accepted = api.restore(body, idempotency_key=idempotency_key)
    return _go_on(invocation, api, accepted, str(accepted.get("request_id") or ""), wait=wait, timeout=timeout)


@main.command()
@click.argument("identifier", metavar="ID")
@click.option("--watch", is_flag=True, help="Follow it until it ends.")
@click.option("--timeout", type=click.FloatRange(min=0), help="With --watch: stop watching after so many seconds.")
@click.option("--all", "everything", is_flag=True, help="Every file, not the first ones.")
@glaciate_command
def status(invocation: Invocation, *, identifier: str, watch: bool, timeout: float | None, everything: bool) -> Exit:
    """How a job or a restore request stands. The exit code says how it ended; 0 while it runs."""
    api = invocation.api()
    if watch:
        document = invocation.watch(api, identifier, at_most_seconds=timeout)
        return _finish(invocation, api, document, identifier, everything=everything)
    return _show(
        invocation, api.whole_status(identifier) if everything else api.status(identifier), everything=everything
    )


@main.command()
@click.argument("job_id")
@_key_option
@glaciate_command
def keep(invocation: Invocation, *, job_id: str, idempotency_key: str) -> Exit:
    """Keep the sources that an archive job would delete in some days."""
    if is_request_id(job_id):
        msg = f"{job_id} is a restore request's id; a job's does not start with r-"
        raise click.UsageError(msg)
    document = invocation.api().keep(job_id, idempotency_key=idempotency_key)
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        invocation.screen.say(f"The sources of job {job_id} stay where they are.")
    return Exit.FINE


@main.command()
@click.argument("request_id")
@_key_option
@glaciate_command
def cancel(invocation: Invocation, *, request_id: str, idempotency_key: str) -> Exit:
    """Give up what of a restore request has not ended."""
    if not is_request_id(request_id):
        msg = f"{request_id} is not a restore request's id: those start with r-"
        raise click.UsageError(msg)
    document = invocation.api().cancel(request_id, idempotency_key=idempotency_key)
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        invocation.screen.say(f"{request_id}  {document.get('state', 'CANCELLED')}")
    return Exit.FINE


_limit_option = click.option(
    "--limit", type=click.IntRange(min=1), default=_PAGE_SIZE, show_default=True, help="So many at the most."
)


@main.command()
@project_option
@_limit_option
@glaciate_command
def jobs(invocation: Invocation, *, project: str | None, limit: int) -> Exit:
    """The archive jobs of a project, newest first."""
    api, project_name = invocation.api_and_project(project)
    document = _collect(
        api.listing("archive", {"project_name": project_name}, page_size=min(limit, _PAGE_SIZE)), "jobs", limit
    )
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        show_listing(invocation.screen, document["jobs"])
    return Exit.FINE


@main.command()
@project_option
@_limit_option
@glaciate_command
def requests(invocation: Invocation, *, project: str | None, limit: int) -> Exit:
    """The restore requests of a project, newest first."""
    api, project_name = invocation.api_and_project(project)
    pages = api.listing("restore", {"project_name": project_name}, page_size=min(limit, _PAGE_SIZE))
    document = _collect(pages, "requests", limit)
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        show_listing(invocation.screen, document["requests"])
    return Exit.FINE


@main.command()
@project_option
@click.option("--key", help="The file of this full key, with its versions.")
@click.option("--name", help="Every file of this bare name.")
@click.option("--prefix", help="Every file under this prefix.")
@click.option("--glob", help="Every file that matches, such as '2025/*/report-?.csv'.")
@click.option("--archive", "archive_id", metavar="ARCHIVE", help="Every file in this archive.")
@click.option("--job", "job_id", metavar="JOB", help="Every file that this job archived.")
@click.option("--bucket", "bucket_name", help="Only files that came from this bucket.")
@_limit_option
@glaciate_command
def files(invocation: Invocation, *, project: str | None, limit: int, **query: str | None) -> Exit:
    """Find archived files, with their versions and where each is."""
    ways = ("key", "name", "prefix", "glob", "archive_id", "job_id")
    chosen = [name for name in ways if query[name] is not None]
    if len(chosen) > 1:
        given = " and ".join(f"--{name.removesuffix('_id')}" for name in chosen)
        msg = f"give one of --key, --name, --prefix, --glob, --archive and --job, not {given}"
        raise click.UsageError(msg)
    if not chosen:
        query["prefix"] = ""
    api, project_name = invocation.api_and_project(project)
    pages = api.listing("files", {"project_name": project_name, **query}, page_size=min(limit, _PAGE_SIZE))
    document = _collect(pages, "files", limit)
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        show_files(invocation.screen, document)
    return Exit.FINE


def _lines(file: TextIO) -> Iterator[str]:
    return (name for name in (line.rstrip("\r\n") for line in file) if name)


def _go_on(
    invocation: Invocation, api: GlaciateApi, accepted: Document, identifier: str, *, wait: bool, timeout: float | None
) -> Exit:
    if not (wait and identifier):
        if invocation.screen.as_json:
            invocation.screen.document(accepted)
        else:
            show_accepted(invocation.screen, accepted, identifier, followed=False)
        return Exit.FINE
    show_accepted(invocation.screen, accepted, identifier, followed=True)
    document = invocation.watch(api, identifier, at_most_seconds=timeout)
    return _finish(invocation, api, document, identifier, everything=False)


def _finish(invocation: Invocation, api: GlaciateApi, document: Document, identifier: str, *, everything: bool) -> Exit:
    shown = _show(invocation, api.whole_status(identifier) if everything else document, everything=everything)
    if not has_ended(document):
        invocation.screen.warn(f"Still running. Go on: glaciate status {identifier} --watch")
        return Exit.STILL_RUNNING
    return shown


def _show(invocation: Invocation, document: Document, *, everything: bool) -> Exit:
    if invocation.screen.as_json:
        invocation.screen.document(document)
    else:
        show_status(invocation.screen, document, with_files=everything)
    return exit_of(document)


def _collect(pages: Iterable[Document], name: str, limit: int) -> Document:
    """The first `limit` entries of a paged answer; `more` says whether there are others."""
    entries: list[Any] = []
    for page in pages:
        entries += page.get(name, [])
        if len(entries) > limit or (len(entries) == limit and page.get("next_token")):
            return {name: entries[:limit], "more": True}
    return {name: entries, "more": False}


if __name__ == "__main__":
    sys.exit(main())

"""What the calls of the restore half answer: the public contract. Every field is always there; moments are ISO 8601 in UTC.

The services build the answers themselves; tests hold each to the model here, field by field and both ways.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from glaciate.requests import Tier
from glaciate.restores import PartState, RequestState

Usd = Annotated[float, Field(ge=0)]
RequestIdField = Annotated[str, Field(description="r- and 12 letters and digits; they sort by the time of acceptance")]
NextToken = Annotated[
    str | None, Field(description="give it back as `next_token` for the next page; null after the last one")
]
FileState = Literal["PENDING", "THAWING", "UNPACKING", "RESTORED", "FAILED", "CANCELLED"]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class CostLines(_Answer):
    """US dollars by line, by the price file; compute is in none of them."""

    retrieval_usd: Usd = Field(
        description="S3's retrieval, by GB of the whole archives that are thawed, and of what is read in classes that charge for reading"
    )
    requests_usd: Usd = Field(
        description="what S3 is asked of the archives (to thaw one, to hurry, to keep a copy longer); a GET and a PUT for each file"
    )
    temporary_copy_usd: Usd = Field(
        description="S3 Standard for the archives' readable copies over the thaw days, and for the restored files over the days that "
        "the restore bucket keeps them"
    )
    transfer_usd: Usd = Field(description="transfer within the Region, which costs nothing")
    total_usd: Usd = Field(description="the sum of the lines")


class Estimate(CostLines):
    """The quote of a restore, made when it is accepted."""

    archives: int = Field(description="how many archives hold what is wanted")
    archive_bytes: int = Field(description="bytes of those archives: S3 thaws, and charges, whole archives")
    file_bytes: int = Field(description="bytes of the wanted files")
    hours: float = Field(
        description="within how many hours the last of them is thawed, by its class and tier or by a thaw that runs; 0: all can be read now"
    )
    tier: Tier = Field(description="the retrieval tier it is made for")
    thaw_days: int = Field(description="for how many days the archives' readable copies are asked for, 3 at least")
    at_most: bool = Field(
        description="true where the files are not looked up yet, as of a large prefix: everything is counted that may hold one"
    )


class RestoreAnswer(_Answer):
    """202: the restore was accepted."""

    request_id: RequestIdField
    state: Literal["ACCEPTED"] = Field(default="ACCEPTED", description="ask `status_url` how it goes on")
    status_url: str = Field(description="where GET tells how it stands")
    estimate: Estimate = Field(description="the quote")
    expected_by: datetime | None = Field(description="when S3 should have thawed all of it")


class QuoteCounts(_Answer):
    """What a quote found."""

    files: int | None = Field(description="files that would be restored; null where they are not looked up yet")
    missing: int = Field(description="names that no archive holds")


class QuoteAnswer(_Answer):
    """200: what a restore would cost (`dry_run`); nothing was recorded."""

    dry_run: Literal[True] = Field(description="so that nobody takes it for an acceptance")
    estimate: Estimate = Field(description="the quote")
    expected_by: datetime = Field(description="when S3 would have thawed all of it, if it were asked now")
    counts: QuoteCounts = Field(description="what it would be about")
    missing: list[str] = Field(description="the names that no archive holds")


class RestoreCounts(_Answer):
    """How many files of a request stand how."""

    files: int = Field(description="found and wanted; 0 while a large prefix is being resolved, see `resolved`")
    restored: int = Field(description="there, complete and equal; of parts that have ended")
    failed: int = Field(description="with a reason each; of parts that have ended")
    missing: int = Field(description="names that no archive holds")


class RestoreSummary(_Answer):
    """A restore request in short."""

    request_id: RequestIdField
    project_name: str = Field(description="the project that asked")
    state: RequestState = Field(description="see the table of states in restoring.md")
    wanted: str = Field(description="what was asked for, for people")
    counts: RestoreCounts = Field(description="how its files stand")
    accepted_at: datetime = Field(
        description="when it was asked for; without `as_of` the files are those sealed by then"
    )
    expected_by: datetime | None = Field(
        description="when S3 should have thawed the last of its archives, as its parts say; it moves with them"
    )
    finished_at: datetime | None = Field(description="when its last part ended, or it was cancelled")
    available_until: datetime | None = Field(
        description="when the first of its restored files expires; null until it has ended, and where they do not expire"
    )
    kept_until: datetime | None = Field(
        description="until when this can be asked; null while it goes on, and where it is kept for good"
    )
    location: str = Field(description="the s3:// address, or addresses, under which its files appear")
    status_url: str | None = Field(description="where GET tells all of it, page by page")
    reason: str | None = Field(description="why the request as a whole ended as it did, where that needs saying")


class RestoredPart(_Answer):
    """What a request wants of one archive."""

    archive_id: str = Field(description="the archive")
    state: PartState = Field(description="see the table of states in restoring.md")
    vault_key: str = Field(description="the archive's key in the vault bucket")
    storage_class: str = Field(description="the archive's, when the part was recorded")
    files: int = Field(description="files wanted of this archive")
    restored: int = Field(description="of them there, complete and equal; 0 until it has ended")
    failed: int = Field(description="of them failed; 0 until it has ended")
    asked_at: datetime | None = Field(description="when S3 was asked to thaw it, or a running thaw was joined")
    expected_by: datetime | None = Field(description="when S3 should have thawed it")
    readable_until: datetime | None = Field(
        description="until when S3 keeps its readable copy; null before there is one, and for classes that are read at once"
    )
    available_until: datetime | None = Field(
        description="when its files expire in the restore bucket; null before they are unpacked, and where they do not expire"
    )
    reason: str | None = Field(description="why it failed or still waits, and what a cancel may have left")


class RestoredFile(_Answer):
    """A file of a request."""

    key: str = Field(description="its full key in its bucket of origin")
    size: int = Field(description="bytes")
    state: FileState = Field(
        description="its part's until that has ended; then RESTORED or FAILED, or CANCELLED with its part"
    )
    location: str | None = Field(description="the s3:// address of a restored file")
    available_until: datetime | None = Field(
        description="when a restored file expires; null where it does not, or is not there"
    )
    expected_by: datetime | None = Field(description="when S3 should have thawed its archive")
    reason: str | None = Field(description="why it failed or still waits")


class RestoreStatus(RestoreSummary):
    """How a restore request stands: as a whole, and a page of its parts and files."""

    retrieval_tier: Tier = Field(description="how fast S3 was asked to thaw")
    days: int = Field(description="for how many days the archives' readable copies were asked for, as in the call")
    to: Literal["restore_bucket", "original"] = Field(description="where the files go, as in the call")
    overwrite: bool = Field(description="whether objects at their original places are replaced, as in the call")
    as_of: datetime = Field(description="each file as it was last sealed by this moment")
    resolved: bool = Field(description="whether every archive that holds something wanted is found and recorded")
    estimate: Estimate | None = Field(description="the quote of its acceptance")
    cost: CostLines | None = Field(description="what it came to; null until it has ended")
    missing: list[str] = Field(description="the names that no archive holds, and archives whose catalogs are lost")
    parts_recorded: int = Field(
        description="its parts, one for each archive that holds something wanted, as far as `resolved`"
    )
    parts_ended: int = Field(description="of them those of which nothing more will come")
    parts: list[RestoredPart] = Field(
        description="`limit` of them at most, and 100, in order of archives, from where the page begins; one may be on several pages"
    )
    files: list[RestoredFile] = Field(description="`limit` of them at most, in order of their archives")
    next_token: NextToken


class RestoreList(_Answer):
    """A project's restore requests, newest first."""

    requests: list[RestoreSummary] = Field(description="`limit` of them at most")
    next_token: NextToken


class ArchivedFile(_Answer):
    """One version of a file, and the archive that holds it."""

    key: str = Field(description="its full key in its bucket of origin")
    bucket: str = Field(description="its bucket of origin")
    size: int = Field(description="bytes")
    archived_at: datetime = Field(description="when its archive was sealed, which is what `as_of` goes by")
    etag: str | None = Field(
        description="S3's ETag of the source; null where the files are asked for by name or key, which reads no catalog"
    )
    archive_id: str = Field(description="the archive that holds it")
    archive: str = Field(description="the archive's key in the vault bucket")
    storage_class: str = Field(description="the archive's, as S3 says now")
    readable: Literal["READABLE", "COLD", "THAWING", "WARM", "GONE"] = Field(
        description="READABLE: a class that is read at once; WARM: a thawed copy is there; THAWING: one is on its way; COLD: a restore "
        "must thaw it first; GONE: the archive is not in the vault any more"
    )
    readable_until: datetime | None = Field(description="until when S3 keeps the thawed copy of a WARM one")


class FoundFiles(_Answer):
    """A page of archived files, the newest version of each first."""

    files: list[ArchivedFile] = Field(
        description="`limit` of them, and all versions of the last file found by prefix or glob"
    )
    next_token: NextToken

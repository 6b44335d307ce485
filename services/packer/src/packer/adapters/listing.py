"""The source buckets' listings: several requests side by side, and each page read without botocore's parser.

botocore makes a dictionary of each file and reads its time with a general date parser, 60 to 80 µs a file; a page's XML read
by one expression takes about 2. So the files are cut out of the answer before botocore parses the rest of it.
"""

import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree as ET

from botocore.exceptions import ClientError

from packer.adapters.objects import error_code
from packer.adapters.side_by_side import Page, SideBySide
from packer.domain.sources import SourceFile
from packer.ports import SourceUnlistable

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_UNLISTABLE: Final = frozenset({"NoSuchBucket", "AccessDenied", "AllAccessDisabled", "PermanentRedirect"})
_FILES: Final = "GlaciateFiles"
_EVENT: Final = (
    "before-parse.*.ListObjectsV2"  # with the star it comes before botocore's own handler, which parses the whole body
)
_END: Final = b"</ListBucketResult>"
_ENTRY: Final = re.compile(
    rb"<Contents><Key>([^<&]*)</Key><LastModified>([^<&]*)</LastModified><ETag>(?:&quot;|\")?([0-9A-Za-z-]*)(?:&quot;|\")?</ETag>"
    rb"(?:<ChecksumAlgorithm>[^<]*</ChecksumAlgorithm>)*(?:<ChecksumType>[^<]*</ChecksumType>)?"
    rb"<Size>([0-9]+)</Size>(?:<StorageClass>([A-Z_0-9]*)</StorageClass>)?</Contents>"
)
_ours: ContextVar[bool] = ContextVar("_ours", default=False)


def files_of(body: bytes) -> list[SourceFile]:
    """The files of a ListObjectsV2 answer, as they stand there."""
    decoded = _unquoted if b"<EncodingType>url</EncodingType>" in body else str
    entries = _ENTRY.findall(body)
    if len(entries) != body.count(b"<Contents>"):  # another order of elements, entities, line breaks
        return _files_of_tree(body, decoded)
    return [
        SourceFile(
            decoded(key.decode()),
            int(size),
            f'"{etag.decode()}"',
            datetime.fromisoformat(modified.decode()),
            storage_class.decode() or "STANDARD",
        )
        for key, modified, etag, size, storage_class in entries
    ]


def _unquoted(key: str) -> str:
    """As botocore decodes keys: a plus sign is a space."""
    return unquote_plus(key) if "%" in key or "+" in key else key


def _files_of_tree(body: bytes, decoded: Any) -> list[SourceFile]:
    files = []
    for element in ET.fromstring(body):  # noqa: S314 - S3's own answer, which botocore parses alike
        if element.tag.rpartition("}")[2] != "Contents":
            continue
        values = {child.tag.rpartition("}")[2]: child.text or "" for child in element}
        files.append(
            SourceFile(
                decoded(values["Key"]),
                int(values["Size"]),
                values["ETag"],
                datetime.fromisoformat(values["LastModified"]),
                values.get("StorageClass") or "STANDARD",
            )
        )
    return files


def _take_files(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
    """botocore's event `before-parse`: what is put into the second dictionary becomes part of the answer.

    A body that is not whole is left as it is: botocore's parser says so.
    """
    body: bytes = response_dict["body"]
    if not _ours.get() or response_dict["status_code"] != 200 or not body.rstrip().endswith(_END):
        return
    customized_response_dict[_FILES] = files_of(body)
    start, end = body.find(b"<Contents>"), body.rfind(b"</Contents>")
    if start >= 0:
        response_dict["body"] = body[:start] + body[end + len(b"</Contents>") :]


@dataclass(frozen=True, slots=True)
class S3Listing:
    """ListObjectsV2: S3 lists in UTF-8 binary order, which is the order of Python's texts."""

    s3: "S3Client"
    at_once: int = 8

    def files(self, bucket: str, prefix: str, *, after: str | None) -> Iterator[SourceFile]:
        """Every file in key order, those after `after`."""
        self.s3.meta.events.register(_EVENT, _take_files, unique_id="glaciate-files")

        def fetch(behind: str, token: str | None) -> Page:
            return self._page(bucket, prefix, behind, token)

        try:
            yield from SideBySide(fetch, floor=len(prefix), at_once=self.at_once).files(after or "")
        except ClientError as error:
            if error_code(error) not in _UNLISTABLE:
                raise
            raise SourceUnlistable(f"s3://{bucket}/{prefix} can't be listed: {error}") from error

    def _page(self, bucket: str, prefix: str, after: str, token: str | None) -> Page:
        place: Any = {"ContinuationToken": token} if token else {"StartAfter": after}
        ours = _ours.set(True)
        try:
            answer: Any = self.s3.list_objects_v2(Bucket=bucket, Prefix=prefix, **place)
        finally:
            _ours.reset(ours)
        return Page(answer[_FILES], answer["NextContinuationToken"] if answer["IsTruncated"] else None)

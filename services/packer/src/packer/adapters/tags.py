"""Object tags of source files: a request a file, made only where they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from botocore.exceptions import ClientError

from packer.adapters.objects import error_code

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_DENIED: Final = frozenset({"AccessDenied", "403", "AllAccessDisabled"})
_HEADER_BYTES: Final = 4096  # S3 takes 8 KB of headers


class TagsUnreadable(Exception):
    """The tags that were asked for may not be read."""


@dataclass(frozen=True, slots=True)
class FoundTags:
    """The tags of the version that was current when they were read; `version_id` where the bucket has versions."""

    tags: Mapping[str, str]
    version_id: str | None


def read_tags(s3: "S3Client", bucket: str, key: str, *, version_id: str | None = None) -> FoundTags:
    """Reads a file's tags. Read before its bytes: those come on condition of the listed ETag, so both are of the listed file.

    Raises:
        TagsUnreadable: the right is missing.
        ClientError: anything else.
    """
    which: dict[str, Any] = {"VersionId": version_id} if version_id else {}
    try:
        answer = s3.get_object_tagging(Bucket=bucket, Key=key, **which)
    except ClientError as error:
        code = error_code(error)
        if code in _DENIED:
            msg = f"its tags, which were asked for, can't be read: {code}"
            raise TagsUnreadable(msg) from error
        raise
    return FoundTags({tag["Key"]: tag["Value"] for tag in answer["TagSet"]}, answer.get("VersionId"))


def tags_of_version(
    s3: "S3Client", bucket: str, key: str, found: FoundTags, *, version_id: str | None
) -> Mapping[str, str]:
    """The tags of the version that was read: asked for again where another one was current when they were `found`."""
    if version_id is None or found.version_id in (None, version_id):
        return found.tags
    return read_tags(s3, bucket, key, version_id=version_id).tags


def tagging_header(tags: Mapping[str, str] | None) -> str:
    """The tags as S3's calls take them with an object; empty where there are none, or more than a header has room for.

    Names that begin with `aws:` are AWS's own: nobody else may set them.
    """
    text = urlencode({name: value for name, value in (tags or {}).items() if not name.startswith("aws:")})
    return text if len(text) <= _HEADER_BYTES else ""

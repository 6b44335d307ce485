"""S3's answers as MiniStack's handlers give them."""

from typing import Any, cast

from ministack.services import s3

Answer = tuple[int, dict[str, str], Any]


def refuse(code: str, message: str, *, status: int = 400, at: str = "") -> Answer:
    """An error in S3's XML."""
    return cast(Answer, s3._error(code, message, status, at))


def current_object(bucket_name: str, key: str) -> Any:
    """The object's record, or None."""
    return (s3._buckets.get(bucket_name) or {}).get("objects", {}).get(key)

"""Files back into the buckets they came from, where nothing newer is ever written over."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from unpacker.adapters.restored_files import REFUSED, Condition, Occupied, S3RestoredFiles
from unpacker.adapters.stores import open_store
from unpacker.ports import NotWritten, RestoredFiles

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from obstore.store import S3Store

# The bucket is somebody's: what it does not let us do is said of the file, and the other files go on.
_NOT_ALLOWED: Final = frozenset(
    {
        "AccessDenied",
        "403",
        "Forbidden",
        "AllAccessDisabled",
        "NoSuchBucket",
        "PermanentRedirect",
        "KMS.DisabledException",
    }
)


@dataclass(frozen=True, slots=True)
class OriginalBucketRules:
    """An object that is the file stays as it is. Another is written over only if it was last modified by `replaces`: what was
    written since the restore was asked for is newer than that decision. Nothing is ever deleted: S3 compares the checksums
    before anything appears."""

    replaces: datetime | None
    refusals: frozenset[str] = REFUSED | _NOT_ALLOWED
    may_undo: bool = False

    def over(self, occupied: Occupied) -> Condition | None:
        """On condition that it is still what was seen."""
        if occupied.same:
            return None
        modified = occupied.there["LastModified"]
        if self.replaces is not None and modified <= self.replaces:
            return {"IfMatch": occupied.there["ETag"]}
        when = f"{occupied.address} was last modified {modified:%Y-%m-%d %H:%M:%S} UTC"
        if self.replaces is not None:
            msg = f"a newer object is there: {when}, after this restore was asked for"
        elif modified > occupied.member.modified:
            msg = f"a newer object is there: {when}; overwrite would replace it"
        else:
            msg = f"another object is there: {when}; overwrite would replace it"
        raise NotWritten(msg)


@dataclass(slots=True)
class S3OriginalFiles:
    """Original buckets, each opened once. Threads share it."""

    s3: "S3Client"
    vault_bucket: str
    part_size_bytes: int
    copy_part_bytes: int
    _stores: "dict[str, S3Store]" = field(default_factory=dict)
    _opening: threading.Lock = field(default_factory=threading.Lock)

    def in_bucket(self, bucket: str, *, replaces: datetime | None) -> RestoredFiles:
        """One of them."""
        return S3RestoredFiles(
            self.s3,
            self._store(bucket),
            bucket,
            vault_bucket=self.vault_bucket,
            part_size_bytes=self.part_size_bytes,
            copy_part_bytes=self.copy_part_bytes,
            rules=OriginalBucketRules(replaces),
        )

    def _store(self, bucket: str) -> "S3Store":
        with self._opening:
            if bucket not in self._stores:
                self._stores[bucket] = open_store(bucket, checksum="SHA256")  # S3 compares what arrives
            return self._stores[bucket]

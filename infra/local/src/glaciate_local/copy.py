"""`python -m glaciate_local.copy FROM TO`: files into a bucket of the local cloud, or out of one.

One of the two is `s3://bucket/prefix`. The bucket to archive from is `glaciate-local-source`; the others are named in `local.json`.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from glaciate_local.place import Place
from glaciate_local.settings import LocalSettings, SettingIsWrong

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def copy_in(s3: "S3Client", source: Path, bucket: str, prefix: str) -> int:
    """Uploads a file, or a folder with all below it; returns how many files."""
    count = 0
    for path in _files(source):
        name = path.name if path == source else path.relative_to(source).as_posix()
        s3.upload_file(
            str(path), bucket, f"{prefix}{name}" if prefix.endswith("/") or not prefix else f"{prefix}/{name}"
        )
        count += 1
    return count


def copy_out(s3: "S3Client", bucket: str, prefix: str, target: Path) -> int:
    """Downloads every object under a prefix into a folder, below the prefix's last slash; returns how many files.

    Raises:
        ValueError: a key would lead out of the folder.
    """
    count = 0
    head = prefix[: prefix.rfind("/") + 1]
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for found in page.get("Contents", []):
            path = target / found["Key"].removeprefix(head)
            if not path.resolve().is_relative_to(target.resolve()):
                msg = f"{found['Key']!r} leads out of {target}"
                raise ValueError(msg)
            path.parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, found["Key"], str(path))
            count += 1
    return count


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
        return
    yield from (path for path in sorted(source.rglob("*")) if path.is_file())


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description="Copy files into a bucket of the local cloud, or out of one.")
    parser.add_argument("source", metavar="FROM", help="a file, a folder, or s3://bucket/prefix")
    parser.add_argument("target", metavar="TO", help="s3://bucket/prefix, or a folder")
    given = parser.parse_args(arguments)
    into = str(given.target).startswith("s3://")
    if into == str(given.source).startswith("s3://"):
        parser.error("exactly one of FROM and TO must be s3://bucket/prefix")
    bucket, _, prefix = str(given.target if into else given.source).removeprefix("s3://").partition("/")
    if into and not Path(given.source).exists():
        parser.error(f"there is no {given.source}")
    try:
        s3 = Place.here(LocalSettings.from_environment()).s3
        count = (
            copy_in(s3, Path(given.source), bucket, prefix)
            if into
            else copy_out(s3, bucket, prefix, Path(given.target))
        )
    except (BotoCoreError, ClientError, OSError, SettingIsWrong, ValueError) as failed:
        print(failed, file=sys.stderr)
        return 1
    print(f"{count} files copied" if count != 1 else "1 file copied")
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(main())

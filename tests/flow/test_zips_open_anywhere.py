"""A ZIP is right when somebody else's program opens it: the demo's files, every tenth of the ordinary ones."""

import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from glaciate.catalog import MEMBER_NAME, Member, read_lines
from glaciate_local import demo_files
from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud

PROGRAMS = {"unzip": ("unzip", "-t"), "7z": ("7z", "t"), "bsdtar": ("bsdtar", "-tf")}
EXTRA = {"one.txt": b"1", "noise.bin": os.urandom(200_000), "text.txt": b"the same words again " * 20_000}


def corpus() -> dict[str, bytes]:
    """What the demo archives, without the big file, which is not zipped."""
    files = [file for file in demo_files.gather("report.csv") if file.key != demo_files.BIG]
    awkward = [file for file in files if file.key.startswith(("awkward/", "reports/"))]
    ordinary = [file for file in files if file not in awkward]
    return EXTRA | {file.key: file.read() for file in (*awkward, *ordinary[::10])}


@dataclass(frozen=True)
class Zips:
    """Every ZIP of one job, thawed and downloaded, and the files that went into them."""

    paths: list[Path]
    files: dict[str, bytes]


@pytest.fixture(scope="module")
def zips(glaciate: LocalGlaciate, tmp_path_factory: pytest.TempPathFactory) -> Zips:
    files = {f"zips/{key}": content for key, content in corpus().items()}
    glaciate.upload(files)
    job = glaciate.archive("zips/", file_count=100)
    assert job["state"] == "COMPLETED"
    s3, vault = glaciate.place.s3, glaciate.place.bucket("vault")
    folder = tmp_path_factory.mktemp("zips")
    paths = []
    for key in sorted(glaciate.keys("vault", f"{job['output_prefix']}{job['job_id']}")):
        tier = {"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
        s3.restore_object(Bucket=vault, Key=key, RestoreRequest=tier)  # type: ignore[arg-type]
        until(
            f"{key} to be thawed",
            lambda key=key: 'ongoing-request="false"' in s3.head_object(Bucket=vault, Key=key).get("Restore", ""),
        )
        paths.append(folder / Path(key).name)
        s3.download_file(vault, key, str(paths[-1]))
    return Zips(paths, files)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_somebody_else_finds_no_fault(zips: Zips, program: str) -> None:
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} must be there in CI"
        pytest.skip(f"{program} is not installed")

    for path in zips.paths:
        done = subprocess.run([*PROGRAMS[program], str(path)], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()


def test_python_reads_every_file_as_it_was_and_the_catalog_last(zips: Zips) -> None:
    found = {}
    for path in zips.paths:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            *members, catalog = archive.namelist()
            assert catalog == MEMBER_NAME
            keys = {line.name: line.key for line in read_lines(archive.open(catalog)) if isinstance(line, Member)}
            found |= {keys[name]: archive.read(name) for name in members}

    assert found == zips.files
    assert len(zips.paths) == 3

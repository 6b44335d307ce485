"""A ZIP is right when somebody else's program opens it."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from local_glaciate import LocalGlaciate
from waiting import until

pytestmark = pytest.mark.cloud

PROGRAMS = {"unzip": ("unzip", "-t"), "7z": ("7z", "t"), "bsdtar": ("bsdtar", "-tf")}
CORPUS = {
    "empty.txt": b"",
    "one.txt": b"1",
    "with spaces and (brackets).txt": b"spaces",
    "Größe, 東京, Ωμέγα, 🧊.txt": "Größe".encode(),
    f"{'long-folder-name/' * 30}{'long-file-name-' * 15}.txt": b"long",
    "2024/summary.txt": b"this",
    "2025/summary.txt": b"that",
    "noise.bin": os.urandom(200_000),
    "text.txt": b"the same words again " * 20_000,
}


@pytest.fixture(scope="module")
def zips(glaciate: LocalGlaciate, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Every ZIP of one job, thawed and downloaded."""
    prefix = "zips/"
    glaciate.upload({prefix + key: content for key, content in CORPUS.items()})
    job = glaciate.archive(prefix, file_count=5)
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
    return paths


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_somebody_else_finds_no_fault(zips: list[Path], program: str) -> None:
    if shutil.which(program) is None:
        assert os.environ.get("CI") != "true", f"{program} must be there in CI"
        pytest.skip(f"{program} is not installed")

    for path in zips:
        done = subprocess.run([*PROGRAMS[program], str(path)], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout + done.stderr
        assert "warning" not in (done.stdout + done.stderr).lower()


def test_python_reads_every_file_as_it_was_and_the_catalog_last(zips: list[Path]) -> None:
    found = {}
    for path in zips:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            *members, catalog = archive.namelist()
            assert catalog == ".glaciate/catalog.jsonl"
            found |= {name: archive.read(name) for name in members}

    assert found == {f"zips/{key}": content for key, content in CORPUS.items()}
    assert len(zips) == 2

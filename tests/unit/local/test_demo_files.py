"""The demo's files are many, real, and awkward where it matters."""

from glaciate_local import demo_files
from glaciate_local.demo_files import BIG, EMPTY, LONG, SPACES, TWINS, gather


def test_there_are_at_least_2000_files_each_under_its_own_key() -> None:
    files = gather("report.csv")

    assert len(files) >= 2_000
    assert len({file.key for file in files}) == len(files)
    assert sum(file.key.startswith(("python/", "packages/")) for file in files) >= 1_990


def test_the_awkward_ones_are_there_and_the_same_each_time() -> None:
    files = {file.key: file for file in gather("report.csv")}

    assert files[EMPTY].read() == b""
    assert " " in SPACES
    assert 800 < len(LONG.encode()) < 1_000
    assert all(len(part.encode()) <= 255 for part in LONG.split("/"))
    assert {key.rpartition("/")[2] for key in TWINS} == {"summary.txt"}
    assert files[TWINS[0]].read() != files[TWINS[1]].read()
    assert len(files[BIG].read()) == demo_files.BIG_FILE_BYTES
    assert files[BIG].read()[:1_000] == {file.key: file for file in gather("report.csv")}[BIG].read()[:1_000]
    assert len(set(files[BIG].read()[:1_000])) > 100


def test_the_report_has_the_name_asked_for_and_lists_all_others() -> None:
    files = {file.key: file for file in gather("report-7.csv")}

    lines = files["reports/report-7.csv"].read().decode().splitlines()

    assert len(lines) == len(files)

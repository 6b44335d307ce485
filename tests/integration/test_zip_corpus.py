"""A ZIP is right when somebody else's program opens it."""

import os
import random
import shutil
import subprocess
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from glaciate.catalog import MEMBER_NAME, CatalogHeader, Member, read_catalog
from glaciate.names import ArchiveId, ProjectName
from glaciate.requests import Compression
from packer.domain.codec import pack
from packer.domain.sources import Description, ReadFile, SourceFile
from packer.domain.zip_archive import ZipArchive
from packer.domain.zip_writer import ZipWriter

MODIFIED = datetime(2026, 7, 1, 12, 34, 56, tzinfo=UTC)
HEADER = CatalogHeader(
    project=ProjectName("demo"),
    bucket="source",
    prefix="",
    archive_id=ArchiveId("01aaaaa000010000"),
    vault_bucket="vault",
    vault_key="archives/demo/01aaaaa000010000.zip",
    storage_class="DEEP_ARCHIVE",
    kind="zip",
)
JUDGES = {
    "unzip": ["unzip", "-tqq"],
    "7z": ["7z", "t", "-bso0", "-bsp0"],
    "bsdtar": ["bsdtar", "-tf"],
}
AWKWARD = (
    " leading and trailing ", "a#b", "a?b", "a%20b", "a+b", "quote'\"`", "tab\there", "new\nline", "bell\x07", "del\x7f",
    "emoji-😀.txt", "e\u0301", "\u00e9", "combining/a\u030a/o\u0308", "/leading/slash", "//double//slash", "up/../there",
    "../outside", "..", ".", "./here", "back\\slash", "..\\..\\windows", "trailing.dot.", "trailing.dot", "trailing space ",
    "Case", "case", "CASE", "ﬁ", "fi", "straße", "STRASSE", "marker/", "full-marker/", "C:/drive", "c:relative",
    "a", "a/b", "a/b/c", "A/b", "con", "x" * 1024, "y" * 300 + "/" + "z" * 300, "ü" * 512, "semi;colon&amp", "*star*", "<>|:",
    MEMBER_NAME, MEMBER_NAME.upper(), ".glaciate", ".GLACIATE/catalog.jsonl", "~", "-rf", "$HOME", "\u202eltr", "\u2028line",
)  # fmt: skip


@pytest.fixture(params=[*JUDGES, "zipfile"])
def judge(request: pytest.FixtureRequest) -> str:
    return require(request.param)


def require(name: str) -> str:
    if name != "zipfile" and shutil.which(JUDGES[name][0]) is None:
        assert os.environ.get("CI") != "true", f"{name} is missing: apt-get install unzip p7zip-full libarchive-tools"
        pytest.skip(f"{name} is not installed")
    return name


def accepts(judge: str, path: Path) -> None:
    if judge == "zipfile":
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
        return
    done = subprocess.run(
        [*JUDGES[judge], str(path)],
        capture_output=True,
        check=False,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")[-2000:]


def stream(files: Iterable[tuple[str, bytes]], *, compression: Compression = Compression.FAST) -> Iterator[bytes]:
    archive = ZipArchive(HEADER)
    for key, body in files:
        read = ReadFile(SourceFile(key, len(body), '"e"', MODIFIED), Description(), pack(body, compression))
        yield archive.member(read)
        yield bytes(read.packed.data)
    yield from archive.end()


def write(path: Path, files: Mapping[str, bytes], *, compression: Compression = Compression.FAST) -> None:
    with path.open("wb") as out:
        out.writelines(stream(sorted(files.items(), key=lambda item: item[0].encode()), compression=compression))


def members(path: Path) -> tuple[Member, ...]:
    """What the catalog inside says."""
    import gzip

    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[-1] == MEMBER_NAME
        return read_catalog(gzip.compress(archive.read(MEMBER_NAME))).members


def assert_same(path: Path, files: Mapping[str, bytes]) -> None:
    """By name through the catalog, and by offset as the unpacker reads."""
    import zlib

    raw = path.read_bytes()
    found = members(path)
    assert {member.key for member in found} == set(files)
    with zipfile.ZipFile(path) as archive:
        for member in found:
            data = raw[member.offset : member.offset + member.compressed_size]
            plain = zlib.decompress(data, -15) if member.method == 8 else data
            assert plain == files[member.key], member.key
            assert archive.read(member.name) == plain
            assert zlib.crc32(plain) == member.crc32


def test_awkward_names_open_everywhere_and_come_back(judge: str, tmp_path: Path) -> None:
    files = {key: f"content of {key!r}".encode() for key in AWKWARD} | {"marker/": b""}
    path = tmp_path / "awkward.zip"

    write(path, files)

    accepts(judge, path)
    assert_same(path, files)


def test_names_are_safe_and_never_the_same_on_any_file_system(tmp_path: Path) -> None:
    path = tmp_path / "awkward.zip"

    write(path, dict.fromkeys(AWKWARD, b"x") | {"marker/": b""})

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    folded = [
        unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold()).rstrip("/. ") for name in names
    ]
    assert len(set(folded)) == len(names)
    files = {name for name, raw in zip(folded, names, strict=True) if not raw.endswith("/")}
    for name in folded:
        parents = {name.rsplit("/", depth)[0] for depth in range(1, name.count("/") + 1)}
        assert not parents & files, name
    for name in names:
        assert not name.startswith("/")
        assert not set(name.rstrip("/").split("/")) & {"", ".", ".."}
        assert "\\" not in name
        assert name.isprintable() or "\u202e" in name or "\u2028" in name
        assert all(len(segment.encode()) <= 255 for segment in name.split("/"))


def test_everything_can_be_unpacked_to_a_disk(tmp_path: Path) -> None:
    files = {key: f"content of {key!r}".encode() for key in AWKWARD} | {"marker/": b""}
    path, out = tmp_path / "awkward.zip", tmp_path / "out"

    write(path, files)
    with zipfile.ZipFile(path) as archive:
        archive.extractall(out)

    for member in members(path):
        if not member.name.endswith("/"):
            assert (out / member.name).read_bytes() == files[member.key]


@pytest.mark.parametrize("compression", list(Compression))
def test_sizes_and_kinds_of_content_come_back(compression: Compression, judge: str, tmp_path: Path) -> None:
    noise = random.Random(1).randbytes
    files = {
        "empty": b"",
        "one": b"1",
        "noise-small": noise(100),
        "noise-large": noise(700_000),
        "text": b"a line of text\n" * 50_000,
        "half": b"x" * 400_000 + noise(400_000),
    }
    path = tmp_path / "content.zip"

    write(path, files, compression=compression)

    accepts(judge, path)
    assert_same(path, files)


def test_what_deflate_does_not_shrink_is_stored() -> None:
    noise = random.Random(2).randbytes(300_000)

    for body in (noise, noise[:1000], b"1", b""):
        assert pack(body, Compression.FAST).method == 0
        assert pack(body, Compression.BEST).method == 0
    assert pack(b"a line\n" * 1000, Compression.FAST).method == 8
    assert pack(b"a line\n" * 1000, Compression.STORED).method == 0


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    files = {f"f/{number}": b"x" * number for number in range(500)}

    write(tmp_path / "one.zip", files)
    write(tmp_path / "two.zip", files)

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_an_archive_without_members_opens(judge: str, tmp_path: Path) -> None:
    path = tmp_path / "empty.zip"

    write(path, {})

    accepts(judge, path)


@pytest.mark.slow
def test_seventy_thousand_members_open_everywhere(judge: str, tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    files = {f"dir{number % 97}/file-{number:06}.txt": str(number).encode() for number in range(70_000)}

    write(path, files)

    accepts(judge, path)
    with zipfile.ZipFile(path) as archive:
        assert len(archive.namelist()) == 70_001
        assert archive.read("dir0/file-069937.txt") == b"69937"


def test_times_survive(tmp_path: Path) -> None:
    path = tmp_path / "time.zip"

    write(path, {"a": b"a"})

    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("a")
    assert info.date_time == (2026, 7, 1, 12, 34, 56)
    assert info.extra[:5] == b"UT\x05\x00\x01"
    assert int.from_bytes(info.extra[5:9], "little") == int(MODIFIED.timestamp())


@pytest.mark.parametrize("year", [1900, 1969, 1980, 2037, 2100, 2200])
def test_odd_years_do_no_harm(year: int, judge: str, tmp_path: Path) -> None:
    writer = ZipWriter()
    path = tmp_path / "odd.zip"

    header = writer.header("a", modified=datetime(year, 1, 1, tzinfo=UTC), method=0, crc32=0, size=0, compressed_size=0)
    path.write_bytes(header + b"".join(writer.end()))

    accepts(judge, path)


@pytest.mark.very_slow
def test_members_and_archives_over_four_gigabytes_open_everywhere(tmp_path: Path) -> None:
    """One member above 4 GiB, and a small one that begins beyond: zeros, so that the disk keeps holes."""
    from isal import isal_zlib

    path = tmp_path / "huge.zip"
    size = 4 * 1024**3 + 123
    block = bytes(1 << 24)
    crc = 0
    for start in range(0, size, len(block)):
        crc = isal_zlib.crc32(block[: min(len(block), size - start)], crc)
    writer = ZipWriter()
    with path.open("wb") as out:
        out.write(writer.header("huge", modified=MODIFIED, method=0, crc32=crc, size=size, compressed_size=size))
        out.seek(size, os.SEEK_CUR)
        small = pack(b"after", Compression.FAST)
        out.write(
            writer.header("small", modified=MODIFIED, method=0, crc32=small.crc32, size=5, compressed_size=5) + b"after"
        )
        out.writelines(writer.end())

    for judge in (*JUDGES, "zipfile"):
        accepts(require(judge), path)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("small") == b"after"
        assert archive.getinfo("huge").file_size == size
        assert archive.getinfo("small").header_offset > 1 << 32

"""The demo's files: real ones from this machine, and a few whose names or sizes have broken other programs."""

import random
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

AT_LEAST = 2_000
AT_MOST = 2_200
BIG_FILE_BYTES = 80_000_000
_LARGEST_BYTES = 1_000_000  # of a file taken from the machine: the demo is about many small ones
_MEGABYTE = 1_000_000
_LEFT_OUT = {"__pycache__", "site-packages"}
_DOCUMENTS = {"", ".md", ".rst", ".txt"}

EMPTY = "awkward/empty.txt"
SPACES = "awkward/minutes of the meeting (final, really final).txt"
NOT_ASCII = "awkward/Größe, 東京, Ωμέγα, 🧊.txt"
LONG = f"awkward/{'a-very-long-folder-name/' * 25}{'a-very-long-file-name-' * 11}.txt"
TWINS = ("awkward/2024/summary.txt", "awkward/2025/summary.txt")
BIG = "awkward/measurements of a whole year.bin"
FOLDER = "python/email/"


class TooFewFiles(Exception):
    """This machine does not have enough files to show."""


@dataclass(frozen=True, slots=True)
class DemoFile:
    """A file to archive: its key below the demo's prefix, and its bytes, on disk or in memory."""

    key: str
    content: Path | bytes

    def read(self) -> bytes:
        """The original bytes."""
        return self.content if isinstance(self.content, bytes) else self.content.read_bytes()


def gather(report_name: str) -> tuple[DemoFile, ...]:
    """At least 2,000 files, and one more of the name asked for that lists them.

    Raises:
        TooFewFiles: the Python here has fewer.
    """
    found = {file.key: file for file in _awkward()}
    for file in _from_this_machine():
        found.setdefault(file.key, file)
        if len(found) == AT_MOST:
            break
    if len(found) < AT_LEAST:
        msg = f"this machine's Python has only {len(found)} files to show; {AT_LEAST} are needed"
        raise TooFewFiles(msg)
    lines = "".join(f'"{file.key}",{len(file.read())}\r\n' for file in found.values())
    return (*found.values(), DemoFile(f"reports/{report_name}", f"file,bytes\r\n{lines}".encode()))


def _from_this_machine() -> Iterator[DemoFile]:
    """The standard library's sources, then the documents of the installed packages, then the packages' sources."""
    library, packages = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    yield from _files(library, "python", lambda path: path.suffix == ".py")
    yield from _files(
        packages, "packages", lambda path: path.parent.suffix == ".dist-info" or path.suffix in _DOCUMENTS
    )
    yield from _files(packages, "packages", lambda path: path.suffix == ".py")


def _files(root: Path, folder: str, wanted: Callable[[Path], bool]) -> Iterator[DemoFile]:
    for path in _walk(root):
        if wanted(path) and path.stat().st_size <= _LARGEST_BYTES:
            yield DemoFile(f"{folder}/{path.relative_to(root).as_posix()}", path)


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder in the order of their names, looked up as they are asked for."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _LEFT_OUT and not path.is_symlink():
                yield from _walk(path)
        elif path.is_file():
            yield path


def _awkward() -> Iterator[DemoFile]:
    yield DemoFile(EMPTY, b"")
    yield DemoFile(SPACES, b"We met, and we will meet again.\n")
    yield DemoFile(NOT_ASCII, "Größe, 東京, Ωμέγα, 🧊\n".encode())
    yield DemoFile(LONG, b"A long name for a short text.\n")
    for key in TWINS:
        yield DemoFile(key, f"The summary of {key.split('/')[1]}.\n".encode())
    yield DemoFile(BIG, _measurements())


def _measurements() -> bytes:
    """80 MB that look like nothing, and are the same each time."""
    source = random.Random(BIG_FILE_BYTES)
    return b"".join(source.randbytes(_MEGABYTE) for _ in range(BIG_FILE_BYTES // _MEGABYTE))

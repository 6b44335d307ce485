"""Names of members: the key, made safe for any unzip program, and never twice the same, however a file system folds names."""

import re
from collections.abc import Container
from hashlib import blake2b, sha256
from typing import Final
from unicodedata import normalize

from glaciate.catalog import MEMBER_NAME

_LONGEST_SEGMENT_BYTES: Final = 240  # file systems take 255; the rest is for a digest and a suffix
_DIGEST_CHARACTERS: Final = 12
# an empty, '.' or '..' segment (leading and trailing slashes make empty ones), a backslash, a control character, a drive letter
_NEEDS_CARE: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|$)|[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]|^[A-Za-z]:")
_BAD_CHARACTERS: Final = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_LONG_SEGMENT: Final = re.compile(rf"[^/]{{{_LONGEST_SEGMENT_BYTES // 4},}}")
_DRIVE: Final = re.compile(r"^([A-Za-z]):")
_IGNORED_ENDS: Final = re.compile(r"[. ]+(?=/|$)")  # some file systems drop dots and spaces at the end of a name


def is_plain(key: str) -> bool:
    """Whether a key is a relative path of printable ASCII without empty segments and such that begin with a dot: nearly all are,
    and this is told much faster than what else a key may be.
    """
    return (
        key.isascii()
        and key.isprintable()
        and "//" not in key
        and "/." not in key
        and "\\" not in key
        and key[:1] not in "/."
        and key[-1:] != "/"
        and key[1:2] != ":"
    )


def safe_name(key: str, *, is_directory: bool = False) -> str:
    """The key as a relative path without `.`, `..`, empty segments, backslashes, control characters or segments too long to unpack.

    A directory marker without content keeps its last slash; one with content becomes a file in that directory.
    """
    name = key
    if not is_plain(name) and _NEEDS_CARE.search(name):
        slash = "/" if is_directory and name.endswith("/") and name.strip("/") else ""
        name = _BAD_CHARACTERS.sub("_", name[:-1] if slash else name)
        name = _DRIVE.sub(r"\1_", "/".join(_safe_segment(segment) for segment in name.split("/"))) + slash
    if len(name) >= _LONGEST_SEGMENT_BYTES // 4 and _LONG_SEGMENT.search(name):
        name = "/".join(_short_segment(segment) for segment in name.split("/"))
    return name


def _safe_segment(segment: str) -> str:
    return "_" * max(len(segment), 1) if segment in {"", ".", ".."} else segment


def _short_segment(segment: str) -> str:
    encoded = segment.encode()
    if len(encoded) <= _LONGEST_SEGMENT_BYTES:
        return segment
    stem, dot, suffix = segment.rpartition(".")
    if not dot or not stem or len(suffix.encode()) > 16:
        stem, dot, suffix = segment, "", ""
    digest = sha256(encoded).hexdigest()[:_DIGEST_CHARACTERS]
    room = _LONGEST_SEGMENT_BYTES - len(suffix.encode()) - len(digest) - 2
    return f"{stem.encode()[:room].decode(errors='ignore')}~{digest}{dot}{suffix}"


def _folded(name: str) -> bytes:
    folded = name.lower() if name.isascii() else normalize("NFC", normalize("NFD", name).casefold())
    if ". " in folded or "./" in folded or " /" in folded or folded.endswith((".", " ")):
        folded = _IGNORED_ENDS.sub("", folded)
    return blake2b(folded.encode(), digest_size=8).digest()


class MemberNames:
    """Gives each key of one archive its name, in the order of the plan; the same keys in the same order get the same names."""

    def __init__(self) -> None:
        self._files = {_folded(MEMBER_NAME)}
        self._directories = {_folded(MEMBER_NAME.partition("/")[0])}
        self._markers: set[bytes] = set()
        self._last_head = ("", "")

    def name_of(self, key: str, *, is_empty: bool) -> str:
        """The member's name. Where a file or a directory of the archive has it already, it gets a digest of the key."""
        if self._is_in_last_directory(key) and self._take(key, self._files, self._directories):
            return key
        name = safe_name(key, is_directory=is_empty)
        if name.endswith("/"):
            directory = self._directory(name)
            if self._take(directory.rstrip("/"), self._markers, ()):
                return directory
            name = name.rstrip("/")
        head, _, base = name.rpartition("/")
        head += "/" if head else ""
        path = self._free(self._directory(head), base, key, self._files, self._directories)
        return path + "/" if is_empty and key.endswith("/") else path

    def _is_in_last_directory(self, key: str) -> bool:
        """Whether a key is a safe name, and in the directory of the last one, which has its own name: so are nearly all."""
        head = key[: key.rfind("/") + 1]
        is_short = len(key) - len(head) <= _LONGEST_SEGMENT_BYTES
        return is_short and self._last_head == (head, head) and is_plain(key)

    def _directory(self, head: str) -> str:
        """The directory's own path, changed where a file has the name of one of its parts."""
        if head == self._last_head[0]:
            return self._last_head[1]
        path = ""
        for segment in head.split("/")[:-1]:
            path = self._free(path, segment, path + segment, self._directories, self._files, may_be_there=True) + "/"
        self._last_head = (head, path)
        return path

    def _free(
        self, head: str, base: str, key: str, mine: set[bytes], others: set[bytes], *, may_be_there: bool = False
    ) -> str:
        path = head + base
        for length in range(_DIGEST_CHARACTERS, 64, 4):
            if (may_be_there and _folded(path) in mine) or self._take(path, mine, others):
                return path
            path = head + _with_digest(base, key, length)
        msg = f"no free name for the key {key!r}"
        raise ValueError(msg)

    @staticmethod
    def _take(path: str, mine: set[bytes], others: Container[bytes]) -> bool:
        folded = _folded(path)
        if folded in mine or folded in others:
            return False
        mine.add(folded)
        return True


def _with_digest(base: str, key: str, length: int) -> str:
    stem, dot, suffix = base.rpartition(".")
    if not stem:
        stem, dot, suffix = base, "", ""
    return f"{stem}~{sha256(key.encode()).hexdigest()[:length]}{dot}{suffix}"

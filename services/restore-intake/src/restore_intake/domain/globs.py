"""Globs of keys, as in `include` and `exclude` of an archive request."""

import re
from fnmatch import translate
from functools import cache
from typing import Final

_WILDCARD: Final = re.compile(r"[*?\[]")


def literal_prefix(glob: str) -> str:
    """The part of a glob before its first wildcard."""
    found = _WILDCARD.search(glob)
    return glob[: found.start()] if found else glob


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def glob_matches(glob: str, key: str) -> bool:
    """`*` is any characters (slashes too), `?` one, `[abc]`, `[a-z]` and `[!a]` one of these."""
    return _pattern(glob).match(key) is not None

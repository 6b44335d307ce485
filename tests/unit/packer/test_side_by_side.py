"""Listing side by side: every key once and in order, whatever the keys are, wherever the borders fall, and while keys come and go."""

import threading
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packer.adapters.listing import files_of
from packer.adapters.side_by_side import Page, SideBySide
from packer.domain.keyspace import Scale
from packer.domain.sources import UNKNOWN_TIME, SourceFile

FORMS: dict[str, Callable[[int], str]] = {
    "numbered": lambda n: f"in/{n:06}.csv",
    "unpadded": lambda n: f"in/{n}",
    "folders": lambda n: f"in/{n // 40:03}/file-{n % 40:03}",
    "hashes": lambda n: f"in/{n * 0x9E3779B97F4A7C15 % (1 << 64):016x}",
    "beyond ascii": lambda n: f"in/{chr(0x3B1 + n % 20)}{'é😀'[n % 2]}{n}",
    "upper and lower": lambda n: f"in/{'aBcD-_'[n % 6]}{n // 6}",
}


@dataclass
class Bucket:
    """Keys that may come and go; pages of a few."""

    keys: set[str]
    page: int
    asked: int = 0
    meddle: Callable[[int], None] = lambda _asked: None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fetch(self, after: str, token: str | None) -> Page:
        with self._lock:
            self.asked += 1
            self.meddle(self.asked)
            there = sorted(self.keys)
            start = bisect_right(there, token if token is not None else after)
            part = there[start : start + self.page]
            more = len(there) > start + self.page
        return Page([SourceFile(key, 1, "e", UNKNOWN_TIME) for key in part], part[-1] if more else None)

    def listed(self, after: str = "", *, at_once: int = 8, pages_each: int = 4) -> list[str]:
        listing = SideBySide(self.fetch, floor=3, at_once=at_once, pages_each=pages_each)
        return [file.key for file in listing.files(after)]


def requests_needed(keys: int, page: int) -> int:
    return max(1, -(-keys // page))


@given(
    form=st.sampled_from(sorted(FORMS)),
    number=st.integers(0, 400),
    gap=st.integers(1, 7),
    page=st.integers(1, 20),
    ways=st.tuples(st.integers(1, 8), st.integers(1, 4)),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_every_key_is_listed_once_in_order_from_anywhere(
    form: str,
    number: int,
    gap: int,
    page: int,
    *,
    ways: tuple[int, int],
    data: st.DataObject,
) -> None:
    at_once, pages_each = ways
    keys = sorted(FORMS[form](n * gap) for n in range(number))
    after = data.draw(st.sampled_from(["", *keys]))

    listed = Bucket(set(keys), page).listed(after, at_once=at_once, pages_each=pages_each)

    assert listed == [key for key in keys if key > after]


@given(
    keys=st.sets(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4).map("in/".__add__), max_size=80
    ),
    page=st.integers(1, 4),
)
@settings(max_examples=150, deadline=None)
def test_keys_of_any_characters_are_listed_in_the_order_of_their_bytes(keys: set[str], page: int) -> None:
    assert Bucket(keys, page).listed(pages_each=1) == sorted(keys, key=str.encode)


@pytest.mark.slow
@given(
    form=st.sampled_from(sorted(FORMS)),
    page=st.integers(2, 10),
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 299)), max_size=40),
)
@settings(max_examples=100, deadline=None)
def test_while_keys_come_and_go_those_that_stay_are_listed_and_none_is_twice(
    form: str, page: int, changes: list[tuple[bool, int]]
) -> None:
    stays = {FORMS[form](n) for n in range(0, 300, 2)}
    comes_and_goes = [FORMS[form](n) for n in range(1, 300, 2)]
    bucket = Bucket(set(stays), page)

    def meddle(asked: int) -> None:
        if asked <= len(changes):
            comes, which = changes[asked - 1]
            key = comes_and_goes[which % len(comes_and_goes)]
            bucket.keys.add(key) if comes else bucket.keys.discard(key)

    bucket.meddle = meddle
    listed = bucket.listed()

    assert listed == sorted(set(listed))
    assert stays <= set(listed)
    assert set(listed) <= stays | set(comes_and_goes)


@pytest.mark.parametrize("form", sorted(FORMS))
@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250, 500, 799])
def test_a_small_listing_costs_one_request_more_at_the_most(form: str, number: int) -> None:
    bucket = Bucket({FORMS[form](n) for n in range(number)}, page=100)

    bucket.listed()

    assert bucket.asked <= requests_needed(number, 100) + 1


@pytest.mark.parametrize("number", [301, 699, 700, 701, 799, 800])
def test_a_small_listing_whose_end_comes_late_is_not_guessed_at_again(number: int) -> None:
    bucket = Bucket({FORMS["numbered"](n) for n in range(number)}, page=100)

    def fetch(after: str, token: str | None) -> Page:
        page = bucket.fetch(after, token)
        if page.token is None and page.files:
            threading.Event().wait(0.05)
        return page

    listing = SideBySide(fetch, floor=3)
    assert len(list(listing.files(""))) == number

    assert bucket.asked <= requests_needed(number, 100) + 1


@pytest.mark.parametrize(("form", "most"), [("numbered", 1.3), ("hashes", 1.3), ("unpadded", 1.6), ("folders", 2)])
def test_a_large_listing_costs_little_more(form: str, most: float) -> None:
    bucket = Bucket({FORMS[form](n) for n in range(10_000)}, page=50)

    bucket.listed()

    assert bucket.asked <= most * requests_needed(10_000, 50)


def test_requests_are_really_made_side_by_side() -> None:
    bucket = Bucket({FORMS["numbered"](n) for n in range(5_000)}, page=50)
    running = most = 0
    lock = threading.Lock()
    together = threading.Event()

    def fetch(after: str, token: str | None) -> Page:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running >= 4:
                together.set()
        if bucket.asked > 20:
            together.wait(5)
        page = bucket.fetch(after, token)
        with lock:
            running -= 1
        return page

    listed = list(SideBySide(fetch, floor=3).files(""))

    assert len(listed) == 5_000
    assert 4 <= most <= 9


@pytest.mark.slow
def test_what_waits_to_be_taken_is_bounded() -> None:
    bucket = Bucket({FORMS["numbered"](n) for n in range(20_000)}, page=50)
    listing = SideBySide(bucket.fetch, floor=3, at_once=4, pages_each=3)

    taken = 0
    for taken, _ in enumerate(listing.files(""), 1):
        if taken % 50 == 0:
            assert bucket.asked * 50 - taken <= 50 * (4 * 3 + 4) + 0.35 * taken, "pages are not read far ahead"

    assert taken == 20_000


def test_an_error_of_any_request_ends_the_listing_and_leaves_no_thread() -> None:
    bucket = Bucket({FORMS["numbered"](n) for n in range(5_000)}, page=50)

    def meddle(asked: int) -> None:
        if asked == 30:
            msg = "SlowDown"
            raise OSError(msg)

    bucket.meddle = meddle
    before = threading.active_count()

    with pytest.raises(OSError, match="SlowDown"):
        bucket.listed()
    assert threading.active_count() == before


def test_a_listing_that_is_left_early_leaves_no_thread() -> None:
    bucket = Bucket({FORMS["numbered"](n) for n in range(5_000)}, page=50)
    before = threading.active_count()

    files: Any = SideBySide(bucket.fetch, floor=3).files("")
    for _ in range(1_000):
        next(files)
    files.close()

    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("first", "last", "from_key", "guess"),
    [
        ("in/0000.csv", "in/0999.csv", "in/0999.csv", "in/2997"),
        ("in/part-00012", "in/part-00512", "in/part-00512", "in/part-01512"),
        ("in/00aaa", "in/00fff", "in/00fff", "in/01"),
    ],
)
def test_a_guess_counts_on(first: str, last: str, from_key: str, guess: str) -> None:
    keys = (
        [first, first[:-1] + "5", last]
        if "." not in first
        else [first, "in/0555.csv", "in/0123.csv", "in/0847.csv", last]
    )

    border = Scale(first, last, tuple(keys)).ahead(from_key, pages=2, floor=3)

    assert border is not None
    assert border.startswith(guess)
    assert border > from_key


@given(st.lists(st.text(min_size=1, max_size=8).map("in/".__add__), min_size=1, max_size=20), st.integers(1, 50))
def test_a_guess_lies_behind_the_key_and_under_the_prefix(keys: list[str], pages: int) -> None:
    keys.sort()

    border = Scale.of(keys).ahead(keys[-1], pages=pages, floor=3)

    assert border is None or (border > keys[-1] and border.startswith("in/"))


def entry(key: str, *, more: str = "", storage: str = "<StorageClass>STANDARD</StorageClass>") -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;abc-1&quot;</ETag>"
        f"{more}<Size>12</Size>{storage}</Contents>"
    )


def answer(*entries: str, coded: bool = True) -> bytes:
    encoding = "<EncodingType>url</EncodingType>" if coded else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<Name>b</Name>{encoding}{''.join(entries)}</ListBucketResult>"
    ).encode()


CHECKSUM = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
OWNER = "<Owner><ID>me</ID></Owner>"
DEEP = "<StorageClass>DEEP_ARCHIVE</StorageClass>"
COLD = "<StorageClass>GLACIER</StorageClass>"


@pytest.mark.parametrize(
    ("body", "keys", "classes"),
    [
        (answer(), [], []),
        (answer(entry("a%20b+c%2B%C3%A4")), ["a b c+ä"], ["STANDARD"]),
        (answer(entry("a+b%20c"), coded=False), ["a+b%20c"], ["STANDARD"]),
        (answer(entry("a&amp;b&lt;c", more=CHECKSUM), coded=False), ["a&b<c"], ["STANDARD"]),
        (
            answer(entry("a", more=CHECKSUM), entry("b", storage=DEEP)),
            ["a", "b"],
            ["STANDARD", "DEEP_ARCHIVE"],
        ),
        (
            answer(entry("a", more=OWNER, storage=COLD), entry("b", storage="")),
            ["a", "b"],
            ["GLACIER", "STANDARD"],
        ),
        (answer(entry("a").replace("><", ">\n  <")), ["a"], ["STANDARD"]),
    ],
)
def test_a_page_is_read_whatever_its_shape(body: bytes, keys: list[str], classes: list[str]) -> None:
    files = files_of(body)

    assert [file.key for file in files] == keys
    assert [file.storage_class for file in files] == classes
    assert {(file.size, file.etag, file.modified.isoformat()) for file in files} <= {
        (12, '"abc-1"', "2026-01-02T03:04:05+00:00")
    }

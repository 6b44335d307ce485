"""What is read of an archive, and how what was read is checked."""

import zlib
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.unpacking import member, zip_of
from glaciate.catalog import Member
from unpacker.domain import (
    Damaged,
    Opening,
    ReadLimits,
    Span,
    end_of,
    groups_to_read,
    open_whole,
    plan_reads,
    why_no_key,
)

LIMITS = ReadLimits(gap_bytes=10, limit_bytes=100, whole_share=0.85, whole_member_bytes=60)


def at(offset: int, length: int, *, size: int | None = None) -> Member:
    """A member that lies there."""
    return replace(member(f"at-{offset}", b""), offset=offset, compressed_size=length, size=size or length)


@st.composite
def archives(draw: st.DrawFn) -> list[Member]:
    members = []
    offset = 0
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 90)), max_size=30)):
        offset += gap + 1
        members.append(at(offset, length))
        offset += length
    return members


@given(archives(), st.integers(0, 50), st.integers(1, 200), st.integers(1, 100), st.randoms(use_true_random=False))
def test_every_member_is_read_exactly_once_within_the_limits(members, gap, limit, whole_member, random) -> None:  # type: ignore[no-untyped-def]
    limits = ReadLimits(gap_bytes=gap, limit_bytes=limit, whole_share=0.85, whole_member_bytes=whole_member)
    shuffled = random.sample(members, len(members))
    archive_bytes = 4 * sum(found.compressed_size for found in members) + 1

    spans = plan_reads(shuffled, archive_bytes=archive_bytes, limits=limits)

    assert [found for span in spans for found in span.members] == members
    for span in spans:
        assert span.start == span.members[0].offset
        assert span.end == end_of(span.members[-1])
        assert span.length <= limit or len(span.members) == 1
        assert len(span.members) == 1 or not any(limits.is_large(found) for found in span.members)
        for one, following in pairwise(span.members):
            assert following.offset - end_of(one) <= gap
    for span, following_span in pairwise(spans):
        assert span.end <= following_span.start


@given(st.lists(st.integers(0, 90), max_size=40), st.integers(1, 12), st.integers(1, 200))
def test_ranges_are_read_in_groups_within_bounds(lengths: list[int], most: int, limit_bytes: int) -> None:
    spans = [Span(1000 * number, 1000 * number + length, ()) for number, length in enumerate(lengths)]

    groups = groups_to_read(spans, most=most, limit_bytes=limit_bytes)

    assert [span for group in groups for span in group] == spans
    for group in groups:
        assert 1 <= len(group) <= most
        assert sum(span.length for span in group) <= limit_bytes or len(group) == 1


def test_near_members_are_read_together_and_far_ones_are_not() -> None:
    near, nearer, far = at(0, 10), at(20, 10), at(41, 10)

    spans = plan_reads([near, nearer, far], archive_bytes=1000, limits=LIMITS)

    assert [(span.start, span.end) for span in spans] == [(0, 30), (41, 51)]


def test_gaps_are_read_as_well_where_nearly_everything_is_wanted() -> None:
    members = [at(0, 40), at(55, 40), at(200, 40)]

    assert len(plan_reads(members, archive_bytes=140, limits=LIMITS)) == 2
    assert len(plan_reads(members, archive_bytes=142, limits=LIMITS)) == 3


def test_a_large_member_is_read_by_itself() -> None:
    members = [at(0, 10), at(10, 10, size=61), at(20, 10)]

    spans = plan_reads(members, archive_bytes=1000, limits=LIMITS)

    assert [len(span.members) for span in spans] == [1, 1, 1]


def test_nothing_wanted_reads_nothing() -> None:
    assert plan_reads([], archive_bytes=0, limits=LIMITS) == ()


def deflated(content: bytes) -> tuple[Member, bytes]:
    deflater = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = deflater.compress(content) + deflater.flush()
    return member("a", content, compressed_size=len(data), method=8), data


@given(st.binary(max_size=5000), st.integers(1, 3), st.integers(1, 700), st.integers(1, 700), st.booleans())
def test_a_file_comes_out_as_it_went_in_however_it_is_cut(content, times, piece, chunk, stored) -> None:  # type: ignore[no-untyped-def]
    content = content * times
    known, data = (member("a", content), content) if stored else deflated(content)
    opening = Opening(known, chunk)

    chunks = [
        bytes(found) for at in range(0, len(data), piece) for found in opening.feed(memoryview(data)[at : at + piece])
    ]
    opening.close()

    assert b"".join(chunks) == content
    assert all(len(found) <= chunk for found in chunks)
    assert open_whole(known, data) == content


CONTENT = b"What was archived, what was archived, what was archived. " * 20


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_one_changed_byte_is_never_overlooked(place: int, change: int) -> None:
    for known, data in (deflated(CONTENT), (member("a", CONTENT), CONTENT)):
        damaged = bytearray(data)
        damaged[place % len(data)] ^= change

        try:
            came_out = open_whole(known, bytes(damaged))
        except Damaged:
            continue
        assert came_out == CONTENT  # deflate has bits that mean nothing


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_data_cut_short_are_refused(cut: int) -> None:
    known, data = deflated(CONTENT)

    with pytest.raises(Damaged, match="cut short"):
        open_whole(known, data[:cut])
    with pytest.raises(Damaged, match="bytes instead of"):
        open_whole(member("a", CONTENT), CONTENT[:cut])


def test_what_follows_the_compressed_data_is_refused() -> None:
    known, data = deflated(CONTENT)

    with pytest.raises(Damaged, match="end early"):
        open_whole(known, data + b"more")


def test_a_file_that_grows_beyond_its_size_is_refused_before_it_is_whole() -> None:
    known, data = deflated(bytes(100_000_000))
    opening = Opening(replace(known, size=5_000), 1_000)

    with pytest.raises(Damaged, match="longer than the 5000 bytes"):
        for _ in opening.feed(data):
            pass


def test_another_crc_is_refused() -> None:
    known, data = deflated(CONTENT)

    with pytest.raises(Damaged, match=r"CRC-32 .* instead of 0000007b"):
        open_whole(replace(known, crc32=123), data)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(Damaged, match="method 93"):
        open_whole(replace(member("a", CONTENT), method=93), CONTENT)


def test_members_of_a_foreign_zip_come_out() -> None:
    files = {"a.txt": CONTENT, "empty": b"", "b ü.txt": bytes(1000)}
    data, members = zip_of(files)

    opened = {found.key: open_whole(found, data[found.offset : end_of(found)]) for found in members}

    assert opened == files


def test_a_key_longer_than_s3_allows_is_no_destination() -> None:
    assert why_no_key("ü" * 512) is None
    assert "1026 bytes" in (why_no_key("ü" * 513) or "")

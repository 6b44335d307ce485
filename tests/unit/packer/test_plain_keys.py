"""What is told fast of a key must be what the slow rules say."""

from hypothesis import example, given
from hypothesis import strategies as st

from packer.domain.member_names import _NEEDS_CARE, is_plain


@given(st.text(alphabet="ab.:/\\ \x7f\n\x1fé", max_size=12))
@example("")
@example("/a")
@example("a//b")
@example("a/./b")
@example("..")
@example("a/..")
@example("c:a")
@example("a\\b")
@example("a/")
def test_a_plain_key_needs_no_care_anywhere(key: str) -> None:
    if is_plain(key):
        assert not _NEEDS_CARE.search(key)


def test_ordinary_keys_are_plain() -> None:
    assert is_plain("site-000/2025/01/report-000000.csv")
    assert is_plain("a b+c%20#?.v2.tar.gz")

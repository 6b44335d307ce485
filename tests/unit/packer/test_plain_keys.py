"""What is told fast of a key must be what the slow rules say."""

from hypothesis import example, given
from hypothesis import strategies as st

from packer.domain.member_names import _NEEDS_CARE, MemberNames, is_plain


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


class _WithoutHaste(MemberNames):
    """Gives every key the long way."""

    def _is_in_last_directory(self, key: str) -> bool:
        return False


@given(st.lists(st.tuples(st.text(alphabet="abAB./ \\:é~", max_size=6), st.booleans()), unique=True, max_size=12))
@example(
    [("a/b", False), ("a/c", False), ("a/C", False), ("a/c ", False), ("a/c/d", False), ("a/c/e", False), ("a", False)]
)
@example([("A/b", False), ("a/b", False), ("a/c", False), ("a/" + "x" * 241, False), ("a/d/", True), ("a/d", False)])
def test_names_that_are_told_fast_are_those_of_the_slow_rules(keys: list[tuple[str, bool]]) -> None:
    fast, slow = MemberNames(), _WithoutHaste()

    given_fast = [fast.name_of(key, is_empty=is_empty) for key, is_empty in keys]

    assert given_fast == [slow.name_of(key, is_empty=is_empty) for key, is_empty in keys]

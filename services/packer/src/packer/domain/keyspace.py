"""Guessing keys ahead of a listing, from the keys of a page: where would the listing be some pages later?

A guess need not be a key, and may be wrong: whoever lists from it learns what is there. What is guessed is how keys count
on: characters at one place are digits of a number whose base is the characters that stand there, letters and digits taken
for their whole class.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final, Self

_PLACES: Final = 8
_SAMPLE: Final = 50
_HEX: Final = frozenset("0123456789abcdef")
_CLASSES: Final = (digits, ascii_uppercase, ascii_lowercase)


@dataclass(frozen=True, slots=True)
class Scale:
    """How far a page of keys reaches, and what stands at each of its places."""

    first: str
    last: str
    keys: tuple[str, ...]

    @classmethod
    def of(cls, keys: Sequence[str]) -> Self:
        """The scale of a page: its first and last key, and some between."""
        return cls(keys[0], keys[-1], tuple(keys[:: max(1, len(keys) // _SAMPLE)]))

    def ahead(self, key: str, *, pages: int, floor: int) -> str | None:
        """About where a listing is that many pages behind a key; None where that cannot be told.

        The first `floor` characters stay as they are.
        """
        start = next(
            (place for place, (one, other) in enumerate(zip(self.first, self.last, strict=False)) if one != other),
            min(len(self.first), len(self.last)),
        )
        places = range(start, start + _PLACES)
        seen = {place: {each[place] for each in self.keys if place < len(each)} for place in places}
        is_hex = _is_hex(set().union(*seen.values()))
        bases = [_alphabet(seen[place], is_hex=is_hex) for place in places]
        step = _number(self.last, start, bases) - _number(self.first, start, bases)
        if step <= 0 or start < floor:
            return None
        whole = 1
        for base in bases:
            whole *= len(base)
        carry, rest = divmod(_number(key, start, bases) + pages * step, whole)
        head = _carried(key[:start].ljust(start, digits[0]), carry, floor=floor, is_hex=is_hex)
        if head is None:
            return None
        guess = head + _text(rest, bases)
        return guess if guess > key else None


def _is_hex(characters: set[str]) -> bool:
    alphanumeric = {character for character in characters if character.isalnum()}
    return alphanumeric <= _HEX and not alphanumeric <= set(digits) and not alphanumeric <= set(ascii_lowercase)


def _alphabet(seen: set[str], *, is_hex: bool) -> str:
    """The characters that may stand at a place, in S3's order."""
    whole = set(seen) or {digits[0]}
    for one_class in _CLASSES:
        if not seen.isdisjoint(one_class):
            whole.update(_HEX if is_hex and not seen.isdisjoint(_HEX) else one_class)
    return "".join(sorted(whole))


def _number(key: str, start: int, bases: Sequence[str]) -> int:
    number = 0
    for place, base in enumerate(bases, start):
        character = key[place : place + 1]
        below = sum(1 for each in base if each < character) if character not in base else base.index(character)
        number = number * len(base) + (min(below, len(base) - 1) if character else 0)
    return number


def _text(number: int, bases: Sequence[str]) -> str:
    text = ""
    for base in reversed(bases):
        number, digit = divmod(number, len(base))
        text = base[digit] + text
    return text


def _carried(head: str, carry: int, *, floor: int, is_hex: bool) -> str | None:
    """The characters before, counted on; None where that would change what cannot count."""
    tail = ""
    while carry:
        if len(head) <= floor or not head[-1].isalnum():
            return None
        base = _alphabet({head[-1]}, is_hex=is_hex)
        carry, digit = divmod(base.index(head[-1]) + carry, len(base))
        head, tail = head[:-1], base[digit] + tail
    return head + tail

"""Patterns over keys: `*` stands for any text, each other character for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial


class Pattern(str):
    """A pattern given as its literal pieces, so that a `*` inside a piece is an ordinary character.

    As a string it shows all stars alike; it is meant for people to read.
    """

    __slots__ = ("pieces",)
    pieces: tuple[str, ...]
    """The literal text before the first star, between two stars, and after the last."""

    @classmethod
    def of(cls, pieces: Iterable[str]) -> Pattern:
        """Return the pattern that has a star between each two neighbouring pieces."""
        pieces = tuple(pieces)
        pattern = cls("*".join(pieces))
        pattern.pieces = pieces
        return pattern

    def __radd__(self, prefix: str) -> Pattern:
        return Pattern.of((prefix + self.pieces[0], *self.pieces[1:]))

    def lower(self) -> Pattern:
        return Pattern.of(piece.lower() for piece in self.pieces)


def pieces_of(pattern: str) -> tuple[str, ...]:
    """Return the literal pieces around the stars of a pattern; a single piece if it has no star."""
    return pattern.pieces if isinstance(pattern, Pattern) else tuple(pattern.split("*"))


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a predicate for the keys that match a pattern. It takes linear time in the length of the key."""
    head, *rest = pieces_of(pattern)
    if not rest:
        return head.__eq__
    *middle, tail = rest
    return partial(_matches, head, tuple(filter(None, middle)), tail)


def _matches(head: str, middle: tuple[str, ...], tail: str, key: str) -> bool:
    if not (key.startswith(head) and key.endswith(tail)):
        return False
    position, end = len(head), len(key) - len(tail)
    for piece in middle:  # the leftmost match of a piece leaves the most text for the next ones
        found = key.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return position <= end


def may_match_below(pattern: str, prefix: str) -> bool:
    """Say whether a pattern can match a key that begins with a prefix."""
    head, *rest = pieces_of(pattern)
    return head.startswith(prefix) or (bool(rest) and prefix.startswith(head))

"""Patterns over keys: `*` stands for any text, every other character for itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial


def matcher(pattern: str) -> Callable[[str], bool]:
    """Return a predicate that says whether a key matches, in time linear in the key's length."""
    head, *rest = pattern.split("*")
    if not rest:
        return pattern.__eq__
    *middle, tail = rest
    return partial(_matches, head, tuple(filter(None, middle)), tail)


def _matches(head: str, middle: tuple[str, ...], tail: str, key: str) -> bool:
    if not (key.startswith(head) and key.endswith(tail)):
        return False
    position, end = len(head), len(key) - len(tail)
    for piece in middle:  # leftmost matches leave the most for the pieces after them
        found = key.find(piece, position, end)
        if found < 0:
            return False
        position = found + len(piece)
    return position <= end


def may_match_below(pattern: str, prefix: str) -> bool:
    """Say whether a pattern can match a key that begins with a prefix."""
    head, star, _ = pattern.partition("*")
    return head.startswith(prefix) or (bool(star) and prefix.startswith(head))

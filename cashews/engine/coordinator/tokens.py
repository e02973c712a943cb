"""The tokens of locks: knowing the token of a lock is holding it."""

from __future__ import annotations

from itertools import count
from os import urandom
from typing import Final

BYTES: Final = 16
PREFIX: Final = urandom(BYTES).hex()
NUMBERS: Final = count()

UNNAMED: Final = urandom(BYTES).hex()
"""The token of each lock whose holder is known by itself: none of our messages has it, and nobody else knows it."""


def random_token() -> str:
    """Return a token that no other process has, nor the child of a fork."""
    return urandom(BYTES).hex()


def numbered_token() -> str:
    """Return a token for a store that ends with this process; it takes a quarter of the time."""
    return f"{PREFIX}{next(NUMBERS)}"

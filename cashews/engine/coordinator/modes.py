"""How far transactions are kept apart."""

from __future__ import annotations

import enum


class TransactionMode(enum.Enum):
    """How far transactions are kept apart."""

    FAST = "fast"
    """Not at all: the writes are applied together, and reads see the commits of others in between."""
    LOCKED = "locked"
    """Keys that are read or written are locked until the end."""
    SERIALIZABLE = "serializable"
    """One transaction at a time; keys are locked against those of the other modes."""

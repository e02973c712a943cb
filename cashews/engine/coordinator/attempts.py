"""Attempts: the tasks that want a lock, and the outcomes of their tries."""

from __future__ import annotations

from typing import Final

from cashews._dataclass import dataclass, field
from cashews.actors.slots import ReplySlot
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.watches import Watch

REFUSED: Final = 0
"""The reply to `SetLock` of a store that cannot lock, or does not answer."""
AGAIN: Final = -2
"""The outcome of a try that was refused by a store which answers: its connection may have broken meanwhile."""
REFUSALS: Final = 3
"""How often a store that answers may refuse a lock that it says is free before waiting is given up."""
PROMPT: Final = 10
"""How often in a row a lock that is free by the time we ask for its holder is tried again without a pause."""


@dataclass(slots=True, eq=False)
class Attempt:
    """A task that wants a lock.

    `reply` is the place in which the task learns that it is the first of the queue: `True`, or `False` if the store
    refuses the lock to the whole queue. `watch` is its watch of the lock from then on.
    """

    lock: HeldLock
    endless: bool = False
    """Whether it waits without a timeout."""
    reply: ReplySlot[bool] = field(init=False, repr=False)
    arrival: int = 0
    """The number of its arrival among the tasks of all event loops: the lower one is served first."""
    watch: Watch | None = None
    answered: bool = False
    """Whether the store has answered at all."""

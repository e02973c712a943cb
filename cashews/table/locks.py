"""The locks of the memory store: who holds what until when. They are values of no kind: not evicted, not scanned."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

from cashews.messages import HELD

NEVER = math.inf
FEW = 1_000
"""Up to so many locks nobody looks for those that their holders have left."""


@dataclass(slots=True)
class Held:
    """A token that holds a lock until a deadline."""

    token: str
    deadline: float


class Locks:
    """Held locks by key. One that its holder has left goes when it is asked for, or when many more have been taken.

    Fencing numbers begin at `first`: the wall time in microseconds, so that they grow across processes, too.
    """

    def __init__(self, first: int) -> None:
        self._held: dict[str, Held] = {}
        self._many = FEW
        self._fences = count(first)

    def __len__(self) -> int:
        return len(self._held)

    def take(self, key: str, token: str, expire: float | None, now: float) -> int:
        """Hold a lock for some seconds; returns a fencing number, `HELD` if it is not free, 0 if there are none."""
        held = self._held.get(key)
        if held is not None and held.deadline > now:
            return HELD
        if expire is not None and expire <= 0:
            return 0
        self._held[key] = Held(token, NEVER if expire is None else now + expire)
        if len(self._held) > self._many:
            self._held = {key: held for key, held in self._held.items() if held.deadline > now}
            self._many = max(FEW, 2 * len(self._held))
        return next(self._fences)

    def renew(self, key: str, token: str, expire: float, now: float) -> bool:
        """Hold a lock for some seconds from now; says whether the token held it."""
        if not self.is_held(key, token, now):
            return False
        self._held[key].deadline = now + expire
        return True

    def is_held(self, key: str, token: str, now: float) -> bool:
        """Say whether a token holds a lock."""
        held = self._held.get(key)
        return held is not None and held.token == token and held.deadline > now

    def give_back(self, key: str, token: str, now: float) -> bool:
        """Release a lock; says whether the token held it."""
        held = self._held.get(key)
        if held is None or held.token != token:
            return False
        del self._held[key]
        return held.deadline > now

    def left(self, key: str, now: float) -> float | None:
        """Return how many seconds a lock is still held, `None` if it is free."""
        held = self._held.get(key)
        return None if held is None or held.deadline <= now else held.deadline - now

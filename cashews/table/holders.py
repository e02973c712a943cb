"""The holders of the memory store's locks. Locks are no values: they are neither evicted nor scanned."""

from __future__ import annotations

import math
from itertools import count

from cashews._dataclass import dataclass
from cashews.messages import HELD

FEW = 1_000
"""Up to this number of locks, expired ones are not searched for."""


@dataclass(slots=True)
class Holder:
    """A token that holds a lock until a deadline."""

    token: str
    deadline: float


class LockHolders:
    """The holder of each lock by key. Expired holders are removed together, whenever the number of locks has doubled.

    Fencing numbers begin at `first`: the wall time in microseconds, which lets them grow across processes, too.
    """

    def __init__(self, first: int) -> None:
        self._holders: dict[str, Holder] = {}
        self._many = FEW
        self._fences = count(first)

    def __len__(self) -> int:
        return len(self._holders)

    def clear(self) -> None:
        """Free all locks."""
        self._holders.clear()

    def take(self, key: str, token: str, expire: float | None, now: float) -> int:
        """Take a lock for some seconds; returns a fencing number, `HELD` if another holds it, 0 without a lifetime."""
        holder = self._holders.get(key)
        if holder is not None and holder.deadline > now:
            return HELD
        if expire is not None and expire <= 0:
            return 0
        self._holders[key] = Holder(token, math.inf if expire is None else now + expire)
        if len(self._holders) > self._many:
            self._holders = {key: holder for key, holder in self._holders.items() if holder.deadline > now}
            self._many = max(FEW, 2 * len(self._holders))
        return next(self._fences)

    def renew(self, key: str, token: str, expire: float, now: float) -> bool:
        """Let a lock last for some seconds from now; says whether the token held it."""
        if not self.is_held(key, token, now):
            return False
        self._holders[key].deadline = now + expire
        return True

    def is_held(self, key: str, token: str, now: float) -> bool:
        """Say whether a token holds a lock."""
        holder = self._holders.get(key)
        return holder is not None and holder.token == token and holder.deadline > now

    def release(self, key: str, token: str, now: float) -> bool:
        """Release a lock; says whether the token held it."""
        holder = self._holders.get(key)
        if holder is None or holder.token != token:
            return False
        del self._holders[key]
        return holder.deadline > now

    def seconds_left(self, key: str, now: float) -> float | None:
        """Return for how many seconds a lock is still held, `None` if it is free."""
        holder = self._holders.get(key)
        return None if holder is None or holder.deadline <= now else holder.deadline - now

    def force(self, key: str, now: float) -> bool:
        """Free a lock; says whether it was held."""
        holder = self._holders.pop(key, None)
        return holder is not None and holder.deadline > now

    def keys(self) -> list[str]:
        """Return the keys of all locks, expired ones among them."""
        return list(self._holders)

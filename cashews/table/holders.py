"""The holders of the memory store's locks. Locks are no values: they are neither evicted nor scanned."""

from __future__ import annotations

import math
from itertools import count

from cashews._dataclass import dataclass
from cashews.messages import HELD, LockHolder

FEW = 1_000
"""Up to this number of locks, expired ones are not searched for."""


@dataclass(slots=True)
class TokenHolder(LockHolder):
    """A token that holds a lock until an instant."""

    token: str
    until: float


class LockHolders:
    """The holder of each lock by key. Expired holders are removed together, whenever the number of locks has doubled.

    Fencing numbers begin at `first`: the wall time in microseconds, which lets them grow across processes, too.
    """

    def __init__(self, first: int) -> None:
        self.by_key: dict[str, LockHolder] = {}
        self.many = FEW
        """Once there are more, those that have expired are to be thrown out."""
        self.fences = count(first)

    def __len__(self) -> int:
        return len(self.by_key)

    def clear(self) -> None:
        """Free all locks."""
        self.by_key.clear()

    def take(self, key: str, token: str, expire: float | None, now: float) -> int:
        """Take a lock for some seconds; returns a fencing number, `HELD` if another holds it, 0 without a lifetime."""
        holder = self.by_key.get(key)
        if holder is not None and holder.until > now:
            return HELD
        if expire is not None and expire <= 0:
            return 0
        self.by_key[key] = TokenHolder(token, math.inf if expire is None else now + expire)
        if len(self.by_key) > self.many:
            self.throw_out_expired(now)
        return next(self.fences)

    def throw_out_expired(self, now: float) -> None:
        """Forget the holders whose time has passed."""
        for key, holder in list(self.by_key.items()):
            if holder.until <= now and self.by_key.get(key) is holder:  # the collector may release some meanwhile
                del self.by_key[key]
        self.many = max(FEW, 2 * len(self.by_key))

    def renew(self, key: str, token: str, expire: float, now: float) -> bool:
        """Let a lock last for some seconds from now; says whether the token held it."""
        if not self.is_held(key, token, now):
            return False
        self.by_key[key] = TokenHolder(token, now + expire)
        return True

    def is_held(self, key: str, token: str, now: float) -> bool:
        """Say whether a token holds a lock."""
        holder = self.by_key.get(key)
        return holder is not None and holder.token == token and holder.until > now

    def release(self, key: str, token: str, now: float) -> bool:
        """Release a lock; says whether the token held it."""
        holder = self.by_key.get(key)
        if holder is None or holder.token != token:
            return False
        del self.by_key[key]
        return holder.until > now

    def seconds_left(self, key: str, now: float) -> float | None:
        """Return for how many seconds a lock is still held, `None` if it is free."""
        holder = self.by_key.get(key)
        return None if holder is None or holder.until <= now else holder.until - now

    def force(self, key: str, now: float) -> bool:
        """Free a lock; says whether it was held."""
        holder = self.by_key.pop(key, None)
        return holder is not None and holder.until > now

    def keys(self) -> list[str]:
        """Return the keys of all locks, expired ones among them."""
        return list(self.by_key)

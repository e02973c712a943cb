"""The near table: the keys of a server that this process remembers, and until when each is served from memory.

Pure: every instant is an argument, and nothing is awaited. The reader of a connection changes the table in the order of
the wire, so nothing that a reply tells is newer than the table.

::

    (no slot)  --the value is there, and the server is bound to tell of the next change-->  kept
    kept       --a change, an own write, eviction, its deadline-->                          (no slot)

An absent key is kept like a value. A slot counts as long as its feed does: the link that its value came on.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT, NOT_NOW
from cashews.actors.shared import SHARED

MOST: Final = 1_000
"""The most keys that are looked at in one turn: a fraction of a millisecond."""
TICK: Final = 0.001
"""The seconds by which a time to live may be too long: servers count in milliseconds."""


class Feed:
    """The changes that one link tells of: until `sure`, its silence means that there were none.

    :param lag: the seconds for which silence means that
    :param probe: called with a key that is served, to have the server answer: so the link shows that it works
    """

    __slots__ = ("_lag", "_probe", "doubtful", "heard", "sure")

    def __init__(self, lag: float, probe: Callable[[str], object]) -> None:
        self._lag = lag
        self._probe = probe
        self.heard = -math.inf
        """The instant until which every change has been told."""
        self.sure = -math.inf
        self.doubtful = -math.inf
        """The instant from which on a read has the link probed, so that reads go on without a pause."""

    def hear(self, sent: float) -> None:
        """Note the reply to a request that was sent at an instant: every change before has been told."""
        if sent > self.heard:
            self.heard = sent
            self.sure = sent + self._lag
            self.doubtful = self.sure - self._lag / 2

    def is_sure(self, now: float) -> bool:
        """Say whether slots may be served."""
        return now < self.sure

    def probe(self, key: str) -> None:
        """Have the server answer, once until it does."""
        self.doubtful = self.sure
        self._probe(key)

    def end(self) -> None:
        """Let no slot of this feed be served any more."""
        self.sure = self.doubtful = -math.inf


class NearSlot:
    """A key as it was at the server: its value in the stored form or decoded, `ABSENT` for an absent key."""

    __slots__ = ("deadline", "feed", "is_stored_form", "key", "size", "value")

    def __init__(self, key: str, feed: Feed, stored: bytes | None, deadline: float) -> None:
        self.key = key
        self.feed = feed
        self.deadline = deadline
        self.value: object
        self.is_stored_form: bool
        """Whether the value is bytes that have to be decoded at each read, or by the first."""
        if stored is None:
            self.value, self.is_stored_form, self.size = ABSENT, False, 0
        else:
            self.value, self.is_stored_form, self.size = stored, True, len(stored)


class Near:
    """Slots by key in the order of their use: at most `size`, and at most `most_bytes` of stored forms."""

    def __init__(self, size: int, most_bytes: int) -> None:
        self._size = size
        self._most_bytes = most_bytes
        self.slots: OrderedDict[str, NearSlot] = OrderedDict()
        """The least recently used first."""
        self._bytes = 0
        self._followers: dict[str, list[m.LoadPermit]] = {}
        """The permits of the loads that run, by key: void once the server tells of a change. Loads of other event loops
        end in their own threads, so these are used under the guard of shared state."""
        self.hits = self.misses = self.unsure = 0
        self._invalidations = self._flushes = self._evicted = 0

    # --- reading

    def get(self, message: m.Get, now: float) -> object:
        """Serve a read in place: the turn of `Get` and `Recall`."""
        slot = self.slots.get(message.key)
        if slot is None or slot.is_stored_form or now >= slot.deadline:
            return NOT_NOW
        if now >= slot.feed.doubtful:
            if not slot.feed.is_sure(now):
                return NOT_NOW
            slot.feed.probe(slot.key)
        self.slots.move_to_end(message.key)
        self.hits += 1
        value = slot.value
        return message.default if value is ABSENT else value

    def get_many(self, message: m.GetMany, now: float) -> object:
        """Serve a read of several keys in place, if all of them are here: so they are of one instant."""
        found: list[object] = []
        if len(message.many) > MOST:
            return NOT_NOW
        for key in message.many:
            slot = self.find(key, now)
            if slot is None or slot.is_stored_form:
                return NOT_NOW
            found.append(message.default if slot.value is ABSENT else slot.value)
        self.hits += len(found)
        return tuple(found)

    def find(self, key: str, now: float) -> NearSlot | None:
        """Return the slot of a key that may be served; one that has expired is removed."""
        slot = self.slots.get(key)
        if slot is None:
            return None
        if now >= slot.deadline:
            self._drop(slot)
            return None
        feed = slot.feed
        if now >= feed.doubtful:
            if not feed.is_sure(now):
                self.unsure += feed.sure > -math.inf
                return None
            feed.probe(key)
        self.slots.move_to_end(key)
        return slot

    # --- filling, by the reader

    def keep(self, slot: NearSlot) -> None:
        """Take in the slot of a key whose next change the server is bound to tell of."""
        slots = self.slots
        before = slots.pop(slot.key, None)
        if before is not None:
            self._bytes -= before.size
        slots[slot.key] = slot
        self._bytes += slot.size
        if len(slots) > self._size or self._bytes > self._most_bytes:
            self._make_room(slot)

    def _make_room(self, slot: NearSlot) -> None:
        """Evict what has to leave for a slot: the least recently used ones, or that slot if it is too large itself."""
        slots = self.slots
        is_too_large = slot.size > self._most_bytes
        while len(slots) > self._size or self._bytes > self._most_bytes:
            _, evicted = slots.popitem(last=is_too_large)
            self._bytes -= evicted.size
            self._evicted += 1

    # --- removing

    def drop(self, keys: Iterable[str]) -> None:
        """Remove the slots of some keys."""
        for key in keys:
            slot = self.slots.get(key)
            if slot is not None:
                self._drop(slot)

    def _drop(self, slot: NearSlot) -> None:
        del self.slots[slot.key]
        self._bytes -= slot.size

    def invalidate(self, keys: Iterable[str]) -> None:
        """Remove the slots of keys that the server says have changed."""
        for key in keys:
            self._invalidations += 1
            slot = self.slots.get(key)
            if slot is not None:
                self._drop(slot)
            if key in self._followers:
                self._refuse(key)

    def flush(self, feed: Feed) -> None:
        """Serve none of the slots of a feed any more, and void the permits that relied on it.

        Their places are taken by others in time: to remove a million of them here would stop the event loop.
        """
        feed.end()
        self._flushes += 1
        with SHARED:
            for key in list(self._followers):
                self._refuse(key)

    # --- loads

    def is_bound(self, key: str) -> bool:
        """Say whether the server is known to be bound to tell of the next change of a key."""
        slot = self.slots.get(key)
        return slot is not None and slot.feed.sure > -math.inf

    def follow(self, key: str, permit: m.LoadPermit) -> None:
        """Void a permit at the next change of a key, of which the server is bound to tell."""
        with SHARED:
            if permit.over:  # its caller, in another thread, was cancelled meanwhile
                return
            permits = self._followers.setdefault(key, [])
            if permit not in permits:  # a load that was handed over to another call is announced again
                permits.append(permit)
                self._followers[key] = permits  # which the collector has removed if it has emptied it
            permit.unfollow = partial(self.stop_following, key, permit)

    def stop_following(self, key: str, permit: m.LoadPermit) -> None:
        """Void a permit no more at changes of a key."""
        with SHARED:
            permits = self._followers.get(key, [])
            if permit in permits:
                permits.remove(permit)
                permit.unfollow = None
            if not permits:
                self._followers.pop(key, None)

    def _refuse(self, key: str) -> None:
        with SHARED:
            for permit in self._followers.pop(key, ()):  # there is nothing left to be told
                permit.refuse()
                permit.unfollow = None

    def statistics(self) -> dict[str, int]:
        """Return counters and sizes by name."""
        return {
            "near_keys": len(self.slots),
            "near_bytes": self._bytes,
            "near_hits": self.hits,
            "near_misses": self.misses,
            "near_invalidations": self._invalidations,
            "near_flushes": self._flushes,
            "near_evicted": self._evicted,
            "near_unsure": self.unsure,
        }

"""Planted bugs: each is a mistake that a client-side cache can be made with, and has to turn the race red."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from anyio.lowlevel import checkpoint

from cashews.backends.redis import near, tracking, values

LATE = 0.001


def late_pushes() -> None:
    """Pushes are heard a millisecond late, behind replies that came after them."""
    waiting: deque[tuple[float, Any, Any]] = deque()
    hear, note_reply = tracking.Tracking.hear, tracking.Tracking.note_reply

    def hear_late(self: Any, *push: Any) -> None:
        waiting.append((monotonic() + LATE, self, push))

    def note_and_hear(self: Any, request: Any) -> None:
        note_reply(self, request)
        while waiting and waiting[0][0] <= monotonic():
            _, its, push = waiting.popleft()
            hear(its, *push)

    tracking.Tracking.hear, tracking.Tracking.note_reply = hear_late, note_and_hear


def kept_by_the_asker() -> None:
    """The asker keeps what it was given once it runs again, and not the reader in the order of the wire."""
    fetch = values.fetch

    def answer(self: Any, reply: Any) -> None:
        slot = near.NearSlot(self._key, self._tracking.nothing, reply, math.inf)
        super(tracking.TrackedRead, self).answer(reply if isinstance(reply, Exception) else slot)

    async def fetch_and_keep(remote: Any, message: Any) -> object:
        found = await fetch(remote, message)
        await checkpoint()
        its = remote.at(message.key).tracking
        if its.feed is not None:
            slot = near.NearSlot(message.name, its.feed, None, math.inf)
            slot.value = found
            its.near.keep(slot)
        return found

    tracking.TrackedRead.answer = answer
    from cashews.backends.redis import store  # noqa: PLC0415  its table is changed

    store.COMMANDS[values.Fetch] = fetch_and_keep


def no_time_to_live() -> None:
    """A value is kept until the server says that it has expired."""
    keep = near.Near.keep

    def keep_for_ever(self: Any, slot: Any) -> None:
        slot.deadline = math.inf
        keep(self, slot)

    near.Near.keep = keep_for_ever


def deaf() -> None:
    """Pushes are not heard at all."""
    tracking.Tracking.hear = lambda *_: None


def kept_through_a_cut() -> None:
    """What was read over a connection that has broken is served on."""
    near.Feed.end = lambda *_: None


PLANTS: dict[str, Callable[[], None]] = {
    "late pushes": late_pushes,
    "kept by the asker": kept_by_the_asker,
    "no time to live": no_time_to_live,
    "deaf": deaf,
    "kept through a cut": kept_through_a_cut,
}


def plant(bug: str) -> None:
    """Plant a bug in this process."""
    if bug:
        PLANTS[bug]()

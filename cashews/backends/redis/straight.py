"""The straight line to the near table: one value read without a message, in one call."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

from cashews._typing import NOT_NOW
from cashews.backends.direct import SHUT, Direct, Door
from cashews.backends.redis.near import Near


def straight_lines(near: Near, door: Door, now: Callable[[], float]) -> Direct:
    """Return the straight lines to a near table: a read is answered as by `Get`; all else has to be asked.

    A slot whose link has to show that it works is left to the turn of the message.
    """
    slots, context = near.slots, door.context

    def look(key: str) -> object:
        credit = door.credit
        if credit <= 0 or door.home_thread != get_ident() or context() is not None:
            return NOT_NOW
        slot = slots.get(key)
        if slot is None or slot.is_stored_form:
            return NOT_NOW
        instant = now()
        if instant >= slot.deadline or instant >= slot.feed.doubtful:
            return NOT_NOW
        door.credit = credit - 1
        slots.move_to_end(key)
        near.hits += 1
        return slot.value

    return Direct(look, SHUT.look_hit, SHUT.put)

"""What a transaction has written to one store and not yet committed. Pure: every instant is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from cashews.messages import Delete, Expire, Incr, Message, Peek, Set, SetAdd, SetRaw, State, Write
from cashews.table.table import TURNS, Table

R = TypeVar("R")
NO_LIMIT = 2**62
TICK = 1.0
MOMENT = 0.001
"""The seconds that are left of a duration at least: what has passed altogether is absent, and not committed."""


@dataclass(slots=True)
class Draft:
    """What becomes of a key: `changes` to what it held before or, once it is overwritten, its state in the table."""

    overwritten: bool = False
    last: Set | SetRaw | None = None
    """What has overwritten it."""
    changes: list[tuple[float, Write]] = field(default_factory=list[tuple[float, Write]])
    """Each with its instant, from which its duration counts."""

    def add(self, write: Write, now: float) -> None:
        """Take note of a write."""
        if isinstance(write, (Set, SetRaw, Delete)):
            self.overwritten, self.last = True, None if isinstance(write, Delete) else write
            self.changes.clear()
        elif not self.overwritten:
            self._add_change(write, now)

    def _add_change(self, write: Write, now: float) -> None:
        at, last = self.changes[-1] if self.changes else (now, write)
        if self.changes and isinstance(write, Incr) and isinstance(last, Incr):  # the first may have created it
            self.changes[-1] = at, replace(last, value=last.value + write.value)
        else:
            self.changes.append((now, write))

    def writes(self, key: str, state: State, now: float) -> Iterator[Write]:
        """Yield what is to be applied now, given what it has led to: every deadline stays where it is."""
        if state.absent:
            yield Delete(key)
        elif not self.overwritten:
            for at, write in self.changes:
                yield _later(write, now - at)
        elif state.members is not None:
            yield Delete(key)
            yield SetAdd(key, tuple(state.members), state.left)
        elif self.last is None or self.last.__class__ is Set:
            yield Set(key, state.value, state.left, None, getattr(self.last, "lease", None))
        else:
            yield replace(self.last, value=state.value, expire=state.left)


def _later(write: Write, seconds: float) -> Write:
    """Return a write that has the effect of one some seconds ago."""
    if isinstance(write, (Incr, SetAdd)) and write.expire is not None:
        return replace(write, expire=max(write.expire - seconds, MOMENT))
    if isinstance(write, Expire) and write.timeout is not None:
        return replace(write, timeout=max(write.timeout - seconds, MOMENT))
    return write


class Overlay:
    """The kept writes by key, and a table in which they have happened already."""

    __slots__ = ("_drafts", "_known", "_table")

    def __init__(self) -> None:
        self._table = Table(NO_LIMIT, TICK, _nothing)
        self._known: set[str] = set()
        self._drafts: dict[str, Draft] = {}

    def knows(self, key: str) -> bool:
        """Say whether the table has the whole state of a key."""
        return key in self._known

    def learn(self, key: str, state: State, now: float) -> None:
        """Take in what the store holds under a key, unless its state is known by now."""
        if key not in self._known:
            self._known.add(key)
            self._table.restore(key, state, now)

    def answer(self, message: Message[R], now: float) -> R:
        """Answer a message about keys whose state is known."""
        reply: R = TURNS[message.__class__](self._table, message, now)
        return reply

    def write(self, write: Write, now: float) -> Any:
        """Carry a write out in the table, and keep it; the state of its key is known, or does not matter."""
        reply = TURNS[write.__class__](self._table, write, now)
        draft = self._drafts.get(write.key)
        if draft is None:
            draft = self._drafts[write.key] = Draft()
        draft.add(write, now)
        self._known.add(write.key)
        return reply

    @property
    def written(self) -> tuple[str, ...]:
        """The keys that were written."""
        return tuple(self._drafts)

    def writes(self, now: float) -> tuple[Write, ...]:
        """Return what is to be applied now."""
        peek = self._table.peek
        return tuple(
            write for key, draft in self._drafts.items() for write in draft.writes(key, peek(Peek(key), now), now)
        )


def _nothing() -> None:
    return None

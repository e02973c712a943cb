"""What waits for a connection and what is in flight on it: pure, every instant is an argument, nothing is awaited."""

from __future__ import annotations

from collections import deque
from typing import Any

from redis import exceptions as redis

from cashews.actors.loop import ReplySlot
from cashews.backends.redis.failures import LateError, LostError
from cashews.messages import LoadPermit

WRITE = 262_144
"""About how many bytes go into one write."""


class Letter:
    """A request, packed, with the places for its reply: one for each asker who shares it."""

    __slots__ = ("again", "deadline", "packed", "permit", "reads", "replies")

    def __init__(self, packed: bytes, deadline: float, permit: LoadPermit | None, *, reads: bool) -> None:
        self.packed = packed
        self.deadline = deadline
        self.permit = permit
        self.reads = reads
        """Whether it may be shared, and asked once more."""
        self.again = False
        """Whether it has been asked once more."""
        self.replies: list[ReplySlot[Any]] = []

    def answer(self, reply: object) -> None:
        """Give the reply to everybody who still waits for it."""
        for place in self.replies:
            place.give(reply)


class Inbox:
    """The letters of one connection, in order: those that wait, and those whose reply is on its way."""

    def __init__(self) -> None:
        self._waiting: deque[Letter] = deque()
        self._in_flight: deque[Letter] = deque()
        self._shared: dict[bytes, Letter] = {}
        """The reads that wait, by what they ask: who asks the same joins them."""
        self.commands = self.batches = self.largest_batch = self.joined = 0

    @property
    def waiting(self) -> int:
        """How many letters wait to be sent."""
        return len(self._waiting)

    @property
    def in_flight(self) -> int:
        """How many replies are on their way."""
        return len(self._in_flight)

    @property
    def oldest(self) -> Letter | None:
        """The letter that has waited longest for its reply."""
        if self._in_flight:
            return self._in_flight[0]
        return self._waiting[0] if self._waiting else None

    def post(self, packed: bytes, deadline: float, permit: LoadPermit | None = None, *, reads: bool = False) -> Letter:
        """Put a letter last, or join one that waits and reads the same."""
        letter = self._shared.get(packed) if reads else None
        if letter is not None:
            self.joined += 1
            return letter
        letter = Letter(packed, deadline, permit, reads=reads)
        self._waiting.append(letter)
        if reads:
            self._shared[packed] = letter
        return letter

    def begin(self, now: float, timeout: float) -> None:
        """Have the time for replies run from now on, as there is a connection; what is asked once more had its time."""
        late = [letter for letter in self._waiting if letter.again and letter.deadline <= now]
        for letter in late:
            self._waiting.remove(letter)
            letter.answer(LateError(f"no reply within {timeout:g} s"))
        for letter in self._waiting:
            if not letter.again:
                letter.deadline = now + timeout

    def batch(self) -> bytes:
        """Take what waits, about as much as one write carries; skip what nobody asks any more."""
        waiting, in_flight = self._waiting, self._in_flight
        parts: list[bytes] = []
        size = 0
        while waiting and size < WRITE:
            letter = waiting.popleft()
            if letter.reads:
                self._shared.pop(letter.packed, None)
            if not letter.replies:
                continue
            if letter.permit is not None and letter.permit.void:
                letter.answer(None)
                continue
            in_flight.append(letter)
            parts.append(letter.packed)
            size += len(letter.packed)
        if parts:
            self.batches += 1
            self.commands += len(parts)
            self.largest_batch = max(self.largest_batch, len(parts))
        return b"".join(parts)

    def answer(self, reply: object) -> None:
        """Pair a reply with the letter that was sent first.

        :raises InvalidResponse: if nothing was asked
        """
        if not self._in_flight:
            message = "a reply to nothing"
            raise redis.InvalidResponse(message)
        self._in_flight.popleft().answer(reply)

    def recover(self, error: redis.RedisError, now: float, timeout: float, *, retry_late: bool) -> int:
        """Sort what was in flight on a connection that broke; returns how many have failed.

        What only reads waits again, at the head and once; what is late and what writes has failed.
        """
        failed = 0
        lost = LostError(f"the connection was lost: {error}")
        for letter in reversed(self._in_flight):
            late = letter.deadline <= now
            if letter.reads and not letter.again and (retry_late or not late):
                letter.again = True
                letter.deadline = now + timeout if late else letter.deadline
                self._waiting.appendleft(letter)
            else:
                letter.answer(LateError(*error.args) if late else lost)
                failed += 1
        self._in_flight.clear()
        return failed

    def give_up(self, error: redis.RedisError) -> None:
        """Fail every letter."""
        in_flight, waiting = list(self._in_flight), list(self._waiting)
        self.forget()
        for letter in in_flight:
            letter.answer(LostError(*error.args))
        for letter in waiting:
            letter.answer(error)

    def statistics(self) -> dict[str, int]:
        """Return what waits and what was sent."""
        return {
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "commands": self.commands,
            "batches": self.batches,
            "largest_batch": self.largest_batch,
            "joined": self.joined,
        }

    def forget(self) -> None:
        """Drop every letter: nobody waits any more."""
        self._in_flight.clear()
        self._waiting.clear()
        self._shared.clear()

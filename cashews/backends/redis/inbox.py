"""The requests of one connection: those that wait in its mailbox, and those in flight, whose replies come in order.

Pure: every instant is an argument, nothing is awaited.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Container
from typing import Any, ClassVar, Final, TypeAlias

from redis import exceptions as redis

from cashews.actors.mailbox import Letter, Mailbox, SlotBell
from cashews.actors.slots import BareSlot
from cashews.backends.redis.failures import LateError, LostError
from cashews.messages import LoadPermit

ROOM = 10_000
"""How many requests may wait; further askers wait for room."""
WRITE = 262_144
"""About how many bytes go into one write."""
ASKING: Final = b"*1\r\n$6\r\nASKING\r\n"
"""Has a node of a cluster carry out the next command, though its slot is still on the way there."""


class Request(Letter):
    """A command in the wire's form. A request that only reads may have several askers, and may be sent once more.

    The places of its replies are bare: that of an asker who has gone is done.
    """

    __slots__ = ("again", "deadline", "early", "packed", "permit", "reads", "weight")
    replies: list[BareSlot[Any]]
    ahead: ClassVar[int] = 0
    """The number of replies before the last: a request may be several commands, and the last reply counts."""
    early: list[Any]
    """The replies before the last that have come; only of requests that have any."""

    def __init__(self, packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: object = None) -> None:
        self.replies = []
        self.packed = packed
        self.permit = permit
        self.reads = reads
        self.again = False
        """Whether it waits, or is in flight, for the second time."""
        self.deadline = math.inf
        """The instant until which a reply may take; known once the request is sent."""
        self.weight = len(packed)

    @property
    def is_abandoned(self) -> bool:
        """Whether every asker has gone."""
        return all(place.done() for place in self.replies)

    def answer(self, reply: object) -> None:
        for place in self.replies:
            if not place.done():
                place.set_result(reply)

    def overtake(self, keys: Container[str] | None) -> None:
        """Take note that the server has told of changes of some keys, or of all, before the last reply."""


class Asking(Request):
    """A request of two commands: have a slot that is on its way served, and the command itself."""

    __slots__ = ()
    ahead = 1

    def __init__(self, packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: object) -> None:
        super().__init__(packed, permit, reads=reads, tracking=tracking)
        self.early = []


RequestKind: TypeAlias = Callable[..., Request]
"""Makes a request: `kind(packed, permit, reads=reads, tracking=tracking)`."""


class Inbox:
    """The requests of one connection in one event loop.

    :param tracking: the tracking of the connection, if it has one: requests that fill a near table take part in it
    """

    def __init__(self, tracking: object = None) -> None:
        self._tracking = tracking
        self.bell = SlotBell()
        """Rung when the first request comes to a mailbox whose connection waits for one."""
        self.mailbox: Mailbox[Request] = Mailbox(ROOM, self.bell)
        self._in_flight: deque[Request] = deque()
        self._shared: dict[bytes, Request] = {}
        """The waiting reads by their packed bytes: an identical read shares the waiting request."""
        self.joined = 0
        """How many reads have shared the request of another."""

    @property
    def waiting(self) -> int:
        """The number of requests that wait to be sent."""
        return len(self.mailbox)

    @property
    def in_flight(self) -> int:
        """The number of requests whose replies are on their way."""
        return len(self._in_flight)

    @property
    def oldest(self) -> Request | None:
        """The request in flight that was sent first."""
        return self._in_flight[0] if self._in_flight else None

    def post(
        self,
        packed: bytes,
        place: BareSlot[Any],
        permit: LoadPermit | None = None,
        kind: RequestKind = Request,
        *,
        reads: bool,
    ) -> Request:
        """Put a request last, or share one that waits and reads the same."""
        if reads:
            request = self._shared.get(packed)
            if request is not None:
                self.joined += 1
                request.replies.append(place)
                return request
        request = kind(packed, permit, reads=reads, tracking=self._tracking)
        request.replies.append(place)
        if reads:
            self._shared[packed] = request
        self.mailbox.post(request)
        return request

    def batch(self, now: float, timeout: float) -> list[Request]:
        """Take the requests of one write, about so many bytes of them; each has `timeout` seconds from now on.

        A request whose askers have all gone is not sent, nor is one whose permit is void: that is answered with `None`.
        """
        requests = self.mailbox.take(WRITE)
        in_flight, shared = self._in_flight, self._shared
        unsent: set[Request] = set()
        deadline = now + timeout
        for request in requests:
            if request.reads:
                shared.pop(request.packed, None)
            if request.replies[0].done() and request.is_abandoned:
                unsent.add(request)
                continue
            if request.permit is not None and request.permit.void:
                request.answer(None)
                unsent.add(request)
                continue
            if not request.again:
                request.deadline = deadline
            in_flight.append(request)
        return [request for request in requests if request not in unsent] if unsent else requests

    def answer(self, reply: object) -> Request:
        """Pair a reply with the request that was sent first, and return that.

        :raises InvalidResponse: if nothing was sent
        """
        if not self._in_flight:
            message = "a reply to nothing"
            raise redis.InvalidResponse(message)
        request = self._in_flight[0]
        if request.ahead and len(request.early) < request.ahead:
            request.early.append(reply)
            return request
        self._in_flight.popleft()
        request.answer(reply)
        return request

    # --- connections that break

    def fail_late(self, now: float, timeout: float) -> None:
        """Fail the requests that wait to be sent once more but have had their time."""
        waiting = self.mailbox.waiting
        for request in [each for each in waiting if each.again and each.deadline <= now]:
            waiting.remove(request)
            request.answer(LateError(f"no reply within {timeout:g} s"))

    def recover(self, error: redis.RedisError, now: float, timeout: float, *, retry_late: bool) -> int:
        """Sort the requests in flight on a connection that broke; returns how many have failed.

        A read waits once more, at the head. A write has failed, and so has a read that was sent twice or, unless
        `retry_late`, is late.
        """
        failed = 0
        lost = LostError(f"the connection was lost: {error}")
        for request in reversed(self._in_flight):
            late = request.deadline <= now
            if request.reads and not request.again and (retry_late or not late):
                request.again = True
                if request.ahead:
                    request.early.clear()
                request.deadline = now + timeout if late else request.deadline
                self.mailbox.put_back(request)
            else:
                request.answer(LateError(*error.args) if late else lost)
                failed += 1
        self._in_flight.clear()
        return failed

    def give_up(self, error: redis.RedisError, refusal: Callable[[], Exception]) -> None:
        """Fail all requests, those in flight with an error of unknown outcome; refuse the askers that wait for room."""
        in_flight, self._in_flight = self._in_flight, deque()
        self._shared.clear()
        for request in in_flight:
            request.answer(LostError(*error.args))
        self.mailbox.refuse(lambda: error, refusal)

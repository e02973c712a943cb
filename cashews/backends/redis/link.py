"""One link to a server, from the handshake until it breaks: the conversation of a line, and a watch over the time.

Everything that waits is packed into one write; the replies, which come in order, are paired with the requests in
flight.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import hiredis
from anyio.lowlevel import checkpoint
from redis import exceptions as redis

from cashews.actors.actor import Life
from cashews.actors.later import start_soon
from cashews.actors.line import Conversation, Line
from cashews.actors.mailbox import SlotBell
from cashews.backends.redis.failures import NO_MASTER, TROUBLE, failure_of
from cashews.backends.redis.inbox import Inbox, Request
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.tracking import Tracking
from cashews.backends.redis.wire import MALFORMED, NOTHING, Parser
from cashews.clock import Clock

REPLIES: Final = 256
"""How many replies are handed out in one turn of the event loop."""
TURNS: Final = 5
"""How many turns of the event loop it takes at most until what is in a socket has been read."""
CONFIRMATIONS: Final = frozenset({b"subscribe", b"unsubscribe"})
"""Pushes that are replies: in their order, one to each request."""
MOVED: Final = redis.ConnectionError("another server has taken its place")
CLOSED: Final = redis.ConnectionError("the connection was closed")


class Link(Conversation):
    """A line with a server behind it, and the tasks that serve an inbox over it."""

    def __init__(
        self,
        line: Line,
        parser: Parser,
        inbox: Inbox,
        life: Life,
        *,
        clock: Clock,
        options: RedisOptions,
        hear: Callable[[bytes], None],
        ping: Callable[[], object],
        should_leave: Callable[[], bool],
        tracking: Tracking | None,
        until_moved: Callable[[], Awaitable[None]],
    ) -> None:
        self.line = line
        self._parser = parser
        self._inbox = inbox
        self._life = life
        self._loop = life.loop
        self._clock = clock
        self._now = clock.now
        self._timeout = options.socket_timeout
        self._silence = options.health_check_interval
        self._hear = hear
        self._ping = ping
        self._should_leave = should_leave
        self._tracking = tracking
        self._until_moved = until_moved
        self._leaving: redis.RedisError | None = None
        """Why nothing more is sent: the link ends once everything in flight is answered."""
        self._traffic = SlotBell()
        """Rung when the first request is in flight."""
        self._tasks: anyio.CancelScope | None = None
        self._over = False
        """Whether no reply is taken any more."""
        self.trouble: BaseException = CLOSED
        """Why the link broke."""
        self.timed_out = False

    async def serve(self) -> None:
        """Serve the inbox until the link breaks."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks.cancel_scope
            start_soon(tasks, self._unless_broken, self._talk)
            start_soon(tasks, self._unless_broken, self._watch)
            start_soon(tasks, self._unless_broken, self._leave_when_moved)

    async def _unless_broken(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except TROUBLE as error:
            self.give_up(error)

    async def _talk(self) -> None:
        mailbox = self._inbox.mailbox
        mailbox.bell = self.line
        try:
            await self.line.serve(self)
        finally:
            mailbox.bell = self._inbox.bell

    async def _leave_when_moved(self) -> None:
        await self._until_moved()
        raise MOVED

    def give_up(self, trouble: BaseException) -> None:
        """End the link; the first trouble is the one that counts."""
        if self._tasks is not None and not self._tasks.cancel_called:
            self.trouble, self._over = trouble, True
            self._tasks.cancel()

    # --- the conversation of the line

    @property
    def has_data(self) -> bool:
        return bool(self._inbox.waiting) and self._leaving is None

    def data_to_send(self) -> bytes:
        if self._leaving is not None:
            return b""
        requests = self._inbox.batch(self._now(), self._timeout)
        if requests:
            self._life.note(len(requests))
            if self._traffic.asleep:
                self._traffic.ring()
        self._inbox.mailbox.let_in()
        return b"".join([request.packed for request in requests])

    def receive_data(self, data: bytes) -> bool:
        parser, answer = self._parser, self._inbox.answer
        if self._over:  # a reply may have been paired with the wrong request
            return False
        if data:
            parser.feed(data)
        request = None
        try:
            for _ in range(REPLIES):
                reply = parser.gets()
                if reply is NOTHING:
                    return False
                if reply.__class__ is not hiredis.PushNotification or reply[0] in CONFIRMATIONS:
                    request = answer(reply)
                    if reply.__class__ is hiredis.ReplyError and not request.reads:
                        self._look_at_refusal(reply)
                else:
                    self._take_push(reply)
                if self._leaving is not None and not self._inbox.in_flight:
                    raise self._leaving
        except MALFORMED as error:
            raise redis.InvalidResponse(*error.args) from error
        finally:
            if self._tracking is not None and request is not None:
                self._tracking.note_reply(request)
        return True

    def _take_push(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._hear(push[1])
        elif push[0] == b"invalidate" and self._tracking is not None:
            self._tracking.hear(push[1], self._inbox.oldest)

    def _look_at_refusal(self, reply: Exception) -> None:
        """Leave a server that refuses writes because it is no master, or not ready: the address may lead elsewhere."""
        if self._leaving is None and str(reply).startswith(NO_MASTER) and self._should_leave():
            self._leaving = failure_of(reply)

    async def _watch(self) -> None:
        """See that no reply takes longer than it may, and that a silent server is still there."""
        while True:
            oldest = self._inbox.oldest
            if oldest is None:
                await self._until_traffic()
            elif oldest.deadline > self._now():
                await self._clock.sleep_until(oldest.deadline)
            elif not await self._replies_come(oldest):
                self.timed_out = True
                message = f"no reply within {self._timeout:g} s"
                raise redis.TimeoutError(message)

    async def _replies_come(self, oldest: Request) -> bool:
        """Say whether the reply to a late request, or to others before it, is here already and only has to be read.

        So it is after the event loop has stood still for longer than a reply may take: the server was in time.
        """
        for _ in range(TURNS):
            await checkpoint()
            if self._inbox.oldest is not oldest:
                return True
        return False

    async def _until_traffic(self) -> None:
        """Wait until a request is in flight; after a while of silence, send one."""
        if not self._silence:
            await self._traffic.wait(self._loop)
            return
        with self._clock.move_on_at(self._now() + self._silence) as silence:
            await self._traffic.wait(self._loop)
        if silence.cancelled_caught:
            self._ping()
            await self._traffic.wait(self._loop)

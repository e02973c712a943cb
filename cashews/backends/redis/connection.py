"""The connection actor: one multiplexed connection, whose inbox is the batch.

The requests of all tasks wait in the inbox. The writer packs everything that waits into one write; the reader pairs the
replies, which come in order, with what is in flight. Whoever is cancelled leaves a request to be skipped or a reply to
be dropped, so that replies keep pairing.

::

    idle        --first request-->   connecting
    connecting  --ready-->           up          --broken-->         idle
    connecting  --failed-->          down        --after a pause-->  connecting

Requests wait for a first connection, and again after one has broken; while the server is known to be down, they fail at
once. What was on its way when the connection broke has failed if it writes, since nobody knows whether it was carried
out; what only reads is asked once more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import anyio
import hiredis
from anyio.abc import ByteStream
from anyio.lowlevel import checkpoint
from redis import exceptions as redis
from redis.backoff import ExponentialBackoff

from cashews._log import logger
from cashews.actors.loop import Loop, ReplySlot, current_loop
from cashews.actors.room import Room
from cashews.backends.redis.address import Address
from cashews.backends.redis.failures import TROUBLE, broken, failure_of
from cashews.backends.redis.handshake import shake_hands
from cashews.backends.redis.inbox import Inbox, Letter
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.wire import CHUNK, MALFORMED, NOTHING, Parser, pack
from cashews.clock import Clock
from cashews.exceptions import CacheClosedError
from cashews.messages import LoadPermit

ROOM = 10_000
"""How many requests may wait in the inbox; who comes then waits for room."""
REPLIES = 256
"""How many replies are handed out between two checkpoints."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two attempts to reach a server that is down; each pause is twice the last, and spread at random."""
PING = pack(("PING",))
CONFIRMATIONS = frozenset({b"subscribe", b"unsubscribe"})
"""Pushes that are replies: in their order, one to each request."""
CLOSED = redis.ConnectionError("the connection was closed")


class Connection:
    """One connection to a server, opened when it is needed and again after it has broken."""

    def __init__(
        self, address: Address, options: RedisOptions, clock: Clock, random: Random, ensure_scope: Callable[[], object]
    ) -> None:
        self._address = address
        self._options = options
        self._clock = clock
        self._now = clock.now
        self._random = random
        self._ensure_scope = ensure_scope
        self._timeout = options.socket_timeout
        self._backoff = ExponentialBackoff(base=FIRST_PAUSE, cap=LONGEST_PAUSE)
        self._inbox = Inbox()
        self._channels: dict[bytes, list[Callable[[], object]]] = {}
        self.connects = self.timeouts = 0
        self._begin(None)

    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that we do not know or after the end: what belonged to another is gone."""
        if self._closed or self._loop is None or self._astray:
            self._begin(loop)

    @property
    def _astray(self) -> bool:
        """Whether our event loop is not the one that runs: it has ended, maybe closed by hand, its tasks pending."""
        return self._loop is not None and not self._loop.here

    def _begin(self, loop: Loop | None) -> None:
        self._loop = loop
        self._inbox.forget()
        self._channels.clear()
        self._room = Room()
        self._writer: ReplySlot[Any] | None = None
        self._watch: ReplySlot[Any] | None = None
        """The tasks that wait for a letter."""
        self._life: anyio.CancelScope | None = None
        """What `run` runs in."""
        self._ended = anyio.Event()
        self._closed = False
        self._pushes = False
        """Whether channels can be listened to on this connection."""
        self._down: redis.RedisError | None = None
        """Why the server is known not to answer."""
        self._serving: anyio.CancelScope | None = None
        self._trouble: BaseException = CLOSED
        """Why the last connection broke."""

    # --- asking

    async def ask(
        self, packed: bytes, *, reads: bool = False, permit: LoadPermit | None = None, surely: bool = False
    ) -> Any:
        """Send a command and return its reply; `None` if the permit is void when its turn comes.

        :param packed: the command in the wire's form
        :param reads: that it only reads: it may be shared with others who ask the same, and asked once more
        :param surely: send it though the asker is cancelled before it is sent
        :raises redis.exceptions.RedisError: if the server cannot be reached, or answers with an error
        :raises CacheClosedError: if the connection has been closed
        """
        if self._life is None or self._closed or self._down is not None or self._inbox.waiting >= ROOM or self._astray:
            await self._be_let_in()
        letter, place = self._post(packed, reads=reads, permit=permit)
        if surely:
            letter.replies.append(self._here().reply_slot())  # which nobody takes away
        try:
            reply = await place
        except BaseException:
            letter.replies.remove(place)
            raise
        if isinstance(reply, Exception):
            raise failure_of(reply)
        return reply

    def _post(
        self, packed: bytes, *, reads: bool = False, permit: LoadPermit | None = None
    ) -> tuple[Letter, ReplySlot[Any]]:
        """Put a letter into the inbox; returns it, and the place for our reply."""
        place: ReplySlot[Any] = (self._loop or self._here()).reply_slot()
        letter = self._inbox.post(packed, self._now() + self._timeout, permit, reads=reads)
        letter.replies.append(place)
        if self._writer is not None or self._watch is not None:
            self._wake()
        return letter, place

    async def _be_let_in(self) -> None:
        """Wait until a letter may be posted; have the connection run.

        :raises redis.exceptions.RedisError: if the server is known not to answer
        :raises CacheClosedError: if the connection has been closed
        """
        if self._astray and not self._closed:
            self._begin(current_loop())
        if self._life is None:
            self._ensure_scope()
        while True:
            if self._closed:
                raise CacheClosedError
            if self._down is not None:
                raise failure_of(self._down)
            if self._inbox.waiting < ROOM:
                return
            await self._room.wait()

    async def listen(self, channel: bytes, heard: Callable[[], object]) -> bool:
        """Have a function called at each message on a channel; says whether that is possible here.

        It is also called when a connection has replaced another, on which a message may have been missed.
        """
        listeners = self._channels.setdefault(channel, [])
        listeners.append(heard)
        if len(listeners) == 1 and self._pushes:
            await self.ask(pack(("SUBSCRIBE", channel)), surely=True)  # for those who listen as well
        return self._pushes

    async def unlisten(self, channel: bytes, heard: Callable[[], object]) -> None:
        """End a `listen`, also one that never came to pass."""
        listeners = self._channels.get(channel, [])
        if heard in listeners:
            listeners.remove(heard)
            if not listeners:
                del self._channels[channel]
                if self._pushes:
                    await self.ask(pack(("UNSUBSCRIBE", channel)), surely=True)

    def _here(self) -> Loop:
        if self._loop is None:
            self._loop = current_loop()
        return self._loop

    def _wake(self) -> None:
        """Wake who waits for a letter."""
        if self._writer is not None:
            self._writer.give(None)
            self._writer = None
        if self._watch is not None:
            self._watch.give(None)
            self._watch = None

    # --- the life of a connection

    async def run(self) -> None:
        """Connect whenever there is something to send, until the scope ends or the connection is closed."""
        if self._life is not None or self._closed:
            return
        self._loop = current_loop()
        self._life = life = anyio.CancelScope()
        self._ended = ended = anyio.Event()
        try:
            with life:
                await self._live()
        finally:
            if self._life is life:
                self._life = None
                self._end()
            ended.set()

    async def _live(self) -> None:
        failures = 0
        while True:
            await self._until_wanted()
            failures = 0 if await self._connect_and_serve() else failures + 1
            if failures:
                pause = self._backoff.compute(failures) * self._random.uniform(0.5, 1.0)
                await self._clock.sleep_until(self._now() + pause)

    async def _until_wanted(self) -> None:
        """Wait for the first letter; a server that is down is tried all the same."""
        if not self._inbox.waiting and self._down is None:
            self._writer = wanted = self._here().reply_slot()
            await wanted

    def _end(self) -> None:
        """Answer whoever still waits."""
        self._closed = True
        self._inbox.give_up(CLOSED)
        self._room.let_in()

    async def _connect_and_serve(self) -> bool:
        """Connect, and serve until the connection breaks; says whether it was there at all."""
        try:
            stream, (parser, self._pushes) = await self._connect()
        except TROUBLE as error:
            self._go_down(broken(error))
            return False
        life = self._life
        try:
            self._come_up()
            await self._serve(stream, parser)
        finally:
            if self._life is life:  # and not the next one's, in another event loop
                self._pushes = False
            await anyio.aclose_forcefully(stream)
        self._recover(broken(self._trouble))
        return True

    async def _connect(self) -> tuple[ByteStream, tuple[Parser, bool]]:
        patience = self._options.patience
        with self._clock.move_on_at(self._now() + patience):
            stream = await self._address.connect(keepalive=self._options.socket_keepalive)
            try:
                return stream, await shake_hands(stream, self._address, self._options)
            except BaseException:
                await anyio.aclose_forcefully(stream)
                raise
        message = f"no connection within {patience:g} s"
        raise redis.TimeoutError(message)

    def _go_down(self, error: redis.RedisError) -> None:
        if type(error) is not type(self._down):
            logger.error("redis at %s cannot be used: %s", self._address, error)
        self._down = error
        self._inbox.give_up(error)
        self._room.let_in()

    def _come_up(self) -> None:
        if self._down is not None:
            logger.warning("redis at %s can be used again", self._address)
        self._down = None
        self.connects += 1
        self._inbox.begin(self._now(), self._timeout)
        for channel in tuple(self._channels) if self._pushes else ():
            self._post(pack(("SUBSCRIBE", channel)))
            self._hear(channel)

    def _recover(self, error: redis.RedisError) -> None:
        retry_late = self._options.retry_on_timeout
        failed = self._inbox.recover(error, self._now(), self._timeout, retry_late=retry_late)
        if failed:
            logger.warning("redis at %s: %d requests were lost with a connection: %s", self._address, failed, error)

    async def close(self) -> None:
        """Refuse further requests, let those that wait be answered, and disconnect."""
        if self._astray:
            self._begin(None)
        self._closed = True
        life, ended = self._life, self._ended
        if life is None:
            self._end()
            return
        try:
            if self._down is None and self._inbox.oldest is not None:
                await self._post(PING)[1]  # the reply to which is the last
        finally:
            life.cancel()
            await ended.wait()

    def leave(self, error: redis.RedisError) -> None:
        """Give the connection up, if there is one: it has shown that it leads nowhere."""
        self._break(error)

    def _break(self, trouble: BaseException) -> None:
        """Give the connection up; the first reason is the one that counts."""
        if self._serving is not None and not self._serving.cancel_called:
            self._trouble = trouble
            self._serving.cancel()

    # --- serving

    async def _serve(self, stream: ByteStream, parser: Parser) -> None:
        serving = None
        try:
            async with anyio.create_task_group() as tasks:
                self._serving = serving = tasks.cancel_scope
                tasks.start_soon(self._unless_broken, self._read, stream, parser)
                tasks.start_soon(self._unless_broken, self._write, stream)
                tasks.start_soon(self._unless_broken, self._look_after)
        finally:
            if self._serving is serving:
                self._serving = None

    async def _unless_broken(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        try:
            await task(*args)
        except TROUBLE as error:
            self._break(error)

    async def _write(self, stream: ByteStream) -> None:
        while True:
            batch = self._inbox.batch()
            if batch:
                await stream.send(batch)
                self._room.let_in()
            else:
                self._writer = letter_came = self._here().reply_slot()
                await letter_came

    async def _read(self, stream: ByteStream, parser: Parser) -> None:
        answer = self._inbox.answer
        while True:
            given = 0
            try:
                while (reply := parser.gets()) is not NOTHING:
                    if reply.__class__ is not hiredis.PushNotification or reply[0] in CONFIRMATIONS:
                        answer(reply)
                    elif reply[0] == b"message":
                        self._hear(reply[1])
                    given += 1
                    if given == REPLIES:
                        given = 0
                        await checkpoint()
            except MALFORMED as error:
                raise redis.InvalidResponse(*error.args) from error
            parser.feed(await stream.receive(CHUNK))

    def _hear(self, channel: bytes) -> None:
        for heard in tuple(self._channels.get(channel, ())):
            heard()

    async def _look_after(self) -> None:
        """See that no letter waits longer than it may, and that a silent connection is still there."""
        while True:
            oldest = self._inbox.oldest
            if oldest is None:
                await self._until_traffic()
            elif oldest.deadline > self._now():
                await self._clock.sleep_until(oldest.deadline)
            else:
                self.timeouts += 1
                message = f"no reply within {self._timeout:g} s"
                raise redis.TimeoutError(message)

    async def _until_traffic(self) -> None:
        """Wait for a letter; after a while of silence, send one."""
        self._watch = letter_came = self._here().reply_slot()
        interval = self._options.health_check_interval
        if not interval:
            await letter_came
            return
        with self._clock.move_on_at(self._now() + interval) as silence:
            await letter_came
        if silence.cancelled_caught:
            self._post(PING)

    # --- figures

    def statistics(self) -> dict[str, int]:
        """Return what waits and what was done."""
        mine = {"connected": int(self._serving is not None), "connects": self.connects, "timeouts": self.timeouts}
        return {**mine, **self._inbox.statistics()}

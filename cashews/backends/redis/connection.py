"""The connection actor: it owns one multiplexed connection to a server, opened anew after it has broken.

::

    idle        --first request-->   connecting
    connecting  --ready-->           up          --broken-->         idle
    connecting  --failed-->          down        --after a pause-->  connecting

Requests wait for a first connection, and again after one has broken; while the server is known to be down, they fail at
once. A write that was in flight when the connection broke has failed, since it may have been applied or not; a read is
sent once more. A cancelled asker leaves a request to be skipped or a reply to be dropped, so that replies keep pairing:
its place is done then, and nothing has to be told.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import anyio
from redis import exceptions as redis
from redis.backoff import ExponentialBackoff

from cashews._log import logger
from cashews.actors.actor import Actor, ActorStatistics, Life
from cashews.actors.later import start_soon
from cashews.actors.loop import Loop
from cashews.actors.slots import BareSlot
from cashews.backends.interface import Environment
from cashews.backends.redis.address import Address, Directory
from cashews.backends.redis.failures import TROUBLE, broken, failure_of
from cashews.backends.redis.handshake import Welcome, shake_hands
from cashews.backends.redis.inbox import Inbox, Request, RequestKind
from cashews.backends.redis.link import CLOSED, Link
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.patience import in_time
from cashews.backends.redis.tracking import Storing, Tracking
from cashews.backends.redis.wire import PING, pack
from cashews.messages import LoadPermit

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
"""Seconds between two attempts to reach a server that is down; each pause is twice the last, and spread at random."""
MOST_DOUBLED: Final = 10
"""The failures in a row after which the pause is the longest; a thousand doublings would leave the range of numbers."""

FIGURES: Final = (
    *("connected", "connects", "timeouts", "waiting", "in_flight", "commands"),
    *("batches", "largest_batch", "joined"),
)
"""The names of the figures of a connection."""


class Connection(Actor):
    """One connection to a server, opened when it is needed and again after it has broken."""

    anchor: bytes = b""
    """The beginning of keys of ours that lie beside a user's key: on a single server all keys do."""

    def __init__(
        self,
        directory: Directory,
        options: RedisOptions,
        environment: Environment,
        tracking: Tracking | None = None,
    ) -> None:
        self._directory = directory
        self.address: Address | None = None
        """The address of the server that was last found."""
        self._options = options
        self._clock = environment.clock
        self._now = environment.clock.now
        self._random = environment.random
        self._backoff = ExponentialBackoff(base=FIRST_PAUSE, cap=LONGEST_PAUSE)
        self._life = Life(self, environment.ensure_scope)
        self._left = 0
        """The number of servers that were left in a row, since each refused a write."""
        self._stays_until = -math.inf
        """The instant until which a server is not left for that reason."""
        self._inbox = Inbox(tracking)
        self.connects = self.timeouts = self._joined = 0
        self.tracking = tracking
        self.tracks = tracking is not None
        """Whether reads are tracked, as far as is known."""
        self._untracked = ""
        """Why the server does not tell of changes."""
        if tracking is not None:
            tracking.post, tracking.send = self._post, self._send
        self.begin()

    def begin(self) -> None:
        if self.tracking is not None:
            self.tracking.end()
        self._joined += self._inbox.joined
        self._inbox = Inbox(self.tracking)
        self._channels: dict[bytes, list[Callable[[], object]]] = {}
        self._link: Link | None = None
        self._pushes = False
        """Whether channels can be listened to on the link."""
        self._down: redis.RedisError | None = None
        """Why the server is known not to answer."""

    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that the engine has met; requests of an earlier loop are gone."""
        self._life.attend(loop)

    # --- asking

    async def ask(
        self,
        packed: bytes,
        *,
        reads: bool = False,
        permit: LoadPermit | None = None,
        surely: bool = False,
        kind: RequestKind = Request,
    ) -> Any:
        """Send a command and return its reply; `None` if the permit is void when its turn comes.

        :param packed: the command in the wire's form
        :param reads: that it only reads: an identical read may share it, and it may be sent once more
        :param surely: send it though the asker is cancelled before it is sent
        :param kind: makes the request
        :raises redis.exceptions.RedisError: if the server cannot be reached, or answers with an error
        :raises CacheClosedError: if the connection has been closed
        """
        place = self._place_here()
        if place is None:
            place = await self._be_let_in()
        request = self._inbox.post(packed, place, permit, kind, reads=reads)
        if surely:
            request.replies.append(self._life.loop.bare_slot())  # a place of no asker, which is not cancelled
        reply = await place
        if isinstance(reply, Exception):
            raise failure_of(reply)
        return reply

    def send(
        self, packed: bytes, *, reads: bool = False, permit: LoadPermit | None = None, kind: RequestKind = Request
    ) -> Awaitable[Any]:
        """Send a command and return its reply, as `ask`; an error may be returned and not raised.

        So there is no coroutine around the place of the reply, unless the asker has to be let in.
        """
        place = self._place_here()
        if place is None:
            return self.ask(packed, reads=reads, permit=permit, kind=kind)
        self._inbox.post(packed, place, permit, kind, reads=reads)
        return place

    def _place_here(self) -> BareSlot[Any] | None:
        """Return a place for the reply to a request that may be posted now; `None` if its asker has to be let in."""
        loop, mailbox = self._life.works_in, self._inbox.mailbox
        if loop is None or self._down is not None or len(mailbox.waiting) >= mailbox.limit:
            return None
        return loop.bare_slot_here()

    async def _be_let_in(self) -> BareSlot[Any]:
        """Wait until a request may be posted; have the connection run.

        :raises redis.exceptions.RedisError: if the server is known not to answer
        :raises CacheClosedError: if the connection has been closed
        """
        self._enter()
        if self._inbox.mailbox.full:
            await self._inbox.mailbox.room(self._life.loop)
            self._enter()
        return self._life.loop.bare_slot()

    def _enter(self) -> None:
        self._life.enter()
        if self._down is not None:
            raise failure_of(self._down)

    def at(self, key: str | bytes) -> Connection:
        """Return the place of another key."""
        return self

    def storing(self, key: str) -> RequestKind:
        """Return the kind of a request that stores a key under a permit."""
        return Request if self.tracking is None else partial(Storing, key=key)

    @property
    def tells(self) -> int:
        """1 if others are to hear of the deletion of a key that is absent, else 0: they may be about to store it."""
        return int(self.tracking is not None)

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

    # --- work

    async def run(self) -> None:
        """Connect whenever there is something to send, until the scope ends or the connection is closed."""
        await self._life.run()

    async def work(self) -> None:
        inbox, failures = self._inbox, 0
        while self._inbox is inbox:  # else the actor has begun anew in another loop, and ours has come back
            if not inbox.waiting and self._down is None:
                await inbox.bell.wait(self._life.loop)
            failures = 0 if await self._connect_and_serve(inbox) else failures + 1
            if failures:
                await self._pause(self._pause_after(failures))

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt to connect; not any longer once another server has taken the place."""
        async with anyio.create_task_group() as tasks:
            start_soon(tasks, self._cut_short, tasks.cancel_scope)
            await self._clock.sleep_until(self._now() + seconds)
            tasks.cancel_scope.cancel()

    async def _cut_short(self, pause: anyio.CancelScope) -> None:
        if self.address is not None:
            await self._directory.until_moved(self.address)
            pause.cancel()

    async def _connect_and_serve(self, inbox: Inbox) -> bool:
        """Connect, and serve until the link breaks; says whether there was one at all."""
        try:
            link, welcome = await self._connect(inbox)
        except TROUBLE as error:
            if self._inbox is inbox:
                self._go_down(broken(error))
            return False
        try:
            if self._inbox is inbox:
                self._come_up(link, welcome)
                await link.serve()
        finally:
            if self._link is link:
                self._link, self._pushes = None, False
                if self.tracking is not None:
                    self.tracking.end()
            await link.line.aclose()
        self.timeouts += link.timed_out
        self._recover(inbox, broken(link.trouble))
        return True

    async def _connect(self, inbox: Inbox) -> tuple[Link, Welcome]:
        patience = self._options.patience
        async with AsyncExitStack() as stack:  # the end of the time may be cancelled, too
            async with in_time(self._clock, patience, f"no connection within {patience:g} s"):
                self.address = address = await self._directory.locate()
                line = await address.connect(
                    keepalive=self._options.socket_keepalive, probes=self._options.socket_keepalive_options
                )
                stack.push_async_callback(line.aclose)
                welcome = await shake_hands(line, address, self._options)
                link = Link(
                    line,
                    welcome.parser,
                    inbox,
                    self._life,
                    clock=self._clock,
                    options=self._options,
                    hear=self._hear,
                    ping=partial(self._post, PING),
                    should_leave=self._begin_leave,
                    tracking=self.tracking,
                    until_moved=partial(self._directory.until_moved, address),
                )
            stack.pop_all()
        return link, welcome

    def _go_down(self, error: redis.RedisError) -> None:
        if type(error) is not type(self._down):
            logger.error("redis at %s cannot be used: %s", self._directory, error)
        self._down = error
        self._inbox.give_up(error, partial(failure_of, error))

    def _come_up(self, link: Link, welcome: Welcome) -> None:
        if self._down is not None:
            logger.warning("redis at %s can be used again", self._directory)
        self._link, self._pushes, self._down = link, welcome.pushes, None
        self.connects += 1
        if self.tracking is not None:
            self._begin_tracking(self.tracking, welcome.untracked)
        self._inbox.fail_late(self._now(), self._options.socket_timeout)
        for channel in tuple(self._channels) if welcome.pushes else ():
            _ = self._post(pack(("SUBSCRIBE", channel)))  # the reply is nobody's
            self._hear(channel)

    def _begin_tracking(self, tracking: Tracking, refusal: str) -> None:
        """Begin to hear of changes; or do without, and say so once.

        :param refusal: why the server does not tell of changes, empty if it does
        """
        self.tracks = not refusal
        if refusal and refusal != self._untracked:
            logger.warning("redis at %s: client_side is off, each read asks the server: %s", self._directory, refusal)
        self._untracked = refusal
        if self.tracks:
            tracking.begin()

    def _begin_leave(self) -> bool:
        """Say whether a server that refuses writes is to be left now: with pauses, as servers that are down are tried.

        In a pause it stays: it may be the only one there is, and it answers reads.
        """
        now = self._now()
        if now < self._stays_until:
            return False
        self._left = 1 if now > self._stays_until + LONGEST_PAUSE else self._left + 1
        self._stays_until = now + self._pause_after(self._left)
        return True

    def _pause_after(self, failures: int) -> float:
        return self._backoff.compute(min(failures, MOST_DOUBLED)) * self._random.uniform(0.5, 1.0)

    def leave(self, error: redis.RedisError) -> None:
        """Give the link up, if there is one: a reply has shown that it pairs replies with the wrong requests."""
        if self._link is not None:
            self._link.give_up(error)

    def _recover(self, inbox: Inbox, error: redis.RedisError) -> None:
        options = self._options
        failed = inbox.recover(error, self._now(), options.socket_timeout, retry_late=options.retry_on_timeout)
        if failed:
            logger.warning("redis at %s: %d requests were lost with a connection: %s", self._directory, failed, error)

    def _post(self, packed: bytes, kind: RequestKind = Request) -> BareSlot[Any]:
        """Post a request of our own, whether or not there is room; returns the place of its reply."""
        place: BareSlot[Any] = self._life.loop.bare_slot()
        self._inbox.post(packed, place, None, kind, reads=False)
        return place

    def _send(self, request: Request) -> None:
        self._inbox.mailbox.post(request)

    def _hear(self, channel: bytes) -> None:
        for heard in tuple(self._channels.get(channel, ())):
            heard()

    # --- the end

    async def drain(self) -> None:
        """Wait for the reply to a last request, if there may be any."""
        if self._down is None and (self._inbox.waiting or self._inbox.in_flight):
            await self._post(PING)

    def end(self) -> None:
        self._inbox.give_up(CLOSED, self._life.refusal)

    async def close(self) -> None:
        """Refuse further requests, let those that wait be answered, and disconnect."""
        await self._life.close()

    # --- figures

    def actor(self, name: str) -> ActorStatistics:
        """Return the figures of the actor."""
        return self._life.statistics(name, self._inbox.waiting)

    def statistics(self) -> dict[str, int]:
        """Return the numbers of requests that wait and that were sent, and the fate of the connections."""
        figures, inbox = self.actor(""), self._inbox
        return {
            "connected": int(self._link is not None),
            "connects": self.connects,
            "timeouts": self.timeouts,
            "waiting": inbox.waiting,
            "in_flight": inbox.in_flight,
            "commands": figures.turns,
            "batches": figures.batches,
            "largest_batch": figures.largest_batch,
            "joined": self._joined + inbox.joined,
        }

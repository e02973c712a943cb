"""The lane actor: an inbox in front of one worker thread, which takes everything that waits as one batch.

The thread is there for as long as the lane runs, since to hand a function to a pool and to wait for it takes twice as
long as to wake a thread that waits. Letters reach it through a deque, replies come back by a call into the event loop.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock
from typing import Any, Final, Protocol, TypeVar

import anyio
from anyio import to_thread

from cashews._log import logger
from cashews.actors.loop import Loop, ReplySlot, current_loop
from cashews.actors.room import Room
from cashews.clock import Clock
from cashews.exceptions import CacheClosedError
from cashews.messages import Message

R = TypeVar("R")
ROOM: Final = 10_000
"""How many letters may wait in the inbox; who comes then waits for room."""
BATCH: Final = 500
"""How many letters one batch has at most."""
RING: Final = True
STOP: Final = False
Bell = SimpleQueue[bool]


class Part:
    """A message, the instant it is served at, and what becomes of it."""

    __slots__ = ("message", "now", "outcome")

    def __init__(self, message: Message[Any], now: float) -> None:
        self.message = message
        self.now = now
        self.outcome: Any = None
        """The reply, or the exception that is to be raised."""


class Letter(Part):
    """A message served at the instant at which it was posted, and the place for its reply."""

    __slots__ = ("abandoned", "reply")

    def __init__(self, message: Message[Any], now: float, reply: ReplySlot[Any]) -> None:
        self.message = message
        self.now = now
        self.outcome = None
        self.reply = reply
        self.abandoned = False
        """Whether its asker has gone."""


class FailedError(Exception):
    """What a server failed with, for one asker."""


def fail(parts: Sequence[Part], error: Exception) -> None:
    """Have each part fail, with an exception of its own."""
    for part in parts:
        part.outcome = FailedError(f"{type(error).__name__}: {error}")


class Server(Protocol):
    """What serves batches, in the thread of a lane."""

    def serve(self, letters: Sequence[Letter]) -> None:
        """Give each letter its outcome."""
        ...

    def hurry(self) -> None:
        """Wait for nobody from now on; called from the event loop."""
        ...

    def close(self) -> None:
        """Let go of everything; the next batch finds it again."""
        ...


class Lane:
    """Letters in order, and the thread that serves them batch by batch."""

    def __init__(self, server: Callable[[], Server], clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._new_server = server
        self._wall = clock.wall
        self._ensure_scope = ensure_scope
        self._waiting: deque[Letter] = deque()
        self._bell: Bell = SimpleQueue()
        self._begin(None)
        self._open = 0
        """How many askers wait for a reply."""
        self.batches = self.letters = self.largest_batch = 0

    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that we do not know or after the end: what belonged to another is gone."""
        if self._closed or self._loop is None or not self._loop.here:
            self._begin(loop)

    def _begin(self, loop: Loop | None) -> None:
        self._bell.put(STOP)  # for a thread that a loop has left behind
        self._loop = loop
        self._bell = SimpleQueue()
        self._waiting = deque()
        self._rung = False
        self._room = Room()
        self._life: anyio.CancelScope | None = None
        """What `run` runs in."""
        self._ended: anyio.Event
        self._closed = False

    # --- asking

    async def ask(self, message: Message[R]) -> R:
        """Have a message served and return its reply.

        :raises CacheClosedError: if the lane has been closed
        """
        if self._life is None or self._closed or len(self._waiting) >= ROOM:
            await self._be_let_in()
        if self._loop is None:
            self._loop = current_loop()
        letter = Letter(message, self._wall(), self._loop.reply_slot())
        self._waiting.append(letter)
        self._open += 1
        if not self._rung:
            self._rung = True
            self._bell.put(RING)
        try:
            outcome = await letter.reply
        except BaseException:
            letter.abandoned = True
            raise
        finally:
            self._open -= 1
        if isinstance(outcome, Exception):
            raise outcome
        reply: R = outcome
        return reply

    async def _be_let_in(self) -> None:
        if self._life is None:
            self._ensure_scope()
        while True:
            if self._closed:
                raise CacheClosedError
            if len(self._waiting) < ROOM:
                return
            await self._room.wait()

    # --- the life of a lane

    async def run(self) -> None:
        """Serve letters until the scope ends or the lane is closed."""
        if self._life is not None or self._closed:
            return
        self._loop = loop = current_loop()
        self._life = life = anyio.CancelScope()
        self._ended = ended = anyio.Event()
        server, bell = self._new_server(), self._bell
        if self._waiting:
            bell.put(RING)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(Stay(partial(self._reside, server, self._waiting, bell, loop), loop))
                try:
                    with life:
                        await anyio.sleep_forever()
                finally:
                    self._stop(life, server, bell)
        finally:
            if self._life is life:
                self._life = None
                self._end()
            ended.set()

    def _stop(self, life: anyio.CancelScope, server: Server, bell: Bell) -> None:
        """Have the thread serve what waits, and end."""
        if self._life is life:
            self._closed = True
        if not life.cancel_called:  # the scope is cancelled
            server.hurry()
        bell.put(STOP)

    def _end(self) -> None:
        """Answer whoever still waits."""
        self._closed = True
        while self._waiting:
            self._waiting.popleft().reply.give(CacheClosedError())
        self._room.let_in()

    async def close(self) -> None:
        """Refuse further letters, let those that wait be answered, and end the thread."""
        self._closed = True
        if self._life is None:
            self._end()
            return
        self._life.cancel()
        await self._ended.wait()

    # --- in the thread

    def _reside(self, server: Server, waiting: deque[Letter], bell: Bell, loop: Loop) -> None:
        """Serve whatever waits whenever the bell rings, until it says stop."""
        goes_on = True
        try:
            while goes_on:
                goes_on = bell.get()
                self._rung = False  # before looking: who posts from now on rings again
                while waiting:
                    batch = _batch(waiting)
                    _serve(server, batch)
                    loop.post(partial(self._deliver, batch))  # an empty one, too: there is room again
        finally:
            server.close()

    def _deliver(self, letters: Sequence[Letter]) -> None:
        """Give the replies of a batch; called in the event loop."""
        self.batches += 1
        self.letters += len(letters)
        self.largest_batch = max(self.largest_batch, len(letters))
        for letter in letters:
            letter.reply.give(letter.outcome)
        self._room.let_in()

    # --- figures

    def statistics(self) -> dict[str, int]:
        """Return what waits and what was done."""
        return {
            "waiting": self._open,
            "commands": self.letters,
            "batches": self.batches,
            "largest_batch": self.largest_batch,
        }


def _serve(server: Server, letters: Sequence[Letter]) -> None:
    """Have letters served; none stays without an outcome, whatever happens."""
    try:
        server.serve(letters)
    except Exception as error:  # noqa: BLE001  whatever fails is the askers', never the lane's death
        logger.exception("a batch was not served")
        fail(letters, error)


def _batch(waiting: deque[Letter]) -> list[Letter]:
    """Take what waits, about as much as one transaction should carry; skip what nobody asks any more."""
    batch: list[Letter] = []
    while waiting and len(batch) < BATCH:
        letter = waiting.popleft()
        if not letter.abandoned:
            batch.append(letter)
    return batch


class Stay:
    """A function that runs in a thread for as long as it likes; whoever waits for it leaves no thread behind."""

    def __init__(self, function: Callable[[], None], loop: Loop) -> None:
        self._function = function
        self._loop = loop
        self._begun = Lock()
        """Held by the thread once it has begun, or by the loop so that it never does."""
        self._over = anyio.Event()

    async def __call__(self) -> None:
        """Run to the end, whatever is cancelled meanwhile; it counts against no other's limit of threads."""
        with anyio.CancelScope(shield=True):
            try:
                await to_thread.run_sync(self._run, limiter=anyio.CapacityLimiter(1))
            except anyio.get_cancelled_exc_class():  # asyncio's own Task.cancel() goes through shields, once
                if not self._begun.acquire(blocking=False):
                    await self._over.wait()
                raise

    def _run(self) -> None:
        if self._begun.acquire(blocking=False):
            try:
                self._function()
            finally:
                self._loop.post(self._over.set)

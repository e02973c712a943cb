"""The lane actor: it owns a thread, which takes everything that waits as one batch.

The thread stays for as long as the lane works: to hand a function to a pool and wait for it takes twice as long as to
wake a thread that waits. Its bell is a queue, since a stream of the event loop wakes no thread. Replies come back by
one call into the event loop for each batch.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, Final, Protocol, TypeVar

import anyio

from cashews._log import logger
from cashews.actors.actor import Actor, ActorStatistics, Life
from cashews.actors.loop import Loop
from cashews.actors.mailbox import Bell, Letter, Mailbox
from cashews.actors.slots import ReplySlot
from cashews.actors.thread import ActorThread, Rest, ThreadSignals
from cashews.clock import Clock
from cashews.messages import Message

R = TypeVar("R")
ROOM: Final = 10_000
"""How many letters may wait; further askers wait for room."""
BATCH: Final = 500
"""How many letters one batch has at most: about as much as one transaction should carry."""


class Part(Letter):
    """A message, the instant that it is served at, and its outcome. A share of a split message has no asker."""

    __slots__ = ("message", "now", "outcome")

    def __init__(self, message: Message[Any], now: float, asker: ReplySlot[Any] | None = None) -> None:
        self.replies = [] if asker is None else [asker]
        self.message = message
        self.now = now
        self.outcome: Any = None
        """The reply, or the exception that is to be raised."""


class FailedError(Exception):
    """What a server failed with, for one asker."""


def fail(parts: Sequence[Part], error: Exception) -> None:
    """Have each part fail, with an exception of its own."""
    for part in parts:
        part.outcome = FailedError(f"{type(error).__name__}: {error}")


class Server(Protocol):
    """The code that serves batches, in the thread of a lane."""

    def serve(self, letters: Sequence[Part]) -> None:
        """Give each part its outcome."""
        ...

    def hurry(self) -> None:
        """Wait for no lock of a file from now on; called from the event loop."""
        ...

    def close(self) -> None:
        """Let go of everything; the next batch finds it again."""
        ...


class Signal(enum.Enum):
    """A signal to a thread, besides a rest."""

    RING = "ring"
    STOP = "stop"


class ThreadBell(Bell, ThreadSignals):
    """A bell that a thread waits for; it may be rung before the thread is there."""

    def __init__(self) -> None:
        self.asleep = True
        self._signals: SimpleQueue[Signal | Rest] = SimpleQueue()

    def ring(self) -> None:
        self.asleep = False
        self._signals.put(Signal.RING)

    def stop(self) -> None:
        self._signals.put(Signal.STOP)

    def rest(self, rest: Rest) -> None:
        self._signals.put(rest)

    def wait(self) -> Signal | Rest:
        """Block until there is a signal, and return it.

        The thread looks for letters after this, so a letter that comes from now on rings again.
        """
        signal = self._signals.get()
        self.asleep = True
        return signal


class Lane(Actor):
    """Letters in order, and the thread that serves them batch by batch."""

    def __init__(self, server: Callable[[], Server], clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._new_server = server
        self._wall = clock.wall
        self._life = Life(self, ensure_scope)
        self._bell = ThreadBell()
        self._mailbox: Mailbox[Part] = Mailbox(ROOM, self._bell)
        self._open = 0
        """How many askers wait for a reply."""
        self.begin()

    def begin(self) -> None:
        self._mailbox.waiting.clear()
        self._bell.stop()  # for the thread of a loop that was left behind
        self._bell = ThreadBell()
        self._mailbox = Mailbox(ROOM, self._bell)
        self._draining: anyio.Event | None = None
        """Set when the thread is to serve the letters that wait, and end."""
        self._drained: anyio.Event | None = None

    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that the engine has met; letters of an earlier loop are gone."""
        self._life.attend(loop)

    # --- asking

    async def ask(self, message: Message[R]) -> R:
        """Have a message served and return its reply.

        :raises CacheClosedError: if the lane has been closed
        """
        loop, mailbox = self._life.works_in, self._mailbox
        slot = None if loop is None or len(mailbox.waiting) >= mailbox.limit else loop.slot_here()
        if slot is None:
            slot, mailbox = await self._be_let_in()
        letter = Part(message, self._wall(), slot)
        mailbox.post(letter)
        self._open += 1
        try:
            outcome = await slot
        except BaseException:
            letter.replies.clear()  # a list of its own: the thread may be looking at it
            raise
        finally:
            self._open -= 1
        if isinstance(outcome, Exception):
            raise outcome
        reply: R = outcome
        return reply

    async def _be_let_in(self) -> tuple[ReplySlot[Any], Mailbox[Part]]:
        self._life.enter()
        if self._mailbox.full:
            await self._mailbox.room(self._life.loop)
            self._life.enter()
        return self._life.loop.reply_slot(), self._mailbox

    # --- work

    async def run(self) -> None:
        """Serve letters until the scope ends or the lane is closed."""
        await self._life.run()

    async def work(self) -> None:
        server, bell, loop = self._new_server(), self._bell, self._life.loop
        self._draining, self._drained = draining, drained = anyio.Event(), anyio.Event()
        thread = ActorThread(partial(self._reside, server, bell, self._mailbox, loop), bell, loop, "cashews disk lane")
        try:
            thread.start()
            try:
                await draining.wait()
            except BaseException:  # the scope is cancelled
                server.hurry()
                raise
            finally:
                bell.stop()
                await thread.wait()
        finally:
            drained.set()

    async def drain(self) -> None:
        if self._draining is not None and self._drained is not None:
            self._draining.set()
            await self._drained.wait()

    def end(self) -> None:
        self._mailbox.refuse(self._life.refusal, self._life.refusal)

    async def close(self) -> None:
        """Refuse further letters, let those that wait be answered, and end the thread."""
        await self._life.close()

    # --- in the thread

    def _reside(self, server: Server, bell: ThreadBell, mailbox: Mailbox[Part], loop: Loop) -> None:
        """Serve everything that waits whenever the bell rings, until it says stop."""
        signal: Signal | Rest = Signal.RING
        try:
            while signal is not Signal.STOP:
                signal = bell.wait()
                while mailbox.waiting:
                    batch = mailbox.take(BATCH)
                    _serve(server, batch)
                    loop.post(partial(self._deliver, mailbox, batch))  # an empty one, too: there is room again
                if isinstance(signal, Rest):
                    server.close()  # files that are open, and locks of files, are not for two processes
                    signal.take()
        finally:
            server.close()

    def _deliver(self, mailbox: Mailbox[Part], batch: Sequence[Part]) -> None:
        """Give the replies of a batch; called in the event loop."""
        if batch:
            self._life.note(len(batch))
        for letter in batch:
            for slot in letter.replies:
                slot.give(letter.outcome)
        mailbox.let_in()

    # --- figures

    def actor(self, name: str) -> ActorStatistics:
        """Return the figures of the actor."""
        return self._life.statistics(name, len(self._mailbox))

    def statistics(self) -> dict[str, int]:
        """Return the number of askers that wait for a reply, and the numbers of messages and batches served."""
        figures = self.actor("")
        return {
            "waiting": self._open,
            "commands": figures.turns,
            "batches": figures.batches,
            "largest_batch": figures.largest_batch,
        }


def _serve(server: Server, parts: Sequence[Part]) -> None:
    """Have parts served; none stays without an outcome, whatever happens."""
    try:
        server.serve(parts)
    except Exception as error:  # noqa: BLE001  a failure is the askers', never the lane's death
        logger.exception("a batch was not served")
        fail(parts, error)

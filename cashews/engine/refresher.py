"""Loads behind the callers' backs: a bounded pool of workers, one job per key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import anyio
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from cashews._log import logger
from cashews.actors.loop import Loop, ReplySlot
from cashews.clock import Clock
from cashews.exceptions import LoadCancelledError
from cashews.keys.context import ContextValues, carried, context_values
from cashews.strategies.entry import Outcome, Raised

Run: TypeAlias = Callable[[], Awaitable[Outcome]]

WORKERS = 16
"""How many refreshes of one cache run at once."""
INBOX = 1024
"""How many refreshes may wait for a worker; with more, the next hit asks again."""
FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds before a key is tried again after its refresh failed: doubled with each failure, up to the longest."""
DOUBLINGS = 6
DRAIN = 5.0
"""Seconds that closing waits for the refreshes that run."""


@dataclass(slots=True, eq=False)
class Letter:
    """A refresh, and who waits for its outcome."""

    key: str
    run: Run
    context: ContextValues = field(default_factory=context_values)
    """The key context of the call: the worker has none of its own."""
    replies: list[ReplySlot[Outcome]] = field(default_factory=list["ReplySlot[Outcome]"])


@dataclass(slots=True)
class Backoff:
    """How often in a row the refresh of a key has failed, and until when it is left alone."""

    failures: int
    until: float


class Refresher:
    """Takes jobs from hits and runs them in workers with an empty context; a job carries its call's key context."""

    def __init__(self, clock: Clock, ensure_scope: Callable[[], bool], loop: Callable[[], Loop]) -> None:
        self._clock = clock
        self._ensure_scope = ensure_scope
        self._loop = loop
        self._letters: dict[str, Letter] = {}
        self._backoffs: dict[str, Backoff] = {}
        self._inbox: MemoryObjectSendStream[Letter] | None = None
        self._outbox: MemoryObjectReceiveStream[Letter] | None = None
        self._idle: anyio.Event | None = None
        self.draining = False
        """Whether no more jobs are taken."""
        self._done = self._failed = self._refused = 0

    # --- posting

    def tell(self, key: str, run: Run) -> bool:
        """Have a key refreshed; says whether it is going to be.

        It is not while it is being refreshed already, while it rests after a failure, and while too many wait.
        """
        backoff = self._backoffs.get(key)
        if key in self._letters:
            self._ensure_scope()  # the loop that it was posted in may have ended before a worker was born
            return False
        if backoff is not None and backoff.until > self._clock.now():
            return False
        return self._post(Letter(key, run))

    async def ask(self, key: str, run: Run) -> Outcome | None:
        """Have a key refreshed and wait for the outcome; `None` if it was not refreshed."""
        letter = self._letters.get(key)
        if letter is None:
            letter = Letter(key, run)
            if not self._post(letter):
                return None
        reply: ReplySlot[Outcome] = self._loop().reply_slot()
        letter.replies.append(reply)
        try:
            return await reply
        finally:
            letter.replies.remove(reply)

    def _post(self, letter: Letter) -> bool:
        if self.draining:
            return False
        if self._inbox is None:
            self._inbox, self._outbox = anyio.create_memory_object_stream[Letter](INBOX)
        try:
            self._inbox.send_nowait(letter)
        except anyio.WouldBlock:
            self._refused += 1
            return False
        self._letters[letter.key] = letter
        self._ensure_scope()
        return True

    # --- working

    async def run(self) -> None:
        """Work until the scope ends."""
        if self._inbox is None:
            self._inbox, self._outbox = anyio.create_memory_object_stream[Letter](INBOX)
        assert self._outbox is not None
        try:
            async with self._inbox, self._outbox, anyio.create_task_group() as workers:
                for _ in range(WORKERS):
                    workers.start_soon(self._work, self._outbox)
        finally:
            self._inbox = self._outbox = None
            self._letters.clear()

    async def _work(self, outbox: MemoryObjectReceiveStream[Letter]) -> None:
        async for letter in outbox:
            try:
                with carried(letter.context):
                    outcome = await letter.run()
            except Exception as error:  # noqa: BLE001  of a condition or a store; a worker outlives it
                outcome = Raised(error)
            except anyio.get_cancelled_exc_class():
                await checkpoint_if_cancelled()  # ours; on asyncio a function may raise it by itself, too
                outcome = Raised(LoadCancelledError(letter.key))
            finally:
                del self._letters[letter.key]
                if self._idle is not None and not self._letters:
                    self._idle.set()
            self._note(letter.key, outcome)
            for reply in letter.replies:
                reply.give(outcome)

    def _note(self, key: str, outcome: Outcome) -> None:
        self._done += 1
        if not isinstance(outcome, Raised):
            self._backoffs.pop(key, None)
            return
        self._failed += 1
        logger.warning("the refresh of %r failed; what is stored is served on", key, exc_info=outcome.error)
        now = self._clock.now()
        failures = self._backoffs.pop(key).failures if key in self._backoffs else 0
        if len(self._backoffs) >= INBOX:  # the one that has rested longest is forgotten
            del self._backoffs[next(iter(self._backoffs))]
        pause = min(FIRST_REST * 2 ** min(failures, DOUBLINGS), LONGEST_REST)
        self._backoffs[key] = Backoff(failures + 1, now + pause)

    def resume(self) -> None:
        """Take jobs again."""
        self.draining = False

    async def drain(self) -> None:
        """Take no more jobs, and let those that run end, for a while."""
        self.draining = True
        if self._letters and self._inbox is not None:
            self._idle = anyio.Event()
            with self._clock.move_on_at(self._clock.now() + DRAIN):
                await self._idle.wait()
            self._idle = None

    def statistics(self) -> dict[str, int]:
        """Return how many refreshes wait or run, are done, have failed, and were refused because too many waited."""
        return {"pending": len(self._letters), "done": self._done, "failed": self._failed, "refused": self._refused}

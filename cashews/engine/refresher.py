"""Loads behind the callers' backs: the refresher actor, whose letters are served by a bounded pool of workers.

A key of a function has one letter at a time. The workers wait for one bell, which wakes one of them for each letter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from cashews._log import logger
from cashews.actors.actor import Actor, ActorStatistics, Life
from cashews.actors.later import start_soon
from cashews.actors.loop import Loop
from cashews.actors.mailbox import Letter, Mailbox, SlotBell
from cashews.actors.slots import ReplySlot
from cashews.clock import Clock
from cashews.exceptions import CacheClosedError, LoadCancelledError
from cashews.keys.context import carried, context_values
from cashews.strategies.entry import Outcome, Raised, Unstored

Run: TypeAlias = Callable[[], Awaitable[Outcome]]
Job: TypeAlias = "tuple[object, str]"
"""The owner, the shared loads of a function, and the key of a refresh; an owner has one refresh of a key at a time."""

WORKERS: Final = 16
"""How many refreshes of one cache run at once."""
ROOM: Final = 1024
"""How many refreshes may wait for a worker; with more, the next hit asks again."""
FIRST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds before a key is tried again after its refresh failed: doubled with each failure, up to the longest."""
DOUBLINGS = 6
DRAIN = 5.0
"""Seconds that closing waits for the refreshes that run."""


class Refresh(Letter):
    """The load of a key, with the key context of the call that asked for it; it runs though no caller waits for it."""

    __slots__ = ("begun", "context", "key", "owner", "run")
    told = True

    def __init__(self, owner: object, key: str, run: Run) -> None:
        super().__init__()
        self.owner = owner
        self.key = key
        self.run = run
        self.begun = False
        self.context = context_values()
        """A worker has no key context of its own."""


class Backoff:
    """The failures in a row of a key's refresh, and the instant until which the key is left alone."""

    __slots__ = ("failures", "until")

    def __init__(self, failures: int, until: float) -> None:
        self.failures = failures
        self.until = until


class Refresher(Actor):
    """Runs refreshes in workers with an empty context, which no caller's transaction or cancellation reaches."""

    def __init__(self, clock: Clock, ensure_scope: Callable[[], object]) -> None:
        self._clock = clock
        self._life = Life(self, ensure_scope)
        self._backoffs: dict[Job, Backoff] = {}
        self.draining = False
        """Whether no more refreshes are taken."""
        self._done = self._failed = self._refused = 0
        self.begin()

    def begin(self) -> None:
        self._bell = SlotBell()
        self._mailbox: Mailbox[Refresh] = Mailbox(ROOM, self._bell)
        self._letters: dict[Job, Refresh] = {}
        """The refreshes that wait or run."""
        self._idle: anyio.Event | None = None

    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that the engine has met; refreshes of an earlier loop are gone."""
        self._life.attend(loop)

    # --- posting

    def tell(self, owner: object, key: str, run: Run) -> bool:
        """Have a key refreshed for its owner, a function; says whether it is going to be.

        It is not while its refresh waits or runs already, while it rests after a failure, while too many others wait,
        and while the cache closes.
        """
        job = owner, key
        backoff = self._backoffs.get(job)
        if not self._enter() or job in self._letters or (backoff is not None and backoff.until > self._clock.now()):
            return False
        return self._post(Refresh(owner, key, run))

    def has(self, owner: object, key: str) -> bool:
        """Say whether a refresh of a key waits or runs for its owner."""
        return (owner, key) in self._letters

    async def ask(self, owner: object, key: str, run: Run, *, join: bool) -> Outcome | None:
        """Have a key refreshed for its owner and wait for the outcome; `None` if it was not refreshed.

        :param join: wait for a refresh that has begun, too
        """
        if not self._enter():
            return None
        letter = self._letters.get((owner, key))
        if letter is None or (letter.begun and not join):
            letter = Refresh(owner, key, run)
            if not self._post(letter):
                return None
        slot: ReplySlot[Outcome | None] = self._life.loop.reply_slot()
        letter.replies.append(slot)
        try:
            return await slot
        finally:
            letter.replies.remove(slot)

    def _enter(self) -> bool:
        """Have the workers run, now or soon; says whether they can."""
        if self._life.at_work:
            return True
        try:
            self._life.enter()
        except CacheClosedError:
            return False
        return True

    def _post(self, letter: Refresh) -> bool:
        if self.draining:
            return False
        if self._mailbox.full:
            self._refused += 1
            return False
        self._letters[letter.owner, letter.key] = letter
        self._mailbox.post(letter)
        return True

    # --- working

    async def run(self) -> None:
        """Work until the scope ends."""
        await self._life.run()

    async def work(self) -> None:
        async with anyio.create_task_group() as workers:
            for _ in range(WORKERS):
                start_soon(workers, self._serve, self._mailbox, self._bell, self._letters)

    async def _serve(self, mailbox: Mailbox[Refresh], bell: SlotBell, letters: dict[Job, Refresh]) -> None:
        loop = self._life.loop
        while True:
            for letter in mailbox.take(1):
                self._life.note(1)
                await self._refresh(letter, letters)
            if not mailbox.waiting:
                await bell.wait(loop)

    async def _refresh(self, letter: Refresh, letters: dict[Job, Refresh]) -> None:
        outcome: Outcome | None = None
        letter.begun, job = True, (letter.owner, letter.key)
        try:
            if letter.context:
                with carried(letter.context):
                    outcome = await letter.run()
            else:
                outcome = await letter.run()
        except (GeneratorExit, KeyboardInterrupt):  # of a loop that was closed, and of the user's at the keyboard
            raise
        except BaseException as error:  # noqa: BLE001  SystemExit, too, is this refresh's; a worker outlives it
            # A cancellation of ours ends the worker here. A function may raise one by itself, on asyncio. A loop that
            # cancels all of its tasks at once may reach this one a turn before it reaches our scope.
            await checkpoint()
            outcome = Raised(_failure(error, letter.key))
        finally:
            if letters.get(job) is letter:
                del letters[job]
            if self._idle is not None and not self._letters:
                self._idle.set()
            letter.answer(outcome)  # none: the worker is cancelled, and an asker loads by itself
        if outcome is not None:
            self._note(job, outcome)

    def end(self) -> None:
        letters, self._letters = self._letters, {}
        self._mailbox.waiting.clear()
        for letter in letters.values():
            letter.answer(None)

    def _note(self, job: Job, outcome: Outcome) -> None:
        self._done += 1
        if not isinstance(outcome, (Raised, Unstored)):
            self._backoffs.pop(job, None)
            return
        self._failed += 1
        logger.warning("the refresh of %r failed; what is stored is served on", job[1], exc_info=outcome.error)
        now = self._clock.now()
        failures = self._backoffs.pop(job).failures if job in self._backoffs else 0
        if len(self._backoffs) >= ROOM:  # the one that has rested longest is forgotten
            del self._backoffs[next(iter(self._backoffs))]
        pause = min(FIRST_REST * 2 ** min(failures, DOUBLINGS), LONGEST_REST)
        self._backoffs[job] = Backoff(failures + 1, now + pause)

    def resume(self) -> None:
        """Take refreshes again."""
        self.draining = False

    async def drain(self) -> None:
        """Take no more refreshes, and let those that wait or run end, for a while."""
        self.draining = True
        if self._letters and self._life.takes_letters:
            self._idle = anyio.Event()
            with self._clock.move_on_at(self._clock.now() + DRAIN):
                await self._idle.wait()
            self._idle = None

    def statistics(self) -> dict[str, int]:
        """Return how many refreshes wait or run, are done, have failed, and were refused because too many waited."""
        return {"pending": len(self._letters), "done": self._done, "failed": self._failed, "refused": self._refused}

    @property
    def actor(self) -> ActorStatistics:
        """The figures of the actor."""
        return self._life.statistics("refresher", len(self._mailbox))


def _failure(error: BaseException, key: str) -> Exception:
    """Return the failure of a refresh; one that is no Exception is the cause of it."""
    if isinstance(error, Exception):
        return error
    failure = LoadCancelledError(key)
    failure.__cause__ = error
    return failure

"""Locks in one store: taken in place while nobody waits, else in the order in which the tasks of this process came."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from random import Random

import anyio

from cashews._log import logger
from cashews.actors.loop import Loop, ReplySlot
from cashews.backends.interface import NOT_NOW, Asks
from cashews.clock import Clock
from cashews.engine.coordinator.keeper import HeldLock, Keeper
from cashews.engine.coordinator.queues import LockQueues
from cashews.exceptions import CacheBackendInteractionError, CacheClosedError, LockedError, LockRefusedError
from cashews.messages import HELD, LockTimeLeft, SetLock, Unlock, UnwatchLock, WatchLock

REFUSALS = 3
"""How often a store may refuse a lock that it says is free before waiting is given up."""

PROMPT = 10
"""How often in a row a lock that is free by the time we ask for its holder is tried again without a pause."""

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at a lock whose releases the store does not tell; each pause is twice the last."""

SAFETY_PAUSE = 10.0
"""Seconds between two looks at a lock whose releases the store tells: its message may be lost."""


class Watch:
    """A task that looks at a lock again when it is released."""

    __slots__ = ("_loop", "pause", "released", "told")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.released = anyio.Event()
        self.told = False
        """Whether the releases of other processes set `released`, too."""
        self.pause = FIRST_PAUSE

    def wake(self) -> None:
        """Say that the lock was released; a task of a loop that has ended is not told."""
        if self._loop.here:
            self.released.set()
        else:
            self._loop.post(self.released.set)


@dataclass(slots=True, eq=False)
class Turn:
    """A task in a queue: the place in which it learns that it is the first, and its watch of the lock from then on."""

    reply: ReplySlot[None]
    watch: Watch | None = None


class StoreLocks:
    """Takes, watches, and gives back the locks of one store, or of all stores of an engine.

    A free lock that nobody waits for is taken at once. A task that has to wait joins the lock's queue; the first of a
    queue contends for the lock in its own task, so that middlewares meet the context of the task that wants the lock.
    An unlock, or the end of the holder's lease, wakes it: nobody polls a store that tells of releases.

    :param store: takes the messages: a backend, or the engine where switches and middlewares stand before the stores
    :param outlives: says whether the store of a key holds locks beyond this process
    :param loop: answers the event loop of the calling task
    :param plain: says whether no middleware stands before the store of a key: a middleware may turn the key into
        another one for each caller, so that no caller may rely on the watch of another
    """

    def __init__(
        self,
        store: Asks,
        outlives: Callable[[str], bool],
        *,
        clock: Clock,
        random: Random,
        keeper: Keeper,
        loop: Callable[[], Loop],
        plain: Callable[[str], bool],
    ) -> None:
        self._store = store
        self._outlives = outlives
        self._clock = clock
        self._random = random
        self._keeper = keeper
        self._loop = loop
        self._plain = plain
        self._nonce = f"{random.getrandbits(96):024x}"
        self._numbers = count(1)
        self._queues: LockQueues[Turn] = LockQueues()
        self._watches: dict[str, list[Watch]] = {}
        self.turns = 0
        """How often a lock that is waited for was tried."""

    @property
    def waiting(self) -> int:
        """How many tasks wait for a lock."""
        return len(self._queues)

    @property
    def watching(self) -> int:
        """How many locks somebody looks at again when they are released."""
        return len(self._watches)

    def claim(self, key: str, lease: float, *, renew: bool = True) -> HeldLock:
        """Return a lock that is to be taken, with a token of its own: knowing the token is holding the lock.

        A lock that would be renewed for as long as this process lives needs no lease in a store that ends with it.
        """
        limited = lease if self._outlives(key) or not renew else None
        token = f"{self._nonce}:{next(self._numbers)}"
        return HeldLock(key, token, 0, limited, renewed=renew and limited is not None)

    def until(self, timeout: float | None) -> float:
        """Return the instant at which a timeout that begins now has passed."""
        return math.inf if timeout is None else self._clock.now() + timeout

    def reply_slot(self) -> ReplySlot[None]:
        """Return a place in which the calling task can wait for its turn."""
        return self._loop().reply_slot()

    # --- taking

    def take_in_place(self, lock: HeldLock) -> bool:
        """Take a lock that is free, needs no renewal and that nobody waits for, if the store can do it in place.

        Such a lock is given back with `release_in_place`.
        """
        if lock.renewed or lock.key in self._queues.by_lock:
            return False
        fence = self._store.in_place(SetLock(lock.key, lock.token, lock.lease))
        return fence is not NOT_NOW and fence > 0

    async def take(self, lock: HeldLock) -> bool:
        """Take a lock that is free and that nobody waits for; says whether it was taken."""
        return lock.key not in self._queues.by_lock and await self._try(lock) > 0

    async def wait(self, lock: HeldLock, deadline: float = math.inf) -> None:
        """Take a lock, behind all tasks that wait for it.

        :raises LockedError: if it is not free at the deadline
        :raises LockRefusedError: if the store refuses it though it says that nobody holds it
        """
        if await self.take(lock):
            return
        if deadline == math.inf:
            await self._wait_in_turn(lock)
            return
        started = self._clock.now()
        with self._clock.move_on_at(deadline) as patience:
            await self._wait_in_turn(lock)
        if not lock.fence or patience.cancelled_caught:
            raise LockedError(lock.key, f"it was not free within {deadline - started:.3g} s")

    async def _wait_in_turn(self, lock: HeldLock) -> None:
        turn, taken = Turn(self.reply_slot()), False
        queues = self._queues
        try:
            try:
                if not queues.join(lock.key, turn):
                    await turn.reply
                if turn.watch is None:
                    turn.watch = await self._watch(lock.key)
                taken = await self._until_taken(turn.watch, lock)
            finally:
                await self._pass_on(queues, lock.key, turn)
        except BaseException:
            if taken:  # and cancelled since
                await self.give_back(lock, quietly=True)
            raise
        if not taken:
            raise LockRefusedError(lock.key)

    async def _pass_on(self, queues: LockQueues[Turn], key: str, turn: Turn) -> None:
        """Leave a queue; the heir takes over the watch, if it would ask the store for the same one."""
        heir = queues.leave(key, turn)
        if heir is not None and queues is self._queues:
            if turn.watch is not None and turn.watch.told and self._plain(key):
                heir.watch, turn.watch = turn.watch, None
            heir.reply.give(None)
        if turn.watch is not None:
            await self._unwatch(key, turn.watch)

    async def _until_taken(self, watch: Watch, lock: HeldLock) -> bool:
        refusals = passings = 0
        while refusals < REFUSALS:
            watch.released = anyio.Event()
            self.turns += 1
            answer = await self._try(lock)
            if answer > 0:
                return True
            left = await self._store.ask(LockTimeLeft(lock.key))
            if left is not None:
                await self._wait_for(watch, self._at_most(lock.key, left))
            elif answer != HELD:
                refusals += 1
            else:  # its holder has released it since; time and again only if `LockTimeLeft` is not served
                passings += 1
                if passings > PROMPT:
                    await self._wait_for(watch, LONGEST_PAUSE)
        return False

    async def _try(self, lock: HeldLock) -> int:
        asked = self._clock.now()
        try:
            answer = await self._store.ask(SetLock(lock.key, lock.token, lock.lease))
        except BaseException:
            await self.give_back(lock, quietly=True)  # it may have been taken: its reply was on the way
            raise
        lock.until = math.inf if lock.lease is None else asked + lock.lease
        lock.fence = max(answer, 0)
        if not answer:
            await self.give_back(lock)  # likewise: an outage is answered like a refusal
        return answer

    # --- giving back

    async def release(self, key: str, token: str) -> bool:
        """Give a lock back and wake the first of its waiters; says whether the token held it."""
        try:
            released = await self._store.ask(Unlock(key, token))
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() goes through shields, once; nobody knows whether the lock was free by then.
            await self._store.ask(Unlock(key, token))
            self.wake(key)
            raise
        if released:
            self.wake(key)
        return released

    async def give_back(self, lock: HeldLock, *, quietly: bool = False) -> None:
        """Release a lock after the body it was held for, also when that was cancelled.

        :param quietly: log an outage, so that it does not replace the error that is on its way
        :raises CacheBackendInteractionError: if the store cannot be reached
        """
        with anyio.CancelScope(shield=True), suppress(CacheClosedError):  # a store that is gone took its locks along
            try:
                await self.release(lock.key, lock.token)
            except CacheBackendInteractionError as error:
                if not quietly:
                    raise
                logger.warning("the lock %r could not be given back: %s", lock.key, error)

    def release_in_place(self, lock: HeldLock) -> bool:
        """Give a lock back in place and wake its first waiter, if the store can do it; says whether it could."""
        if self._store.in_place(Unlock(lock.key, lock.token)) is NOT_NOW:
            return False
        self.wake(lock.key)
        return True

    # --- watching

    async def until_free(self, key: str, deadline: float) -> bool:
        """Wait until a lock is free, at the longest until an instant; says whether it is."""
        left = await self._store.ask(LockTimeLeft(key))
        if left is None or deadline <= self._clock.now():
            return left is None
        watch = await self._watch(key)
        try:
            while True:
                watch.released = anyio.Event()
                left = await self._store.ask(LockTimeLeft(key))
                if left is None:
                    return True
                rest = deadline - self._clock.now()
                if rest <= 0:
                    return False
                await self._wait_for(watch, min(self._at_most(key, left), rest))
        finally:
            await self._unwatch(key, watch)

    def wake(self, key: str) -> None:
        """Have the tasks look again that watch a lock."""
        for watch in self._watches.get(key, ()):
            watch.wake()

    def wake_all(self) -> None:
        """Have all tasks look again: a cache that has been closed tells them so."""
        for watches in self._watches.values():
            for watch in watches:
                watch.wake()

    def forget_waiters(self) -> None:
        """Forget the waiters of a loop that has ended."""
        self._queues = LockQueues()
        self._watches = {}

    async def _watch(self, key: str) -> Watch:
        """Be told of the releases of a lock from now on, so that none is missed while the store is asked."""
        watch = Watch(self._loop())
        self._watches.setdefault(key, []).append(watch)
        try:
            watch.told = await self._store.ask(WatchLock(key, watch.wake))
        except BaseException:
            await self._unwatch(key, watch)
            raise
        return watch

    async def _unwatch(self, key: str, watch: Watch) -> None:
        watches = self._watches.get(key, [])
        if watch in watches:  # unless its loop has ended
            watches.remove(watch)
        if not watches:
            self._watches.pop(key, None)
        with anyio.CancelScope(shield=True), suppress(CacheClosedError, CacheBackendInteractionError):
            await self._store.ask(UnwatchLock(key, watch.wake))

    def _at_most(self, key: str, seconds: float) -> float:
        """Return after how many seconds to look again at a lock at the latest."""
        return min(seconds, SAFETY_PAUSE) if self._outlives(key) else seconds

    async def _wait_for(self, watch: Watch, seconds: float) -> None:
        """Wait for a release, as long as the lease lasts; look again before, where the store does not tell."""
        if not watch.told:
            seconds = min(seconds, watch.pause)
            watch.pause = min(2 * watch.pause, LONGEST_PAUSE) * self._random.uniform(0.75, 1.0)
        with self._clock.move_on_at(self._clock.now() + seconds):
            await watch.released.wait()

    # --- leases

    def start_renewing(self, lock: HeldLock, on_loss: Callable[[], object]) -> None:
        """Renew the lease of a lock that was taken, if it was claimed so; calls `on_loss` if the lock is lost."""
        if lock.renewed:
            self._keeper.start(lock, self._store, on_loss)

    def stop_renewing(self, lock: HeldLock) -> None:
        """Renew the lease no more."""
        if lock.renewed:
            self._keeper.stop(lock)

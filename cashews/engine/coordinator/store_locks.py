"""Locks in one store: taken in place while nobody waits, else in the order in which the tasks of this process came."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from random import Random

import anyio

from cashews._dataclass import replace
from cashews._log import logger
from cashews.actors.loop import Loop, SharedReplySlot
from cashews.actors.portal import HOLDER
from cashews.clock import Clock
from cashews.commands import Command
from cashews.engine.coordinator.attempts import AGAIN, PROMPT, REFUSALS, REFUSED, Attempt
from cashews.engine.coordinator.keeper import HeldLock, Keeper
from cashews.engine.coordinator.lock_leases import LockLeases
from cashews.engine.coordinator.lock_stores import LockStores, place_of
from cashews.engine.coordinator.queues import LockQueues
from cashews.engine.coordinator.returns import Returns
from cashews.engine.coordinator.seizing import Seizing, give_token
from cashews.engine.coordinator.task_locks import TaskLocks
from cashews.engine.coordinator.tokens import numbered_token, random_token
from cashews.engine.coordinator.watches import LONGEST_PAUSE, Watch, Watches, WatchTable, briefly
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    CacheError,
    LockedError,
    LockReenteredError,
    LockRefusedError,
)
from cashews.messages import HELD, UNCERTAIN, LockTimeLeft, SetLock, Unlock


class StoreLocks:
    """Takes, watches, and gives back the locks of one store, or of all stores of an engine.

    A free lock that nobody waits for is taken at once. A task that has to wait joins the lock's queue; the first of a
    queue contends for the lock in its own task, so that middlewares meet the context of the task that wants the lock.
    An unlock, or the end of the holder's lease, wakes it: nobody polls a store that tells of releases.

    :param stores: takes the messages: a backend, or the engine where switches and middlewares stand before the stores
    :param loop: answers the event loop of the calling task
    :param task_here: answers the calling task, if its event loop is the one that `loop` has answered last
    :param beside: the same locks, for the tasks of another event loop
    """

    def __init__(
        self,
        stores: LockStores,
        *,
        clock: Clock,
        random: Random,
        keeper: Keeper,
        returns: Returns,
        loop: Callable[[], Loop],
        task_here: Callable[[], object | None],
        beside: StoreLocks | None = None,
    ) -> None:
        self._stores = stores
        self._clock = clock
        self._returns = returns
        self._loop = loop
        self._queues: LockQueues[Attempt] = LockQueues()
        self._watches = Watches(
            stores,
            self._outlives,
            clock=clock,
            random=random,
            loop=loop,
            table=None if beside is None else beside.watch_table,
        )
        self._tasks = TaskLocks(None if beside is None else beside.tasks)
        self._seizing = Seizing(stores, self._tasks, self._watches, task_here)
        self.seize, self.let_go = self._seizing.seize, self._seizing.let_go
        leases = LockLeases(stores, keeper)
        self.start_renewing, self.stop_renewing = leases.start, leases.stop
        self.until_free = self._watches.until_free
        self.wake = self._watches.wake
        self.wake_all = self._watches.wake_all
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

    def _outlives(self, key: str) -> bool:
        return self._stores.backend_of(key).outlives

    def is_off(self, key: str) -> bool:
        """Say whether locking is switched off here and now: then bodies run without their locks."""
        return self._stores.is_off(Command.SET_LOCK, key)

    def claim(self, key: str, lease: float, *, renew: bool = True) -> HeldLock:
        """Return a lock that is to be taken, with a token of its own: knowing the token is holding the lock.

        A lock that would be renewed for as long as this process lives needs no lease in a store that ends with it, if
        the store is in the event loop of the holder.
        """
        limited = lease if not renew or self._stores.backend_of(key).needs_leases else None
        token = numbered_token() if limited is None else random_token()
        return HeldLock(key, token, 0, limited, renewed=renew and limited is not None)

    def until(self, timeout: float | None) -> float:
        """Return the instant at which a timeout that begins now has passed."""
        return math.inf if timeout is None else self._clock.now() + timeout

    @property
    def tasks(self) -> TaskLocks:
        """The locks that tasks of this event loop hold and wait for."""
        return self._tasks

    @property
    def watch_table(self) -> WatchTable:
        """The watches of the locks, by the tasks of every event loop."""
        return self._watches.table

    def reply_slot(self) -> SharedReplySlot[None]:
        """Return a place in which the calling task can wait for its turn; a task of any event loop may give it that."""
        return self._loop().shared_slot()

    # --- the holders

    def task(self) -> object:
        """Return the calling task; the block of a thread stands for all tasks that serve its body."""
        return HOLDER.get() or self._loop().task()

    def note_entered(self, lock: HeldLock) -> None:
        """Note that a body runs, in the calling task, under a lock that was taken."""
        if lock.store is None:
            lock.note_place(*place_of(lock, self._stores))
        self._tasks.note_entered(lock, self.task())

    def note_left(self, lock: HeldLock) -> None:
        """Note that a body has ended."""
        self._tasks.note_left(lock)

    def held_here(self, key: str) -> list[HeldLock]:
        """Return the locks with a key that the calling task holds: more than one if a middleware tells them apart."""
        return [] if self._tasks.is_free(key) else self._tasks.of_task(key, self.task(), self._clock.now())

    # --- taking

    async def acquire(
        self, lock: HeldLock, deadline: float = math.inf, *, wait: bool = True, within: float | None = None
    ) -> None:
        """Take a lock, behind all tasks that wait for it. At the deadline the tries end, too.

        :param wait: wait for the lock if another holds it
        :param within: the seconds that the error names; those until the deadline, if `None`
        :raises LockedError: if another holds it at the deadline, if this task holds it already, or if without a
            deadline its holder waits for a lock of this task
        :raises LockRefusedError: if the store refuses it though nobody holds it, or does not answer
        """
        attempt = Attempt(lock, endless=deadline == math.inf)
        began = self._clock.now()
        if deadline == math.inf:
            await self._acquire(attempt, wait=wait)
            return
        seconds = max(deadline - began, 0.0) if within is None else within
        if deadline <= began:  # there is time for one try, for as long as the store takes for a message
            await self._acquire(attempt, wait=False)
            return
        with self._clock.move_on_at(deadline) as patience:
            await self._acquire(attempt, wait=wait)
        if not lock.fence or patience.cancelled_caught:
            waited = self._clock.now() - began
            if not attempt.answered:
                raise LockRefusedError(lock.key, f"the store did not answer within {seconds:.3g} s", waited)
            raise LockedError(lock.key, f"it was not free within {seconds:.3g} s", waited)

    async def _acquire(self, attempt: Attempt, *, wait: bool) -> None:
        lock, began = attempt.lock, self._clock.now()
        answer = await self._first_try(attempt)
        if answer > 0:
            return
        if self._is_own(lock):
            raise LockReenteredError(lock.key)
        if answer == HELD and not wait:
            raise LockedError(lock.key)
        if answer == REFUSED or not wait or await self._wait(attempt) == REFUSED:
            raise LockRefusedError(lock.key, waited=self._clock.now() - began)

    async def _first_try(self, attempt: Attempt) -> int:
        key = attempt.lock.key
        wanted = self.watch_table.is_wanted(key)
        if wanted and (self._stores.is_plain(key) or not self.held_here(key)):
            attempt.answered = True
            return HELD
        return await self._try(attempt)

    def _is_own(self, lock: HeldLock) -> bool:
        """Say whether the calling task holds the very lock that it wants: of this key, or of its key in the store."""
        mine = self.held_here(lock.key)
        plain = bool(mine) and self._stores.is_plain(lock.key)
        return any(plain or (held.store, held.stored_key) == (lock.store, lock.stored_key) for held in mine)

    async def _wait(self, attempt: Attempt) -> int:
        if not attempt.endless:
            return await self._wait_in_turn(attempt)
        place = place_of(attempt.lock, self._stores)
        with self._tasks.waiting(attempt.lock.key, place, self.task()):
            return await self._wait_in_turn(attempt)

    async def _wait_in_turn(self, attempt: Attempt) -> int:
        """Wait for a lock in its queue; answers the fencing number, or `REFUSED`."""
        lock, answer = attempt.lock, HELD
        attempt.reply, attempt.arrival = self._loop().reply_slot(), next(self.watch_table.arrivals)
        queues = self._queues  # from here on: they are new if those before belonged to a loop that has ended
        try:
            try:
                if queues.join(lock.key, attempt):
                    attempt.watch = self._watches.add(lock.key, attempt.arrival)
                elif not await attempt.reply:
                    return REFUSED
                assert attempt.watch is not None
                answer = await self._until_answered(attempt, attempt.watch)
            finally:
                await self._pass_on(queues, attempt, answer)
        except BaseException:
            if answer > 0:  # and cancelled since
                await self.give_back(lock, quietly=True)
            raise
        return answer

    async def _pass_on(self, queues: LockQueues[Attempt], attempt: Attempt, answer: int) -> None:
        """Leave a queue; the heir takes over the watch, if it would ask the store for the same one.

        A store that refuses the lock refuses it to the whole queue: nobody waits for an outage behind another.
        """
        key, watch, plain = attempt.lock.key, attempt.watch, self._stores.is_plain(attempt.lock.key)
        heir = queues.leave(key, attempt) if attempt in queues.by_lock.get(key, ()) else None
        if watch is not None:
            watch.arrival = math.inf
        if heir is not None and queues is self._queues:
            if answer == REFUSED and plain:
                for other in queues.by_lock.pop(key):
                    other.reply.give(False)
            else:
                if watch is not None and watch.told and plain:
                    heir.watch, watch = watch, None
                    heir.watch.arrival = heir.arrival
                else:
                    heir.watch = self._watches.add(key, heir.arrival)
                heir.reply.give(True)
        if answer <= REFUSED:  # the next may be a task of another loop
            self.wake(key)
        if watch is not None:
            await self._watches.unwatch(key, watch)

    async def _until_answered(self, attempt: Attempt, watch: Watch) -> int:
        """Try a lock whenever it may be free and nobody came before; answers the fencing number, or `REFUSED`."""
        key, refusals, passings = attempt.lock.key, 0, 0
        if not watch.told:
            await self._watches.listen(key, watch)
        while refusals < REFUSALS:
            watch.released = anyio.Event()
            self.turns += 1
            is_next = not self.watch_table.is_wanted(key, before=attempt.arrival)
            answer = await self._try(attempt) if is_next else HELD
            if answer >= REFUSED:
                return answer
            left = await self._stores.ask(LockTimeLeft(key))
            if left is not None:
                await self._watches.wait(key, watch, left)
            elif answer == AGAIN:
                refusals += 1
            else:  # its holder has released it since; time and again only if `LockTimeLeft` is not served
                passings += 1
                if passings > PROMPT or not is_next:
                    await self._watches.wait(key, watch, LONGEST_PAUSE)
        return REFUSED

    async def _try(self, attempt: Attempt) -> int:
        """Try a lock; answers the fencing number, `HELD`, `REFUSED` or `AGAIN`."""
        lock, asked = attempt.lock, self._clock.now()
        try:
            answer = await self._stores.ask(SetLock(lock.key, lock.token, lock.lease, lock))
        except BaseException:
            await self._disown(lock)  # it may have been taken: its reply was on the way
            raise
        attempt.answered = True
        lock.until = math.inf if lock.lease is None else asked + lock.lease
        lock.fence = max(answer, 0)
        if answer in {REFUSED, UNCERTAIN}:  # likewise: a script may have been refused after its first command
            return AGAIN if await self._disown(lock, certain=answer == REFUSED) else REFUSED
        return answer

    # --- giving back

    async def release(self, key: str, token: str) -> bool:
        """Give a lock back and wake the first of its waiters; says whether the token held it."""
        try:
            released = await self._stores.ask(Unlock(key, token))
        except anyio.get_cancelled_exc_class():
            # asyncio's own Task.cancel() goes through shields, once; nobody knows whether the lock was free by then.
            await self._stores.ask(Unlock(key, token))
            self.wake(key)
            raise
        if released:
            self.wake(key)
        return released

    async def give_back(self, lock: HeldLock, *, quietly: bool = False) -> None:
        """Release a lock after the body it was held for, also when that was cancelled.

        It is released past a switch or a middleware that does not let that through. If its store is out of reach, it
        is released once the store is back.

        :param quietly: log a failure, so that it does not replace the error that is on its way
        :raises CacheBackendInteractionError: if the store cannot be reached
        """
        released, failure = False, None
        with anyio.CancelScope(shield=True):
            try:
                released = await self.release(lock.key, lock.token)
            except CacheClosedError:  # a store that is gone took its locks along
                return
            except Exception as error:  # noqa: BLE001  of a middleware, perhaps; it is raised below
                failure = error
            except BaseException:
                self._returns.add(lock, self._give_back_directly)
                raise
            if not released and not lock.lost and lock.until > self._clock.now():
                await self._give_back_anyhow(lock)
        if failure is not None:
            if not quietly:
                raise failure
            logger.warning("the lock %r was given back, but not by its command: %s", lock.key, failure)

    async def _give_back_anyhow(self, lock: HeldLock) -> None:
        """Release a lock whose release was declined: by a switch, by a middleware, or because of an outage."""
        key = lock.key
        barred = self._stores.is_off(Command.UNLOCK, key) or not self._stores.is_plain(key)
        if not barred or await self._give_back_directly(lock) is None:
            self._returns.add(lock, self._give_back_directly)

    async def _disown(self, lock: HeldLock, *, certain: bool = False) -> bool:
        """Release a lock that may have been taken, and give it a new token; says whether its store answers.

        :param certain: the store has answered, so no letter that takes the lock can be on its way
        """
        doubtful, lock.token = replace(lock), random_token()
        released = None
        try:
            with briefly(self._clock), suppress(CacheError):
                released = await self._give_back_directly(doubtful)
        finally:
            if released is None or not (released or certain):
                self._returns.add(doubtful, self._give_back_directly)
        return released is not None

    async def _give_back_directly(self, lock: HeldLock) -> bool | None:
        """Release a lock past switches and middlewares; `None` if the store does not answer."""
        store, key = place_of(lock, self._stores)
        try:
            released = await store.ask(Unlock(key, lock.token), strict=True)
        except CacheClosedError:
            return True
        except CacheBackendInteractionError:
            return None
        if released:
            self.wake(lock.key)
        return released

    def forget_tasks(self) -> None:
        """Forget the waiters of a loop that has ended, and free the locks that its tasks held for as long as it ran."""
        self._queues = LockQueues()
        self._watches.forget()
        for lock in self._tasks.forget_all():
            self._free(lock)

    def _free(self, lock: HeldLock) -> None:
        store, key = place_of(lock, self._stores)
        unlock = store.turns_here.get(Unlock)
        if lock.lease is None and unlock is not None:
            lock.lost = True
            give_token(lock)
            unlock(Unlock(key, lock.token), self._clock.now())
            self.wake(lock.key)

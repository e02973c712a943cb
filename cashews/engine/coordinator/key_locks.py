"""Key locks of one transaction on one store: in this process, and on shared stores against other processes, too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Collection, Iterable
from contextlib import AbstractContextManager, asynccontextmanager, suppress
from heapq import merge
from itertools import islice
from typing import TypeAlias

import anyio
from anyio.lowlevel import checkpoint

from cashews._log import logger
from cashews._steps import STEP
from cashews.actors.slices import in_slices
from cashews.backends.interface import Backend
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.wait_graph import KeyWaiter
from cashews.engine.routes import Route
from cashews.exceptions import CacheBackendInteractionError, CacheError, LockedError
from cashews.messages import TRANSACTION, CommitOutcome, LoadPermit

Held: TypeAlias = "dict[str, HeldLock | None]"
"""Locked keys, each with its lock in a shared store; `None` if it is locked in this process alone."""


class BranchOwner(ABC):
    """A transaction, as its branches and their locks see it."""

    __slots__ = ("lost_key",)
    isolated: bool
    """Whether keys are locked."""
    timeout: float
    deadline: float
    lost_key: str  # it was given to another transaction, since the event loop of this one did not run

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the event loop runs that will give the keys back."""

    @abstractmethod
    def locks_of(self, route: Route) -> StoreLocks:
        """Return the locks in the store of a route, for the tasks of the calling event loop."""

    @abstractmethod
    def patience(self) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that is cancelled when the timeout has passed."""

    @abstractmethod
    def check(self) -> None:
        """Go on, if the transaction has not ended.

        :raises TransactionError: if it has
        """

    @abstractmethod
    def hold_permit(self, permit: LoadPermit) -> None:
        """Have a load's permit live until the value that was written under it is applied."""


class KeyLocks:
    """Takes the locks of keys for one transaction, and gives them back.

    A key is taken from the other transactions of this process first, by the wait graph; then, on a store that other
    processes use, too, by a lock in the store, for which one transaction of this process at most contends. A key that
    is only written has no lock in the store: the commit is refused if another has one.
    """

    __slots__ = (
        *("_arriving", "_graph", "_in_place", "_in_store", "_isolated", "_now", "_owner", "_route", "_store_locks"),
        *("held", "shared", "turn"),
    )

    def __init__(self, owner: BranchOwner, route: Route, now: Callable[[], float]) -> None:
        self._owner = owner
        self._route = route
        self._now = now
        self._isolated = owner.isolated
        self._graph = route.graph
        self.shared = route.outlives
        """Whether other processes use the store, too."""
        self.held: Held = {}
        """The keys that are locked; changed here alone."""
        self._arriving: dict[str, anyio.Event] = {}
        """Keys that one of the transaction's tasks is about to take or to release; its other tasks wait for it."""
        self.turn = ""
        """The lock that lets one transaction run at a time, if it is one of a shared store."""
        self._in_store = False
        """Whether keys that are only written are locked in the store at once, too."""
        self._in_place = not self.shared or route.backend.acts_as_one
        """Whether a key may be locked in place, before it is written."""
        self._store_locks: StoreLocks | None = None

    @property
    def _store(self) -> Backend:
        return self._route.backend

    @property
    def _locks(self) -> StoreLocks:
        """The locks in the store, for the tasks of the event loop that has asked for them first."""
        locks = self._store_locks
        if locks is None:
            locks = self._store_locks = self._owner.locks_of(self._route)
        return locks

    # --- taking

    async def lock(self, keys: Collection[str]) -> bool:
        """Lock keys until the end, in an order that all transactions share; says whether that took a wait.

        :raises LockedError: if that would be a deadlock, or takes longer than the transaction's timeout
        """
        if not self._isolated:
            return False
        if self.turn and keys:
            await self.begin_reading()
        return await self._lock(keys, there=self.shared)

    async def lock_to_write(self, keys: Collection[str]) -> None:
        """Lock keys that are written whatever they hold. Raises the errors of `lock`."""
        await self._lock(keys, there=self._in_store)

    async def _lock(self, keys: Collection[str], *, there: bool) -> bool:
        waited, held = False, None
        while held is not self.held:  # while a task waits, a commit of another task may give back the keys held by then
            held, ordered = self.held, await _in_order(keys)
            self._owner.check()
            for count, key in enumerate(ordered, start=1):
                if not (self._is_held(key, there=True) if there else self.lock_in_place(key)):
                    await self.hold(key, there=there)
                    waited = True
                if not count % STEP:
                    await checkpoint()
                    self._owner.check()
        return waited

    def lock_in_place(self, key: str) -> bool:
        """Lock a key to write it, if nothing has to be waited for; says whether it is locked, or need not be."""
        if not self._isolated or key in self.held:
            return True
        if not self._in_place or key in self._arriving or not self._graph.take(key, self._owner):
            return False
        self.held[key] = None
        return True

    async def lock_in_store(self) -> None:
        """Lock keys that are only written in the store as well, those of before and those to come.

        A proof of patterns rests on that: no other transaction reads such a key between the proof and the commit.
        """
        if self._in_store or not self.shared:
            return
        self._in_store, self._in_place = True, False
        try:
            await self.lock(tuple(self.held))
        except BaseException:  # the next read by a pattern has to do it
            self._in_store = False
            raise

    @property
    def isolated(self) -> bool:
        """Whether keys are locked at all."""
        return self._isolated

    async def take_turn(self, name: str) -> None:
        """Take the lock that lets one transaction run at a time; in a shared store before anything is read there."""
        self._owner.check()  # a task that has waited for the name may be late
        if not self.lock_in_place(name):
            await self.hold(name, there=False)
        self.turn = name if self.shared else ""

    async def begin_reading(self) -> None:
        """Take the turn in the store as well, if there are turns: a transaction may read during its turn alone."""
        if self.turn:
            await self.hold(self.turn, there=True)

    def _is_held(self, key: str, *, there: bool) -> bool:
        return key in self.held and not (there and self.held[key] is None)

    async def hold(self, key: str, *, there: bool) -> None:
        """Lock a key, in this process and perhaps in the store as well; unless it is locked so already.

        :raises CrossSlotError: if it does not lie together with the keys that are locked
        """
        while not self._is_held(key, there=there):
            self._owner.check()
            arriving = self._arriving.get(key)
            if arriving is None:
                await self._take(key, there=there)
            else:
                await arriving.wait()
                self._owner.check()

    async def _take(self, key: str, *, there: bool) -> None:
        for other in islice(self.held, 1):  # all that are held lie together
            self._store.check_together(other, key)
        held, is_new = self.held, key not in self.held
        self._arriving[key] = arrived = anyio.Event()
        try:
            if is_new:
                await self._take_in_process(key)
            lock = await self._take_there(key, is_new=is_new) if there else None
            if is_new or held is self.held:
                self.held[key] = lock
            elif lock is not None:  # a commit of another task has given the key back to this process
                await self.give_back([lock])
        finally:
            self._end_arriving(key, arrived)
            arrived.set()

    def _end_arriving(self, key: str, arrived: anyio.Event) -> None:
        if self._arriving.get(key) is arrived:
            del self._arriving[key]

    async def _take_in_process(self, key: str) -> None:
        owner, graph = self._owner, self._graph
        if graph.take(key, owner):
            return
        holder = graph.holder(key)
        if isinstance(holder, BranchOwner) and not holder.alive:
            holder.lost_key = key  # its loop may go on
            self._hand_over(graph.release(key, holder))
        began = self._now()
        with owner.patience() as patience:
            await self._wait_in_process(key)
        if patience.cancelled_caught:
            raise LockedError(key, f"it was not free within {owner.timeout:g} s", self._now() - began)
        try:
            owner.check()
        except BaseException:  # the transaction has ended meanwhile: nobody else would give the key back
            self._release_in_process(key)
            raise

    async def _wait_in_process(self, key: str) -> None:
        waiter = self._graph.join(key, self._owner, self._locks.reply_slot())
        if waiter is None:
            return
        try:
            await waiter.reply
        except BaseException:
            if waiter.handed:  # and cancelled since
                self._release_in_process(key)
            raise
        finally:
            self._graph.leave(waiter)

    async def _take_there(self, key: str, *, is_new: bool) -> HeldLock:
        try:
            lock = await self._take_in_store(key)
            try:
                self._owner.check()
            except BaseException:
                await self.give_back([lock])
                raise
        except BaseException:
            if is_new:
                self._release_in_process(key)
            raise
        return lock

    async def _take_in_store(self, key: str) -> HeldLock:
        lock = self._locks.claim(key + TRANSACTION, self._owner.timeout)
        try:
            await self._locks.acquire(lock, self._owner.deadline, within=self._owner.timeout)
        except BaseException:
            if lock.fence:
                await self._locks.give_back(lock)
            raise
        self._locks.start_renewing(lock, _leave_it_to_the_commit)
        return lock

    # --- the commit

    async def claims(self, held: Held, *, writing: bool) -> tuple[tuple[str, str], ...]:
        """Return the locks of a commit with their tokens; if it writes, also those that nobody may hold, without.

        :raises CacheBackendInteractionError: if an earlier commit is in doubt, and the store does not answer
        """
        if not self.shared:
            return ()
        await self._route.doubts.end(self._store)
        return tuple(
            [
                (key + TRANSACTION, "") if lock is None else (lock.key, lock.token)
                async for key, lock in in_slices(held.items())
                if writing or lock is not None
            ]
        )

    async def take_rest(self, held: Held) -> None:
        """Take those locks in the store which detached keys do not have, the turn first."""
        rest = [key for key, lock in held.items() if lock is None]
        for key in sorted(rest, key=lambda key: (key != self.turn, key)):
            held[key] = await self._take_in_store(key)

    # --- giving back

    def detach(self) -> Held:
        """Hold nothing from now on, and return the locks held so far: the caller gives them back."""
        held, self.held = self.held, {}
        return held

    @property
    def releases_in_place(self) -> bool:
        """Whether the keys may be given back in one turn: they are few, and of a store that no other process uses."""
        return not self.shared and len(self.held) <= STEP

    def release(self) -> None:
        """Give all keys back, if that is done in place."""
        if self.held:
            held, self.held = self.held, {}
            for waiter in self._graph.release_all(held, self._owner):
                waiter.reply.give(None)

    def _release_in_process(self, key: str) -> None:
        self._hand_over(self._graph.release(key, self._owner))

    @staticmethod
    def _hand_over(waiter: KeyWaiter | None) -> None:
        if waiter is not None:
            waiter.reply.give(None)

    @asynccontextmanager
    async def releasing(self, held: Held) -> AsyncGenerator[None]:
        """Give keys back to this process at the end of the block; until then the transaction's other tasks wait."""
        released = anyio.Event()
        self._arriving.update(dict.fromkeys(held, released))
        try:
            yield
        finally:
            keys = iter(held)
            try:
                with anyio.CancelScope(shield=True):
                    async for key in in_slices(keys):
                        self._give_back_here(key, released)
            finally:  # asyncio's own Task.cancel() goes through shields, once: the rest goes in one turn
                for key in keys:
                    self._give_back_here(key, released)
                released.set()

    def _give_back_here(self, key: str, released: anyio.Event) -> None:
        self._end_arriving(key, released)
        self._release_in_process(key)

    async def settle(self, held: Held, outcome: CommitOutcome, letter: str) -> None:
        """Give the locks in the store back after a commit, unless the commit has done so.

        :param letter: the name of the commit, if nothing but that can keep it from being served late
        """
        locks = [lock for lock in held.values() if lock is not None]
        if outcome is CommitOutcome.COMMITTED:
            await self._note_released(locks)
            return
        if outcome is CommitOutcome.UNKNOWN and letter:
            self._route.doubts.add(letter)
        await self.give_back(locks)
        with suppress(CacheError):  # then it is told so before the next transaction
            await self._route.doubts.end(self._store)

    async def _note_released(self, locks: list[HeldLock]) -> None:
        """Take note that a commit has given locks back in the store."""
        async for lock in in_slices(locks):
            self._locks.stop_renewing(lock)
            self._locks.wake(lock.key)

    async def give_back(self, locks: list[HeldLock]) -> None:
        """Give locks back in the store, the last one first; one that fails does not keep the others.

        Such a lock, of a store that is out of reach, is free when its lease ends.
        """
        interrupted: BaseException | None = None
        for lock in reversed(locks):
            self._locks.stop_renewing(lock)
            try:
                await self._locks.give_back(lock)
            except CacheBackendInteractionError as error:
                logger.warning("the lock %r could not be given back before its lease ends: %s", lock.key, error)
            except BaseException as error:  # noqa: BLE001  raised below
                interrupted = error
        if interrupted is not None:
            raise interrupted


async def _in_order(keys: Collection[str]) -> Iterable[str]:
    """Return keys in their order; many are sorted in slices, between which other tasks run."""
    if len(keys) <= STEP:
        return sorted(keys)
    given, sorted_slices = iter(keys), list[list[str]]()
    while part := sorted(islice(given, STEP)):
        sorted_slices.append(part)
        await checkpoint()
    return merge(*sorted_slices)


def _leave_it_to_the_commit() -> None:
    """Do nothing: the commit compares the tokens, and finds out that a lock was lost."""

"""The locks of a transaction on one store: here against other transactions, there against other processes."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import AbstractContextManager, contextmanager
from typing import Final, Protocol

import anyio

from cashews._log import logger
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.queues import LockQueues
from cashews.engine.coordinator.wait_graph import WaitGraph
from cashews.exceptions import CacheBackendInteractionError, LockedError
from cashews.messages import LoadPermit

SUFFIX: Final = ":transaction"
"""What follows a key in the name of the lock that protects it."""
NAMED: Final = 3
"""How many locks an error names."""


class Terms(Protocol):
    """What a branch has to know of its transaction."""

    isolated: bool
    """Whether keys are locked."""
    timeout: float
    deadline: float

    def patience(self) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that is cancelled when the timeout has passed."""
        ...

    def check(self) -> None:
        """Raise TransactionError if the transaction has ended."""
        ...

    def adopt(self, permit: LoadPermit) -> None:
        """Have a permit live until what is kept under it is applied."""
        ...


class Holdings:
    """Takes the locks of keys, and gives them back."""

    __slots__ = ()
    _terms: Terms
    _queues: LockQueues
    _graph: WaitGraph
    _outlives: bool
    """Whether other processes use the store, too."""
    _held: dict[str, HeldLock | None]
    """The locked keys, with their locks in such a store."""
    _arriving: dict[str, anyio.Event]
    """The keys that one of our tasks is about to lock, or to release; the others wait for it."""

    async def lock(self, keys: Iterable[str]) -> None:
        """Lock keys until the end, in an order that all transactions share.

        :raises LockedError: if that would be a deadlock, or takes longer than the transaction's timeout
        """
        ordered, waited = sorted(keys), True
        while waited:  # for whoever has waited may have lost others meanwhile, to a commit of another task
            waited = False
            for key in ordered:
                if not self._lock_in_place(key):
                    await self.hold(key)
                    waited = True

    def _lock_in_place(self, key: str) -> bool:
        """Lock a key, if nothing has to be waited for; says whether it is locked, or does not have to be."""
        if not self._terms.isolated or key in self._held:
            return True
        if self._outlives or key in self._arriving or not self._graph.take(key, self._terms):
            return False
        self._held[key] = None
        return True

    async def hold(self, key: str) -> None:
        """Take the lock of a key, here and, if others use the store, there; unless it is held already."""
        while (arriving := self._arriving.get(key)) is not None:
            await arriving.wait()
            self._terms.check()
        if key in self._held:
            return
        self._arriving[key] = arrived = anyio.Event()
        try:
            await self._take_in_process(key)
            self._held[key] = await self._take_in_store(key) if self._outlives else None
        finally:
            del self._arriving[key]
            arrived.set()

    async def _take_in_process(self, key: str) -> None:
        terms, graph = self._terms, self._graph
        if graph.take(key, terms):
            return
        with terms.patience() as patience:
            await graph.wait(key, terms)
        if patience.cancelled_caught:
            raise LockedError(key, f"it was not free within {terms.timeout:g} s")
        self._check_or_release(key)

    def _check_or_release(self, key: str) -> None:
        """Go on, unless the transaction has ended meanwhile: nobody would give the lock back then."""
        try:
            self._terms.check()
        except BaseException:
            self._graph.release(key)
            raise

    async def _take_in_store(self, key: str) -> HeldLock:
        lock = self._queues.claim(key + SUFFIX, self._terms.timeout)
        try:
            await self._queues.wait(lock, self._terms.deadline)
            self._terms.check()
        except BaseException:
            self._graph.release(key)
            if lock.fence:
                await self._queues.give_back(lock)
            raise
        self._queues.keep(lock, _note)
        return lock

    @contextmanager
    def _releasing(self, held: Iterable[str]) -> Generator[None]:
        """Release here at the end of the block; until then our other tasks wait for the keys."""
        released = anyio.Event()
        self._arriving.update(dict.fromkeys(held, released))
        try:
            yield
        finally:
            for key in held:
                del self._arriving[key]
                self._graph.release(key)
            released.set()

    def _note_released(self, locks: list[HeldLock]) -> None:
        for lock in locks:
            self._queues.drop(lock)
            self._queues.wake(lock.key)

    async def _give_back(self, locks: list[HeldLock]) -> None:
        """Give locks back, the last one first, whatever becomes of the others; what cannot be reached has its lease."""
        interrupted: BaseException | None = None
        for lock in reversed(locks):
            self._queues.drop(lock)
            try:
                await self._queues.give_back(lock)
            except CacheBackendInteractionError as error:
                logger.warning("the lock %r could not be given back before its lease ends: %s", lock.key, error)
            except BaseException as error:  # noqa: BLE001  raised below
                interrupted = error
        if interrupted is not None:
            raise interrupted


def _note() -> None:
    """Leave it to the commit to find out that a lock was lost."""

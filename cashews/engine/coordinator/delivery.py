"""The delivery of the writes of a branch to a store that has to be waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

from cashews import messages as m
from cashews._log import logger
from cashews.actors.slices import in_slices
from cashews.backends.interface import Backend
from cashews.engine.coordinator.doubts import Doubts
from cashews.engine.coordinator.key_locks import KeyLocks
from cashews.engine.coordinator.overlay import MOMENT, Overlay, later
from cashews.exceptions import CacheBackendInteractionError, LockLostError, LockRefusedError

NAMED: Final = 3
"""How many locks an error names."""


class Delivery:
    """One commit of a branch: the store compares the tokens of the locks, and applies the writes in the same turn.

    It detaches the locks that are held now; commands that come meanwhile belong to the time after the commit.
    """

    __slots__ = ("_held", "_letter", "_locks", "_now", "_overlay", "_store", "outcome")

    def __init__(self, store: Backend, locks: KeyLocks, overlay: Overlay, now: Callable[[], float]) -> None:
        self._store = store
        self._locks = locks
        self._overlay = overlay
        self._now = now
        self._held = held = locks.detach()
        is_without_locks = locks.shared and not any(held.values())
        self._letter = Doubts.name_beside(next(iter(held))) if held and is_without_locks else ""
        """The name of a commit that holds no lock in the store: it is refused by that name if it comes late."""
        self.outcome = m.CommitOutcome.ABORTED

    async def run(self) -> None:
        """Apply the writes, and give the locks back.

        :raises LockLostError: if a lock was lost; nothing is applied then
        :raises LockedError: if others hold a lock of a key that was only written, for too long
        :raises CacheBackendInteractionError: if the store fails, and does not suppress that
        """
        held, locks = self._held, self._locks
        async with locks.releasing(held):
            try:
                await self._commit()
            except (CacheBackendInteractionError, LockRefusedError) as error:
                if not self._store.suppresses:
                    raise
                logger.error("a transaction was not committed: %s", error)
            finally:
                await locks.settle(held, self.outcome, self._letter)
        if self.outcome is m.CommitOutcome.LOST:
            self.outcome = m.CommitOutcome.ABORTED
            raise LockLostError(" or ".join([lock.key for lock in held.values() if lock is not None][:NAMED]))

    async def _commit(self) -> None:
        """Commit; if others hold locks of keys that were only written, wait for these locks and commit again."""
        if await self._attempt() is m.CommitOutcome.LOST:
            self.outcome, self._letter = m.CommitOutcome.ABORTED, ""
            await self._locks.take_rest(self._held)
            await self._attempt()

    async def _attempt(self) -> m.CommitOutcome:
        message = await self._message()
        if message.writes or message.tags or message.locks:
            try:
                self.outcome = await self._store.ask(message)
            except CacheBackendInteractionError as error:
                if error.unknown:
                    self.outcome = m.CommitOutcome.UNKNOWN
                raise
            except anyio.get_cancelled_exc_class():  # asyncio's own Task.cancel() goes through shields, once
                self.outcome = m.CommitOutcome.UNKNOWN
                raise
        else:
            self.outcome = m.CommitOutcome.COMMITTED
        return self.outcome

    async def _message(self) -> m.Commit:
        began = self._now()
        writes = [write async for write in in_slices(self._overlay.writes(began))]
        passed = self._now() - began
        if passed > MOMENT:
            writes = [later(write, passed) async for write in in_slices(writes)]
        tags = tuple(self._overlay.deleted_tags)
        locks = await self._locks.claims(self._held, writing=bool(writes or tags))
        if locks and self._letter:
            locks += ((self._letter, ""),)
        return m.Commit(locks, tuple(writes), tags)

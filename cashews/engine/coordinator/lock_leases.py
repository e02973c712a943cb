"""The leases of locks: renewed by the keeper for as long as their bodies run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from cashews._log import logger
from cashews.commands import Command
from cashews.engine.coordinator.keeper import HeldLock, Keeper
from cashews.engine.coordinator.lock_stores import LockStores, place_of
from cashews.exceptions import CacheError
from cashews.messages import RenewLock


class LockLeases:
    """Begins and ends the renewal of leases, and renews one when the keeper says so."""

    def __init__(self, stores: LockStores, keeper: Keeper) -> None:
        self._stores = stores
        self._keeper = keeper

    def start(self, lock: HeldLock, on_loss: Callable[[], object]) -> None:
        """Renew the lease of a lock that was taken, if it was claimed so; calls `on_loss` if the lock is lost."""
        if lock.renewed:
            self._keeper.start(lock, self._renew, on_loss)

    def stop(self, lock: HeldLock) -> None:
        """Renew the lease no more."""
        if lock.renewed:
            self._keeper.stop(lock)

    async def _renew(self, lock: HeldLock) -> bool | None:
        """Ask for another lease, past a switch or a middleware that does not let that through."""
        lease, key = lock.lease or 0.0, lock.key
        try:
            renewed = await self._stores.ask(RenewLock(key, lock.token, lease))
        except CacheError:  # an outage that is not suppressed; the lease lasts a while yet
            renewed = None
        except Exception:  # noqa: BLE001  of a middleware: it is no failure of the engine
            logger.exception("the lock %r could not be renewed", key)
            renewed = None
        if renewed is None and (self._stores.is_off(Command.SET_LOCK, key) or not self._stores.is_plain(key)):
            store, key = place_of(lock, self._stores)
            with suppress(CacheError):
                renewed = await store.ask(RenewLock(key, lock.token, lease), strict=True)
        return renewed

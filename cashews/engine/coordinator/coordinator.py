"""The coordinator actor: the waiters for locks and keys, and the leases that are renewed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple
from weakref import WeakSet

import anyio
from anyio.lowlevel import checkpoint

from cashews.actors.later import start_soon
from cashews.actors.loop import Loop, current_loop
from cashews.clock import Clock
from cashews.engine.coordinator.keeper import Keeper
from cashews.engine.coordinator.lock_stores import LockStores
from cashews.engine.coordinator.returns import Returns
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.wait_graph import KeyWaiter, WaitGraph

LAST_STEPS = 100
"""How often the tasks that wait for locks get their turn when the cache is closed."""


class CoordinatorStatistics(NamedTuple):
    """A snapshot of the coordinator, with the six figures that every actor has."""

    name: str
    waiting: int
    """Tasks that wait for a lock, or for a key of a transaction."""
    batches: int
    """How often leases were due."""
    largest_batch: int
    """The most leases that were due at once."""
    turns: int
    """Tries for a lock that was waited for, and renewals of leases."""
    restarts: int


class Coordinator:
    """Owns the queues of waiters, the wait-for graph of transactions, and the leases of one engine.

    Its turns are served in place, each in the task that wants or has a lock: joining a queue, taking a key, handing one
    over. Its own tasks renew leases, and give locks back to stores that were out of reach.

    :param beside: the coordinator of another event loop of the same cache
    """

    def __init__(
        self, clock: Clock, random: Random, ensure_scope: Callable[[], object], beside: Coordinator | None = None
    ) -> None:
        self._clock = clock
        self._random = random
        self._keeper = Keeper(clock, ensure_scope)
        self._returns = Returns(clock, ensure_scope)
        self._stores: WeakSet[StoreLocks] = WeakSet()
        """The locks of all stores; those of a store that was replaced go with their last holder."""
        self._waits: dict[object, list[KeyWaiter]] = {} if beside is None else beside._waits  # noqa: SLF001  of the same class
        """The waiters for keys of all event loops: a deadlock is found wherever its transactions run."""
        self._is_first = beside is None
        self._loop: Loop | None = None

    def locks_of(self, stores: LockStores, beside: StoreLocks | None = None) -> StoreLocks:
        """Return the locks of a store, or of all stores of an engine.

        :param beside: the same locks, of the coordinator of another event loop
        """
        locks = StoreLocks(
            stores,
            clock=self._clock,
            random=self._random,
            keeper=self._keeper,
            returns=self._returns,
            loop=self.loop,
            task_here=self.task_here,
            beside=beside,
        )
        self._stores.add(locks)
        return locks

    def wait_graph(self) -> WaitGraph:
        """Return the keys of a store, for the transactions of this process."""
        return WaitGraph(self._waits)

    def loop(self) -> Loop:
        """Return the event loop of the calling task, in which it may wait."""
        loop = self._loop
        if loop is None or not loop.here:
            if loop is not None:
                self.forget_tasks()
            self._loop = loop = current_loop()
        return loop

    def task_here(self) -> object | None:
        """Return the calling task, if it runs in the loop of the tasks that wait for locks and hold them."""
        loop = self._loop
        return None if loop is None else loop.task_here()

    def forget_tasks(self) -> None:
        """Begin anew after the end of the loop: its tasks will never leave the queues, nor give their locks back."""
        for locks in list(self._stores):
            locks.forget_tasks()
        for waiters in list(self._waits.values()):
            for waiter in waiters.copy():
                if not waiter.reply.awaited:
                    waiter.graph.leave(waiter)

    async def run(self) -> None:
        """Renew leases, and give locks back that could not be given back before, until the scope ends."""
        async with anyio.create_task_group() as tasks:
            start_soon(tasks, self._returns.run)
            await self._keeper.run()

    async def let_waiters_go(self) -> None:
        """Have all waiters look again: those of a cache that is being closed end their wait.

        They learn of it now, before the cache may be opened again by its next use.
        """
        for _ in range(LAST_STEPS):
            for locks in list(self._stores):
                locks.wake_all()
            if not self.waiting_for_locks:
                return
            await checkpoint()

    @property
    def leases(self) -> int:
        """How many leases are renewed."""
        return len(self._keeper)

    @property
    def owed(self) -> int:
        """How many locks have yet to be given back, since their store did not answer."""
        return len(self._returns)

    @property
    def waiting(self) -> int:
        """How many tasks wait for a lock, or for a key of a transaction."""
        return self.waiting_for_locks + (sum(map(len, self._waits.values())) if self._is_first else 0)

    @property
    def waiting_for_locks(self) -> int:
        """How many tasks of this event loop wait for a lock."""
        return sum(locks.waiting for locks in self._stores)

    @property
    def idle(self) -> bool:
        """Whether nobody waits for a lock or looks at one, and no lease is renewed."""
        return not (self.waiting or self.leases or any(locks.watching for locks in self._stores))

    def statistics(self) -> CoordinatorStatistics:
        """Return the figures of this actor."""
        keeper = self._keeper
        return CoordinatorStatistics(
            name="coordinator",
            waiting=self.waiting,
            batches=keeper.batches,
            largest_batch=keeper.largest_batch,
            turns=keeper.turns + sum(locks.turns for locks in self._stores),
            restarts=max(keeper.lives - 1, 0),
        )

"""The engine of a cache: takes each message to the store of its key, and runs loads, refreshes and services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from random import Random
from threading import get_ident
from types import TracebackType
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from cashews.actors.actor import ActorStatistics
from cashews.actors.loop import Loop, current_loop
from cashews.actors.scope import Scope, Service
from cashews.actors.slices import in_slices, in_steps
from cashews.backends.interface import NOT_NOW, Backend, Environment, NotNowType
from cashews.backends.pages import Pages
from cashews.clock import Clock
from cashews.commands import Command
from cashews.engine.chain import Interceptor
from cashews.engine.context import AMBIENT
from cashews.engine.coordinator.branch import Branch
from cashews.engine.coordinator.coordinator import Coordinator
from cashews.engine.coordinator.lock_stores import LockStores, OneStore
from cashews.engine.coordinator.transaction import Transaction, Transactional, TransactionHost
from cashews.engine.flights import Flights, waiting_for
from cashews.engine.interceptors import Callback, Invalidator, Middleware, Switch, Watcher, interceptors_of
from cashews.engine.load_locks import LoadLocks
from cashews.engine.observing import Observing
from cashews.engine.permits import Permits, TakenPermit, is_change
from cashews.engine.refresher import Refresher, Run
from cashews.engine.routes import Route, Routes
from cashews.engine.statistics import EngineStatistics, actors_of
from cashews.exceptions import CacheClosedError, EventLoopError
from cashews.messages import BEFORE_ALL, KnownTags, MarkLoad, Message, OneKey, Paged
from cashews.strategies.entry import Outcome

R = TypeVar("R")
Item = TypeVar("Item")

BUDGET = 128
"""Messages served between two checkpoints: no loop of hits can starve the other tasks."""
CLOSE_GRACE = 10.0
"""Seconds that closing may take once it is shielded from cancellation."""


class Engine(LockStores, TransactionHost):
    """The routes, the scope, and `ask`: everything between the face of a cache and its stores.

    It is *resting* until something needs a task, then *hosted* by the event loop or *open* in a block of the user's,
    and *closed* after that block until it is opened or configured again.
    """

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self._now = clock.now
        self._thread = 0
        self._loop: Loop | None = None
        self._credit = 0
        self._closed = False
        self._closing: anyio.Event | None = None
        """Set when a closing that is under way has let go of everything."""
        self._retired: list[Backend] = []
        """Replaced before the tasks had begun in which they are closed."""
        self.routes = Routes(self.rebuild)
        self._sole: Route | None = None
        self._all_on = True
        self.scope = Scope(self._services, self._unbind)
        self.permits = Permits()
        self._running = self.permits.running
        self.load_locks = LoadLocks()
        self.observing = Observing(self.rebuild)
        self.refresher = Refresher(clock, self._ensure_scope)
        self.coordinator = Coordinator(clock, random, self._ensure_scope)
        self.locks = self.coordinator.locks_of(self)
        self._watcher = Watcher(self.rebuild, self.observing)
        self._invalidator = Invalidator(self.permits)

    # --- asking

    def in_place(self, message: Message[R]) -> R | NotNowType:
        route = self._sole
        if route is None:
            if not isinstance(message, OneKey):
                return NOT_NOW
            route = self.routes.of(message.key)
        turn = route.turns.get(message.__class__)
        if turn is None or self._credit <= 0 or self._thread != get_ident():
            return NOT_NOW
        here = AMBIENT.get()
        if here is None:
            self._credit -= 1
            return turn(message, self._now())  # type: ignore[no-any-return]  # turns answer their message's type
        if here.sole is None or here.sole.engine is not self:
            return NOT_NOW
        self._credit -= 1
        return here.sole.in_place(message, route)  # type: ignore[no-any-return]  # likewise

    async def ask(self, message: Message[R]) -> R:
        """Post a message and await its reply.

        :raises NotConfiguredError: if no backend is mounted for a key of the message
        :raises CacheClosedError: if the cache's scope has ended
        :raises EventLoopError: if another event loop, still alive, uses this cache
        :raises CacheBackendInteractionError: if a store cannot be reached
        """
        if self._running and is_change(message):
            await self._void(message)
        route = self._sole
        if route is None or route.turns:
            reply = self.in_place(message)
            if reply is not NOT_NOW:
                return reply
        if self._credit <= 0 or self._closed or self._thread != get_ident():
            await self.prepare()
        else:
            self._credit -= 1
        if not isinstance(message, OneKey):
            return await self._ask_each(message)
        route = self._sole or self.routes.of(message.key)
        passed: R = await route.chain(message.__class__)(message)
        return passed

    async def _void(self, message: Message[Any]) -> None:
        """Void the permits of loads whose keys a message changes, unless it is going to be declined.

        Very many keys are looked at in slices: a load that begins meanwhile is no older than the message.
        """
        routes = self.routes
        if message.covers is None:
            async for key in in_slices(message.keys):
                if key in self._running and not routes.of(key).switch.is_off(message.command):
                    self.permits.void((key,))
        elif any(not route.switch.is_off(message.command) for route in routes.matching(message.covers)):
            self.permits.refuse(message)

    async def _ask_each(self, message: Message[R]) -> R:
        """Pass a message about several keys to each route that it concerns."""
        if self._sole is not None:  # a million keys are not looked at one by one
            return await self._sole.ask(message)
        if message.covers is not None:
            parts = [(message, route) for route in self.routes.matching(message.covers)]
        else:
            parts = [(part, route) for route, part in (await in_steps(message.split(self.routes.of))).items()]
        replies = [(part, await route.ask(part)) for part, route in parts]
        return replies[0][1] if len(replies) == 1 else await in_steps(message.merge(replies))

    async def mark(self, key: str) -> int:
        """Return the store's mark for a load that is about to begin.

        The message is no public command: it passes no switch, and middlewares only give the key its stored name.
        """
        try:
            await self.prepare()
            route = self.routes.of(key)
            return await route.backend.ask(MarkLoad(await route.stored_name(key)))
        except CacheClosedError:  # the value of the load cannot be stored, and is an answer all the same
            return BEFORE_ALL

    def pages(self, message: Paged[Item]) -> Pages[Item]:
        """Return an iterator over the items of every page, on every route that may hold matching keys.

        :raises NotConfiguredError: if no backend is mounted
        """
        return Pages(message, [route.ask for route in self.routes.matching(message.pattern)], self.prepare)

    async def prepare(self) -> None:
        """Draw on the budget, and let others run when it is spent; find out which event loop we are in.

        :raises CacheClosedError: if the cache's scope has ended
        :raises EventLoopError: if another event loop, still alive, uses this cache
        """
        if self._closed:
            raise CacheClosedError
        if self._thread != get_ident():
            self._bind()
        if self._credit <= 0:
            self._credit = BUDGET  # first, so that of many tasks at once one in 128 pauses, and not all
            self.observing.attend_log()
            await checkpoint()
            if self._closed:  # meanwhile
                raise CacheClosedError
        self._credit -= 1

    # --- loads

    def flights(self) -> Flights:
        """Return the shared loads of one more function."""
        return Flights(self.permits, self.loop)

    def permit(self, key: str, tagging: KnownTags | None) -> TakenPermit:
        """Return ``with engine.permit(...) as permit``, the block of a load that is not shared."""
        return TakenPermit(self.permits, self.permits.take(key, tagging))

    def refresh(self, owner: object, key: str, run: Run) -> bool:
        """Have a load run in the background; says whether it is going to. See `Refresher.tell`."""
        return self.refresher.tell(owner, key, run)

    def refresh_and_wait(self, owner: object, key: str, run: Run, *, join: bool) -> Awaitable[Outcome | None]:
        """Have a load run in the background and wait for its outcome; `None` if it was refused."""
        return self.refresher.ask(owner, key, run, join=join)

    # --- configuration

    def mount(
        self, prefix: str, factory: Callable[[Environment], Backend], middlewares: Sequence[Middleware]
    ) -> Backend:
        """Put a backend under a key prefix and return it; the backend that it replaces is closed."""
        backend = factory(Environment(self.clock, self.random, self._ensure_scope, self.rebuild))
        self._closed = False
        self.refresher.resume()
        locks, graph = self.coordinator.locks_of(OneStore(backend)), self.coordinator.wait_graph()
        route = Route(prefix, backend, Switch(self, prefix), locks, self._chain_of, graph=graph)
        route.middlewares = tuple(middlewares)
        self._retire(self.routes.mount(route))
        self.rebuild()
        if self.scope.running:
            self._attend(backend)
        return backend

    def _attend(self, backend: Backend) -> None:
        """Start the services of a backend in the scope that runs."""
        backend.attached()
        for service in backend.services:
            self.scope.spawn(service)

    def _chain_of(self, route: Route) -> Sequence[Interceptor]:
        users = interceptors_of(route.middlewares, route.backend)
        return (route.switch, self.permits, self._invalidator, self._watcher, *users, Transactional(self, route))

    def branch(self, transaction: Transaction, route: Route) -> Branch:
        """Return a new branch of a transaction on the store of a route."""
        return Branch(transaction, route.backend, route.locks, route.graph, self.clock)

    def rebuild(self) -> None:
        """Work out the chains again after a change of configuration."""
        self._sole = self.routes.sole
        self._all_on = not any(route.switch.off for route in self.routes)
        for route in self.routes:
            route.shut() if self._closed else route.rebuild()

    # --- lifetime

    @property
    def is_closed(self) -> bool:
        """Whether use is refused until the engine is opened or configured again."""
        return self._closed

    async def open(self) -> None:
        """Open the scope in the current task.

        :raises EventLoopError: if it is open already, or another live event loop uses this cache
        """
        await self.reopen()
        await self.scope.open(self.loop())

    async def reopen(self) -> None:
        """Allow use again after `close()`, also inside the block that is open."""
        while self._closing is not None:
            await self._closing.wait()
        if self._closed and self.scope.running:
            for route in self.routes:
                self._attend(route.backend)
        self._closed = False
        self.refresher.resume()
        self.rebuild()
        await self.prepare()

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close the stores and end the scope; see `Scope.leave`."""
        try:
            await self.close()
        except BaseException as failure:
            await self.scope.leave(type(failure), failure, failure.__traceback__)
            raise
        return await self.scope.leave(kind, error, trace)

    async def close(self) -> None:
        """Let the refreshes that run end and be stored, then refuse further use and let go of everything."""
        if self._closed or self.refresher.draining:
            return
        with self.clock.move_on_at(self.clock.now() + CLOSE_GRACE) as grace:
            grace.shield = True
            try:
                await self.refresher.drain()
            finally:  # asyncio's own Task.cancel() goes through shields, once
                self._closed = True
                self.rebuild()
                self.coordinator.wake_all()
                await self._let_go()

    async def _let_go(self) -> None:
        """Close all stores and end hosted tasks; what fails or takes too long keeps none of the others from it."""
        self._closing = closing = anyio.Event()
        try:
            async with AsyncExitStack() as steps:
                steps.push_async_callback(self.scope.unhost)
                for route in self.routes:
                    steps.push_async_callback(route.backend.close)
        finally:
            self._closing = None
            closing.set()

    def _bind(self) -> None:
        loop = self._loop
        if loop is not None and loop.thread != get_ident() and loop.alive:
            message = "another event loop that is still running uses this cache; give each loop a cache of its own"
            raise EventLoopError(message)
        self._loop = current_loop()
        self._thread = get_ident()
        self.refresher.attached(self._loop)
        for route in self.routes:
            route.backend.attached()

    def loop(self) -> Loop:
        """Return the event loop that the caller runs in."""
        if self._loop is None or not self._loop.here:
            self._loop = current_loop()
        return self._loop

    def _unbind(self) -> None:
        self._loop = None
        self._thread = 0

    def _ensure_scope(self) -> bool:
        return not self._closed and self.scope.host(self.loop())

    def _services(self) -> list[Service]:
        retired, self._retired = self._retired, []
        return [
            *(backend.close for backend in retired),
            self.refresher.run,
            self.coordinator.run,
            *(service for route in self.routes for service in route.backend.services),
        ]

    def is_plain(self, key: str) -> bool:
        """Say whether no middleware stands before the store of a key."""
        return not (self._sole or self.routes.of(key)).middlewares

    def _retire(self, route: Route | None) -> None:
        if route is None:
            return
        if self.scope.running:
            self.scope.spawn(route.backend.close)
        else:
            self._retired.append(route.backend)

    @property
    def closed(self) -> bool:
        """True while the cache refuses use, until it is opened or configured again."""
        return self._closed

    # --- control

    def backend_at(self, prefix: str) -> Backend:
        """Return the backend that is mounted under a prefix.

        :raises NotConfiguredError: if there is none
        """
        return self.routes.at(prefix).backend

    def backend_of(self, key: str) -> Backend:
        """Return the backend of a key.

        :raises NotConfiguredError: if no mounted prefix fits
        """
        return self.routes.of(key).backend

    def watching(self, callback: Callback, command: Command) -> AbstractContextManager[None]:
        """Have a callback called after each command of a kind, until the block ends."""
        return self._watcher.watching(callback, command)

    def is_off(self, command: Command, key: str) -> bool:
        """Say whether a command is declined for a key, here and now."""
        if self._all_on and AMBIENT.get() is None:
            return False
        return self.routes.of(key).switch.is_off(command)

    def statistics(self) -> EngineStatistics:
        """Return the figures of the engine, its stores and its actors."""
        coordinator = ActorStatistics(*self.coordinator.statistics())
        return EngineStatistics(
            tasks=self.scope.tasks,
            lock_waiters=self.locks.waiting,
            leases=self.coordinator.leases,
            loads=len(self.permits),
            load_waiters=waiting_for(self.permits.all()),
            refreshes=self.refresher.statistics(),
            calls=self.observing.statistics(),
            backends={route.prefix: dict(route.backend.statistics()) for route in self.routes},
            actors=(*actors_of(self.routes), self.refresher.actor, coordinator),
        )

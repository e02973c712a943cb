"""The engine of a cache: takes each message to the store of its key, and runs loads, refreshes and services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from contextvars import Context
from random import Random
from threading import get_ident
from types import TracebackType
from typing import Any, TypeVar

from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.loop import Loop
from cashews.actors.slices import in_slices, in_steps
from cashews.backends.direct import LOCKS_SHUT, SHUT, DirectLocks, Look, Put
from cashews.backends.interface import Backend, Environment, Tracing
from cashews.backends.pages import Pages
from cashews.clock import Clock
from cashews.commands import Command
from cashews.engine.chain import Interceptor
from cashews.engine.context import AMBIENT, Ambient
from cashews.engine.coordinator.in_transactions import Transactional
from cashews.engine.coordinator.lock_stores import OneStore
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.transaction_host import TransactionHost
from cashews.engine.flights import Flights, waiting_for
from cashews.engine.gate import Gate, Gatekeeper
from cashews.engine.interceptors import Callback, Invalidator, Middleware, Switch, Watcher, interceptors_of
from cashews.engine.lifetime import Lifetime, Living
from cashews.engine.load_locks import LoadLocks
from cashews.engine.observing import Observing
from cashews.engine.permits import Permits, TakenPermit, is_change, is_late
from cashews.engine.refresher import Run
from cashews.engine.routes import Route, Routes
from cashews.engine.statistics import EngineStatistics, actors_in, actors_of, total
from cashews.exceptions import CacheClosedError
from cashews.messages import BEFORE_ALL, KnownTags, LoadPermit, Message, OneKey, Paged
from cashews.strategies.entry import Outcome

R = TypeVar("R")
Item = TypeVar("Item")

BUDGET = 128
"""Messages served between two checkpoints: no loop of hits can starve the other tasks."""


class Engine(Living, Gatekeeper, TransactionHost):
    """The routes, the scope, and `ask`: everything between the face of a cache and its stores.

    It is *resting* until something needs a task, then *hosted* by the event loop or *open* in a block of the user's,
    and *closed* after that block until it is opened or configured again.
    """

    def __init__(self, clock: Clock, random: Random, name: str = "") -> None:
        self.clock = clock
        self.random = random
        self._now = clock.now
        self.home_thread = 0
        self.credit = 0
        self.routes = Routes(self.rebuild)
        self._sole: Route | None = None
        self.look: Look = SHUT.look
        """The straight lines to the stores, where nothing is in the way: looked up at each use."""
        self.look_hit: Look = SHUT.look_hit
        self.put: Put = SHUT.put
        self.direct_locks: DirectLocks = LOCKS_SHUT
        self._all_on = True
        self.follows = False
        """Whether a store hears of changes by others, and has to know of loads that begin."""
        self.leads_plainly = False
        """Whether a load is a run of its function and the store of its value: no switch, tracer, listener has a say."""
        self.context: Callable[[], Ambient | None] = AMBIENT.get
        self.permits = Permits()
        self.running, self.beside = self.permits.running, self.permits.beside
        self.load_locks = LoadLocks()
        self.observing = Observing(self.rebuild)
        self.tracing = Tracing()
        self._lifetime = Lifetime(self, name)
        self.sites = self._lifetime.sites
        self._watcher = Watcher(self.rebuild, self.observing)
        self._invalidator = Invalidator(self.permits)

    # --- asking

    def in_place(self, message: Message[R], detected: bool = False) -> R | NotNowType:  # noqa: FBT001, FBT002  for speed
        """Serve a message in place, if nothing has to be waited for or passed.

        :param detected: also where there are detectors; by the asker, who tells them of answers
        """
        route = self._sole
        if route is None:
            if not isinstance(message, OneKey):
                return NOT_NOW
            route = self.routes.of(message.key)
        turn = route.turns.get(message.__class__)
        if turn is None or self.credit <= 0 or self.home_thread != get_ident():
            return NOT_NOW
        here = AMBIENT.get()
        if here is None or (detected and not here.concerns):
            self.credit -= 1
            return turn(message, self._now())  # type: ignore[no-any-return]  # turns answer their message's type
        if here.sole is None or here.sole.engine is not self:
            return NOT_NOW
        self.credit -= 1
        return here.sole.in_place(message, route)  # type: ignore[no-any-return]  # likewise

    async def ask(self, message: Message[R]) -> R:
        """Post a message and await its reply.

        :raises NotConfiguredError: if no backend is mounted for a key of the message
        :raises CacheClosedError: if the cache's scope has ended
        :raises EventLoopError: if the calling code runs in no event loop
        :raises CacheBackendInteractionError: if a store cannot be reached
        """
        if (self.running or self.beside) and is_change(message):
            await self._void(message)
        route = self._sole
        if route is None or route.turns:
            reply = self.in_place(message, True)
            if reply is not NOT_NOW:
                return reply
        if self.credit <= 0 or self._lifetime.closed or self.home_thread != get_ident():
            if self._lifetime.closed and is_late(message):
                raise CacheClosedError(self._lifetime.name)
            await self.prepare()
        else:
            self.credit -= 1
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
                if self.permits.has(key) and not routes.of(key).switch.is_off(message.command):
                    self.permits.overtake((key,))
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

    async def announce(self, permit: LoadPermit) -> None:
        """Announce a load to its store before it begins: from now on a deletion keeps the value from being stored."""
        try:
            await self.prepare()
            await self.routes.of(permit.key).announce(permit)
        except CacheClosedError:  # the value of the load cannot be stored, and is an answer all the same
            permit.since = BEFORE_ALL

    def pages(self, message: Paged[Item]) -> Pages[Item]:
        """Return an iterator over the items of every page, on every route that may hold matching keys.

        :raises NotConfiguredError: if no backend is mounted
        """
        return Pages(message, [route.ask for route in self.routes.matching(message.pattern)], self.prepare)

    async def prepare(self) -> None:
        """Draw on the budget, and let others run when it is spent; find out which event loop we are in.

        :raises CacheClosedError: if the cache's scope has ended
        :raises EventLoopError: if we are in none
        """
        lifetime = self._lifetime
        if lifetime.closed:
            await lifetime.reopen_by_use()
        if (self.home_thread != get_ident() or self.credit <= 0) and not lifetime.arrive():
            return  # every message is waited for
        if self.credit <= 0:
            self.credit = BUDGET  # first, so that of many tasks at once one in 128 pauses, and not all
            self.observing.attend_log()
            await self.loop().pause()
            if lifetime.closed:  # meanwhile
                raise CacheClosedError(lifetime.name)
        self.credit -= 1

    # --- loads

    def flights(self) -> Flights:
        """Return the shared loads of one more function."""
        return Flights(self.permits, self.loop)

    def permit(self, key: str, tagging: KnownTags | None) -> TakenPermit:
        """Return ``with engine.permit(...) as permit``, the block of a load that is not shared."""
        return TakenPermit(self.permits, self.permits.take(key, tagging))

    def refresh(self, owner: object, key: str, run: Run) -> bool:
        """Have a load run in the background; says whether it is going to. See `Refresher.tell`."""
        return self._lifetime.here().refresher.tell(owner, key, run)

    def is_refreshing(self, owner: object, key: str) -> bool:
        """Say whether a refresh of a key waits or runs in this event loop."""
        return self._lifetime.here().refresher.has(owner, key)

    def refresh_and_wait(self, owner: object, key: str, run: Run, *, join: bool) -> Awaitable[Outcome | None]:
        """Have a load run in the background and wait for its outcome; `None` if it was refused."""
        return self._lifetime.here().refresher.ask(owner, key, run, join=join)

    # --- configuration

    def mount(
        self, prefix: str, factory: Callable[[Environment], Backend], middlewares: Sequence[Middleware]
    ) -> Backend:
        """Put a backend under a key prefix and return it; the backend that it replaces is closed."""
        lifetime = self._lifetime
        backend = factory(Environment(self.clock, self.random, lifetime.ensure_scope, self.rebuild, self.tracing, self))
        gate, coordinator = Gate(backend, self), lifetime.sites.first.coordinator
        locks, graph = coordinator.locks_of(OneStore(gate)), coordinator.wait_graph()
        route = Route(prefix, gate, Switch(self, prefix), locks, self._chain_of, graph=graph)
        route.middlewares = tuple(middlewares)
        replaced = self.routes.mount(route)
        lifetime.mounted(gate, None if replaced is None else replaced.backend)
        self.rebuild()
        return gate

    def _chain_of(self, route: Route) -> Sequence[Interceptor]:
        users = interceptors_of(route.middlewares, route.backend)
        return (route.switch, self.permits, self._invalidator, self._watcher, *users, Transactional(self, route))

    def locks_of(self, route: Route) -> StoreLocks:
        """Return the locks of transactions on the store of a route, for the tasks of this event loop."""
        return self._lifetime.locks_of(route)

    def route_of(self, key: str) -> Route:
        """Return the route of a key.

        :raises NotConfiguredError: if no mounted prefix fits
        """
        return self._sole or self.routes.of(key)

    def rebuild(self) -> None:
        """Work out the chains again after a change of configuration, whatever holds in the context of that."""
        Context().run(self._rebuild)

    def _rebuild(self) -> None:
        self._sole = self.routes.sole
        self._all_on = not any(route.switch.off for route in self.routes)
        self.follows = any(route.backend.follows for route in self.routes)
        watched = self.observing.listeners or self.observing.tracer is not None
        self.leads_plainly = self._all_on and not (self.follows or watched or self._lifetime.closed)
        for route in self.routes:
            route.shut() if self._lifetime.closed else route.rebuild()
        direct = self.routes.direct()
        self.look, self.look_hit, self.put = direct.look, direct.look_hit, direct.put
        self.direct_locks = LOCKS_SHUT if self._sole is None else self._sole.direct_locks or LOCKS_SHUT

    # --- lifetime

    async def open(self) -> None:
        """Open the scope in the current task; see `Lifetime.open`."""
        await self.reopen()
        await self._lifetime.open()

    async def reopen(self) -> None:
        """Allow use again after `close()`, also inside the block that is open."""
        await self._lifetime.reopen()
        await self.prepare()

    def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[bool | None]:
        """Close the stores and end the scope; see `Scope.leave`."""
        return self._lifetime.leave(kind, error, trace)

    async def close(self) -> None:
        """Let the refreshes that run end and be stored, then refuse further use and let go of everything."""
        await self._lifetime.close()

    def at_home(
        self, call: Callable[[], Awaitable[R]], in_place: Callable[[], R | NotNowType] | None = None
    ) -> Awaitable[R]:
        return self._lifetime.at_home(call, in_place)

    def loop(self) -> Loop:
        """Return the event loop that the caller runs in."""
        home = self.sites.home
        loop = None if home is None or self.home_thread != get_ident() else home.loop
        if loop is not None and loop.task_here() is not None:  # asked first: it takes a third of the time
            return loop
        return self._lifetime.here().loop_here()

    def locks_here(self) -> StoreLocks:
        """Return the locks of `cache.lock()` and the guards, for the tasks of this event loop."""
        home = self.sites.home
        if home is not None and self.home_thread == get_ident():
            return home.locks
        return self._lifetime.here().locks

    def is_plain(self, key: str) -> bool:
        """Say whether no middleware stands before the store of a key."""
        return not self.route_of(key).middlewares

    @property
    def is_closed(self) -> bool:
        """Whether the cache is closed, until it is opened or configured again, or used again without a block."""
        return self._lifetime.closed

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
        sites = list(self.sites)
        return EngineStatistics(
            tasks=sum(site.scope.tasks for site in sites),
            lock_waiters=sum(site.locks.waiting for site in sites),
            leases=sum(site.coordinator.leases for site in sites),
            loads=len(self.permits),
            load_waiters=waiting_for(self.permits.all()),
            refreshes=total(site.refresher.statistics() for site in sites),
            calls=self.observing.statistics(),
            backends={route.prefix: dict(route.backend.statistics()) for route in self.routes},
            actors=(*actors_of(self.routes), *actors_in(sites)),
        )

"""The lifetime of an engine: resting, hosted by event loops, open in a block, or closed; and the sites of its loops."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from random import Random
from threading import get_ident
from types import TracebackType
from typing import Protocol, TypeVar
from weakref import WeakSet

import anyio

from cashews._typing import NotNowType
from cashews.actors.crossing import LoopGoneError, call_in
from cashews.actors.scope import Scope, Service
from cashews.backends.interface import Backend
from cashews.clock import Clock
from cashews.engine.coordinator.coordinator import Coordinator
from cashews.engine.coordinator.lock_stores import LockStores, OneStore
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.permits import Permits
from cashews.engine.routes import Route, Routes
from cashews.engine.sites import HomeSeeker, Site, Sites
from cashews.exceptions import CacheClosedError, EventLoopError

R = TypeVar("R")
CLOSE_GRACE = 10.0
"""Seconds that closing may take once it is shielded from cancellation."""


class Living(LockStores, HomeSeeker, Protocol):
    """The engine, as its lifetime sees it."""

    clock: Clock
    random: Random
    routes: Routes
    permits: Permits

    def rebuild(self) -> None:
        """Take note that the cache was opened or closed."""
        ...


class Lifetime:
    """Opens and closes an engine, and finds the event loop in which a call is served.

    A cache that was entered as a block is closed when the block ends, and refuses use. One that never was opens again
    at its next use.
    """

    def __init__(self, engine: Living, name: str) -> None:
        self._engine = engine
        self.name = name
        self.closed = False
        self._is_block = False
        """Whether the cache was entered as a block."""
        self._block: Site | None = None
        """The site whose block is open."""
        self._closing: anyio.Event | None = None
        """Set when a closing that is under way has let go of everything."""
        self._retired: list[Backend] = []
        """Replaced before the tasks had begun in which they are closed."""
        self.sites = Sites(engine, self._new_site)
        _living.add(self)

    # --- sites

    def _new_site(self, first: Site | None) -> Site:
        engine = self._engine
        site = Site(
            engine.clock,
            lambda ensure: Coordinator(
                engine.clock, engine.random, ensure, None if first is None else first.coordinator
            ),
            self._services,
            self._leave,
        )
        site.is_closed = self.closed
        site.locks = site.coordinator.locks_of(engine, None if first is None else first.locks)
        return site

    def _leave(self, site: Site) -> None:
        self.sites.leave(site)

    def here(self) -> Site:
        """Return the site of the calling code.

        :raises EventLoopError: if that runs in no event loop
        """
        home = self.sites.home
        if home is not None and self._engine.home_thread == get_ident():
            return home
        return self.sites.here()

    def arrive(self) -> bool:
        """Say whether the home is here; it is if no other loop that lives was the home before.

        :raises EventLoopError: if the calling code runs in no event loop
        """
        is_home, moved = self.sites.arrive()
        if moved:
            self._take_over()
            scope = self.here().scope
            if scope.running:
                for route in self._engine.routes:
                    self._spawn_services(scope, route.backend)
        return is_home

    def _take_over(self) -> None:
        """Have the actors of the stores ready for the new home, and free what tasks of loops that ended have held."""
        for route in self._engine.routes:
            route.backend.attached()
        for site in self.sites:
            if not site.alive:
                site.coordinator.forget_tasks()

    @staticmethod
    def _spawn_services(scope: Scope, backend: Backend) -> None:
        for service in backend.services:
            scope.spawn(service)

    async def at_home(
        self, call: Callable[[], Awaitable[R]], in_place: Callable[[], R | NotNowType] | None = None
    ) -> R:
        """Have a call run in the home, and return its result.

        :raises LoopGoneError: if the loop of the home ends after the call has begun there
        """
        while not self.arrive():
            home = self.sites.home
            if home is not None and home.loop is not None:
                try:
                    return await call_in(home.loop, self.here().loop_here(), call, in_place)
                except LoopGoneError as gone:
                    self.sites.give_up(home)
                    if gone.begun:
                        raise
        return await call()

    async def _in(self, site: Site, call: Callable[[], Awaitable[None]]) -> None:
        """Have a call run in the loop of a site; one whose loop has ended needs none."""
        if site.loop is None or site.loop.here:
            await call()
        elif site.alive:
            with suppress(LoopGoneError):
                await call_in(site.loop, self.here().loop_here(), call)

    # --- tasks

    def ensure_scope(self) -> bool:
        """Have the tasks of the home run, now or soon; says whether they do."""
        if self._engine.home_thread != get_ident() and not self.arrive():
            return False  # and the home asks itself
        home = self.sites.home
        return home is not None and home.ensure_scope()

    def _services(self, site: Site) -> list[Service]:
        """Return the services that a site has besides its own: those of the stores, if it is the home."""
        is_home, moved = self.sites.arrive()
        if moved:
            self._take_over()
        if not is_home:
            return []
        retired, self._retired = self._retired, []
        return [
            *(backend.close for backend in retired),
            *(service for route in self._engine.routes for service in route.backend.services),
        ]

    def mounted(self, backend: Backend, replaced: Backend | None) -> None:
        """Take note of a new backend, and of the one that it replaces: that is closed."""
        self.closed = False
        self._resume()
        if replaced is not None:
            self._retired.append(replaced)
        home = self.sites.home
        if home is not None and home.here:
            self._move_in(home, backend)
        elif home is not None and home.loop is not None:
            home.loop.reach(lambda: self._move_in(home, backend))

    def _move_in(self, home: Site, backend: Backend) -> None:
        if not home.scope.running:
            return
        backend.attached()
        self._spawn_services(home.scope, backend)
        retired, self._retired = self._retired, []
        for each in retired:
            home.scope.spawn(each.close)

    def locks_of(self, route: Route) -> StoreLocks:
        """Return the locks of transactions on the store of a route, for the tasks of this event loop."""
        site = self.here()
        if site is self.sites.first:
            return route.locks
        locks = site.store_locks.get(route)
        if locks is None:
            routes = tuple(self._engine.routes)
            site.store_locks = {each: site.store_locks[each] for each in routes if each in site.store_locks}
            locks = site.store_locks[route] = site.coordinator.locks_of(OneStore(route.backend), route.locks)
        return locks

    # --- open

    async def open(self) -> None:
        """Open the scope of this event loop in the current task, as the block of the cache, after `reopen`.

        :raises EventLoopError: if the cache is open already
        """
        site = self.here()
        if self._block is not None and self._block is not site and self._block.alive:
            message = "another event loop has opened this cache; use it here without a block of its own"
            raise EventLoopError(message)
        await site.scope.open(self.here().loop_here())
        self._block, self._is_block = site, True

    async def reopen(self) -> None:
        """Allow use again after `close()`, also inside the block that is open."""
        await self.at_home(self._reopen)

    async def _reopen(self) -> None:
        while self._closing is not None:
            await self._closing.wait()
        home = self.sites.home
        if self.closed and home is not None and home.scope.running:
            for route in self._engine.routes:
                route.backend.attached()
                self._spawn_services(home.scope, route.backend)
        self.closed = False
        self._resume()
        self._engine.rebuild()
        self.arrive()

    async def reopen_by_use(self) -> None:
        """Allow use again, since the cache is used; not after its block, and not while it is being closed.

        :raises CacheClosedError: if it stays closed
        """
        if self._is_block or self._closing is not None:
            raise CacheClosedError(self.name)
        await self.reopen()

    def _resume(self) -> None:
        for site in self.sites:
            site.is_closed = False
            site.refresher.resume()

    # --- close

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Close the stores and end the scope; see `Scope.leave`."""
        scope, self._block = self.here().scope, None
        try:
            await self.close()
        except BaseException as failure:
            await scope.leave(type(failure), failure, failure.__traceback__)
            raise
        return await scope.leave(kind, error, trace)

    async def close(self) -> None:
        """Let the refreshes that run end and be stored, then refuse further use and let go of everything."""
        with suppress(LoopGoneError):  # it was closed by its end
            await self.at_home(self._close)

    async def _close(self) -> None:
        if self.closed or self.sites.first.refresher.draining:
            return
        clock = self._engine.clock
        with clock.move_on_at(clock.now() + CLOSE_GRACE) as grace:
            grace.shield = True
            try:
                for site in self.sites:
                    await self._in(site, site.refresher.drain)
            finally:  # asyncio's own Task.cancel() goes through shields, once
                self.closed = True
                for site in self.sites:
                    site.is_closed = True
                self._engine.rebuild()
                await self._let_go()

    async def _let_go(self) -> None:
        """Close all stores and end hosted tasks; what fails or takes too long keeps none of the others from it."""
        self._closing = closing = anyio.Event()
        try:
            async with AsyncExitStack() as steps:
                for site in self.sites:
                    steps.push_async_callback(self._in, site, site.coordinator.let_waiters_go)
                    steps.push_async_callback(self._in, site, site.scope.unhost)
                for route in self._engine.routes:
                    steps.push_async_callback(route.backend.close)
        finally:
            self._closing = None
            closing.set()

    # --- forks

    def fork(self) -> None:
        """Begin anew in the child of a fork: its loops, threads and tasks are copies without life."""
        self._closing, self._engine.home_thread = None, 0
        self.sites.forget_all()
        self._engine.permits.forget_all()
        for route in self._engine.routes:
            route.backend.forked()


_living: WeakSet[Lifetime] = WeakSet()


def _fork_all() -> None:
    for lifetime in list(_living):
        lifetime.fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fork_all)

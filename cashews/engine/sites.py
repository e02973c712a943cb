"""The event loops of one cache: a site in each, and the home, which is the site where the actors of the stores live.

The first loop that uses the cache is the home until it ends; then the next loop that asks is. Loads run in the loop of
their caller, and so do background refreshes, the waits for locks, and the renewal of leases: each site has a refresher
and a coordinator of its own. A site whose loop has ended serves the next loop that comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from threading import get_ident
from typing import Protocol

from cashews.actors.loop import Loop, current_loop
from cashews.actors.scope import Scope, Service
from cashews.actors.shared import SHARED
from cashews.clock import Clock
from cashews.engine.coordinator.coordinator import Coordinator
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.refresher import Refresher
from cashews.engine.routes import Route


class Site:
    """The part of an engine that belongs to one event loop.

    :param coordinator: makes the coordinator of the site
    :param services: answers the services of the site besides its own
    :param ended: called when the tasks of the site have ended
    """

    def __init__(
        self,
        clock: Clock,
        coordinator: Callable[[Callable[[], object]], Coordinator],
        services: Callable[[Site], Sequence[Service]],
        ended: Callable[[Site], None],
    ) -> None:
        self.loop: Loop | None = None
        """The loop; `None` until one comes."""
        self._is_at_work = False
        """Whether the actors of this site are ready for the loop."""
        self._services = services
        self._ended = ended
        self.scope = Scope(self._all_services, self._end)
        self.refresher = Refresher(clock, self.ensure_scope)
        self.coordinator = coordinator(self.ensure_scope)
        self.locks: StoreLocks
        """The locks of `cache.lock()` and of the guards."""
        self.store_locks: dict[Route, StoreLocks] = {}
        """The locks of transactions; those of the first site are the route's."""
        self.is_closed = False

    @property
    def alive(self) -> bool:
        """Whether the loop of this site runs."""
        return self.loop is not None and self.loop.alive

    @property
    def free(self) -> bool:
        """Whether this site may serve another loop: its own will never run again."""
        return self.loop is None or self.loop.gone

    @property
    def here(self) -> bool:
        """Whether the calling code runs in the loop of this site, and the actors are ready for that."""
        return self._is_at_work and self.loop is not None and self.loop.here

    def attend(self) -> Loop:
        """Serve the loop of the calling code from now on; the one before has ended."""
        self.loop = loop = self.loop if self.loop is not None and self.loop.here else current_loop()
        self._is_at_work = True
        self.refresher.attached(loop)
        return loop

    def loop_here(self) -> Loop:
        """Return the loop of the calling code, which runs in the thread of this site."""
        loop = self.loop
        return loop if loop is not None and loop.here else self.attend()

    def ensure_scope(self) -> bool:
        """Have the site's tasks run, now or soon; says whether they do."""
        return not self.is_closed and self.scope.host(self.loop_here())

    def _all_services(self) -> list[Service]:
        return [self.refresher.run, self.coordinator.run, *self._services(self)]

    def _end(self) -> None:
        self._is_at_work = False
        self._ended(self)


class HomeSeeker(Protocol):
    """The engine, as its sites see it."""

    home_thread: int
    """The thread of the home, in which messages are served in place; 0 while there is none."""


class Sites:
    """The sites of one engine, by thread: a thread runs one event loop at a time."""

    def __init__(self, engine: HomeSeeker, new_site: Callable[[Site | None], Site]) -> None:
        self._engine = engine
        self._new_site = new_site
        self.first = new_site(None)
        """The site of the first loop, and of the loops after it."""
        self._by_thread: dict[int, Site] = {}
        self.home: Site | None = None

    def __iter__(self) -> Iterator[Site]:
        """Give the sites, the first one first."""
        yield self.first
        yield from [site for site in list(self._by_thread.values()) if site is not self.first]

    def here(self) -> Site:
        """Return the site of the calling code.

        :raises EventLoopError: if that runs in no event loop
        """
        site = self._by_thread.get(get_ident())
        if site is not None and site.here:
            return site
        with SHARED:
            return self._settle()

    def _settle(self) -> Site:
        """Have a site for the calling code: the thread's own, another one that is free, or a new one."""
        thread = get_ident()
        site = self._by_thread.get(thread)
        if site is None:
            current_loop()  # or an error, before anything is changed
            site = next((each for each in self if each.free), None) or self._new_site(self.first)
            self._by_thread = {at: each for at, each in self._by_thread.items() if each is not site}
            self._by_thread[thread] = site
        if not site.here:
            site.attend()
        return site

    def arrive(self) -> tuple[bool, bool]:
        """Say whether the home is here, and whether it has just moved here: there was none."""
        home = self.home
        if home is not None and self._engine.home_thread == get_ident() and home.here:
            return True, False
        with SHARED:
            site = self._settle()
            moved = self.home is None
            if moved:
                self.home = site
            if self.home is site:
                self._engine.home_thread = get_ident()
            return self.home is site, moved

    def give_up(self, home: Site) -> None:
        """Have no home, if it is this one, until a loop arrives: its loop does not run.

        A loop that was stopped by hand may run again at any time. So it loses the right to serve messages in place
        first, and the look at it comes after that.
        """
        with SHARED:
            if self.home is home:
                self._engine.home_thread = 0
                if not home.alive:
                    self.home = None
                elif home.loop is not None:
                    self._engine.home_thread = home.loop.thread

    def leave(self, site: Site) -> None:
        """Give the home up, if this site is that, since its tasks have ended."""
        with SHARED:
            if self.home is site:
                self.home, self._engine.home_thread = None, 0

    def forget_all(self) -> None:
        """Begin anew in the child of a fork, whose threads and loops are copies without life."""
        self.home = None
        self._by_thread = {}

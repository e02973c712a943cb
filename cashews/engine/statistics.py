"""The figures of an engine: tasks, waiting calls, refreshes, stores and actors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from cashews._dataclass import dataclass, replace
from cashews.actors.actor import ActorStatistics
from cashews.engine.counts import CallStatistics
from cashews.engine.routes import Routes
from cashews.engine.sites import Site


@dataclass(frozen=True, slots=True)
class EngineStatistics:
    """A snapshot: tasks, waiting calls, refreshes, the figures of each backend by prefix, and those of each actor.

    `calls` has the sum of the figures of all decorated functions, and of `get_or_set`.
    """

    tasks: int
    lock_waiters: int
    leases: int
    loads: int
    load_waiters: int
    refreshes: dict[str, int]
    calls: CallStatistics
    backends: dict[str, dict[str, int]]
    actors: tuple[ActorStatistics, ...]

    @property
    def uncached(self) -> dict[str, int]:
        """The calls of cached functions that were not cached, by reason."""
        return self.calls.uncached


def total(figures: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add figures up by name."""
    added: Counter[str] = Counter()
    for each in figures:
        added.update(each)
    return dict(added)


def actors_in(sites: Iterable[Site]) -> Iterator[ActorStatistics]:
    """Give the figures of the actors of each event loop; from the second on each name ends with a number."""
    for number, site in enumerate(sites, 1):
        for actor in (site.refresher.actor, ActorStatistics(*site.coordinator.statistics())):
            yield actor if number == 1 else replace(actor, name=f"{actor.name} {number}")


def actors_of(routes: Routes) -> Iterator[ActorStatistics]:
    """Give the figures of the actors of all stores; with several stores, each name ends with the prefix."""
    for route in routes:
        for actor in route.backend.actors:
            yield actor if routes.sole is route else replace(actor, name=f"{actor.name} {route.prefix!r}")

"""Plain loads: nothing but a run of the function, and a value that is stored in place.

The wrapper of a function leads them itself. Each begins and ends with one call, which awaits nothing: the straight line
of a load. It is the way of `Flights` and `Loader` written out for a load of this kind, and takes half the time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident

from cashews._dataclass import dataclass
from cashews._typing import NOT_NOW
from cashews.engine.context import AMBIENT
from cashews.engine.engine import Engine
from cashews.engine.flights import Flight, Flights
from cashews.engine.load_locks import LOADING
from cashews.keys.tags import TagRules
from cashews.runners.call import Plan, Target, fixed_durations
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Returned
from cashews.strategies.replay import PLAIN, kind_of_live
from cashews.strategies.strategy import Strategy

NO_RULES = TagRules()


@dataclass(frozen=True, slots=True)
class PlainLoads:
    """The plain loads of one function.

    :param flights: all its shared loads
    """

    engine: Engine
    flights: Flights
    target: Target
    strategy: Strategy
    plan: Plan
    observer: CallObserver

    def is_possible(self) -> bool:
        """Say whether the options leave a load of the function nothing more to do."""
        plan = self.plan
        more = plan.condition, plan.hard_timeout, plan.soft_timeout, plan.lease, self.target.tags
        is_simple = plan.protected and not plan.upper and all(each is None for each in more)
        return is_simple and fixed_durations(plan) is not None

    def beginner(self) -> Callable[[str], Flight | None]:
        """Return the function that begins a load in the calling context; calls may join it.

        It returns `None` if a load of the key runs, or if more than the function has a say in the load here and now.
        """
        engine, rules, mark = self.engine, self.target.rules or NO_RULES, self.flights.mark
        running, beside, add_beside = engine.running, engine.beside, engine.permits.add_beside
        context, now, sites, loading, load_here = AMBIENT.get, engine.clock.now, engine.sites, LOADING.get, LOADING.set

        def begin(key: str) -> Flight | None:
            if not engine.leads_plainly or key in running or key in beside or rules.rules or context() is not None:
                return None
            home = sites.home
            if home is None or engine.home_thread != get_ident():  # as `Engine.loop`
                return None
            loop = home.loop
            if loop is None or loop.task_here() is None:
                return None
            flight = Flight(key, mark, loop)
            flight.began = now()
            flight.around = around = loading()
            if around:
                flight.begin_here()
            else:  # as `Flight.begin_here`, and a call less
                flight.token = load_here((flight,))
            if running.setdefault(key, flight) is not flight:  # as `Flights.begin`: at last, since it has to end now
                add_beside(flight)
            return flight

        return begin

    def lander(self) -> Callable[[Flight, object], float | None]:
        """Return the function that stores the result of a load in place and ends the load.

        If that cannot be done in place it returns the seconds that the load has taken, and `Loader.finish` ends it.
        """
        engine, plan, strategy, counts = self.engine, self.plan, self.strategy, self.observer.counts
        ttl, own_ttl = fixed_durations(plan) or (None, None)
        min_cost, stores_bare, seal = plan.min_cost, strategy.stores_bare, strategy.seal
        now, wall, remove = engine.clock.now, engine.clock.wall, self.flights.remove
        running, beside, forget = engine.running, engine.beside, LOADING.reset

        def land(flight: Flight, result: object) -> float | None:
            if flight.around:
                flight.end_here()
            else:  # as `Flight.end_here`, and a call less
                token, flight.token = flight.token, None
                try:  # noqa: SIM105  a block would take a call
                    forget(token)  # type: ignore[arg-type]  # `begin` has set it
                except ValueError:
                    pass
            instant = now()
            cost = instant - flight.began
            try:
                if cost < min_cost:
                    return cost
                if type(result) not in PLAIN and kind_of_live(result) is not None:
                    return cost
                form = result if stores_bare else seal(Returned(result), ttl, own_ttl, cost, wall)
                if engine.put(flight.key, form, ttl, flight, instant) is NOT_NOW:
                    return cost
            except Exception:  # noqa: BLE001  it is told when the value is stored the longer way
                return cost
            counts.loads += 1
            counts.load_seconds += cost
            key = flight.key
            if running.get(key) is flight and key not in beside:  # as `Flights.remove`
                flight.ended = True
                del running[key]
            else:
                remove(flight)
            if flight.waiters:
                flight.tell(Returned(result))
            return None

        return land

"""The contract of a strategy, and its verdicts: the ways to answer a call.

A strategy judges the value that was found for a call, and chooses the form in which a new outcome is stored. The runner
carries its verdicts out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Final, TypeAlias, cast

from cashews._dataclass import dataclass
from cashews._typing import ABSENT, Absent
from cashews.messages import Recall
from cashews.strategies.entry import Entry, Outcome, Raised, Returned

Draw: TypeAlias = Callable[[], float]
"""A source of chance: draws a number from [0, 1)."""

PAIR: Final = 2

# --- verdicts


@dataclass(slots=True)
class Serve:
    """Answer with the outcome that was found."""

    outcome: Outcome


@dataclass(slots=True)
class ServeAndRefresh:
    """Answer with the outcome that was found, and have a new one loaded in the background."""

    outcome: Outcome


@dataclass(slots=True)
class Load:
    """Run the function; its outcome is the answer."""


@dataclass(slots=True)
class LoadOrServe:
    """Run the function; if it raises one of `errors`, answer with the outcome that is stored then, if there is one."""

    errors: tuple[type[Exception], ...]


Verdict: TypeAlias = "Serve | ServeAndRefresh | Load | LoadOrServe"

LOAD: Final = Load()


# --- the contract


class Strategy(ABC):
    """A small value object with pure methods: their answers depend on their arguments alone."""

    name: ClassVar[str]
    read: ClassVar[type[Recall]] = Recall
    """The message that reads a stored outcome."""
    serves_bare: ClassVar[bool] = False
    """True: a bare value is served without a judgement."""
    stores_bare: ClassVar[bool] = False
    """True: `seal` returns the value of a result as it is."""

    @property
    def covers(self) -> tuple[type[Exception], ...] | None:
        """The exceptions for which a stored outcome stands in, if it is read only after the function has failed."""
        return None

    def judge(self, found: object | Absent, now: float, draw: Draw) -> Verdict:
        """Return the verdict on a stored value that was found at a wall time."""
        if type(found) is Entry:
            return self.judge_entry(found, now, draw)
        if found is ABSENT or self.disowns(found):
            return LOAD
        return Serve(outcome_of(found))

    def foresee(self, found: object | Absent, now: float) -> Verdict:
        """Return the verdict that the next call would get if chance plays no part."""
        return self.judge(found, now, no_chance)

    @property
    def freshness(self) -> str:
        """The condition under which `judge_entry` serves an entry as it is, if chance plays no part.

        An expression of ``entry`` and ``now()``, the wall time: it becomes a part of the wrapper of a cached function.
        """
        return "False"

    def disowns(self, found: object) -> bool:
        """Say whether a bare value is none of this strategy's, and counts as absent."""
        return False

    @abstractmethod
    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        """Return the verdict on an entry of this strategy."""

    @abstractmethod
    def seal(
        self, outcome: Outcome, ttl: float | None, own_ttl: float | None, cost: float, wall: Callable[[], float]
    ) -> object:
        """Return the form in which the outcome of a load is stored: a bare value or an entry.

        All durations are in seconds.

        :param ttl: the time to live
        :param own_ttl: the time after which the strategy wants a new value; `None` for its default
        :param cost: the duration of the load
        :param wall: tells the wall time
        """


# --- shared by strategies


def no_chance() -> float:
    """Draw the number with which chance changes nothing."""
    return 0.0


def is_entry_of_cashews_7(found: object) -> bool:
    """Say whether a stored value looks like an entry of `early` and `soft` in cashews 7: a deadline and a value.

    A user's own list may look like that, too. To take it for absent costs one load; to serve an entry as if it were the
    value would be wrong.
    """
    if type(found) is not list:
        return False
    items = cast("list[object]", found)
    return len(items) == PAIR and isinstance(items[0], datetime)


def bare(outcome: Outcome) -> object:
    """Return the stored form that is served without a judgement: the value itself, or a `Raised`."""
    return outcome if isinstance(outcome, Raised) else outcome.value


def outcome_of(found: object) -> Outcome:
    """Return the outcome in a stored value, whether it is an entry or bare."""
    if type(found) is Entry:
        return found.outcome
    return found if type(found) is Raised else Returned(found)


def own_or_share(own_ttl: float | None, ttl: float | None, share: float = 1 / 3) -> float:
    """Return the strategy's own ttl; without one, a share of the time to live."""
    if own_ttl is not None:
        return own_ttl
    return math.inf if ttl is None else ttl * share

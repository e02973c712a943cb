"""What differs between strategies: the judgement of what was found, and the form in which an outcome is kept."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final, TypeAlias, cast

from cashews._typing import ABSENT, Absent
from cashews.messages import Recall
from cashews.strategies.entry import Entry, Loaded, Outcome, Raised, Returned

Draw = Callable[[], float]
"""Draws a number from [0, 1)."""

PAIR: Final = 2


class Strategy(ABC):
    """A small value object. What it answers depends on its arguments alone."""

    name: ClassVar[str]
    read: ClassVar[type[Recall]] = Recall
    """The message that reads what is kept."""

    @property
    def covers(self) -> tuple[type[Exception], ...] | None:
        """The failures that what is kept stands in for, if it is read only when the function fails."""
        return None

    def judge(self, found: object | Absent, now: float, draw: Draw) -> Verdict:
        """Say what to do, given what was found at a wall time."""
        if isinstance(found, Entry):
            return self.judge_entry(found, now, draw)
        if found is ABSENT or self.disowns(found):
            return LOAD
        return Serve(outcome_of(found))

    def disowns(self, found: object) -> bool:
        """Say whether a bare value that was found is none, and counts as absent."""
        return False

    @abstractmethod
    def judge_entry(self, entry: Entry, now: float, draw: Draw) -> Verdict:
        """Say what to do with an entry of this strategy."""

    @abstractmethod
    def seal(self, loaded: Loaded) -> object:
        """Return the form in which an outcome is kept."""


def kept_by_cashews_7(found: object) -> bool:
    """Say whether something found has the shape of what `early` and `soft` of cashews 7 kept: a deadline and a value.

    A user's own list may have it, too; to take that for absent costs one load, to serve the other would be wrong.
    """
    if type(found) is not list:
        return False
    items = cast("list[object]", found)
    return len(items) == PAIR and isinstance(items[0], datetime)


def bare(outcome: Outcome) -> object:
    """Return the form that is served without a judgement."""
    return outcome if isinstance(outcome, Raised) else outcome.value


def share_of(loaded: Loaded, share: float = 1 / 3) -> float:
    """Return the strategy's own ttl, or if it was not told, a share of the lifetime."""
    if loaded.own_ttl is not None:
        return loaded.own_ttl
    return math.inf if loaded.ttl is None else loaded.ttl * share


def outcome_of(found: object) -> Outcome:
    """Return the outcome in something that was found."""
    if isinstance(found, Entry):
        return found.outcome
    return found if isinstance(found, Raised) else Returned(found)


@dataclass(slots=True)
class Serve:
    """Answer with what was found."""

    outcome: Outcome


@dataclass(slots=True)
class ServeAndRefresh:
    """Answer with what was found, and have it loaded anew in the background."""

    outcome: Outcome


@dataclass(slots=True)
class Load:
    """Run the function; its outcome is the answer."""


@dataclass(slots=True)
class LoadOrServe:
    """Run the function; if it raises one of `errors`, answer with what is remembered then, if anything is."""

    errors: tuple[type[Exception], ...]


Verdict: TypeAlias = "Serve | ServeAndRefresh | Load | LoadOrServe"

LOAD = Load()

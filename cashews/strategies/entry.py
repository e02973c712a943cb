"""The stored forms of a load: its outcome, and with it the facts by which its strategy judges it later."""

from __future__ import annotations

from typing import NoReturn, TypeAlias

from cashews._dataclass import dataclass, field
from cashews.strategies.copying import copied


@dataclass(slots=True)
class Returned:
    """A load that returned a value."""

    value: object = field(repr=False)


@dataclass(slots=True)
class Raised:
    """A load that raised an exception."""

    error: Exception = field(repr=False)

    def fresh(self) -> Exception:
        """Return a copy of the exception to raise: no tracebacks and notes gather on the stored one."""
        return copied(self.error)

    def throw(self) -> NoReturn:
        """Raise a fresh copy of the exception."""
        raise self.fresh()


@dataclass(slots=True)
class Unstored(Returned):
    """A load that returned a value which could not be stored."""

    error: Exception = field(repr=False)


Outcome: TypeAlias = "Returned | Raised"


@dataclass(slots=True)
class Entry:
    """A stored outcome that its strategy has to judge.

    `deadline` is the strategy's own: the wall time at which it wants a new value. `cost` is the duration of the load in
    seconds. `hits` is the number of reads, for strategies that count them.
    """

    outcome: Outcome
    deadline: float
    cost: float = 0.0
    hits: int = 0


def counted(entry: Entry) -> Entry:
    """Return an entry as it is after one more read."""
    return Entry(entry.outcome, entry.deadline, entry.cost, entry.hits + 1)


def deadline_of(form: object) -> float | None:
    """Return the wall time at which a strategy wants a new value for a stored form; `None` if it has no such time."""
    return form.deadline if type(form) is Entry else None


@dataclass(slots=True)
class StoredRun:
    """One complete run of a generator: all items that it yielded."""

    items: tuple[object, ...] = field(repr=False)

"""What is remembered of a load: its outcome, and what its strategy needs to judge it later."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NoReturn, TypeAlias


@dataclass(slots=True)
class Returned:
    """A load that returned a value."""

    value: object


@dataclass(slots=True)
class Raised:
    """A load that raised an exception."""

    error: Exception

    def fresh(self) -> Exception:
        """Return an exception of its own to raise: tracebacks and notes never gather on the remembered one."""
        return copied(self.error)

    def throw(self) -> NoReturn:
        """Raise a fresh copy of the exception."""
        raise self.fresh()


Outcome: TypeAlias = "Returned | Raised"


@dataclass(slots=True)
class Entry:
    """A remembered outcome that has to be judged.

    `deadline` is the strategy's own: the wall time at which it wants a new value. `cost` is how many seconds the load
    took. `hits` is how often the entry has been read, where the strategy counts that.
    """

    outcome: Outcome
    deadline: float
    cost: float = 0.0
    hits: int = 0


@dataclass(slots=True)
class Loaded:
    """An outcome on its way into a store.

    `cost` is how many seconds the load took, `ttl` for how many it is kept, `own_ttl` after how many the strategy wants
    a new value, `None` if it was not told. `now` is the wall time.
    """

    outcome: Outcome
    cost: float
    ttl: float | None
    own_ttl: float | None
    now: float

    def entry(self, after: float) -> Entry:
        """Return an entry whose strategy wants a new value after some seconds."""
        return Entry(self.outcome, self.now + after, self.cost)


@dataclass(slots=True)
class Manifest:
    """What is remembered of one complete run of a generator.

    `head` is what it yielded first; the rest of its `count` items follows in so many `chunks`, each under a key of its
    own that no other run has.
    """

    run: str
    head: tuple[object, ...]
    chunks: int
    count: int

    def keys(self, key: str) -> tuple[str, ...]:
        """Return the keys of the further chunks, in order."""
        return tuple(f"{key}:{self.run}:{number}" for number in range(1, self.chunks + 1))


@dataclass(slots=True)
class Chunk:
    """Consecutive items of a run that follow its head."""

    items: tuple[object, ...]


def copied(error: Exception) -> Exception:
    """Return an exception of the same type, arguments and attributes, without a traceback."""
    kind = type(error)
    try:
        if isinstance(kind.__init__, type(object.__init__)):  # written in C: it sets fields that only it knows
            twin = copy.copy(error)
        else:  # written in Python: it may take other arguments than those it keeps
            twin = kind.__new__(kind, *error.args)
            twin.args = error.args
            twin.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001  an exotic class: the object itself is better than none
        return error.with_traceback(None)
    twin.__cause__, twin.__suppress_context__ = error.__cause__, error.__suppress_context__
    return twin.with_traceback(None)

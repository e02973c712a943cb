"""The straight lines of a store: the ways of one value in place, which are asked for most, without a message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from cashews._dataclass import dataclass
from cashews._typing import NOT_NOW, NotNowType
from cashews.messages import LoadPermit, LockHolder

Aside: TypeAlias = "tuple[object, float | None, float]"
"""A value that was put aside, the seconds that it lives, and the instant from which they count."""


class TransactionLines(Protocol):
    """A transaction, as the straight lines of a store see it.

    :param store: the store's name for itself, always the same object
    """

    __slots__ = ()

    @property
    def engine(self) -> object:
        """The engine that the transaction belongs to."""
        ...

    def look(self, store: object, key: str, /) -> object:
        """Return the value of a key that was put in this transaction, or `NOT_NOW`."""
        ...

    def put(self, store: object, key: str, value: object, expire: float | None, /) -> bool | NotNowType:
        """Put a value aside for the commit; says whether the key has one then, or `NOT_NOW`."""
        ...


class LineContext(Protocol):
    """The settings of a context, as the straight lines of a store see them."""

    __slots__ = ()

    @property
    def sole(self) -> TransactionLines | None:
        """The transaction that the context is in, if nothing else is set in it."""
        ...


class Door(Protocol):
    """An engine, as the straight lines of a store see it: it is open if nothing is in the way of one value."""

    credit: int
    """How many messages may be served in place before the other tasks get a turn."""
    home_thread: int
    """The thread in which the store may be used; 0 for none."""

    @property
    def running(self) -> Mapping[str, object]:
        """The keys that are being loaded, each with a load: to write past their loads would be wrong."""
        ...

    @property
    def beside(self) -> Mapping[str, object]:
        """The keys that are being loaded, with their further loads."""
        ...

    @property
    def context(self) -> Callable[[], LineContext | None]:
        """Answers the settings of the calling context, such as a transaction; `None` if it has none."""
        ...


class Look(Protocol):
    """Reads one value in place, as `Get` does, without a message."""

    def __call__(self, key: str, /) -> object:
        """Return a value, `ABSENT`, or `NOT_NOW`."""
        ...


class Put(Protocol):
    """Stores one value in place, as `Set` by name does, without a message."""

    def __call__(
        self,
        key: str,
        value: object,
        expire: float | None,
        permit: LoadPermit | None = None,
        instant: float | None = None,
        /,
    ) -> bool | NotNowType:
        """Say whether the value was stored; `NOT_NOW` also while loads run, unless this is the value of one of them.

        :param permit: the permit of the load whose value it is
        :param instant: the present instant of the clock, if the caller has just read it
        """
        ...


class PutAll(Protocol):
    """Stores several values in one turn, as a `Commit` of nothing but `Set` does."""

    def __call__(self, puts: Mapping[str, Aside], /) -> bool:
        """Say whether they were stored; nothing was, where the store is not at home."""
        ...


class TakeLock(Protocol):
    """Takes a lock in place, as `SetLock` without a lease does, for a holder instead of a token."""

    def __call__(self, key: str, holder: LockHolder, /) -> int | NotNowType:
        """Return a fencing number, `HELD`, or `NOT_NOW`."""
        ...


class ReleaseLock(Protocol):
    """Gives a lock back in place, as `Unlock` does."""

    def __call__(self, key: str, holder: LockHolder, /) -> bool | NotNowType:
        """Say whether this very holder held the lock, or `NOT_NOW`."""
        ...


@dataclass(frozen=True, slots=True)
class Direct:
    """The straight lines to a store; an engine has the same attributes for the lines to its only store."""

    look: Look
    look_hit: Look
    """Reads one value as `GetHit` does: an entry counts the read. The entry that it returns is the stored one."""
    put: Put
    put_all: PutAll | None = None
    """Only of a store in which one turn may be about all keys; a transaction that is at an end takes it."""


@dataclass(frozen=True, slots=True)
class DirectLocks:
    """The straight lines to the locks of a store: they end with the process, and need no lease at home."""

    store: Any
    """The store that a lock is said to be in; `None` if there are no such lines."""
    take: TakeLock
    release: ReleaseLock


def _not_now(*_: object) -> NotNowType:
    return NOT_NOW


SHUT: Final = Direct(_not_now, _not_now, _not_now)
"""The straight lines where there are none."""
LOCKS_SHUT: Final = DirectLocks(None, _not_now, _not_now)
"""Those to locks, where there are none."""


class StraightLines(Protocol):
    """An object with straight lines, which may change: those of the moment are looked up at each use."""

    @property
    def look(self) -> Look:
        """Read one value."""
        ...

    @property
    def look_hit(self) -> Look:
        """Read one value and count the read."""
        ...

    @property
    def put(self) -> Put:
        """Store one value."""
        ...

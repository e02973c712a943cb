"""The locks that tasks of this process hold, and those that they wait for without a timeout."""

from __future__ import annotations

from collections.abc import Generator, Hashable, Iterator
from contextlib import contextmanager
from typing import TypeAlias, TypeVar

from cashews.actors.shared import SHARED
from cashews.engine.coordinator.keeper import HeldLock
from cashews.exceptions import LockedError

K = TypeVar("K", bound=Hashable)
Place: TypeAlias = "tuple[object, str]"
"""The store that a lock is in, and its key there."""


class TaskLocks:
    """The holders of locks by key, and the lock that each task waits for: a deadlock is found before anybody waits.

    A wait with a timeout ends by itself, and so does a lease that nobody renews: they are part of no deadlock.

    :param beside: those of the tasks of another event loop; a deadlock may go through several
    """

    __slots__ = ("_all", "_renamed", "_wanted", "held")

    def __init__(self, beside: TaskLocks | None = None) -> None:
        self.held: dict[str, list[HeldLock]] = {}
        """The locks under which bodies of this event loop run."""
        self._renamed: dict[Place, list[HeldLock]] = {}
        """Those whose keys were renamed by middlewares, by their places."""
        self._wanted: dict[object, Place] = {}
        self._all: list[TaskLocks] = [] if beside is None else beside._all  # noqa: SLF001  of the same class, as below
        """Those of all event loops. Each changes in the thread of its own alone, and is read in all."""
        self._all.append(self)

    def note_entered(self, lock: HeldLock, task: object) -> None:
        """Note that a body runs, in a task, under a lock that was taken."""
        lock.task = task
        held = self.held.get(lock.key)
        if held is None:
            self.held[lock.key] = [lock]
        else:
            held.append(lock)
        if lock.stored_key != lock.key:
            self._renamed.setdefault(_place_of(lock), []).append(lock)

    def note_left(self, lock: HeldLock) -> None:
        """Note that a body has ended."""
        lock.task = None
        _take_out(self.held, lock.key, lock)
        if lock.stored_key != lock.key:
            _take_out(self._renamed, _place_of(lock), lock)

    def is_free(self, key: str) -> bool:
        """Say whether no task of this process holds a lock."""
        return key not in self.held

    def of_task(self, key: str, task: object, now: float) -> list[HeldLock]:
        """Return the locks with a key that a task holds: more than one if a middleware tells them apart."""
        held = self.held.get(key, ())
        return [lock for lock in held if lock.task is task and lock.until > now and not lock.lost]

    @contextmanager
    def waiting(self, key: str, place: Place, task: object) -> Generator[None]:
        """Note that a task waits for a lock in a block.

        :raises LockedError: if the lock's holder waits for a lock of this task, perhaps by way of others
        """
        with SHARED:
            ours = self._closing(place, task)
            if ours is None:
                self._wanted[task] = place
        if ours is not None:
            reason = f"its holder waits for the lock {ours!r}, which this task holds: a deadlock"
            raise LockedError(key, reason)
        try:
            yield
        finally:
            self._wanted.pop(task, None)

    def forget_all(self) -> list[HeldLock]:
        """Forget the tasks of a loop that has ended, and return the locks that they held."""
        held, self.held, self._renamed, self._wanted = self.held, {}, {}, {}
        return [lock for locks in held.values() for lock in locks]

    def _closing(self, place: Place, task: object) -> str | None:
        """Return the lock of a task that closes a circle of waits if the task waits at a place, or `None`."""
        ahead, seen = [place], {place}
        while ahead:
            for holder in self._lasting(ahead.pop()):
                wanted = self._wanted_by(holder.task)
                if wanted is not None and wanted not in seen:
                    ours = [lock for lock in self._lasting(wanted) if lock.task is task]
                    if ours:
                        return ours[0].key
                    seen.add(wanted)
                    ahead.append(wanted)
        return None

    def _lasting(self, place: Place) -> list[HeldLock]:
        """Return the locks at a place that do not end by themselves."""
        held = [lock for each in self._all for lock in each._held_at(place)]  # noqa: SLF001  of the same class
        return [lock for lock in held if not lock.lost and (lock.renewed or lock.lease is None)]

    def _held_at(self, place: Place) -> Iterator[HeldLock]:
        """Yield the locks at a place, of copies: a task of this loop may leave one meanwhile, in its own thread."""
        _, key = place
        yield from [lock for lock in tuple(self.held.get(key, ())) if _place_of(lock) == place]
        yield from tuple(self._renamed.get(place, ()))

    def _wanted_by(self, task: object) -> Place | None:
        """Return the place of the lock that a task of any event loop waits for."""
        for each in self._all:
            wanted = each._wanted.get(task)  # noqa: SLF001  likewise
            if wanted is not None:
                return wanted
        return None


def _place_of(lock: HeldLock) -> Place:
    return lock.store, lock.stored_key


def _take_out(held: dict[K, list[HeldLock]], key: K, lock: HeldLock) -> None:
    locks = held.get(key)
    if locks == [lock]:
        del held[key]
    elif locks is not None and lock in locks:
        locks.remove(lock)

"""Loads that wait for each other, and locks of loads: a load that would wait for itself runs instead."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from contextvars import ContextVar, Token

from cashews.actors.shared import SHARED
from cashews.messages import LoadPermit
from cashews.messages.loads import Waits, block

LOADING: ContextVar[tuple[Waits, ...]] = ContextVar("cashews_loading", default=())
"""The loads that the current context runs in, the outermost first."""


class loading_here:  # noqa: N801  a block, as `suppress` is one; half the price of a generator
    """``with loading_here(load)``: the block runs a load, and the load around it waits for that."""

    __slots__ = ("_load", "_token")

    def __init__(self, load: Waits) -> None:
        self._load = load

    def __enter__(self) -> None:
        around = LOADING.get()
        if around:  # the loads around that one wait for it already
            block(around[-1], self._load)
        self._token = LOADING.set((*around, self._load))

    def __exit__(self, *_: object) -> None:
        around = self._token.old_value
        if around is not Token.MISSING and around:
            around[-1].blocked_on.remove(self._load)
        forget_load(self._token)


def forget_load(token: Token[tuple[Waits, ...]]) -> None:
    """Note in the calling context that a load has ended; the collector may do so elsewhere, where none had begun."""
    try:  # noqa: SIM105  a fifth of the time
        LOADING.reset(token)
    except ValueError:
        pass


def is_blocked_by(start: Waits, others: Collection[Waits]) -> bool:
    """Say whether a load or lock is one of some others, or has to wait for one of them."""
    seen, ahead = {start}, [start]
    while ahead:
        waits = ahead.pop()
        if waits in others:
            return True
        new = [each for each in waits.blocked_on if each not in seen]
        seen.update(new)
        ahead += new
    return False


class JointLoad(Waits):
    """One run of a function that loads several keys: the load of each key waits for it."""

    __slots__ = ("blocked_on",)

    def __init__(self, loads: Iterable[Waits]) -> None:
        self.blocked_on: list[Waits] = []
        for load in loads:
            block(load, self)


class LoadLock(Waits):
    """The lock of a key, as the loads of this process hold it (`blocked_on`) and wait for it."""

    __slots__ = ("blocked_on", "users")

    def __init__(self) -> None:
        self.blocked_on: list[Waits] = []
        self.users = 0


class LoadLocks:
    """The locks that loads of one engine hold or wait for, in any thread, by the names of the locks."""

    def __init__(self) -> None:
        self._by_name: dict[str, LoadLock] = {}

    def waits_for_itself(self, name: str) -> bool:
        """Say whether a load in this context would wait for itself if it waited for a lock."""
        lock = self._by_name.get(name)
        return lock is not None and is_blocked_by(lock, LOADING.get())

    @contextmanager
    def waiting(self, load: LoadPermit, name: str) -> Generator[LoadLock]:
        """Note that a load waits for a lock, or holds it once that is said with `hold`, until the block ends."""
        with SHARED:
            lock = self._by_name.setdefault(name, LoadLock())
            lock.users += 1
        block(load, lock)
        try:
            yield lock
        finally:
            for waiter, awaited in ((load, lock), (lock, load)):
                if awaited in waiter.blocked_on:
                    waiter.blocked_on.remove(awaited)
            with SHARED:
                lock.users -= 1
                if not lock.users:
                    self._by_name.pop(name, None)


def hold(lock: LoadLock, load: LoadPermit) -> None:
    """Note that a load holds a lock that it has waited for."""
    load.blocked_on.remove(lock)
    block(lock, load)

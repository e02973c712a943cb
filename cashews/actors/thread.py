"""Threads of actors: they keep no process alive, finish their letters at its exit, and rest while it forks."""

from __future__ import annotations

import atexit
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextvars import Context
from threading import Event, Thread
from typing import Final
from weakref import WeakSet

import anyio

from cashews.actors.loop import Loop

GRACE: Final = 5.0
"""Seconds that the exit of the process, or a fork, waits for a thread that is at work."""


class Rest:
    """A time in which a thread touches nothing, since the process forks: it begins soon, and ends after the fork."""

    def __init__(self) -> None:
        self._begun, self._over = Event(), Event()

    def take(self) -> None:
        """Rest; called in the thread, once it has let go of everything that two processes cannot share."""
        self._begun.set()
        self._over.wait()

    def wait(self) -> None:
        """Wait until the thread rests; one that is too busy is not waited for."""
        self._begun.wait(GRACE)

    def end(self) -> None:
        """Have the thread go on."""
        self._over.set()


class ThreadSignals(ABC):
    """The signals that a thread of an actor listens to."""

    @abstractmethod
    def stop(self) -> None:
        """Have the thread serve the letters that wait, and end."""

    @abstractmethod
    def rest(self, rest: Rest) -> None:
        """Have the thread take a rest after the letters that wait."""


class ActorThread:
    """A daemon thread that runs a function until its signals say stop.

    Worker threads of the event loop would end with the task that asked for them: the task of a loop that was closed by
    hand never ends, and the interpreter waits for its threads.
    """

    def __init__(self, function: Callable[[], None], signals: ThreadSignals, loop: Loop, name: str) -> None:
        self._function = function
        self._signals = signals
        self._loop = loop
        self._over = anyio.Event()
        self._thread = Thread(target=Context().run, args=(self._run,), name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        _living.add(self)
        self._thread.start()

    async def wait(self) -> None:
        """Wait for the end of the thread, whatever is cancelled meanwhile."""
        try:
            with anyio.CancelScope(shield=True):
                await self._over.wait()
        except anyio.get_cancelled_exc_class():  # asyncio's own Task.cancel() goes through shields, once
            await self._over.wait()
            raise
        finally:
            if self._over.is_set():  # the thread has told of its end in its last statement
                self._thread.join()

    def _run(self) -> None:
        try:
            self._function()
        finally:
            _living.discard(self)
            self._loop.post(self._over.set)

    def finish(self) -> None:
        """Have the thread serve the letters that wait, and wait a while for its end."""
        self._signals.stop()
        self._thread.join(GRACE)

    def rest(self) -> Rest:
        """Have the thread rest soon, and return its rest."""
        rest = Rest()
        self._signals.rest(rest)
        return rest


_living: WeakSet[ActorThread] = WeakSet()
_resting: list[Rest] = []


def _finish_all() -> None:
    """Have every thread finish its letters: the interpreter freezes daemon threads wherever they are."""
    for thread in list(_living):
        thread.finish()


def _rest_all() -> None:
    """Have every thread rest: the child of a fork has a copy of everything but the threads themselves."""
    _resting.extend([thread.rest() for thread in list(_living)])
    for rest in _resting:
        rest.wait()


def _end_rests() -> None:
    for rest in _resting:
        rest.end()
    _resting.clear()


def _forget_all() -> None:
    """Forget the threads in the child of a fork: there they do not run."""
    _resting.clear()
    _living.clear()


atexit.register(_finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_rest_all, after_in_parent=_end_rests, after_in_child=_forget_all)

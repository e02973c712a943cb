"""The event loop underneath, and tasks that belong to the loop itself.

The only module that imports `asyncio` or `trio`, each only while it is running.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from functools import partial
from os import getpid
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final, TypeVar

from cashews._log import logger
from cashews.actors.later import Later
from cashews.actors.slots import AsyncioReplySlot, BareSlot, ReplySlot, TrioReplySlot
from cashews.exceptions import EventLoopError

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop as AbstractEventLoop
    from asyncio import Future as Future
    from asyncio import Transport as Transport

    import trio

T = TypeVar("T")
Main = Callable[[], Coroutine[Any, Any, None]]


class Loop(ABC):
    """One event loop, in the thread it runs in."""

    thread: int
    process: int
    """The process that the loop runs in; the child of a fork has a dead copy of it."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether the loop is still running."""

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Whether the loop will never run again; one that was stopped by hand may."""

    @abstractmethod
    def reach(self, function: Callable[[], object]) -> bool:
        """Have a function called in the loop, if the loop runs; says whether it does."""

    @abstractmethod
    def reply_slot(self) -> ReplySlot[Any]:
        """Return an empty reply slot."""

    @abstractmethod
    def bare_slot(self) -> BareSlot[Any]:
        """Return an empty bare slot."""

    @abstractmethod
    def slot_here(self) -> ReplySlot[Any] | None:
        """Return an empty reply slot if the calling code runs in this loop: both questions for the price of one."""

    @abstractmethod
    def bare_slot_here(self) -> BareSlot[Any] | None:
        """Return an empty bare slot if the calling code runs in this loop."""

    @abstractmethod
    def pause(self) -> Awaitable[None]:
        """Let other tasks run: a checkpoint, for less than that of anyio, which looks for the loop first."""

    @abstractmethod
    def post(self, function: Callable[[], object]) -> bool:
        """Have a function called in the loop, from whichever thread; says whether the loop is still there."""

    @abstractmethod
    def spawn(self, main: Main, context: Context | None = None) -> None:
        """Run `main` in a task of the loop itself; the loop cancels it when it ends.

        :param context: the context of the task; an empty one, if `None`
        """

    @property
    @abstractmethod
    def here(self) -> bool:
        """Whether the calling code runs in this loop."""

    def shared_slot(self) -> SharedReplySlot[Any]:
        """Return an empty reply slot that may be given its reply in any thread."""
        return SharedReplySlot(self)

    @abstractmethod
    def task(self) -> object:
        """Return the calling task; the loop is the one that it runs in."""

    @abstractmethod
    def task_here(self) -> object | None:
        """Return the calling task if it runs in this loop: both questions for the price of one, or less."""


class SharedReplySlot(ReplySlot[T]):
    """A reply slot of one loop that is given its reply in another one, or in any thread."""

    __slots__ = ("_loop", "_slot")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._slot: ReplySlot[T] = loop.reply_slot()

    @property
    def awaited(self) -> bool:
        """Whether the loop lives in which the reply is awaited."""
        return self._loop.here or self._loop.alive

    @property
    def given(self) -> bool:
        return self._slot.given

    @property
    def answer(self) -> T:
        return self._slot.answer

    def give(self, value: T) -> None:
        if self._loop.here:
            self._slot.give(value)
        else:
            self._loop.post(partial(self._slot.give, value))

    def __await__(self) -> Generator[Any, Any, T]:
        return self._slot.__await__()


class Pause:
    """A turn of an event loop of asyncio: a task that yields nothing goes on in the next one."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        yield


PAUSE: Final = Pause()


class AsyncioLoop(Loop):
    """An event loop of asyncio."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.event_loop = loop
        self._new_future = loop.create_future
        self._running_loop = sys.modules["asyncio"]._get_running_loop  # noqa: SLF001  exported; it answers None instead of raising
        self._current_task = sys.modules["asyncio"].current_task
        self.thread = get_ident()
        self.process = getpid()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def alive(self) -> bool:
        return self.event_loop.is_running() and self.process == getpid()

    @property
    def gone(self) -> bool:
        return self.event_loop.is_closed() or self.process != getpid()

    def reach(self, function: Callable[[], object]) -> bool:
        return self.alive and self.post(function)

    @property
    def here(self) -> bool:
        return self._running_loop() is self.event_loop

    def task(self) -> object:
        return self._current_task(self.event_loop)

    def task_here(self) -> object | None:
        task: object | None = self._current_task(self.event_loop)
        return task  # `None` for a loop that is not running a task

    def reply_slot(self) -> ReplySlot[Any]:
        return AsyncioReplySlot(self._new_future())

    def bare_slot(self) -> BareSlot[Any]:
        return self._new_future()

    def pause(self) -> Awaitable[None]:
        return PAUSE

    def slot_here(self) -> ReplySlot[Any] | None:
        return AsyncioReplySlot(self._new_future()) if self._running_loop() is self.event_loop else None

    def bare_slot_here(self) -> BareSlot[Any] | None:
        return self._new_future() if self._running_loop() is self.event_loop else None

    def post(self, function: Callable[[], object]) -> bool:
        try:
            self.event_loop.call_soon_threadsafe(function)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def spawn(self, main: Main, context: Context | None = None) -> None:
        task = (context or Context()).run(self.event_loop.create_task, Later(_logging_failures, (main,)))
        self._tasks.add(task)  # the loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)


class TrioLoop(Loop):
    """A run of trio."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._lowlevel = sys.modules["trio"].lowlevel
        self._current_token = self._lowlevel.current_trio_token
        self.thread = get_ident()
        self.process = getpid()

    @property
    def alive(self) -> bool:
        return self.reach(_nothing)

    @property
    def gone(self) -> bool:
        return not self.alive

    def reach(self, function: Callable[[], object]) -> bool:
        return self.process == getpid() and self.post(function)

    @property
    def here(self) -> bool:
        try:
            return self._current_token() is self._token
        except RuntimeError:  # no run of trio in this thread
            return False

    def task(self) -> object:
        return sys.modules["trio"].lowlevel.current_task()

    def task_here(self) -> object | None:
        try:
            return self._lowlevel.current_task() if self._current_token() is self._token else None
        except RuntimeError:
            return None

    def reply_slot(self) -> TrioReplySlot[Any]:
        return TrioReplySlot(self._lowlevel)

    bare_slot = reply_slot

    def pause(self) -> Awaitable[None]:
        pause: Awaitable[None] = self._lowlevel.checkpoint()
        return pause

    def slot_here(self) -> TrioReplySlot[Any] | None:
        try:
            return TrioReplySlot(self._lowlevel) if self._current_token() is self._token else None
        except RuntimeError:
            return None

    bare_slot_here = slot_here

    def post(self, function: Callable[[], object]) -> bool:
        try:
            self._token.run_sync_soon(function)
        except sys.modules["trio"].RunFinishedError:
            return False
        return True

    def spawn(self, main: Main, context: Context | None = None) -> None:
        self._lowlevel.spawn_system_task(_logging_failures, main, context=context or Context())


def _nothing() -> None:
    return None


async def _logging_failures(main: Main) -> None:
    """Run the main task of a hosted engine: there is nobody to raise its failure to."""
    try:
        await main()
    except Exception:  # noqa: BLE001  trio would crash, asyncio would tell at an unknown time
        logger.exception("the engine has failed; its next use starts it again")


def current_loop() -> Loop:
    """Return the event loop that the calling code runs in.

    :raises EventLoopError: if it runs in none
    """
    if _trio_runs_here():
        return TrioLoop(sys.modules["trio"].lowlevel.current_trio_token())
    event_loop = _asyncio_loop_here()
    if event_loop is not None:
        return AsyncioLoop(event_loop)
    message = "the cache was used outside of an event loop; run it under asyncio or trio"
    raise EventLoopError(message)


def loop_runs_here() -> bool:
    """Say whether an event loop runs in the calling thread, which may not block then."""
    return _trio_runs_here() or _asyncio_loop_here() is not None


def _trio_runs_here() -> bool:
    runs: Callable[[], bool] | None = getattr(sys.modules.get("trio.lowlevel"), "in_trio_run", None)
    return runs is not None and runs()  # another thread may be importing trio


def _asyncio_loop_here() -> Any:
    running: Callable[[], Any] | None = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    return None if running is None else running()  # exported by asyncio; it raises nothing where none runs

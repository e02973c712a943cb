"""The way from threads without an event loop into one: the loop that a worker thread came from, or a loop of our own.

The loop of our own runs in a daemon thread. It begins with the first call that needs it, and again in the child of a
fork. It ends with its owner, and with the process: before the interpreter is taken down, when all other threads ended.
"""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, ContextDecorator, contextmanager
from contextvars import ContextVar, Token, copy_context
from threading import Event, Thread, current_thread, local
from types import ModuleType, TracebackType
from typing import Any, Final, Generic, TypeVar, cast

import anyio

from cashews.actors.crossing import PULSE, Crossing, LoopGoneError, call_from_thread
from cashews.actors.loop import Loop, current_loop, loop_runs_here
from cashews.actors.shared import BEGINNING
from cashews.exceptions import EventLoopError

R = TypeVar("R")
END_GRACE: Final = 5.0
"""Seconds that an ending portal waits for its thread. Real ones: its loop has no part in a clock."""

HOLDER: ContextVar[object] = ContextVar("cashews holder", default=None)
"""The holder of the locks that tasks take for a thread: its outermost block, or the task that the thread works for."""


class PortalThread:
    """One event loop of asyncio in a daemon thread. The threads of that loop's functions are daemons too."""

    def __init__(self) -> None:
        self._begun = Event()
        self._stop: anyio.Event
        self.loop: Loop | None = None
        self._thread = Thread(target=self._run, name="cashews portal", daemon=True)
        self._thread.start()
        self._begun.wait()

    def _run(self) -> None:
        try:
            anyio.run(self._main)
        finally:
            self._begun.set()

    async def _main(self) -> None:
        self.loop, self._stop = current_loop(), anyio.Event()
        self._begun.set()
        await self._stop.wait()

    def end(self) -> None:
        """End the loop with all its tasks; nothing happens in the child of a fork, which has none."""
        if self.loop is not None and self.loop.reach(self._stop.set) and self._thread is not current_thread():
            self._thread.join(END_GRACE)


class Portal:
    """Has calls run in an event loop, for threads without one, each in the context of its caller."""

    def __init__(self) -> None:
        self._own: Loop | None = None
        self._end: Callable[[], object] | None = None

    def run(self, call: Callable[[], Awaitable[R]]) -> R:
        """Have a call run, and block until it has; return its result or raise its error.

        :raises EventLoopError: if an event loop runs in this thread, or the other one has ended meanwhile
        """
        if (worker := _worker()) is not None:
            return cast("R", worker.run(_awaited, call))
        try:
            return call_from_thread(self._own_loop(), call)
        except LoopGoneError as gone:
            raise EventLoopError(str(gone)) from None

    def loop(self) -> Loop:
        """Return the event loop in which the calls of this thread run.

        :raises EventLoopError: if an event loop runs in this thread
        """
        worker = _worker()
        return self._own_loop() if worker is None else worker.run_sync(current_loop)

    def _own_loop(self) -> Loop:
        own = self._own
        return own if own is not None and own.alive else self._started()

    def _started(self) -> Loop:
        with BEGINNING:  # a fork waits for it
            if self._own is None or not self._own.alive:
                thread = PortalThread()
                if thread.loop is None:
                    message = "no event loop could be begun in a thread of its own"
                    raise EventLoopError(message)
                self._own = thread.loop
                self._end = weakref.finalize(self, thread.end)  # at exit, too
            return self._own

    def end(self) -> None:
        """End the loop of our own, if there is one; the next call begins another."""
        if self._end is not None:
            self._end()


async def _awaited(call: Callable[[], Awaitable[R]]) -> R:
    return await call()


def _worker() -> ModuleType | None:
    """Return the module by which a worker thread reaches its event loop; `None` if the calling thread is no worker.

    :raises EventLoopError: if an event loop runs in this thread
    """
    if loop_runs_here():
        message = "a blocking command would stop the event loop of this thread; await the async command of the cache"
        raise EventLoopError(message)
    from anyio import from_thread  # noqa: PLC0415  loads with the first command of a thread

    try:
        from_thread.check_cancelled()
    except RuntimeError:  # it is none
        return None
    return from_thread


@contextmanager
def holding() -> Generator[None, None, None]:
    """Have the calling task hold the locks of the tasks that threads of it begin."""
    token = HOLDER.set(HOLDER.get() or current_loop().task())
    try:
        yield
    finally:
        HOLDER.reset(token)


class BodyFailedError(Exception):
    """The body of a block has failed in its own thread."""


class BlockBody(Generic[R]):
    """An async block that one task of an event loop enters and leaves, while its body runs in another thread.

    :param carried: context variables: the block's values of them hold in the body, too
    """

    def __init__(
        self, loop: Loop, block: AbstractAsyncContextManager[R, Any], carried: Sequence[ContextVar[Any]]
    ) -> None:
        self._loop = loop
        self._block = block
        self._variables = carried
        self._told = Event()
        """Set when the block is entered, and when its task has ended."""
        self._failed = False
        self._left: anyio.Event
        self._crossing = Crossing(loop, self._serve, self._told.set, copy_context())
        self.value: R
        self.carried: list[tuple[ContextVar[Any], Any]] = []

    async def _serve(self) -> None:
        if HOLDER in self._variables and HOLDER.get() is None:
            HOLDER.set(self)
        async with self._block as self.value:
            self.carried = [(variable, variable.get()) for variable in self._variables]
            self._left = anyio.Event()
            self._told.set()
            await self._left.wait()
            if self._failed:
                raise BodyFailedError

    def enter(self) -> None:
        """Enter the block, and block until it is entered; raise its error if it fails."""
        try:
            self._crossing.post()
            while not self._told.wait(PULSE):
                self._crossing.look()
            if self._crossing.ended:
                self._crossing.answer()
        except LoopGoneError as gone:
            raise EventLoopError(str(gone)) from None
        except BaseException:
            self._crossing.leave()
            raise

    def leave(self, *, failed: bool) -> None:
        """Leave the block, and block until it is left; raise its error if it fails."""
        self._failed = failed
        self._told.clear()
        self._loop.reach(self._left.set)
        try:
            while not self._crossing.ended:
                self._told.wait(PULSE)
                self._crossing.look()
            self._crossing.answer()
        except BodyFailedError:
            pass
        except LoopGoneError as gone:
            raise EventLoopError(str(gone)) from None
        except BaseException:
            self._crossing.leave()
            raise


class BlockingBlock(ContextDecorator, Generic[R]):
    """A plain block over an async one, which is held in an event loop while the body runs in the calling thread.

    One object may be entered by many threads, and again and again. It is also a decorator of plain functions.

    :param make: makes the async block of one body
    :param carried: context variables: the async block's values of them hold in the body, too
    """

    def __init__(
        self,
        portal: Portal,
        make: Callable[[], AbstractAsyncContextManager[R, Any]],
        carried: Sequence[ContextVar[Any]] = (),
    ) -> None:
        self._portal = portal
        self._make = make
        self._carried = carried
        self._bodies = Bodies()

    def __enter__(self) -> R:
        body = BlockBody(self._portal.loop(), self._make(), self._carried)
        body.enter()
        tokens = [(variable, variable.set(value)) for variable, value in body.carried]
        self._bodies.open.append((body, tokens))
        value: R = body.value
        return value

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        body, tokens = self._bodies.open.pop()
        for variable, token in tokens:
            variable.reset(token)
        body.leave(failed=error is not None)


class Bodies(local):
    """The open bodies of one block in one thread."""

    def __init__(self) -> None:
        self.open: list[tuple[BlockBody[Any], list[tuple[ContextVar[Any], Token[Any]]]]] = []

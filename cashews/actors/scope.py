"""Where the engine's tasks live: in the block that opened it, or in the event loop itself."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, TypeAlias

import anyio

from cashews._log import logger
from cashews.actors.later import start_soon
from cashews.actors.loop import Loop
from cashews.exceptions import EventLoopError

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

Service: TypeAlias = Callable[[], Awaitable[None]]
"""A task of a backend that runs for as long as the scope does."""


class Scope:
    """The task group of one engine.

    `services` names the tasks to start whenever the group opens; `on_end` is called when it has ended.
    """

    def __init__(self, services: Callable[[], Iterable[Service]], on_end: Callable[[], None]) -> None:
        self._services = services
        self._on_end = on_end
        self._group: TaskGroup | None = None
        self._loop: Loop | None = None
        self._turn: object | None = None
        """Who may run the group: the block or the hosted task that was asked for last."""
        self._ended: anyio.Event | None = None
        self._running: set[object] = set()

    @property
    def running(self) -> bool:
        """Whether tasks can live here now."""
        return self._group is not None and self._loop is not None and self._loop.here

    @property
    def tasks(self) -> int:
        """How many services run."""
        return len(self._running)

    def spawn(self, service: Service) -> None:
        """Start a task that ends with the scope, in an empty context: nothing of the opener's context reaches it."""
        Context().run(self._spawn, service)

    def _spawn(self, service: Service) -> None:
        assert self._group is not None
        start_soon(self._group, self._counted, service, self._running)

    async def _counted(self, service: Service, running: set[object]) -> None:
        task = object()
        running.add(task)
        try:
            await service()
        finally:
            running.discard(task)

    # --- hosted

    def host(self, loop: Loop) -> bool:
        """Start in a task of the event loop itself, unless the scope is about to; says whether it runs already.

        A loop that was closed by hand, its tasks still pending, takes ours with it: they are given up.
        """
        if self._loop is None or not self._loop.here:
            self._group, self._loop, self._turn = None, loop, object()
            loop.spawn(partial(self._main, self._turn))
        return self._group is not None

    async def _main(self, turn: object) -> None:
        if self._turn is not turn:  # closed or opened in a block before this task has run
            return
        self._ended = ended = anyio.Event()
        try:
            async with anyio.create_task_group() as group:
                self._start(group)
                await anyio.sleep(math.inf)
        finally:
            if self._turn is turn:
                self._end()
            ended.set()

    async def unhost(self) -> None:
        """Stop hosted tasks and wait for their end; keep those from starting that are about to.

        Those of a loop that was closed by hand are given up.
        """
        while self.running and self._group is not None and self._ended is not None:
            self._group.cancel_scope.cancel()
            await self._ended.wait()
        if not self.running:
            self._end()

    # --- open

    async def open(self, loop: Loop) -> None:
        """Start in the current task.

        :raises EventLoopError: if the scope is open already
        """
        await self.unhost()
        if self._group is not None:
            message = "the cache is open already; one scope at a time"
            raise EventLoopError(message)
        self._loop, self._turn, self._ended = loop, object(), None
        group = anyio.create_task_group()
        await group.__aenter__()
        self._start(group)

    async def leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """End all tasks. What the body raised leaves as it is; the failure of a task of ours is raised by itself."""
        group = self._group
        assert group is not None
        group.cancel_scope.cancel()
        cancelled = isinstance(error, anyio.get_cancelled_exc_class())
        try:
            if cancelled:
                return await group.__aexit__(kind, error, trace)
            await group.__aexit__(None, None, None)  # its answer is about our own cancellation, not about the body
            return None
        except BaseException as failure:
            failure = _alone(failure)
            if error is None or cancelled:
                raise failure from None
            logger.error("a task of the cache failed while its scope was left", exc_info=failure)
            return None
        finally:
            self._end()

    def _start(self, group: TaskGroup) -> None:
        self._group, self._running = group, set()
        for service in self._services():
            self.spawn(service)

    def _end(self) -> None:
        self._group = self._loop = self._turn = None
        self._on_end()


def _alone(error: BaseException) -> BaseException:
    """Return the only error of a group, or the group."""
    inner: tuple[BaseException, ...] = getattr(error, "exceptions", ())
    return _alone(inner[0]) if len(inner) == 1 else error

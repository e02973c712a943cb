"""The interceptors between the engine and a store: switches, invalidation, callbacks, and users' middlewares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, TypeAlias, TypeVar, cast

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass
from cashews.commands import Command
from cashews.engine.chain import BoundInterceptor, Interceptor, Proceed
from cashews.engine.context import AMBIENT
from cashews.engine.observing import CommandServed, Observing
from cashews.engine.passing import passing_of
from cashews.engine.permits import Permits
from cashews.messages import DeleteMany, Message, Page

R = TypeVar("R")

Middleware: TypeAlias = Callable[..., Awaitable[Any]]
"""``async def middleware(call, cmd, backend, *args, **kwargs)``, which returns ``await call(*args, **kwargs)``.

An `Interceptor` may be given in its place; it is handed the message itself.
"""

Callback: TypeAlias = Callable[..., Any]
"""``callback(key, result)``, plain or async; called after the command, on a miss too."""

VALUE_READS = frozenset({Command.GET, Command.GET_RAW, Command.GET_MANY, Command.GET_MATCH})


class Switch(Interceptor):
    """Declines the commands that are switched off, in the whole process or in this context."""

    def __init__(self, engine: object, prefix: str) -> None:
        self._engine = engine
        self._prefix = prefix
        self.off: frozenset[Command] = frozenset()

    def is_off(self, command: Command) -> bool:
        """Say whether a command is declined here and now."""
        if command in self.off:
            return True
        here = AMBIENT.get()
        if here is not None:
            for off in here.off:
                if command in off.commands and off.engine is self._engine and off.prefix in {None, self._prefix}:
                    return True
        return False

    def concerns(self, command: Command) -> bool:
        return self.is_off(command)

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        return message.declined()


class Invalidator(Interceptor):
    """Under `invalidate_further()`, removes the cached values that a message reads, and answers that there are none.

    A load that has begun in the same block is as new as can be, so reads in that block do not void its permit.
    """

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    def concerns(self, command: Command) -> bool:
        here = AMBIENT.get()
        return here is not None and here.invalidating is not None and command in VALUE_READS

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        if message.covers is None:
            await self._remove(message.keys, proceed)
            return message.declined()
        page = await proceed(message)
        await self._remove(tuple(key for key, _ in page.items), proceed)
        return cast("R", Page[object]([], page.cursor))

    async def _remove(self, keys: tuple[str, ...], proceed: Proceed) -> None:
        here = AMBIENT.get()
        self._permits.void(keys, but=() if here is None or here.invalidating is None else (here.invalidating,))
        await proceed(DeleteMany(keys))


class Watcher(Interceptor):
    """Tells the listeners of a command that was served, and calls the registered callbacks."""

    def __init__(self, changed: Callable[[], None], observing: Observing) -> None:
        self._changed = changed
        self._observing = observing
        self._callbacks: dict[Command, tuple[Callback, ...]] = {}

    def concerns(self, command: Command) -> bool:
        return bool(self._observing.listeners or self._callbacks.get(command))

    @contextmanager
    def watching(self, callback: Callback, command: Command) -> Generator[None]:
        """Have a callback called until the block ends."""
        self._set(command, (*self._callbacks.get(command, ()), callback))
        try:
            yield
        finally:
            callbacks = list(self._callbacks[command])
            callbacks.remove(callback)
            self._set(command, tuple(callbacks))

    def _set(self, command: Command, callbacks: tuple[Callback, ...]) -> None:
        self._callbacks[command] = callbacks  # a new tuple, so that a loop over the old one is not disturbed
        self._changed()

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        reply: R = await proceed(message)
        event = CommandServed(message, reply)
        self._observing.tell(event)
        callbacks = self._callbacks.get(message.command, ())
        for key, result in event.results() if callbacks else ():
            for callback in callbacks:
                outcome = callback(key, result)
                if is_awaitable(outcome):
                    await outcome
        return reply


def interceptors_of(middlewares: Iterable[Middleware], backend: object) -> Iterator[Interceptor]:
    """Return the interceptors of middlewares: those that are interceptors already, and one for each row of others."""
    for native, row in groupby(middlewares, is_interceptor):
        if native:
            yield from cast("Iterator[Interceptor]", row)
        else:
            yield Middlewares(tuple(row), backend)


def is_interceptor(middleware: Middleware) -> bool:
    """Say whether a middleware takes messages instead of the arguments of commands."""
    return callable(getattr(middleware, "concerns", None))


@dataclass(frozen=True, slots=True)
class Middlewares(BoundInterceptor):
    """An interceptor that calls users' middlewares with the arguments of the public command, the first one outermost.

    Each hands its arguments to the next one directly; the last one's arguments go on as a message.
    """

    functions: tuple[Middleware, ...]
    backend: object

    def concerns(self, command: Command) -> bool:
        return True

    def bound(self, kind: type[Message[Any]], proceed: Proceed) -> Proceed:
        first, *others = self.functions
        return passing_of(kind).through(first, others[::-1], self.backend, proceed)

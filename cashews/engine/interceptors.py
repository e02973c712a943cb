"""The interceptors between the engine and a store: switches, invalidation, callbacks, and users' middlewares."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar, cast

from cashews._dataclass import dataclass
from cashews.commands import Command
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import AMBIENT
from cashews.engine.permits import Permits
from cashews.messages import DeleteMany, DeleteTags, GetMany, Message, Page

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
        return command in self.off or self._is_off_here(command)

    def _is_off_here(self, command: Command) -> bool:
        here = AMBIENT.get()
        return here is not None and any(
            off.engine is self._engine and command in off.commands and off.prefix in {None, self._prefix}
            for off in here.off
        )

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
        self._permits.void(keys, but=here and here.invalidating)
        await proceed(DeleteMany(keys))


class Watcher(Interceptor):
    """Calls the registered callbacks after their command."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._callbacks: dict[Command, tuple[Callback, ...]] = {}

    def concerns(self, command: Command) -> bool:
        return bool(self._callbacks.get(command))

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
        for key, result in _results(message, reply):
            for callback in self._callbacks.get(message.command, ()):
                outcome = callback(key, result)
                if inspect.isawaitable(outcome):
                    await outcome
        return reply


def _results(message: Message[R], reply: R) -> Sequence[tuple[str, object]]:
    if isinstance(message, GetMany):
        return list(zip(message.keys, reply, strict=True))  # type: ignore[call-overload]  # a tuple of values
    if isinstance(message, DeleteTags):
        return [(tag, reply) for tag in message.tags]
    if message.covers is not None:
        return [(message.covers, reply)]
    return [(key, reply) for key in message.keys]


def interceptor_of(middleware: Middleware, backend: object) -> Interceptor:
    """Return the interceptor of a middleware: itself, if it is one already, or an adapter around it."""
    native: Any = middleware
    return native if callable(getattr(middleware, "concerns", None)) else MiddlewareAdapter(middleware, backend)


@dataclass(frozen=True, slots=True)
class MiddlewareAdapter(Interceptor):
    """An interceptor that calls a user's middleware with the arguments of the public command."""

    middleware: Middleware
    backend: object

    def concerns(self, command: Command) -> bool:
        return True

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        async def call(*args: object, **kwargs: object) -> R:
            reply: R = await proceed(message.with_arguments(*args, **kwargs))
            return reply

        args, kwargs = message.arguments()
        reply: R = await self.middleware(call, message.command, self.backend, *args, **kwargs)
        return reply

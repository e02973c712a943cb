"""The decorators of plain functions."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import partial, wraps
from typing import Any, Concatenate, cast, overload

from cashews._dataclass import dataclass
from cashews.actors.portal import Portal, holding
from cashews.api.blocking_streams import BlockingStreams
from cashews.api.decorated import K, Owner, P, R
from cashews.api.decorated_plain import BlockingCached, BlockingCachedIterator, BlockingCachedMany, BlockingFiltered
from cashews.api.decorators import (
    BloomDecorator,
    CachingDecorator,
    DualBloomDecorator,
    GuardDecorator,
    InvalidateDecorator,
    IteratorDecorator,
)
from cashews.api.keying import generator_function
from cashews.api.many import BatchingDecorator, ManyDecorator
from cashews.api.methods import Binding, Method, equipped, unwrapped
from cashews.exceptions import WrongArgumentError

HELPERS = ("key", "invalidate", "refresh", "peek", "explain", "statistics", "set")
PLAIN_HELPERS = ("key", "statistics")
"""Those that wait for nothing."""


@dataclass(frozen=True, slots=True)
class BlockingCachingDecorator:
    """``@cache.blocking(...)`` and its kin: makes a cached function of a plain one."""

    portal: Portal
    decorator: CachingDecorator

    def __call__(self, function: Callable[P, R]) -> BlockingCached[P, R]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async
        :raises WrongKeyError: if the key template does not fit it
        """
        return cast("BlockingCached[P, R]", decorated(self.portal, self.decorator, function))


@dataclass(frozen=True, slots=True)
class BlockingGuardDecorator:
    """``@cache.blocking.locked(...)`` and its kin: puts a guard before a plain function."""

    portal: Portal
    decorator: GuardDecorator | InvalidateDecorator

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async
        :raises WrongKeyError: if the key template does not fit it
        """
        return cast("Callable[P, R]", decorated(self.portal, self.decorator, function))


@dataclass(frozen=True, slots=True)
class BlockingIteratorDecorator:
    """``@cache.blocking.iterator(...)``: makes a cached generator function of another."""

    portal: Portal
    decorator: IteratorDecorator

    def __call__(self, function: Callable[P, Iterator[R]]) -> BlockingCachedIterator[P, R]:
        """Decorate a generator function. It runs in its caller's thread, one item at a time.

        :raises WrongArgumentError: if it is no plain generator function
        :raises WrongKeyError: if the key template does not fit it
        """
        plain, binding = unwrapped(function)
        runner, template = self.decorator.runner(generator_function(plain)), self.decorator.keying.template_of(plain)
        helpers = _plain_helpers(self.portal, self.decorator.helpers(runner, plain))
        run = BlockingStreams(self.portal, runner, plain).decorated()
        return cast("BlockingCachedIterator[P, R]", equipped(run, plain, binding, template, **helpers))


@dataclass(frozen=True, slots=True)
class BlockingManyDecorator:
    """``@cache.blocking.many(...)``: makes a cached function of a plain one that takes many ids."""

    portal: Portal
    decorator: ManyDecorator

    def __call__(self, function: Callable[P, Mapping[K, R]]) -> BlockingCachedMany[P, K, R]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async, or has no parameter for the ids
        :raises WrongKeyError: if the key template does not fit it
        """
        return cast("BlockingCachedMany[P, K, R]", decorated(self.portal, self.decorator, function))


@dataclass(frozen=True, slots=True)
class BlockingBatchingDecorator:
    """``@cache.blocking.batching(...)``: makes a function of one id of a plain one that takes many."""

    portal: Portal
    decorator: BatchingDecorator

    @overload
    def __call__(
        self, function: Callable[Concatenate[list[K], P], Mapping[K, R]]
    ) -> Callable[Concatenate[K, P], R | None]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Owner, list[K], P], Mapping[K, R]]
    ) -> Callable[Concatenate[Owner, K, P], R | None]: ...
    def __call__(self, function: Callable[..., Mapping[Any, Any]]) -> Callable[..., Any]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async, or has no parameter for the ids
        """
        return cast("Callable[..., Any]", decorated(self.portal, self.decorator, function))


@dataclass(frozen=True, slots=True)
class BlockingBloomDecorator:
    """``@cache.blocking.bloom(...)``: puts a filter before a plain function."""

    portal: Portal
    decorator: BloomDecorator

    def __call__(self, function: Callable[P, R]) -> BlockingFiltered[P, R]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async, or the name is the same for all calls
        :raises WrongKeyError: if the name does not fit it
        """
        return cast("BlockingFiltered[P, R]", decorated(self.portal, self.decorator, function))


@dataclass(frozen=True, slots=True)
class BlockingDualBloomDecorator:
    """``@cache.blocking.dual_bloom(...)``: puts two filters before a plain function."""

    portal: Portal
    decorator: DualBloomDecorator

    def __call__(self, function: Callable[P, R]) -> Callable[P, R | bool]:
        """Decorate a plain function. It runs in a worker thread of the event loop, with a copy of its caller's context.

        :raises WrongArgumentError: if it is async, or the name is the same for all calls
        :raises WrongKeyError: if the name does not fit it
        """
        return cast("Callable[P, R | bool]", decorated(self.portal, self.decorator, function))


def decorated(portal: Portal, decorator: Callable[[Any], Any], function: Any) -> Any:
    """Return the blocking form of an async decorator's work on a plain function, with its helpers.

    A function that was decorated before has helpers already, which are blocking.
    """
    plain, binding = unwrapped(function)
    inner = decorator(_BOUND_AS[binding](threaded(plain)))
    every = {name: getattr(inner, name) for name in HELPERS if hasattr(inner, name)}
    new = {name: helper for name, helper in every.items() if helper is not getattr(plain, name, None)}
    helpers = _plain_helpers(portal, new)
    run = blocked(portal, inner.func if isinstance(inner, Method) else inner)
    binding = inner.binding if isinstance(inner, Method) else None
    owner = plain if isinstance(plain, Method) else inner
    return equipped(run, owner, binding, getattr(inner, "key_template", None), **helpers)


def _plain_helpers(portal: Portal, helpers: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    return {name: helper if name in PLAIN_HELPERS else blocked(portal, helper) for name, helper in helpers.items()}


def _as_it_is(function: Any) -> Any:
    return function


_BOUND_AS: Mapping[Binding | None, Callable[[Any], Any]] = {
    Binding.CLASS: classmethod,
    Binding.NONE: staticmethod,
    Binding.INSTANCE: _as_it_is,
    None: _as_it_is,
}


def blocked(portal: Portal, function: Callable[P, Awaitable[R]]) -> Callable[P, R]:
    """Return a plain function that has an async one run in an event loop."""

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return portal.run(partial(function, *args, **kwargs))

    return run


def threaded(function: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Return an async function that runs a plain one in a thread.

    The thread is one of its own, whatever the event loop allows others: the caller blocks a thread already, perhaps
    one of the loop's, and would wait for itself if all of these were taken.

    :raises WrongArgumentError: if the function is async
    """
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise WrongArgumentError("function", function, "a plain function; async ones are decorated by the cache itself")

    from anyio import CapacityLimiter, to_thread  # noqa: PLC0415  loads with the first plain function

    @wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = partial(function, *args, **kwargs)
        with holding():
            return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=CapacityLimiter(1))

    return run

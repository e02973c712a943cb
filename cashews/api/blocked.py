"""The decorators of plain functions, and the types of functions that they decorate."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from anyio import CapacityLimiter, to_thread

from cashews._dataclass import dataclass
from cashews.actors.portal import Portal, holding
from cashews.api.decorators import CachingDecorator, GuardDecorator, InvalidateDecorator
from cashews.api.methods import Binding, Method, equipped, unwrapped
from cashews.engine.counts import CallStatistics
from cashews.exceptions import WrongArgumentError
from cashews.runners.explanation import Explanation

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
Owner = TypeVar("Owner")
HELPERS = ("key", "invalidate", "refresh", "peek", "explain", "statistics")
PLAIN_HELPERS = ("key", "statistics")
"""Those that wait for nothing."""


class BoundBlockingCached(Protocol[P, R_co]):
    """The helpers of a cached plain function or method, which take the arguments of a call."""

    __name__: str
    __qualname__: str
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Answer from the cache, or run the function."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored outcome of a call; says whether there was one."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function, store its outcome and return it."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """Return the stored outcome of a call, or `None`, without running the function."""
        ...

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class BlockingCached(BoundBlockingCached[P, R_co], Protocol[P, R_co]):
    """A cached plain function; on a method, the helpers are bound like the method itself."""

    @overload
    def __get__(self, instance: None, owner: type) -> BlockingCached[P, R_co]: ...
    @overload
    def __get__(
        self: BlockingCached[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> BoundBlockingCached[Q, R]: ...


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


def decorated(portal: Portal, decorator: Callable[[Any], Any], function: Any) -> Any:
    """Return the blocking form of an async decorator's work on a plain function, with its helpers.

    A function that was decorated before has helpers already, which are blocking.
    """
    plain, binding = unwrapped(function)
    inner = decorator(_BOUND_AS[binding](threaded(plain)))
    new = {name: getattr(inner, name) for name in HELPERS if hasattr(inner, name)}
    helpers = {
        name: helper if name in PLAIN_HELPERS else blocked(portal, helper)
        for name, helper in new.items()
        if helper is not getattr(plain, name, None)
    }
    run = blocked(portal, inner.func if isinstance(inner, Method) else inner)
    binding = inner.binding if isinstance(inner, Method) else None
    owner = plain if isinstance(plain, Method) else inner
    return equipped(run, owner, binding, getattr(inner, "key_template", None), **helpers)


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

    @wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> R:
        call = partial(function, *args, **kwargs)
        with holding():
            return await to_thread.run_sync(call, abandon_on_cancel=True, limiter=CapacityLimiter(1))

    return run

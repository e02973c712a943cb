"""The types of decorated functions: their own parameters and results, and the methods that they gain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from cashews.engine.counts import CallStatistics
from cashews.runners.explanation import Explanation

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
K = TypeVar("K", bound=Hashable)
Owner = TypeVar("Owner")

AsyncFunction = Callable[P, Coroutine[Any, Any, R]]


class BoundCached(Protocol[P, R_co]):
    """A cached method of an instance or a class: it and its helpers take the arguments that are left."""

    __name__: str
    __qualname__: str
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Answer from the cache, or run the method."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored outcome of a call; says whether there was one."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the method, store its outcome and return it."""
        ...

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """Return the stored outcome of a call, or `None`, without running the method."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class BoundIterator(Protocol[P, R_co]):
    """A cached async generator method of an instance or a class."""

    __name__: str
    __qualname__: str
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R_co, None]:
        """Replay a complete run, or run the method."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored run of a call; says whether there was one."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class BoundFiltered(Protocol[P, R_co]):
    """A method of an instance or a class behind a Bloom filter."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co | bool]:
        """Answer from the filter, or run the method."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the item that stands for a call."""
        ...

    async def set(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the method and return its result; if it is true, the filter answers yes for this call from now on."""
        ...


class Cached(Protocol[P, R_co]):
    """A cached function.

    On a method, `key`, `invalidate`, `refresh`, `peek` and `explain` are bound like the method itself:
    ``users.get.invalidate(1)``, or ``Users.get.invalidate(users, 1)``.
    """

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]
    key_template: str | None
    """The template that makes its keys; `None` if `noself` has the class of `self` named as well."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """Answer from the cache, or run the function."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> Cached[P, R_co]: ...
    @overload
    def __get__(self: Cached[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]) -> BoundCached[Q, R]: ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored outcome of a call; says whether there was one."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function, store its outcome and return it."""
        ...

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """Return the stored outcome of a call, or `None`, without running the function."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class CachedIterator(Protocol[P, R_co]):
    """A cached async generator function, still one to `inspect`; on a method, see `Cached`."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[R_co, None]:
        """Replay a complete run, or run the function."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> CachedIterator[P, R_co]: ...
    @overload
    def __get__(
        self: CachedIterator[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> BoundIterator[Q, R]: ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored run of a call; says whether there was one."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class Filtered(Protocol[P, R_co]):
    """A function behind a Bloom filter; on a method, `set` and `key` are bound like the method itself."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co | bool]:
        """Answer from the filter, or run the function."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> Filtered[P, R_co]: ...
    @overload
    def __get__(
        self: Filtered[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> BoundFiltered[Q, R]: ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the item that stands for a call."""
        ...

    async def set(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function and return its result; if it is true, the filter answers yes for this call from now on."""
        ...


class CachedMany(Protocol[P, K, R]):
    """A cached function of many ids."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, dict[K, R]]:
        """Answer from the cache, and run the function for the ids that are not there."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> CachedMany[P, K, R]: ...
    @overload
    def __get__(
        self: CachedMany[Concatenate[Owner, Q], K, R], instance: Owner, owner: type[Owner]
    ) -> BoundMany[Q, K, R]: ...

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of one id: takes the arguments of a call with the one id in the place of the ids."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the stored values of a call's ids."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> dict[K, Explanation]:
        """Return all that the cache knows of each id of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function; each id of a call counts as a call."""
        ...


class BoundMany(Protocol[P, K, R]):
    """A cached method of many ids, of an instance or a class."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, dict[K, R]]:
        """Answer from the cache, and run the method for the ids that are not there."""
        ...

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of one id: takes the arguments of a call with the one id in the place of the ids."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the stored values of a call's ids."""
        ...

    async def explain(self, *args: P.args, **kwargs: P.kwargs) -> dict[K, Explanation]:
        """Return all that the cache knows of each id of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the method; each id of a call counts as a call."""
        ...

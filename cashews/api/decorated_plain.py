"""The types of decorated plain functions: their own parameters and results, and the methods that they gain."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Concatenate, Protocol, overload

from cashews.api.decorated import K, Owner, P, Q, R, R_co
from cashews.engine.counts import CallStatistics
from cashews.runners.explanation import Explanation


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


class BoundBlockingIterator(Protocol[P, R_co]):
    """The helpers of a cached generator function or method, which take the arguments of a call."""

    __name__: str
    __qualname__: str
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Generator[R_co, None, None]:
        """Replay a complete run, or run the function."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the key of a call."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove the stored run of a call; says whether there was one."""
        ...

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> Explanation:
        """Return all that the cache knows of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function."""
        ...


class BlockingCachedIterator(BoundBlockingIterator[P, R_co], Protocol[P, R_co]):
    """A cached generator function; on a method, the helpers are bound like the method itself."""

    @overload
    def __get__(self, instance: None, owner: type) -> BlockingCachedIterator[P, R_co]: ...
    @overload
    def __get__(
        self: BlockingCachedIterator[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> BoundBlockingIterator[Q, R]: ...


class BoundBlockingMany(Protocol[P, K, R]):
    """The helpers of a cached plain function or method of many ids."""

    __name__: str
    __qualname__: str
    key_template: str | None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> dict[K, R]:
        """Answer from the cache, and run the function for the ids that are not there."""
        ...

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of one id: takes the arguments of a call with the one id in the place of the ids."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Remove the stored values of a call's ids."""
        ...

    def explain(self, *args: P.args, **kwargs: P.kwargs) -> dict[K, Explanation]:
        """Return all that the cache knows of each id of a call; the function is not run, and nothing changes."""
        ...

    def statistics(self) -> CallStatistics:
        """Return the figures of the function; each id of a call counts as a call."""
        ...


class BlockingCachedMany(BoundBlockingMany[P, K, R], Protocol[P, K, R]):
    """A cached plain function of many ids; on a method, the helpers are bound like the method itself."""

    @overload
    def __get__(self, instance: None, owner: type) -> BlockingCachedMany[P, K, R]: ...
    @overload
    def __get__(
        self: BlockingCachedMany[Concatenate[Owner, Q], K, R], instance: Owner, owner: type[Owner]
    ) -> BoundBlockingMany[Q, K, R]: ...


class BoundBlockingFiltered(Protocol[P, R_co]):
    """The helpers of a plain function or method behind a Bloom filter."""

    __name__: str
    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co | bool:
        """Answer from the filter, or run the function."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the item that stands for a call."""
        ...

    def set(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function and return its result; if it is true, the filter answers yes for this call from now on."""
        ...


class BlockingFiltered(BoundBlockingFiltered[P, R_co], Protocol[P, R_co]):
    """A plain function behind a Bloom filter; on a method, the helpers are bound like the method itself."""

    @overload
    def __get__(self, instance: None, owner: type) -> BlockingFiltered[P, R_co]: ...
    @overload
    def __get__(
        self: BlockingFiltered[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> BoundBlockingFiltered[Q, R]: ...

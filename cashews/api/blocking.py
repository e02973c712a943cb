"""The blocking face of a cache: its commands and decorators for plain functions, in threads without an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast, overload

from cashews._typing import Duration
from cashews.actors.portal import HOLDER, BlockingBlock, Portal
from cashews.api.blocked import (
    BlockingBatchingDecorator,
    BlockingBloomDecorator,
    BlockingCachingDecorator,
    BlockingDualBloomDecorator,
    BlockingGuardDecorator,
    BlockingIteratorDecorator,
    BlockingManyDecorator,
    threaded,
)
from cashews.api.caching import DecoratorAPI
from cashews.api.commands import CommandAPI
from cashews.api.filling import Filling
from cashews.api.guarding import GuardAPI
from cashews.api.many import ManyAPI
from cashews.api.transactions import TIMEOUT, TransactionAPI
from cashews.backends.commands import NO_TAGS
from cashews.engine.context import AMBIENT
from cashews.engine.coordinator.keeper import HeldLock
from cashews.engine.coordinator.modes import TransactionMode
from cashews.engine.coordinator.transaction import Transaction
from cashews.engine.statistics import EngineStatistics
from cashews.messages import CommitOutcome

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
T = TypeVar("T")
D = TypeVar("D")
"""A decorator of async functions."""
B = TypeVar("B")
"""Its form for plain functions."""
PAGE = 100
"""The items that an iterator takes from the event loop at a time."""


class BlockingCommand(Protocol[P, R_co]):
    """A method with the parameters and the result of an async one."""

    def __get__(self, face: object, owner: type | None = None) -> Callable[P, R_co]: ...


def command(method: Callable[Concatenate[Any, P], Awaitable[R]]) -> BlockingCommand[P, R]:
    """Return the blocking form of a command."""
    name = method.__name__

    @wraps(method)
    def run(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> R:
        call: Callable[[], Awaitable[R]] = partial(getattr(self.asynchronous, name), *args, **kwargs)
        return self.portal.run(call)

    return cast("BlockingCommand[P, R]", run)


def pages(method: Callable[Concatenate[Any, P], AsyncIterator[T]]) -> BlockingCommand[P, Iterator[T]]:
    """Return the blocking form of a command that gives items."""
    name = method.__name__

    @wraps(method)
    def run(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        return _items(self.portal, getattr(self.asynchronous, name)(*args, **kwargs))

    return cast("BlockingCommand[P, Iterator[T]]", run)


def _items(portal: Portal, items: AsyncIterator[T]) -> Iterator[T]:
    page = portal.run(partial(_page, items))
    while page:
        yield from page
        page = portal.run(partial(_page, items)) if len(page) == PAGE else []


async def _page(items: AsyncIterator[T]) -> list[T]:
    page: list[T] = []
    with suppress(StopAsyncIteration):
        while len(page) < PAGE:
            page.append(await items.__anext__())
    return page


@asynccontextmanager
async def _viewed(block: AbstractAsyncContextManager[T, Any], view: Callable[[T], R]) -> AsyncGenerator[R, None]:
    async with block as value:
        yield view(value)


def decorating(method: Callable[Concatenate[Any, P], D], blocking: Callable[[Portal, D], B]) -> BlockingCommand[P, B]:
    """Return the form of a method that gives a decorator: that gives one of plain functions."""

    @wraps(method)
    def run(self: Blocking, /, *args: P.args, **kwargs: P.kwargs) -> B:
        return blocking(self.portal, method(self.asynchronous, *args, **kwargs))

    return cast("BlockingCommand[P, B]", run)


class BlockingTransaction:
    """The transaction of a block in a thread."""

    def __init__(self, portal: Portal, transaction: Transaction) -> None:
        self._portal = portal
        self._transaction = transaction

    def commit(self) -> None:
        """Apply the writes so far; see `Transaction.commit`."""
        self._portal.run(self._transaction.commit)

    def rollback(self) -> None:
        """Forget the writes so far, and give the locks back."""
        self._portal.run(self._roll_back)

    async def _roll_back(self) -> None:
        await self._transaction.rollback()

    @property
    def outcome(self) -> CommitOutcome:
        """The outcome of the whole; see `Transaction`."""
        return self._transaction.outcome

    @property
    def outcomes(self) -> dict[str, CommitOutcome]:
        """The outcome of each store; see `Transaction.outcomes`."""
        return self._transaction.outcomes

    @property
    def mode(self) -> TransactionMode:
        """The mode, as given."""
        return self._transaction.mode

    @property
    def timeout(self) -> float:
        """The seconds that the block waits for all its locks together."""
        return self._transaction.timeout


class BlockingFilling:
    """The right of a load in a thread to store what it brings."""

    def __init__(self, portal: Portal, filling: Filling) -> None:
        self._portal = portal
        self._filling = filling

    @property
    def overtaken(self) -> bool:
        """Whether nothing is stored any more; see `Filling.overtaken`."""
        return self._filling.overtaken

    def set(self, key: str, value: Any, expire: Duration | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value, unless the load was overtaken; says whether it was stored. See `Filling.set`."""
        return self._portal.run(partial(self._filling.set, key, value, expire, tags))


class Blocking:
    """The commands and decorators of a cache for plain functions; each blocks its thread until there is a reply.

    A worker thread of anyio uses the event loop that it came from. Another thread uses an event loop of the cache's
    own, in a thread that begins with the first call. In a thread in which an event loop runs, each command raises
    EventLoopError: await the command of the cache there.

    :param cache: the cache, whose commands are to be awaited
    """

    def __init__(self, cache: BlockingHost) -> None:
        self.asynchronous = cache
        self.portal = Portal()

    def __repr__(self) -> str:
        return f"<Blocking {self.asynchronous!r}>"

    get = command(CommandAPI.get)
    get_raw = command(CommandAPI.get_raw)
    get_many = command(CommandAPI.get_many)
    get_match = pages(CommandAPI.get_match)
    scan = pages(CommandAPI.scan)
    set = command(CommandAPI.set)
    set_raw = command(CommandAPI.set_raw)
    set_many = command(CommandAPI.set_many)
    incr = command(CommandAPI.incr)
    exists = command(CommandAPI.exists)
    delete = command(CommandAPI.delete)
    delete_many = command(CommandAPI.delete_many)
    delete_match = command(CommandAPI.delete_match)
    delete_tags = command(CommandAPI.delete_tags)
    get_key_tags = command(CommandAPI.get_key_tags)
    expire = command(CommandAPI.expire)
    get_expire = command(CommandAPI.get_expire)
    get_size = command(CommandAPI.get_size)
    get_keys_count = command(CommandAPI.get_keys_count)
    ping = command(CommandAPI.ping)
    clear = command(CommandAPI.clear)
    get_bits = command(CommandAPI.get_bits)
    incr_bits = command(CommandAPI.incr_bits)
    slice_incr = command(CommandAPI.slice_incr)
    set_add = command(CommandAPI.set_add)
    set_remove = command(CommandAPI.set_remove)
    set_pop = command(CommandAPI.set_pop)
    locks = pages(CommandAPI.locks)
    set_lock = command(CommandAPI.set_lock)
    break_lock = command(CommandAPI.break_lock)
    unlock = command(CommandAPI.unlock)
    is_locked = command(CommandAPI.is_locked)

    @overload
    def get_or_set(
        self, key: str, default: Callable[[], T], expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> T: ...

    @overload
    def get_or_set(
        self, key: str, default: T, expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> T: ...

    def get_or_set(
        self, key: str, default: Any, expire: Duration | None = None, *, tags: Iterable[str] = NO_TAGS
    ) -> Any:
        """Return the value of a key; if there is none, store and return the default.

        Concurrent callers share one call of the default. If the key is invalidated while the default is worked out, the
        result is returned and not stored.

        :param default: a value, or a plain callable, called in a thread only if the key is absent
        :param tags: the tags by which `delete_tags` finds the value, if it is stored
        """
        load: Any = threaded(default) if callable(default) else default
        return self.portal.run(partial(self.asynchronous.get_or_set, key, load, expire, tags=tags))

    def lock(
        self,
        key: str,
        expire: Duration | None = None,
        wait: bool = True,  # noqa: FBT001, FBT002  as in the async command
        *,
        timeout: Duration | None = None,
        renew: bool = True,
    ) -> BlockingBlock[HeldLock]:
        """Return ``with cache.blocking.lock(key, expire) as held``, or a decorator; see `CommandAPI.lock`.

        A thread cannot be cancelled: if the lease is lost, the body runs on, and the block raises LockedError at its
        end.
        """
        make = partial(self.asynchronous.lock, key, expire, wait, timeout=timeout, renew=renew)
        make()  # or the error of a wrong argument
        return self._block(make)

    def transaction(
        self, mode: TransactionMode | None = None, timeout: Duration = TIMEOUT
    ) -> BlockingBlock[BlockingTransaction]:
        """Return ``with cache.blocking.transaction() as tx``, or a decorator; see `TransactionAPI.transaction`."""
        begin = partial(self.asynchronous.transaction, mode, timeout)
        begin()  # or the error of a wrong argument
        return self._block(lambda: _viewed(begin(), partial(BlockingTransaction, self.portal)))

    def filling(self, key: str, *, overtaken_by: Iterable[str] = ()) -> BlockingBlock[BlockingFilling]:
        """Return ``with cache.blocking.filling(key) as filling``, the block of a load of your own."""
        begin = partial(self.asynchronous.filling, key, overtaken_by=tuple(overtaken_by))
        begin()  # or the error of a wrong argument
        return self._block(lambda: _viewed(begin(), partial(BlockingFilling, self.portal)))

    def _block(self, make: Callable[[], AbstractAsyncContextManager[T, Any]]) -> BlockingBlock[T]:
        return BlockingBlock(self.portal, make, (AMBIENT, HOLDER))

    __call__ = decorating(DecoratorAPI.__call__, BlockingCachingDecorator)
    cache = __call__
    early = decorating(DecoratorAPI.early, BlockingCachingDecorator)
    soft = decorating(DecoratorAPI.soft, BlockingCachingDecorator)
    hit = decorating(DecoratorAPI.hit, BlockingCachingDecorator)
    dynamic = decorating(DecoratorAPI.dynamic, BlockingCachingDecorator)
    failover = decorating(DecoratorAPI.failover, BlockingCachingDecorator)
    iterator = decorating(DecoratorAPI.iterator, BlockingIteratorDecorator)
    many = decorating(ManyAPI.many, BlockingManyDecorator)
    batching = decorating(ManyAPI.batching, BlockingBatchingDecorator)
    locked = decorating(GuardAPI.locked, BlockingGuardDecorator)
    rate_limit = decorating(GuardAPI.rate_limit, BlockingGuardDecorator)
    slice_rate_limit = decorating(GuardAPI.slice_rate_limit, BlockingGuardDecorator)
    circuit_breaker = decorating(GuardAPI.circuit_breaker, BlockingGuardDecorator)
    thunder_protection = decorating(GuardAPI.thunder_protection, BlockingGuardDecorator)
    invalidate = decorating(GuardAPI.invalidate, BlockingGuardDecorator)
    bloom = decorating(GuardAPI.bloom, BlockingBloomDecorator)
    dual_bloom = decorating(GuardAPI.dual_bloom, BlockingDualBloomDecorator)

    def statistics(self) -> EngineStatistics:
        """Return the figures of the cache."""
        return self.asynchronous.statistics()

    def close(self) -> None:
        """Close the cache; the event loop of its own ends, too. See `Cache.close`."""
        self.portal.run(self.asynchronous.close)
        self.portal.end()


class BlockingHost(CommandAPI, ManyAPI, DecoratorAPI, GuardAPI, TransactionAPI):
    """The cache, as its blocking face sees it."""

    async def close(self) -> None:
        """End all tasks and close all backends.

        A use of the cache then raises CacheClosedError, until it is set up or opened again.
        """
        await self._engine.close()

    def statistics(self) -> EngineStatistics:
        """Return the figures of the cache: its tasks, waiters, loads, refreshes and backends."""
        return self._engine.statistics()


@contextmanager
def opened(face: Blocking, cache: AbstractAsyncContextManager[object, Any]) -> Generator[Blocking, None, None]:
    """Hold a cache open while the body runs in the calling thread, and end its event loop."""
    try:
        with BlockingBlock(face.portal, lambda: cache):
            yield face
    finally:
        face.portal.end()

"""Transactions, as users write them: ``async with cache.transaction() as tx``, and the decorator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, cast

from cashews._arguments import positive_duration
from cashews._typing import Duration
from cashews.api.decorated import AsyncFunction, P
from cashews.api.face import Face
from cashews.api.keying import async_function
from cashews.api.methods import equipped, unwrapped
from cashews.engine.context import AMBIENT, Ambient, add, take_back
from cashews.engine.coordinator.in_transactions import current
from cashews.engine.coordinator.modes import TransactionMode
from cashews.engine.coordinator.transaction import Transaction
from cashews.engine.engine import Engine
from cashews.exceptions import TransactionError, WrongArgumentError
from cashews.messages import CommitOutcome

R = TypeVar("R")
TIMEOUT = 10.0
LOCKED, SERIALIZABLE = TransactionMode.LOCKED, TransactionMode.SERIALIZABLE
"""CPython 3.11 takes 80 ns to look up a member of an enum."""


class TransactionContext:
    """A block whose commands are one transaction; in another of the same cache it joins that one."""

    __slots__ = ("_engine", "_mode", "_timeout", "_transaction")

    def __init__(self, engine: Engine, mode: TransactionMode, timeout: float) -> None:
        self._engine = engine
        self._mode = mode
        self._timeout = timeout
        self._transaction: Transaction | None = None

    def __call__(self, function: Callable[P, Awaitable[R]]) -> AsyncFunction[P, R]:
        """Decorate an async function: each call is a transaction of its own.

        :raises NotAsyncError: if it is not one
        """
        function, binding = unwrapped(function)
        call = async_function(function)
        engine, mode, timeout = self._engine, self._mode, self._timeout

        @wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            async with TransactionContext(engine, mode, timeout):
                return await call(*args, **kwargs)

        return cast("AsyncFunction[P, R]", run if binding is None else equipped(run, function, binding))

    async def __aenter__(self) -> Transaction:
        if self._transaction is not None:
            raise TransactionError("open", "each block needs a cache.transaction() of its own")
        here = AMBIENT.get()
        outer = None if here is None else current(self._engine)
        if outer is not None:
            outer.check()
            return outer
        transaction = Transaction(self._engine, self._mode, self._timeout)
        self._transaction = transaction
        if self._mode is SERIALIZABLE:
            try:
                if not transaction.begin_in_place(tuple(self._engine.routes)):
                    await transaction.begin()
            except BaseException:
                self._transaction = None
                raise
        if here is None:
            AMBIENT.set(Ambient(transactions=(transaction,)))
        else:
            add("transactions", transaction)
        return transaction

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transaction = self._transaction
        if transaction is None:  # it has joined another
            return
        self._transaction = None
        take_back("transactions", transaction)
        if error is None:
            if not transaction.finish_in_place():
                await transaction.finish()
        else:
            await transaction.end(CommitOutcome.ABORTED)


class TransactionAPI(Face):
    """The command ``cache.transaction()``."""

    def transaction(self, mode: TransactionMode | None = None, timeout: Duration = TIMEOUT) -> TransactionContext:
        """Return ``async with cache.transaction() as tx``, or a decorator: a block whose writes are applied at its end.

        All its writes are applied in one step or, if the block ends with an exception, none is. Until then only the
        block and the tasks that were started in it see them. That concerns values, counters, sets and their expiry; on
        bits, windows, rate limits, circuits and locks commands act as they do outside. A block in a block joins the
        outer one.

        :param mode: `FAST` applies all writes in one step, and does no more. `LOCKED`, for which `None` stands, also
            locks every key that is read or written, until the end. `SERIALIZABLE` also lets only one transaction of
            this mode run at a time.
        :param timeout: how long the block waits for all its locks together; also the lease of the locks, after which
            those of a killed process are free
        :raises WrongArgumentError: if the mode is none, or the timeout is not above 0
        """
        mode = LOCKED if mode is None else mode
        if not isinstance(mode, TransactionMode):  # pyright: ignore[reportUnnecessaryIsInstance]  users' code
            raise WrongArgumentError("mode", mode, "members of TransactionMode")
        seconds = TIMEOUT if timeout is TIMEOUT else positive_duration("timeout", timeout)
        if seconds is None:
            raise WrongArgumentError("timeout", timeout, "a duration above 0")
        return TransactionContext(self._engine, mode, seconds)

"""Transactions: what is written in one is kept, and applied to each store at once or not at all."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import anyio

from cashews._log import logger
from cashews.backends.interface import NOT_NOW, NotNowType
from cashews.clock import Clock
from cashews.commands import Command, Effect
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import AMBIENT, AmbientTransaction
from cashews.engine.coordinator.branch import IN_PLACE, SERVE, Branch, OvertakenError, Serve
from cashews.engine.permits import Permits
from cashews.engine.routes import Route
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    CacheError,
    LockRefusedError,
    TransactionError,
    WrongTypeError,
)
from cashews.messages import CommitOutcome, LoadPermit, Message

R = TypeVar("R")
SERIAL = "\0serializable"
"""What follows a store's prefix in the name of the lock that lets one transaction run at a time."""
GUARDED = frozenset({Effect.READ, Effect.WRITE})
"""What a transaction that has ended refuses: locks have to be given back all the same."""


class TransactionMode(enum.Enum):
    """How far transactions are kept apart."""

    FAST = "fast"
    """Not at all: what is written is applied at once, and that is all."""
    LOCKED = "locked"
    """Keys that are read or written are locked until the end."""
    SERIALIZABLE = "serializable"
    """One transaction at a time; keys are locked against those of the other modes."""


class Coordinator(Protocol):
    """What transactions need of their engine."""

    __slots__ = ()
    clock: Clock
    permits: Permits

    @property
    def closed(self) -> bool:
        """Whether the cache has been closed."""
        ...

    def branch(self, transaction: Transaction, route: Route) -> Branch:
        """Return a new branch on the store of a route."""
        ...


class Transaction(AmbientTransaction):
    """One transaction of one cache: a branch on every store that it touches.

    `outcome` says what became of it, `outcomes` of its branch on each store by prefix: where a store has failed after
    another has applied its branch, they differ, and `outcome` is `UNKNOWN`.
    """

    __slots__ = (
        *(
            "_branches",
            "_doomed",
            "_invalidations",
            "_permits",
            "_over",
            "_routes",
            "_previous",
            "_turn_over",
            "_waits",
        ),
        *("coordinator", "deadline", "isolated", "mode", "outcome", "timeout"),
    )

    def __init__(self, coordinator: Coordinator, mode: TransactionMode, timeout: float) -> None:
        self.coordinator = coordinator
        self.mode = mode
        self.timeout = timeout
        self.deadline = coordinator.clock.now() + timeout
        self.isolated = mode is not TransactionMode.FAST
        self.outcome = CommitOutcome.OPEN
        self._previous: CommitOutcome | None = None
        """What became of what was written before the last explicit commit or rollback."""
        self._branches: dict[Route, Branch] = {}
        self._routes: tuple[Route, ...] = ()
        """The stores on which one transaction runs at a time."""
        self._invalidations: list[Message[Any]] = []
        self._permits: list[LoadPermit] = []
        self._waits = False
        """Whether a store has to be waited for."""
        self._doomed = False
        self._turn_over = False
        """Whether it has given up its turn with its locks, and has to wait for another."""
        self._over = False
        """Whether it is of no use any more."""

    def __repr__(self) -> str:
        return f"<Transaction {self.mode.value}, {self.outcome.value}>"

    @property
    def outcomes(self) -> dict[str, CommitOutcome]:
        """What became of the part on each store, by prefix."""
        return {route.prefix: branch.outcome for route, branch in self._branches.items()}

    # --- messages

    def check(self) -> None:
        """Go on, if the transaction has not ended.

        :raises TransactionError: if it has
        """
        if self._over:
            raise TransactionError("ending" if self.outcome is CommitOutcome.OPEN else self.outcome.value)

    def patience(self) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that is cancelled when the timeout has passed."""
        return self.coordinator.clock.move_on_at(self.deadline)

    def in_place(self, message: Message[R], route: Route) -> R | NotNowType:
        """Serve a message in place, if nothing has to be waited for."""
        serve = IN_PLACE.get(message.__class__)
        if serve is None or self._over or self._turn_over:
            return NOT_NOW
        branch = self._branches.get(route)
        if branch is None:
            branch = self._branch(route)
        return serve(branch, message)  # type: ignore[no-any-return]  # it answers its message's type

    def ask(self, message: Message[R], route: Route) -> Awaitable[R]:
        """Serve a message.

        :raises TransactionError: if the transaction has ended
        """
        if self._over or self._turn_over:
            return self._ask_in_turn(message, route)
        serve = SERVE.get(message.__class__)
        if serve is None:  # no transaction concerns it
            return route.backend.ask(message)
        branch = self._branches.get(route)
        if branch is None:
            branch = self._branch(route)
        return self._serve_there(serve, branch, message) if branch.waits else serve(branch, message)

    async def _ask_in_turn(self, message: Message[R], route: Route) -> R:
        self.check()
        await self._wait_for_turn()
        return await self.ask(message, route)

    async def _serve_there(self, serve: Serve, branch: Branch, message: Message[R]) -> R:
        """Serve a message on a store that has to be waited for.

        A failure that it suppresses dooms the transaction, whose commands are declined from then on: what is written
        may rest on what could not be read.
        """
        while not self._doomed:
            try:
                reply: R = await serve(branch, message)
                return reply
            except OvertakenError:
                self.check()
            except WrongTypeError as error:
                if not branch.suppresses:
                    raise
                logger.error("%s", error)
                break
            except (CacheBackendInteractionError, LockRefusedError) as error:
                if not branch.suppresses:
                    raise
                self._doom(error)
        return message.declined()

    def _doom(self, error: CacheError) -> None:
        self._doomed = True
        logger.error("a transaction will be rolled back: %s", error)

    def _branch(self, route: Route) -> Branch:
        branch = self._branches.get(route)
        if branch is None:
            branch = self._branches[route] = self.coordinator.branch(self, route)
            self._waits = self._waits or branch.waits
        return branch

    def remember(self, permits: object, invalidation: Message[Any]) -> None:
        """Have loads refused once more that have begun by the time an invalidation takes effect."""
        if permits is self.coordinator.permits:
            self._invalidations.append(invalidation)

    def adopt(self, permit: LoadPermit) -> None:
        """Have a permit live until what is kept under it is applied."""
        self.coordinator.permits.keep(permit)
        self._permits.append(permit)

    def _drop(self, permits: list[LoadPermit]) -> None:
        for permit in permits:
            self.coordinator.permits.drop(permit)
        permits.clear()

    def _refuse_loads(self) -> None:
        """Refuse the loads of others; ours were, as far as they had begun, when the invalidation was asked for."""
        permits = self.coordinator.permits
        ours = self._permits.copy()
        self._drop(self._permits)
        for invalidation in self._invalidations:
            permits.refuse(invalidation)
        self._invalidations.clear()
        for permit in ours:
            self.adopt(permit)

    # --- the beginning and the end

    async def begin(self, routes: tuple[Route, ...]) -> None:
        """Wait for one's turn, where one transaction runs at a time.

        :raises LockedError: if that takes longer than the timeout
        """
        if self.mode is TransactionMode.SERIALIZABLE:
            self._routes = routes
            try:
                await self._wait_for_turn()
            except BaseException:
                await self.end(CommitOutcome.ABORTED)
                raise

    async def _wait_for_turn(self) -> None:
        for route in self._routes:
            branch = self._branch(route)
            try:
                await branch.hold(route.prefix + SERIAL)
            except LockRefusedError as error:
                if not branch.suppresses:
                    raise
                self._doom(error)
                return
        self._turn_over = False

    def _give_up_turn(self) -> None:
        """Begin as if anew: with other locks, and with the whole timeout to wait for them."""
        self._turn_over = bool(self._routes)
        self.deadline = self.coordinator.clock.now() + self.timeout

    async def commit(self) -> None:
        """Apply what was written so far, and release the locks; the transaction goes on with nothing kept.

        Each store applies its part at once or not at all, one store after the other: first those that were only read,
        then the others in the order in which they were first used; where one fails, those after it apply nothing.

        :raises LockLostError: if a lock was lost by then; that store has applied nothing
        :raises CacheBackendInteractionError: if a store fails and does not suppress it
        :raises TransactionError: if the transaction has ended
        """
        self.check()
        try:
            await self._apply_kept()
        finally:
            self._give_up_turn()

    def _apply_kept(self) -> Awaitable[None]:
        """Apply what is kept; whoever is cancelled meanwhile learns of it afterwards, since half a commit is none."""
        if self.coordinator.closed:
            raise CacheClosedError
        if self._invalidations:
            self._refuse_loads()
        return self._apply_shielded() if self._waits else self._apply()

    async def _apply_shielded(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._apply()

    async def _apply(self) -> None:
        permits, self._permits = self._permits, []
        parts = list(self._branches.values())
        if len(parts) > 1:  # the locks of what was only read are checked before anything is applied
            parts.sort(key=lambda branch: branch.written)
        parts.reverse()
        try:
            while parts and not self._doomed and await parts.pop().commit() is CommitOutcome.COMMITTED:
                pass
        finally:
            for branch in parts:
                branch.forget()
            self._previous = self._summary()
            if permits:
                self._drop(permits)
            for branch in parts:
                await branch.release()

    def _summary(self) -> CommitOutcome:
        """Return what became of all branches; `UNKNOWN`, if not the same of all."""
        summary = None
        for branch in self._branches.values():
            if summary is not None and branch.outcome is not summary:
                return CommitOutcome.UNKNOWN
            summary = branch.outcome
        return summary or CommitOutcome.COMMITTED

    def rollback(self) -> Released:
        """Forget at once what was written so far; awaiting the result releases the locks, too."""
        self.check()
        self._invalidations.clear()
        self._drop(self._permits)
        self._previous = CommitOutcome.ABORTED
        for branch in self._branches.values():
            branch.forget()
        return Released(self)

    async def finish(self) -> None:
        """End: apply what is kept. Raises what `commit` does."""
        self._over = True
        try:
            if self._previous is None or self._keeps:
                await self._apply_kept()
        finally:
            await self.end(self._previous or CommitOutcome.ABORTED)

    async def end(self, outcome: CommitOutcome) -> None:
        """End without applying what is kept."""
        self.outcome, self._over = outcome, True
        if self._permits:
            self._drop(self._permits)
        for branch in self._branches.values():
            if branch.locked:
                with anyio.CancelScope(shield=branch.waits):
                    await branch.release()

    @property
    def _keeps(self) -> bool:
        return any(branch.written for branch in self._branches.values())

    async def release_unwritten(self) -> None:
        """Give the locks back, but for those of stores to which something was written since."""
        for branch in self._branches.values():
            if branch.locked and not branch.written:
                with anyio.CancelScope(shield=branch.waits):
                    await branch.release()
        self._give_up_turn()


class Released:
    """The locks of a transaction that was rolled back: `await` releases them before the end of the transaction."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction

    def __await__(self) -> Generator[Any, Any, None]:
        return self._transaction.release_unwritten().__await__()


class Transactional(Interceptor):
    """Has the messages of a transaction to one store pass through it."""

    def __init__(self, engine: object, route: Route) -> None:
        self._engine = engine
        self._route = route

    def concerns(self, command: Command) -> bool:
        here = AMBIENT.get()
        return here is not None and bool(here.transactions)

    def __call__(self, message: Message[R], proceed: Proceed) -> Awaitable[R]:
        transaction = current(self._engine)
        if transaction is None or (message.effect not in GUARDED and message.__class__ not in SERVE):
            return proceed(message)
        return transaction.ask(message, self._route)


def current(engine: object) -> Transaction | None:
    """Return the transaction of an engine that the current context is in."""
    here = AMBIENT.get()
    if here is not None:
        for transaction in here.transactions:
            if isinstance(transaction, Transaction) and transaction.coordinator is engine:
                return transaction
    return None

"""Transactions: their writes wait until the end, and are then applied to each store all together or not at all."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import AbstractContextManager, AsyncExitStack
from threading import get_ident
from typing import Any, TypeVar

import anyio

from cashews._log import logger
from cashews._typing import NOT_NOW, NotNowType
from cashews.engine.context import AmbientTransaction
from cashews.engine.coordinator.branch import Branch
from cashews.engine.coordinator.ends import OvertakenError, RollbackResult, summary_of
from cashews.engine.coordinator.key_locks import BranchOwner
from cashews.engine.coordinator.modes import TransactionMode
from cashews.engine.coordinator.serving import IN_PLACE, SERVE, Serve
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.transaction_host import TransactionHost
from cashews.engine.permits import Changes
from cashews.engine.routes import Route
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    CacheError,
    LockLostError,
    LockRefusedError,
    TransactionError,
    WrongTypeError,
)
from cashews.messages import CommitOutcome, LoadPermit, Message

R = TypeVar("R")
SERIAL = "\0serializable"
"""The end of a lock's name, after the store's prefix: the lock lets one transaction run at a time."""
FOREIGN = "of another thread"
OPEN, COMMITTED, FAST = CommitOutcome.OPEN, CommitOutcome.COMMITTED, TransactionMode.FAST
"""Members of enums that each block needs: CPython 3.11 takes 80 ns to look one up."""


class Transaction(AmbientTransaction, BranchOwner):
    """One transaction of one cache: a branch on every store that it touches.

    `outcome` is the fate of the whole, `outcomes` the fate of each branch by prefix. They differ where a store has
    failed after another has applied its branch: then `outcome` is `UNKNOWN`.
    """

    __slots__ = (
        *("_at_hand", "_branches", "_changes", "_ended", "_last_outcome", "_loop", "_must_roll_back", "_permits"),
        *("_fates", "_routes", "_straight", "_thread", "_turn_given_up", "_waits"),
        *("deadline", "engine", "isolated", "mode", "outcome", "timeout"),
    )

    def __init__(self, engine: TransactionHost, mode: TransactionMode, timeout: float) -> None:
        self.engine = engine
        self.mode = mode
        self.timeout = timeout
        self.deadline = engine.clock.now() + timeout
        self.isolated = mode is not FAST
        self.outcome = OPEN
        self.lost_key = ""
        self._last_outcome: CommitOutcome | None = None
        """The outcome of the last commit or rollback that was asked for explicitly."""
        self._branches: dict[Route, Branch] = {}
        self._fates: dict[str, CommitOutcome] = {}
        """The outcome on each store, once the transaction has ended."""
        self._at_hand: object | None = None
        """The store that was reached last by a straight line; `None` also if the next command has to be looked at."""
        self._straight: Branch | None = None
        """The branch on that store."""
        self._routes: tuple[Route, ...] = ()
        """The stores on which one transaction runs at a time."""
        self._changes: Changes | None = None
        self._permits: list[LoadPermit] = []
        """Permits under which loads were written."""
        self._waits = False
        """Whether a store has to be waited for."""
        self._must_roll_back = False
        """Whether a read or a lock has failed on a store that suppresses its failures."""
        self._turn_given_up = False
        """Whether the lock of a serializable transaction was given back with the others, and has to be taken again."""
        self._ended = False
        self._thread = get_ident()
        self._loop = engine.loop()

    def __repr__(self) -> str:
        return f"<Transaction {self.mode.value}, {self.outcome.value}>"

    @property
    def alive(self) -> bool:
        return self._loop.alive

    @property
    def outcomes(self) -> dict[str, CommitOutcome]:
        """The fate of the branch on each store, by prefix."""
        return {**self._fates, **{route.prefix: branch.outcome for route, branch in self._branches.items()}}

    # --- messages

    def check(self) -> None:
        """Go on, if the transaction has not ended, and is this thread's: its locks and its overlay are.

        :raises TransactionError: if it has, or is not
        """
        if self._ended:
            raise TransactionError("ending" if self.outcome is CommitOutcome.OPEN else self.outcome.value)
        if self._thread != get_ident():
            raise TransactionError(FOREIGN)

    def patience(self) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that is cancelled when the timeout has passed."""
        return self.engine.clock.move_on_at(self.deadline)

    def locks_of(self, route: Route) -> StoreLocks:
        return self.engine.locks_of(route)

    def look(self, store: object, key: str) -> object:
        branch = self._straight if store is self._at_hand else self._turn_to(store, key)
        return NOT_NOW if branch is None or self._thread != get_ident() else branch.look(key)

    def put(self, store: object, key: str, value: object, expire: float | None) -> bool | NotNowType:
        branch = self._straight if store is self._at_hand else self._turn_to(store, key)
        return NOT_NOW if branch is None or self._thread != get_ident() else branch.put(key, value, expire)

    def _turn_to(self, store: object, key: str) -> Branch | None:
        """Have the branch on the store of a key at hand, and return it; `None` if a command has to be looked at."""
        if not self._is_open:
            return None
        self._at_hand, self._straight = store, self._branch(self.engine.route_of(key))
        return self._straight

    @property
    def _is_open(self) -> bool:
        """Whether the calling task's commands may be served at once."""
        return not (self._ended or self._turn_given_up or self._must_roll_back or self._thread != get_ident())

    def in_place(self, message: Message[R], route: Route) -> R | NotNowType:
        """Serve a message in place, if nothing has to be waited for."""
        serve = IN_PLACE.get(message.__class__)
        if serve is None or not self._is_open:
            return NOT_NOW
        return serve(self._branch(route), message)  # type: ignore[no-any-return]  # it answers its message's type

    def ask(self, message: Message[R], route: Route) -> Awaitable[R]:
        """Serve a message.

        :raises TransactionError: if the transaction has ended
        """
        if self._ended or self._turn_given_up or self._thread != get_ident():
            return self._ask_in_turn(message, route)
        serve = SERVE.get(message.__class__)
        if serve is None:  # it passes transactions by
            return route.backend.ask(message)
        return self._serve(serve, self._branch(route), message)

    async def _ask_in_turn(self, message: Message[R], route: Route) -> R:
        self.check()
        await self._wait_for_turn()
        return await self.ask(message, route)

    async def _serve(self, serve: Serve, branch: Branch, message: Message[R]) -> R:
        """Serve a message, and once more if another task has ended the writes and locks that it rested on.

        After a failure that the store suppresses the transaction can only be rolled back, and its commands are
        declined: later writes might rest on the value that could not be read.
        """
        while not self._must_roll_back:
            try:
                reply: R = await serve(branch, message)
                return reply
            except OvertakenError:
                self.check()
            except WrongTypeError:  # a mistake of the program, suppressed by nobody
                raise
            except (CacheBackendInteractionError, LockRefusedError) as error:
                if not branch.suppresses:
                    raise
                self._require_rollback(error)
        return message.declined()

    def _require_rollback(self, error: CacheError) -> None:
        self._must_roll_back, self._at_hand = True, None
        logger.error("a transaction will be rolled back: %s", error)

    def _branch(self, route: Route) -> Branch:
        branch = self._branches.get(route)
        if branch is None:
            branch = self._branches[route] = Branch(self, route, self.engine.clock)
            self._waits = self._waits or branch.waits
        return branch

    def note_change(self, permits: object, change: Message[Any]) -> None:
        """Void the permits of a change once more at the commit: loads may begin until its writes take effect."""
        if permits is self.engine.permits:
            self._changes = self._changes or Changes()
            self._changes.note(change)

    def hold_permit(self, permit: LoadPermit) -> None:
        """Have a load's permit live until the value that was written under it is applied."""
        permit.origin = self
        self.engine.permits.add(permit)
        self._permits.append(permit)

    def _drop(self, permits: list[LoadPermit]) -> None:
        for permit in permits:
            self.engine.permits.drop(permit)
        permits.clear()

    def _refuse_loads(self) -> None:
        """Void the permits of others; those of this transaction were voided as each invalidation was asked for."""
        permits, mine = self.engine.permits, (self,)
        if self._changes is not None:
            self._changes.void(permits, mine)
        for branch in self._branches.values():
            permits.void(filter(branch.wrote_by_name, permits.keys()), mine)  # in place, past the chain

    # --- the beginning and the end

    def begin_in_place(self, routes: tuple[Route, ...]) -> bool:
        """Take the locks that let one transaction run at a time, if nothing has to be waited for; says whether."""
        self._routes = routes
        for route in routes:
            if route.middlewares or not self._branch(route).take_turn_in_place(route.prefix + SERIAL):
                return False
        return True

    async def begin(self) -> None:
        """Take those of these locks that have to be waited for.

        :raises LockedError: if that takes longer than the timeout
        """
        try:
            await self._wait_for_turn()
        except BaseException:
            await self.end(CommitOutcome.ABORTED)
            raise

    async def _wait_for_turn(self) -> None:
        for route in self._routes:
            branch = self._branch(route)
            try:
                await branch.take_turn(await route.stored_name(route.prefix + SERIAL))
            except LockRefusedError as error:
                if not branch.suppresses:
                    raise
                self._require_rollback(error)
                return
        self._turn_given_up = False

    def _give_up_turn(self) -> None:
        """Wait for new locks from now on, with the whole timeout to wait for them."""
        self._turn_given_up, self._at_hand = bool(self._routes), None
        self.deadline = self.engine.clock.now() + self.timeout

    async def commit(self) -> None:
        """Apply the writes so far, and give the locks back; the transaction goes on without writes and locks.

        Each store applies its branch as one, one store after the other: first the stores that were only read, then the
        others in the order of their first use. Where one fails, those after it apply nothing.

        :raises LockLostError: if a lock was lost by then; its store has applied nothing
        :raises LockedError: likewise, if for too long another process has locked a key that was only written
        :raises TransactionConflictError: if keys that were read by a pattern have changed since; nothing is applied
        :raises CacheBackendInteractionError: if a store fails and does not suppress it
        :raises TransactionError: if the transaction has ended
        """
        self.check()
        try:
            await self._prove()
            self.check()
            await self._apply_writes()
        finally:
            self._give_up_turn()

    async def _prove(self) -> None:
        """Make sure that the patterns which were read find no new keys, if anything was written."""
        while not self._must_roll_back and self._written:
            unproven = [branch for branch in self._branches.values() if branch.unproven]
            if not unproven:
                return
            for branch in unproven:
                await self._prove_there(branch)

    async def _prove_there(self, branch: Branch) -> None:
        try:
            await branch.prove()
        except (CacheBackendInteractionError, LockRefusedError) as error:
            if not branch.suppresses:
                raise
            self._require_rollback(error)

    def _apply_writes(self) -> Awaitable[None]:
        """Apply the writes. Shielded: a cancellation is delivered after the commit, never in its middle."""
        if self.engine.is_closed:
            raise CacheClosedError
        if self.lost_key:
            raise LockLostError(self.lost_key)
        if self.engine.permits:
            self._refuse_loads()
        self._changes = None
        in_place = not self._waits and all(branch.turn_of_commit for branch in self._branches.values())
        return self._apply() if in_place else self._apply_shielded()

    async def _apply_shielded(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._apply()

    async def _apply(self) -> None:
        permits, self._permits = self._permits, []
        branches = list(self._branches.values())
        if len(branches) > 1:  # stores that were only read check their locks before anything is applied
            branches.sort(key=lambda branch: branch.written)
        branches.reverse()
        try:
            while branches and not self._must_roll_back and await branches.pop().commit() is COMMITTED:
                pass
        finally:
            for branch in branches:
                branch.forget()
            self._last_outcome = summary_of(branch.outcome for branch in self._branches.values())
            if permits:
                self._drop(permits)
            for branch in branches:
                await branch.release()

    def rollback(self) -> RollbackResult:
        """Forget the writes so far, in this very call; awaiting the result gives the locks back, too."""
        self.check()
        self._changes = None
        self._drop(self._permits)
        self._last_outcome = CommitOutcome.ABORTED
        for branch in self._branches.values():
            branch.forget()
        return RollbackResult(self.release_unwritten)

    def finish_in_place(self) -> bool:
        """Do what `finish` does, if nothing has to be waited for and one store at most is concerned; says whether."""
        engine, branches = self.engine, self._branches
        if self._waits or self._last_outcome is not None or len(branches) > 1 or engine.permits:
            return False
        if self._permits or self.lost_key or engine.is_closed:
            return False
        for branch in branches.values():
            if branch.unproven:
                return False
            self._ended = True
            try:
                self._ended = branch.commit_in_place()
            finally:
                if self._ended:
                    self.outcome = branch.outcome
                    self._let_go()
            return self._ended
        self.outcome, self._ended = COMMITTED, True
        return True

    async def finish(self) -> None:
        """Apply the writes and end. Raises the errors of `commit`."""
        try:
            await self._prove()
        except BaseException:
            await self.end(CommitOutcome.ABORTED)
            raise
        self._ended, self._at_hand = True, None
        try:
            if self._last_outcome is None or self._written:
                await self._apply_writes()
        finally:
            await self.end(self._last_outcome or CommitOutcome.ABORTED)

    async def end(self, outcome: CommitOutcome) -> None:
        """End without applying the writes."""
        self.outcome, self._ended, self._at_hand = outcome, True, None
        if self._permits:
            self._drop(self._permits)
        async with AsyncExitStack() as stack:  # a release that fails keeps no other branch from its own
            stack.callback(self._let_go)
            for branch in self._branches.values():
                if branch.locked:
                    stack.push_async_callback(branch.release)

    def _let_go(self) -> None:
        """Let go of the branches, which have this object: so it is freed without the garbage collector."""
        fates = dict[str, CommitOutcome]()
        for route, branch in self._branches.items():
            fates[route.prefix] = branch.outcome
        self._fates, self._branches, self._straight = fates, {}, None

    @property
    def _written(self) -> bool:
        return any(branch.written for branch in self._branches.values())

    async def release_unwritten(self) -> None:
        """Give the locks back, except on stores to which something was written since the rollback."""
        for branch in tuple(self._branches.values()):
            if branch.locked and not branch.written:
                await branch.release()
        self._give_up_turn()

"""The branch of a transaction on one store: serves its messages, and commits its writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import replace
from cashews._steps import STEP
from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.slices import in_slices, in_steps
from cashews.backends.interface import Turn
from cashews.clock import Clock
from cashews.engine.coordinator.delivery import Delivery
from cashews.engine.coordinator.ends import OvertakenError
from cashews.engine.coordinator.key_locks import BranchOwner, KeyLocks
from cashews.engine.coordinator.overlay import Overlay
from cashews.engine.coordinator.pattern_reads import PatternReads
from cashews.engine.routes import Route
from cashews.exceptions import NotSupportedError

R = TypeVar("R")
ABORTED, COMMITTED = m.CommitOutcome.ABORTED, m.CommitOutcome.COMMITTED
"""Members of an enum that each commit needs: CPython 3.11 takes 80 ns to look one up."""


class Branch:
    """Serves the messages of a transaction to one store: locks their keys, and answers from the overlay first."""

    __slots__ = (
        *("_clock", "_forgotten", "_locks", "_now", "_overlay", "_owner", "_patterns", "_route", "_store"),
        *("outcome", "waits"),
    )

    def __init__(self, owner: BranchOwner, route: Route, clock: Clock) -> None:
        self._owner = owner
        self._route = route
        self._store = route.backend
        self._locks = KeyLocks(owner, route, clock.now)
        self._clock = clock
        self._now = clock.now
        self._overlay = Overlay(route.copies)
        self._forgotten: tuple[Overlay, ...] = ()
        """Overlays of many writes that have yet to be freed."""
        self._patterns: PatternReads | None = None
        """The reads by pattern; `None` as long as there are none."""
        self.waits = self._locks.shared
        """Whether the store has to be waited for, whatever is asked of it."""
        self.outcome = ABORTED
        """The fate of the writes, once the transaction has ended."""

    # --- reading

    def look(self, key: str) -> object:
        """Return the value of a key that was put aside, or `NOT_NOW`."""
        put = self._overlay.puts.get(key)
        if put is None:
            return NOT_NOW
        value, expire, at = put
        return value if expire is None or at + expire > self._now() else NOT_NOW

    def read_in_place(self, message: m.OneKey[Any]) -> Any:
        needs_no_lock = self.waits or self._overlay.knows(message.key)
        return self.recall_in_place(message) if needs_no_lock or self._locks.lock_in_place(message.key) else NOT_NOW

    def recall_in_place(self, message: m.OneKey[Any]) -> Any:
        if self._overlay.knows(message.key):
            return self._overlay.answer(message, self._now())
        if self.waits or self._overlay.deleted_tags:
            return NOT_NOW
        turn = self._store.turns_here.get(message.__class__)
        return NOT_NOW if turn is None else turn(message, self._now())

    async def _ask_store(self, message: m.Message[R]) -> R:
        """Ask the store; its reply is valid until the locks are given back.

        :raises OvertakenError: if another task ends the writes and locks so far meanwhile
        """
        overlay = self._overlay
        if self._locks.turn:
            await self._locks.begin_reading()
        reply = await self._store.ask(message, strict=True)
        if overlay is not self._overlay:
            raise OvertakenError
        return reply

    async def read(self, message: m.OneKey[Any]) -> Any:
        await self._lock(message.key)
        return await self.recall(message)

    async def _lock(self, key: str) -> None:
        """Lock a key to read it, unless its value is the transaction's own."""
        if not self._is_own(key):
            await self._locks.lock((key,))

    def _is_own(self, key: str) -> bool:
        """Say whether a key was written, by name, in this transaction: reading that needs no lock in the store."""
        return key in self._locks.held and self._overlay.knows(key)

    async def recall(self, message: m.OneKey[Any]) -> Any:
        if self._overlay.knows(message.key):
            return self._overlay.answer(message, self._now())
        if self._overlay.deleted_tags and await self._is_deleted(message.key):
            return message.declined()
        return await self._ask_store(message)

    async def _is_deleted(self, key: str) -> bool:
        """Say whether the store's value of a key carries a tag that the transaction has deleted."""
        tags = await self._ask_store(m.GetKeyTags(key))
        return self._overlay.deletes(tags)

    async def read_raw(self, message: m.GetRaw) -> Any:
        await self._lock(message.key)
        overlay = self._overlay
        gone = overlay.knows(message.key) and not overlay.answer(m.Exists(message.key), self._now())
        if gone or overlay.has_raw(message.key):
            found = await self.recall(message)
            return found if found is message.default else self._store.as_raw(found)
        if overlay.deleted_tags and await self._is_deleted(message.key):
            return message.default
        return await self._ask_store(message)

    async def read_many(self, message: m.GetMany) -> tuple[object, ...]:
        await self._locks.lock({key async for key in in_slices(message.keys) if not self._is_own(key)})
        return await self.recall_many(message)

    async def recall_many(self, message: m.GetMany) -> tuple[object, ...]:
        if self._overlay.deleted_tags:
            return tuple([await self.recall(m.Get(key, message.default)) async for key in in_slices(message.keys)])
        overlay, default = self._overlay, message.default
        elsewhere = tuple([key async for key in in_slices(message.keys) if not overlay.knows(key)])
        if overlay is not self._overlay:
            raise OvertakenError
        values = await self._ask_store(m.GetMany(elsewhere, default)) if elsewhere else ()
        found = dict(zip(elsewhere, values, strict=True))
        return await in_steps(overlay.answers(message, found, self._now()))

    async def page(self, message: m.Paged[Any]) -> m.Page[Any]:
        return await self._pattern_reads().page(message)

    def _pattern_reads(self) -> PatternReads:
        if self._patterns is None:
            self._patterns = PatternReads(self._store, self._locks, lambda: self._overlay, self._clock)
        return self._patterns

    async def count(self, message: m.GetKeysCount) -> int:
        if self._locks.isolated:
            await self._pattern_reads().check_count()
        if self._locks.isolated or self._overlay.deleted_tags:
            return await self._pattern_reads().count()
        count = await self._ask_store(message)
        async for key in in_slices(self._overlay.written):
            before = await self._ask_store(m.Exists(key))
            count += self._overlay.answer(m.Exists(key), self._now()) - before
        return count

    @property
    def unproven(self) -> bool:
        """Whether keys were read by a pattern, and others may have come since that it would find."""
        return self._patterns is not None and self._patterns.unproven

    async def prove(self) -> None:
        """Make sure that the keys which were read by a pattern are all the keys that it finds.

        :raises TransactionConflictError: if they are not
        """
        await self._pattern_reads().prove()

    # --- writing

    def _overwrite(self, write: m.Set | m.SetRaw | m.Delete) -> bool:
        self._owner.check()  # a task that has waited may be late
        return self._overlay.overwrite(write, self._now())

    async def _overwrite_all(self, keys: Collection[str], writes: Iterable[m.Set | m.Delete]) -> None:
        """Lock keys and overwrite them. Raises `OvertakenError` as `_ask_store` does."""
        await self._locks.lock_to_write(keys)
        overlay = self._overlay
        async for write in in_slices(writes):
            if overlay is not self._overlay:
                raise OvertakenError
            self._overwrite(write)

    async def _learn(self, key: str) -> None:
        if not self._overlay.knows(key):
            state = await self._ask_store(m.Peek(key))
            self._overlay.learn(key, state, self._now())
        self._owner.check()

    def put(self, key: str, value: object, expire: float | None) -> bool | NotNowType:
        """Put a value aside, which the store needs not check; says whether the key has one then, or `NOT_NOW`."""
        overlay, locks = self._overlay, self._locks
        if (key not in locks.held and not locks.lock_in_place(key)) or len(overlay.puts) >= STEP:
            return NOT_NOW
        overlay.puts[key] = (value, expire, self._now())
        return expire is None or expire > 0

    def set_in_place(self, message: m.Set) -> bool | NotNowType:
        if message.permit is not None:
            return self._set_under_permit(message, message.permit)
        if message.exist is not None or not self._locks.lock_in_place(message.key):
            return NOT_NOW
        return self._overlay.overwrite(message, self._now())

    async def set(self, message: m.Set) -> bool:
        key = message.key
        if message.permit is not None:
            return self._set_under_permit(message, message.permit)
        if not self._locks.lock_in_place(key):
            await self._locks.lock_to_write((key,))
        if message.exist is not None:
            await self._lock(key)
            await self._learn(key)
            if self._overlay.answer(m.Exists(key), self._now()) is not message.exist:
                return False
            message = replace(message, exist=None)
        return self._overwrite(message)

    def _set_under_permit(self, message: m.Set, permit: m.LoadPermit) -> bool:
        """Write the result of a load. It takes no lock: many loads of a key may end at the same time."""
        if permit.void or self._overlay.may_overtake(message, permit):
            return False
        self._owner.hold_permit(permit)
        return self._overwrite(message)

    async def set_raw(self, message: m.SetRaw) -> bool:
        await self._locks.lock_to_write((message.key,))
        return self._overwrite(message)

    async def set_many(self, message: m.SetMany) -> None:
        await self._overwrite_all(message.keys, (m.Set(*pair, message.expire) for pair in message.pairs.items()))

    async def change(self, message: m.Incr | m.Expire | m.SetAdd | m.SetRemove) -> Any:
        await self._lock(message.key)
        await self._learn(message.key)
        return self._overlay.change(message, self._now())

    async def set_pop(self, message: m.SetPop) -> list[str]:
        await self._lock(message.key)
        await self._learn(message.key)
        return self._overlay.pop(message, self._now())

    async def delete(self, message: m.Delete) -> bool:
        await self._lock(message.key)
        existed: bool = await self.recall(m.Exists(message.key))
        self._overwrite(message)
        return existed

    async def delete_many(self, message: m.DeleteMany) -> None:
        await self._overwrite_all(set(message.keys), map(m.Delete, message.keys))

    async def delete_match(self, message: m.DeleteMatch | m.Clear) -> None:
        """Delete the keys that match now; keys that others write before the commit stay.

        Values that are on their way to the store when this is asked for count as written before.
        """
        await self._store.settle()
        scan: m.Scan | None = m.Scan(message.covers)
        while scan is not None:
            page = await self._pattern_reads().next_page(scan)
            await self.delete_many(m.DeleteMany(tuple(page.items)))
            scan = None if page.cursor is None else m.Scan(message.covers, cursor=page.cursor)
            await checkpoint()

    async def delete_tags(self, message: m.DeleteTags) -> None:
        """Delete the values that carry the tags, at the commit; their keys are not locked until then.

        :raises NotSupportedError: if the store cannot delete them in the turn of the commit
        """
        self._owner.check()
        if not self._store.acts_as_one:
            raise NotSupportedError(self._store.name, "delete_tags in a transaction on a cluster")
        await in_steps(self._overlay.delete_tags(message.tags, self._now()))

    # --- the end

    async def commit(self) -> m.CommitOutcome:
        """Apply the writes, all of them or none, and give the locks back.

        :raises LockLostError: if a lock was lost; nothing is applied then
        :raises CacheBackendInteractionError: if the store fails; `error.unknown` says that it may have applied them
        """
        if not self.commit_in_place():
            await self._commit_there()
        return self.outcome

    def commit_in_place(self) -> bool:
        """Commit, unless the commit is long or has to be waited for; says whether it was not.

        :raises WrongTypeError: if a write does not fit the stored type; nothing is applied then
        """
        self.outcome, is_over = ABORTED, True
        try:
            is_over = self._put_all() or self._take_turn_of_commit()
            if is_over:
                self.outcome = COMMITTED
        finally:
            if is_over:
                self._begin_anew()
                self._locks.release()
        return is_over

    def _put_all(self) -> bool:
        """Store the values that were put aside, if there are no other writes; says whether that was done."""
        direct, overlay, locks = self._route.direct, self._overlay, self._locks
        if direct is None or direct.put_all is None or locks.shared or len(locks.held) > STEP:
            return False
        return overlay.has_puts_alone and direct.put_all(overlay.puts)

    def _take_turn_of_commit(self) -> bool:
        turn = self.turn_of_commit
        if turn is None:
            return False
        now = self._now()
        writes = tuple(self._overlay.writes(now))
        if writes:
            turn(m.Commit((), writes), now)
        return True

    @property
    def turn_of_commit(self) -> Turn | None:
        """The turn that commits in place; `None` if the commit is long, or has to be waited for."""
        overlay, locks = self._overlay, self._locks
        is_short = not locks.shared and max(len(locks.held), len(overlay)) <= STEP and not overlay.deleted_tags
        return self._store.turns_here.get(m.Commit) if is_short else None

    async def _commit_there(self) -> None:
        """Apply the writes in slices, or in a store that has to be waited for."""
        delivery = Delivery(self._store, self._locks, self._overlay, self._now)
        self._begin_anew()
        try:
            await delivery.run()
        finally:
            self.outcome = delivery.outcome
            await self._free_forgotten()

    @property
    def suppresses(self) -> bool:
        """Whether the store answers neutrally when it fails."""
        return self._store.suppresses

    @property
    def locked(self) -> bool:
        """Whether any lock is held."""
        return bool(self._locks.held)

    @property
    def written(self) -> bool:
        """Whether anything was written since the beginning, or the last commit or rollback."""
        return bool(len(self._overlay) or self._overlay.deleted_tags)

    def wrote_by_name(self, key: str) -> bool:
        """Say whether a key was written, other than by a load alone."""
        return self._overlay.wrote_by_name(key)

    async def take_turn(self, name: str) -> None:
        """Take the lock that lets one transaction run at a time.

        :raises NotSupportedError: if the store cannot hold it along with the locks of keys
        """
        if not self._store.acts_as_one:
            raise NotSupportedError(self._store.name, "TransactionMode.SERIALIZABLE on a cluster")
        await self._locks.take_turn(name)

    def take_turn_in_place(self, name: str) -> bool:
        """Take that lock, if nothing has to be waited for; says whether it was taken."""
        return not self.waits and self._store.acts_as_one and self._locks.lock_in_place(name)

    def forget(self) -> None:
        """Forget the writes, and the patterns that were read."""
        self.outcome = ABORTED
        self._begin_anew()

    def _begin_anew(self) -> None:
        if self._overlay.is_long:
            self._forgotten = (*self._forgotten, self._overlay)
        self._overlay = Overlay(self._route.copies)
        if self._patterns is not None:
            self._patterns.forget()

    async def _free_forgotten(self) -> None:
        forgotten, self._forgotten = self._forgotten, ()
        for overlay in forgotten:
            await in_steps(overlay.free())

    async def release(self) -> None:
        """Give the locks back, whatever is cancelled, and forget the writes."""
        self._begin_anew()
        if self._locks.releases_in_place:
            self._locks.release()
            return
        with anyio.CancelScope(shield=self.waits):
            held = self._locks.detach()
            async with self._locks.releasing(held):
                await self._locks.give_back([lock for lock in held.values() if lock is not None])
            await self._free_forgotten()

"""The branch of a transaction on one store: serves its messages, and commits its writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

import anyio

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.interface import NOT_NOW, Backend, NotNowType
from cashews.clock import Clock
from cashews.engine.coordinator.key_locks import NAMED, BranchOwner, KeyLocks
from cashews.engine.coordinator.overlay import Overlay
from cashews.engine.coordinator.store_locks import StoreLocks
from cashews.engine.coordinator.wait_graph import WaitGraph
from cashews.exceptions import CacheBackendInteractionError, LockLostError
from cashews.keys.pattern import matcher

R = TypeVar("R")


class OvertakenError(Exception):
    """A command was served while another task committed or rolled back the same transaction: it is served again."""


@dataclass(frozen=True, slots=True)
class ScanPosition:
    """The position of a scan: the keys that the transaction wrote before it come first, then those of the store."""

    own: frozenset[str]
    """The keys that were written before the scan."""
    left: tuple[str, ...] = ()
    """The matching ones of them that have yet to come."""
    at: object | None = None
    """The cursor of the store."""


class Branch:
    """Serves the messages of a transaction to one store: locks their keys, and answers from the overlay first."""

    __slots__ = (
        *("_commit", "_locks", "_now", "_overlay", "_owner", "_store"),
        *("outcome", "waits"),
    )

    def __init__(
        self, owner: BranchOwner, store: Backend, store_locks: StoreLocks, graph: WaitGraph, clock: Clock
    ) -> None:
        self._owner = owner
        self._store = store
        self._locks = KeyLocks(owner, store_locks, graph, store.outlives)
        self._now = clock.now
        self._overlay = Overlay()
        self._commit = None if self._locks.shared else store.turns.get(m.Commit)
        """The turn that commits in place."""
        self.waits = self._commit is None
        """Whether the store has to be waited for."""
        self.outcome = m.CommitOutcome.ABORTED
        """The fate of the writes, once the transaction has ended."""

    # --- reading

    def recall_in_place(self, message: m.Get) -> object:
        return self._overlay.answer(message, self._now()) if self._overlay.knows(message.key) else NOT_NOW

    async def _ask_store(self, message: m.Message[R]) -> R:
        """Ask the store; its reply is valid until the locks are given back.

        :raises OvertakenError: if that happens meanwhile
        """
        overlay = self._overlay
        reply = await self._store.ask(message, strict=True)
        if overlay is not self._overlay:
            raise OvertakenError
        return reply

    async def read(self, message: m.OneKey[Any]) -> Any:
        await self._locks.lock((message.key,))
        return await self.recall(message)

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
        await self._locks.lock((message.key,))
        overlay = self._overlay
        gone = overlay.knows(message.key) and not overlay.answer(m.Exists(message.key), self._now())
        if gone or overlay.has_raw(message.key):
            found = await self.recall(message)
            return found if found is message.default else self._store.as_raw(found)
        if overlay.deleted_tags and await self._is_deleted(message.key):
            return message.default
        return await self._ask_store(message)

    async def read_many(self, message: m.GetMany) -> tuple[object, ...]:
        await self._locks.lock(set(message.keys))
        return await self.recall_many(message)

    async def recall_many(self, message: m.GetMany) -> tuple[object, ...]:
        knows = self._overlay.knows
        if self._overlay.deleted_tags:
            return tuple([await self.recall(m.Get(key, message.default)) for key in message.keys])
        elsewhere = tuple(dict.fromkeys(key for key in message.keys if not knows(key)))
        values = await self._ask_store(m.GetMany(elsewhere, message.default)) if elsewhere else ()
        found = dict(zip(elsewhere, values, strict=True))
        now, answer = self._now(), self._overlay.answer
        return tuple(answer(m.Get(key, message.default), now) if knows(key) else found[key] for key in message.keys)

    async def page(self, message: m.Paged[Any]) -> m.Page[Any]:
        """Read the next page."""
        place = message.cursor
        if not isinstance(place, ScanPosition):
            written = self._overlay.written
            place = ScanPosition(frozenset(written), tuple(filter(matcher(message.pattern), written)))
        if place.left:
            keys, left = place.left[: message.batch_size], place.left[message.batch_size :]
            own = [(key, None) if isinstance(message, m.GetMatch) else key for key in keys]
            return m.Page(self._as_they_are_here(own), replace(place, left=left))
        page = await self._store.ask(replace(message, cursor=place.at), strict=True)
        items = [item for item in page.items if _key_of(item) not in place.own]
        if self._overlay.deleted_tags:
            items = [item for item in items if not await self._has_gone(_key_of(item))]
        return m.Page(self._as_they_are_here(items), page.cursor and replace(place, at=page.cursor))

    async def _has_gone(self, key: str) -> bool:
        tags = await self._store.ask(m.GetKeyTags(key), strict=True)
        return self._overlay.deletes(tags) and not self._overlay.wrote(key)

    def _as_they_are_here(self, items: list[Any]) -> list[Any]:
        """Return the keys, or the pairs, as the transaction sees them: with its values, without the keys it deleted."""
        now, overlay, here = self._now(), self._overlay, list[Any]()
        for item in items:
            if not overlay.wrote(_key_of(item)):
                here.append(item)
            elif isinstance(item, str):
                here += [item] if overlay.answer(m.Exists(item), now) else []
            elif (value := overlay.answer(m.Get(item[0], ABSENT), now)) is not ABSENT:
                here.append((item[0], value))
        return here

    async def count(self, message: m.GetKeysCount) -> int:
        if self._overlay.deleted_tags:
            return len(await self._matching("*"))
        count = await self._ask_store(message)
        for key in self._overlay.written:
            before = await self._ask_store(m.Exists(key))
            count += self._overlay.answer(m.Exists(key), self._now()) - before
        return count

    # --- writing

    def _overwrite(self, write: m.Set | m.SetRaw | m.Delete) -> bool:
        self._owner.check()  # a task that has waited may be late
        return self._overlay.overwrite(write, self._now())

    async def _learn(self, key: str) -> None:
        if not self._overlay.knows(key):
            state = await self._ask_store(m.Peek(key))
            self._overlay.learn(key, state, self._now())

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
            await self._locks.hold(key)
        if message.exist is not None:
            await self._learn(key)
            if self._overlay.answer(m.Exists(key), self._now()) is not message.exist:
                return False
            message = replace(message, exist=None)
        return self._overwrite(message)

    def _set_under_permit(self, message: m.Set, permit: m.LoadPermit) -> bool:
        """Write the result of a load. It takes no lock: many loads of a key may end at the same time."""
        if permit.void:
            return False
        self._owner.hold_permit(permit)
        return self._overwrite(message)

    async def set_raw(self, message: m.SetRaw) -> bool:
        await self._locks.lock((message.key,))
        return self._overwrite(message)

    async def set_many(self, message: m.SetMany) -> None:
        await self._locks.lock(message.keys)
        for key, value in message.pairs.items():
            self._overwrite(m.Set(key, value, message.expire))

    async def change(self, message: m.Incr | m.Expire | m.SetAdd | m.SetRemove) -> Any:
        await self._locks.lock((message.key,))
        await self._learn(message.key)
        self._owner.check()
        return self._overlay.change(message, self._now())

    async def set_pop(self, message: m.SetPop) -> list[str]:
        await self._locks.lock((message.key,))
        await self._learn(message.key)
        self._owner.check()
        return self._overlay.pop(message, self._now())

    async def delete(self, message: m.Delete) -> bool:
        await self._locks.lock((message.key,))
        existed: bool = await self.recall(m.Exists(message.key))
        self._overwrite(message)
        return existed

    async def delete_many(self, message: m.DeleteMany) -> None:
        await self._locks.lock(set(message.keys))
        for key in message.keys:
            self._overwrite(m.Delete(key))

    async def delete_match(self, message: m.DeleteMatch | m.Clear) -> None:
        """Delete the keys that match now; keys that others write before the commit stay."""
        await self.delete_many(m.DeleteMany(await self._matching(message.covers)))

    async def _matching(self, pattern: str) -> tuple[str, ...]:
        """Return the keys that match now."""
        scan = m.Scan(pattern)
        keys: dict[str, None] = {}
        while True:
            page = await self.page(scan)
            keys.update(dict.fromkeys(page.items))
            if page.cursor is None:
                return tuple(keys)
            scan = m.Scan(pattern, cursor=page.cursor)

    async def delete_tags(self, message: m.DeleteTags) -> None:
        """Delete the values that carry the tags, at the commit; their keys are not locked until then."""
        self._owner.check()
        self._overlay.delete_tags(message.tags, self._now())

    # --- the end

    async def commit(self) -> m.CommitOutcome:
        """Apply the writes, all of them or none, and give the locks back.

        :raises LockLostError: if a lock was lost; nothing is applied then
        :raises CacheBackendInteractionError: if the store fails; `error.unknown` says that it may have applied them
        """
        self.outcome = m.CommitOutcome.ABORTED
        now, overlay = self._now(), self._overlay
        writes, tags = overlay.writes(now), tuple(overlay.deleted_tags)
        if self._commit is None:
            await self._commit_there(writes, tags)
            return self.outcome
        try:
            if writes or tags:
                self._commit(m.Commit((), writes, tags), now)
            self.outcome = m.CommitOutcome.COMMITTED
        finally:
            self._overlay = Overlay()
            self._locks.release()
        return self.outcome

    async def _commit_there(self, writes: tuple[m.Write, ...], tags: tuple[str, ...]) -> None:
        """Apply the writes in a store that has to be waited for; it compares the tokens of the locks.

        Commands of other tasks that come meanwhile belong to the time after the commit.
        """
        self._overlay = Overlay()
        held = self._locks.detach()
        locks = [lock for lock in held.values() if lock is not None]
        message = m.Commit(tuple([(lock.key, lock.token) for lock in locks]), writes, tags)
        with self._locks.releasing(held):
            try:
                self.outcome = await self._committed(message)
            finally:
                if self.outcome is m.CommitOutcome.COMMITTED:
                    self._locks.note_released(locks)
                else:
                    await self._locks.give_back(locks)
        if self.outcome is m.CommitOutcome.LOST:
            self.outcome = m.CommitOutcome.ABORTED
            raise LockLostError(" or ".join(lock.key for lock in locks[:NAMED]))

    async def _committed(self, message: m.Commit) -> m.CommitOutcome:
        if not (message.writes or message.locks or message.tags):
            return m.CommitOutcome.COMMITTED
        try:
            return await self._store.ask(message)
        except CacheBackendInteractionError as error:
            if error.unknown:
                self.outcome = m.CommitOutcome.UNKNOWN
            raise
        except anyio.get_cancelled_exc_class():  # asyncio's own Task.cancel() goes through shields, once
            self.outcome = m.CommitOutcome.UNKNOWN
            raise

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
        return bool(self._overlay.written or self._overlay.deleted_tags)

    @property
    def written_by_name(self) -> tuple[str, ...]:
        """The keys that were written but for those that only loads have written."""
        return self._overlay.written_by_name

    async def take_turn(self, name: str) -> None:
        """Take the lock that lets one transaction run at a time."""
        await self._locks.hold(name)

    def forget(self) -> None:
        """Forget the writes."""
        self.outcome = m.CommitOutcome.ABORTED
        self._overlay = Overlay()

    async def release(self) -> None:
        """Give the locks back, and forget the writes."""
        self._overlay = Overlay()
        if self._locks.shared:
            held = self._locks.detach()
            with self._locks.releasing(held):
                await self._locks.give_back([lock for lock in held.values() if lock is not None])
        else:
            self._locks.release()


def _key_of(item: str | tuple[str, object]) -> str:
    return item if isinstance(item, str) else item[0]


Serve: TypeAlias = Callable[[Branch, Any], Awaitable[Any]]
SERVE: Final[Mapping[type[m.Message[Any]], Serve]] = {
    m.Get: Branch.read,
    m.GetRaw: Branch.read_raw,
    m.Exists: Branch.read,
    m.GetExpire: Branch.read,
    m.GetSize: Branch.read,
    m.Recall: Branch.recall,
    m.GetHit: Branch.recall,
    m.GetMany: Branch.read_many,
    m.RecallMany: Branch.recall_many,
    m.Scan: Branch.page,
    m.GetMatch: Branch.page,
    m.GetKeysCount: Branch.count,
    m.Set: Branch.set,
    m.SetTagged: Branch.set,
    m.GetKeyTags: Branch.read,
    m.DeleteTags: Branch.delete_tags,
    m.SetRaw: Branch.set_raw,
    m.SetMany: Branch.set_many,
    m.Incr: Branch.change,
    m.Expire: Branch.change,
    m.SetAdd: Branch.change,
    m.SetRemove: Branch.change,
    m.SetPop: Branch.set_pop,
    m.Delete: Branch.delete,
    m.DeleteMany: Branch.delete_many,
    m.DeleteMatch: Branch.delete_match,
    m.Clear: Branch.delete_match,
}
"""The method that serves each message of a transaction. Bits, windows, limits and locks pass transactions by."""

IN_PLACE: Final[Mapping[type[m.Message[Any]], Callable[[Branch, Any], Any]]] = {
    m.Get: Branch.recall_in_place,
    m.Recall: Branch.recall_in_place,
    m.Set: Branch.set_in_place,
    m.SetTagged: Branch.set_in_place,
}
"""The methods that may serve a message in place: reads of known keys, which are locked, and writes to free keys."""

"""The part of a transaction on one store: its locks, and what is kept for the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final, Protocol, cast

import anyio

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.interface import NOT_NOW, Backend, NotNowType
from cashews.clock import Clock
from cashews.engine.keeper import HeldLock
from cashews.engine.locks import LockQueues
from cashews.engine.overlay import Overlay
from cashews.engine.wait_graph import WaitGraph
from cashews.exceptions import CacheBackendInteractionError, LockedError, LockLostError
from cashews.pattern import matcher

SUFFIX: Final = ":transaction"
"""What follows a key in the name of the lock that protects it."""


NAMED: Final = 3
"""How many locks an error names."""


class Terms(Protocol):
    """What a branch has to know of its transaction."""

    isolated: bool
    """Whether keys are locked."""
    timeout: float
    deadline: float

    def patience(self) -> AbstractContextManager[anyio.CancelScope, bool]:
        """Return a scope that is cancelled when the timeout has passed."""
        ...

    def check(self) -> None:
        """Raise TransactionError if the transaction has ended."""
        ...


class Branch:
    """Serves the messages of a transaction to one store: answers what it has kept, locks what it touches."""

    def __init__(self, terms: Terms, store: Backend, queues: LockQueues, graph: WaitGraph, clock: Clock) -> None:
        self._terms = terms
        self._store = store
        self._queues = queues
        self._graph = graph
        self._now = clock.now
        self._overlay = Overlay()
        self._outlives = store.outlives
        self._commit = None if self._outlives else store.turns.get(m.Commit)
        """The turn that commits in place."""
        self.waits = self._commit is None
        """Whether the store has to be waited for."""
        self.outcome = m.Outcome.ABORTED
        """What became of it, once it has ended."""
        self._held: dict[str, HeldLock | None] = {}
        """The locked keys, with their locks in a store that others use, too."""
        self._arriving: dict[str, anyio.Event] = {}
        """The keys that one of our tasks is about to lock; the others wait for it."""

    # --- locks

    async def lock(self, keys: Iterable[str]) -> None:
        """Lock keys until the end, in an order that all transactions share.

        :raises LockedError: if that would be a deadlock, or takes longer than the transaction's timeout
        """
        for key in sorted(keys):
            if not self._locked_at_once(key):
                await self.hold(key)

    def _locked_at_once(self, key: str) -> bool:
        """Lock a key, if nothing has to be waited for; says whether it is locked, or does not have to be."""
        if not self._terms.isolated or key in self._held:
            return True
        if self._outlives or key in self._arriving or not self._graph.take(key, self._terms):
            return False
        self._held[key] = None
        return True

    async def hold(self, key: str) -> None:
        """Take the lock of a key, here and, if others use the store, there; unless it is held already."""
        while (arriving := self._arriving.get(key)) is not None:
            await arriving.wait()
        if key in self._held:
            return
        self._arriving[key] = arrived = anyio.Event()
        try:
            await self._take_here(key)
            self._held[key] = await self._taken_there(key) if self._outlives else None
        finally:
            del self._arriving[key]
            arrived.set()

    async def _take_here(self, key: str) -> None:
        terms, graph = self._terms, self._graph
        if graph.take(key, terms):
            return
        with terms.patience() as patience:
            await graph.wait(key, terms)
        if patience.cancelled_caught:
            raise LockedError(key, f"it was not free within {terms.timeout:g} s")
        self._check_or_release(key)

    def _check_or_release(self, key: str) -> None:
        """Go on, unless the transaction has ended meanwhile: nobody would give the lock back then."""
        try:
            self._terms.check()
        except BaseException:
            self._graph.release(key)
            raise

    async def _taken_there(self, key: str) -> HeldLock:
        lock = self._queues.claim(key + SUFFIX, self._terms.timeout)
        try:
            await self._queues.wait(lock, self._terms.deadline)
            self._terms.check()
        except BaseException:
            self._graph.release(key)
            if lock.fence:
                await self._queues.give_back(lock)
            raise
        self._queues.keep(lock, _note)
        return lock

    # --- reading

    def recall_at_once(self, message: m.Get) -> object:
        return self._overlay.answer(message, self._now()) if self._overlay.knows(message.key) else NOT_NOW

    async def read(self, message: m.OneKey[Any]) -> Any:
        await self.lock((message.key,))
        return await self.recall(message)

    async def recall(self, message: m.OneKey[Any]) -> Any:
        if self._overlay.knows(message.key):
            return self._overlay.answer(message, self._now())
        if self._overlay.deleted_tags and await self._is_deleted(message.key):
            return message.declined()
        return await self._store.ask(message)

    async def _is_deleted(self, key: str) -> bool:
        """Say whether the store holds what has lost its key to a deleted tag."""
        tags = await self._store.ask(m.GetKeyTags(key))
        return self._overlay.deletes(tags)

    async def read_many(self, message: m.GetMany) -> tuple[object, ...]:
        await self.lock(set(message.keys))
        return await self.recall_many(message)

    async def recall_many(self, message: m.GetMany) -> tuple[object, ...]:
        knows = self._overlay.knows
        if self._overlay.deleted_tags:
            return tuple([await self.recall(m.Get(key, message.default)) for key in message.keys])
        elsewhere = tuple(dict.fromkeys(key for key in message.keys if not knows(key)))
        values = await self._store.ask(m.GetMany(elsewhere, message.default)) if elsewhere else ()
        found = dict(zip(elsewhere, values, strict=True))
        now, answer = self._now(), self._overlay.answer
        return tuple(answer(m.Get(key, message.default), now) if knows(key) else found[key] for key in message.keys)

    async def page(self, message: m.Paged[Any]) -> m.Page[Any]:
        """Read the next page; what was written here comes with the last one."""
        pairs = isinstance(message, m.GetMatch)
        page = await self._store.ask(message)
        written = frozenset(self._overlay.written)
        items = [item for item in page.items if (item[0] if pairs else item) not in written]
        if self._overlay.deleted_tags:
            items = [item for item in items if not await self._is_deleted(item[0] if pairs else item)]
        if page.cursor is None:
            items += self._own_items(message.pattern, pairs=pairs)
        return m.Page(items, page.cursor)

    def _own_items(self, pattern: str, *, pairs: bool) -> list[Any]:
        now, answer = self._now(), self._overlay.answer
        keys = [key for key in filter(matcher(pattern), self._overlay.written) if answer(m.Exists(key), now)]
        if not pairs:
            return keys
        return [(key, value) for key in keys if (value := answer(m.Get(key, ABSENT), now)) is not ABSENT]

    async def count(self, message: m.GetKeysCount) -> int:
        if self._overlay.deleted_tags:
            return len(await self._matching("*"))
        count = await self._store.ask(message)
        for key in self._overlay.written:
            before = await self._store.ask(m.Exists(key))
            count += self._overlay.answer(m.Exists(key), self._now()) - before
        return count

    # --- writing

    def _overwrite(self, write: m.Set | m.SetRaw | m.Delete) -> bool:
        self._terms.check()  # a task that has waited may be late
        return self._overlay.overwrite(write, self._now())

    async def _learn(self, key: str) -> None:
        if not self._overlay.knows(key):
            state = await self._store.ask(m.Peek(key))
            self._overlay.learn(key, state, self._now())

    def set_at_once(self, message: m.Set) -> bool | NotNowType:
        if message.exist is not None or (message.lease is None and not self._locked_at_once(message.key)):
            return NOT_NOW
        return self._overlay.overwrite(message, self._now())

    async def set(self, message: m.Set) -> bool:
        key = message.key
        if message.lease is None and not self._locked_at_once(key):  # what functions return is stored by many at once
            await self.hold(key)
        if message.exist is not None:
            await self._learn(key)
            if self._overlay.answer(m.Exists(key), self._now()) is not message.exist:
                return False
            message = replace(message, exist=None)
        return self._overwrite(message)

    async def set_raw(self, message: m.SetRaw) -> bool:
        await self.lock((message.key,))
        return self._overwrite(message)

    async def set_many(self, message: m.SetMany) -> None:
        await self.lock(message.keys)
        for key, value in message.pairs.items():
            self._overwrite(m.Set(key, value, message.expire))

    async def change(self, message: m.Incr | m.Expire | m.SetAdd | m.SetRemove) -> Any:
        await self.lock((message.key,))
        await self._learn(message.key)
        self._terms.check()
        return self._overlay.change(message, self._now())

    async def set_pop(self, message: m.SetPop) -> list[str]:
        await self.lock((message.key,))
        await self._learn(message.key)
        self._terms.check()
        now = self._now()
        taken = self._overlay.answer(message, now)
        self._overlay.change(m.SetRemove(message.key, tuple(taken)), now)
        return taken

    async def delete(self, message: m.Delete) -> bool:
        await self.lock((message.key,))
        existed = await self.recall(m.Exists(message.key))
        self._overwrite(m.Delete(message.key))
        return cast("bool", existed)

    async def delete_many(self, message: m.DeleteMany) -> None:
        await self.lock(set(message.keys))
        for key in message.keys:
            self._overwrite(m.Delete(key))

    async def delete_match(self, message: m.DeleteMatch | m.Clear) -> None:
        """Delete the keys that match now; those that others write before the commit stay."""
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
        """Delete what carries the tags, when the transaction is committed; it is not locked until then."""
        self._terms.check()
        self._overlay.delete_tags(message.tags, self._now())

    # --- the end

    async def commit(self) -> m.Outcome:
        """Apply what is kept, at once or not at all, and give the locks back.

        :raises LockLostError: if a lock was lost; nothing is applied then
        :raises CacheBackendInteractionError: if the store fails; whether it has applied it is in the error
        """
        self.outcome = m.Outcome.ABORTED
        writes, tags = self._overlay.writes(self._now()), tuple(self._overlay.deleted_tags)
        if not (writes or tags):
            self.outcome = m.Outcome.COMMITTED
        elif self._commit is not None:
            self.outcome = self._commit(m.Commit((), writes, tags), self._now())
            self._let_go()
        else:
            await self._commit_there(writes, tags)
        return self.outcome

    async def _commit_there(self, writes: tuple[m.Write, ...], tags: tuple[str, ...]) -> None:
        locks = [lock for lock in self._held.values() if lock is not None]
        held = tuple([(lock.key, lock.token) for lock in locks])
        try:
            outcome = await self._store.ask(m.Commit(held, writes, tags))
        except CacheBackendInteractionError as error:
            self.outcome = m.Outcome.UNKNOWN if error.unknown else m.Outcome.ABORTED
            raise
        if outcome is m.Outcome.LOST:
            raise LockLostError(" or ".join(lock.key for lock in locks[:NAMED]))
        if outcome is m.Outcome.COMMITTED:
            self._let_go()
        self.outcome = outcome

    def _let_go(self) -> None:
        """Release here what the store has released."""
        held, self._held = self._held, {}
        for key, lock in held.items():
            if lock is not None:
                self._queues.drop(lock)
                self._queues.wake(lock.key)
            self._graph.release(key)

    @property
    def locked(self) -> bool:
        """Whether any lock is held."""
        return bool(self._held)

    @property
    def written(self) -> bool:
        """Whether anything is kept."""
        return bool(self._overlay.written or self._overlay.deleted_tags)

    def forget(self) -> None:
        """Forget what is kept."""
        self._overlay = Overlay()

    async def release(self) -> None:
        """Give the locks back, the last one first."""
        while self._held:
            key, lock = self._held.popitem()
            try:
                if lock is not None:
                    self._queues.drop(lock)
                    await self._queues.give_back(lock)
            finally:
                self._graph.release(key)


def _note() -> None:
    """Leave it to the commit to find out that a lock was lost."""


SERVE: Final[Mapping[type[m.Message[Any]], Callable[[Branch, Any], Awaitable[Any]]]] = {
    m.Get: Branch.read,
    m.GetRaw: Branch.read,
    m.Exists: Branch.read,
    m.GetExpire: Branch.read,
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
"""What serves each message that a transaction concerns; bits, windows, limits and locks are none of its business."""

AT_ONCE: Final[Mapping[type[m.Message[Any]], Callable[[Branch, Any], Any]]] = {
    m.Get: Branch.recall_at_once,
    m.Recall: Branch.recall_at_once,
    m.Set: Branch.set_at_once,
    m.SetTagged: Branch.set_at_once,
}
"""What may serve a message in place: of what is known here, the key is locked; what cannot is served as all others."""

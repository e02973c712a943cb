"""Reads by pattern in a transaction: the keys that they find are locked, and the patterns are proven at the commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._typing import ABSENT
from cashews.backends.interface import Backend
from cashews.clock import Clock
from cashews.engine.coordinator.key_locks import Held, KeyLocks
from cashews.engine.coordinator.overlay import Overlay
from cashews.exceptions import NotSupportedError, TransactionConflictError
from cashews.keys.pattern import matcher, pieces_of

BEYOND_SLOTS: Final = "a read by a pattern in a transaction with locks on a cluster"
PROOF: Final = "\0patterns"
"""The name of the lock under which a transaction proves its patterns, until its commit is over."""

MOST_COUNTED: Final = 10_000
"""The most keys that are counted under their locks."""
TOO_MANY: Final = "counting more than 10,000 keys in a transaction: count before it, or in one of mode FAST"


@dataclass(frozen=True, slots=True)
class ScanPosition:
    """The position of a scan: the keys that the transaction wrote before it come first, then those of the store."""

    own: frozenset[str]
    """The keys that were written before the scan."""
    held: Held
    """The keys that are locked since the scan began, or before."""
    known: set[str]
    """The keys that were locked when it began, and those that it has found."""
    left: tuple[str, ...] = ()
    """The matching ones of the own keys that have yet to come."""
    at: object | None = None
    """The cursor of the store."""


class PatternReads:
    """The patterns that a transaction has read on one store.

    Locks keep found keys as they are; keys that come are found out by the proof, and so are those that came before the
    transaction locked them, to write them. Of two transactions that read by a
    pattern the keys that the other writes, the second to prove its patterns finds out: no other transaction proves
    between a proof and the end of its commit.

    Source: Kung and Robinson, "On Optimistic Methods for Concurrency Control", 1981, section 3.

    :param overlay: answers the writes that are not committed
    """

    __slots__ = ("_locks", "_now", "_overlay", "_patterns", "_store")

    def __init__(self, store: Backend, locks: KeyLocks, overlay: Callable[[], Overlay], clock: Clock) -> None:
        self._store = store
        self._locks = locks
        self._overlay = overlay
        self._now = clock.now
        self.forget()

    def forget(self) -> None:
        """Forget the patterns."""
        self._patterns: dict[tuple[str, ...], tuple[str, set[str]]] = {}
        """The patterns by their pieces, each with the keys that its first scan knew."""

    @property
    def unproven(self) -> bool:
        """Whether anything was read that may have changed since."""
        return bool(self._patterns)

    async def check_count(self) -> None:
        """Make sure that the store has few enough keys to count them under their locks.

        :raises NotSupportedError: if it has too many
        """
        await self._locks.begin_reading()
        if await self._store.ask(m.GetKeysCount(), strict=True) > MOST_COUNTED:
            raise NotSupportedError(self._store.name, TOO_MANY)

    async def count(self) -> int:
        """Return the number of keys, as a scan of all finds them."""
        count = 0
        scan = m.Scan("*")
        while True:
            page = await self.page(scan)
            count += len(page.items)
            if page.cursor is None:
                return count
            scan = m.Scan("*", cursor=page.cursor)
            await checkpoint()

    # --- pages

    async def page(self, message: m.Paged[Any]) -> m.Page[Any]:
        """Read the next page; after the last one the pattern counts as read.

        It does not if a commit of another task has given back the locks of its first keys meanwhile.

        :raises NotSupportedError: if the pattern would have to be proven, and the store cannot hold the lock of that
        """
        pieces = pieces_of(message.pattern)
        if self._locks.isolated and len(pieces) > 1 and not self._store.acts_as_one:
            raise NotSupportedError(self._store.name, BEYOND_SLOTS)
        if self._locks.isolated and len(pieces) > 1:
            await self._locks.lock_in_store()
        place = self._place_of(message)
        page = await self._page_at(place, message)
        if page.cursor is None and self._locks.isolated and place.held is self._locks.held and len(pieces) > 1:
            self._patterns.setdefault(pieces, (message.pattern, place.known))
        return page

    def next_page(self, message: m.Paged[Any]) -> Awaitable[m.Page[Any]]:
        """Read the next page, the keys of which are locked; the pattern does not count as read."""
        return self._page_at(self._place_of(message), message)

    def _place_of(self, message: m.Paged[Any]) -> ScanPosition:
        if isinstance(message.cursor, ScanPosition):
            return message.cursor
        written, held = self._overlay().written, self._locks.held
        return ScanPosition(frozenset(written), held, set(held), tuple(filter(matcher(message.pattern), written)))

    async def _page_at(self, place: ScanPosition, message: m.Paged[Any]) -> m.Page[Any]:
        if place.left:
            keys, left = place.left[: message.batch_size], place.left[message.batch_size :]
            own = [(key, None) if isinstance(message, m.GetMatch) else key for key in keys]
            return m.Page(self._as_they_are_here(own), replace(place, left=left))
        await self._locks.begin_reading()
        message = replace(message, cursor=place.at)
        isolated = self._locks.isolated
        page = await (self._locked_page(message, place.known) if isolated else self._store.ask(message, strict=True))
        items = [item for item in page.items if _key_of(item) not in place.own]
        if self._overlay().deleted_tags:
            items = [item for item in items if not await self._has_gone(_key_of(item))]
        return m.Page(self._as_they_are_here(items), page.cursor and replace(place, at=page.cursor))

    async def _has_gone(self, key: str) -> bool:
        tags = await self._store.ask(m.GetKeyTags(key), strict=True)
        return self._overlay().deletes(tags) and not self._overlay().wrote(key)

    def _as_they_are_here(self, items: list[Any]) -> list[Any]:
        """Return the keys, or the pairs, as the transaction sees them: with its values, without the keys it deleted."""
        now, overlay, here = self._now(), self._overlay(), list[Any]()
        for item in items:
            if not overlay.wrote(_key_of(item)):
                here.append(item)
            elif isinstance(item, str):
                here += [item] if overlay.answer(m.Exists(item), now) else []
            elif (value := overlay.answer(m.Get(item[0], ABSENT), now)) is not ABSENT:
                here.append((item[0], value))
        return here

    async def _locked_page(self, message: m.Paged[Any], known: set[str]) -> m.Page[Any]:
        """Read the next page and lock its keys, which are known then; those that are gone by then are left out."""
        pieces = pieces_of(message.pattern)
        if len(pieces) == 1:  # the pattern is a key, and is locked if it is absent, too
            await self._locks.lock(pieces)
        page = await self._store.ask(m.Scan(message.pattern, message.batch_size, message.cursor), strict=True)
        keys, held = tuple(page.items), None
        known.update(keys)
        values: tuple[object, ...] = ()
        while keys and held is not self._locks.held:  # else another task has committed, and given the locks back
            waited = await self._locks.lock(keys)
            held = self._locks.held
            if not waited and isinstance(message, m.Scan):
                return page
            values = await self._store.ask(m.GetMany(keys, ABSENT), strict=True)
        found = [pair for pair in zip(keys, values, strict=True) if pair[1] is not ABSENT]
        if isinstance(message, m.GetMatch):
            return m.Page(found, page.cursor)
        there = dict(found)
        return m.Page([key for key in keys if key in there or await self._is_there(key)], page.cursor)

    async def _is_there(self, key: str) -> bool:
        """Say whether the store has a key, a structure perhaps."""
        return await self._store.ask(m.Exists(key), strict=True)

    # --- the proof

    async def prove(self) -> None:
        """Make sure that no key has come which a pattern would find.

        :raises TransactionConflictError: if one has
        """
        await self._locks.hold(PROOF, there=self._locks.shared)
        while patterns := self._patterns:
            pieces, (pattern, known) = next(iter(patterns.items()))
            await self._prove(pattern, known)
            patterns.pop(pieces, None)  # only now: a proof that fails, or is cancelled, has to be made again

    async def _prove(self, pattern: str, known: set[str]) -> None:
        scan: m.Scan | None = m.Scan(pattern)
        while scan is not None:
            page = await self._store.ask(scan, strict=True)
            for key in set(page.items).difference(known):
                if await self._is_new(key):
                    raise TransactionConflictError(pattern)
            scan = None if page.cursor is None else m.Scan(pattern, cursor=page.cursor)
            await checkpoint()

    async def _is_new(self, key: str) -> bool:
        """Say whether a key may have been written by a transaction: bits, windows and limits never are."""
        state = await self._store.ask(m.Peek(key), strict=True)
        return not (state.absent or state.foreign)


def _key_of(item: str | tuple[str, object]) -> str:
    return item if isinstance(item, str) else item[0]

"""The overlay: writes of a transaction to one store, not yet committed. Pure: every instant is an argument."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, TypeAlias, TypeVar

from cashews._dataclass import replace
from cashews._steps import STEP, Steps, slices_of
from cashews.backends.direct import Aside
from cashews.messages import (
    Delete,
    Exists,
    Expire,
    Get,
    GetKeyTags,
    GetMany,
    GetRaw,
    Incr,
    LoadPermit,
    Message,
    Peek,
    Set,
    SetAdd,
    SetPop,
    SetRaw,
    SetRemove,
    SetTagged,
    State,
    Write,
)
from cashews.structures.kinds import COUNTER_MAX
from cashews.table.columns import NO_LIMIT
from cashews.table.keyspace import Table
from cashews.table.transactions import restore
from cashews.table.turns import TURNS

R = TypeVar("R")
V = TypeVar("V")
ATOMS = frozenset({int, float, bool, str, bytes, type(None)})
"""The types of values that need no copy."""
Change: TypeAlias = "Incr | Expire | SetAdd | SetRemove"
TICK = 1.0
OVERWRITING = (Set, SetRaw, Delete)
"""Writes after which the earlier value of a key does not matter."""
NONE: Final[dict[str, Any]] = {}
"""The keys and tags of an overlay that has none: to make a dictionary takes a while, and few overlays need these."""
SOON = 1.0
"""The seconds that a commit may take to get to its store."""
MOMENT = 0.001
"""The least duration of a committed change, in seconds; a key whose deadline has passed is deleted instead."""


class Draft:
    """The writes to one key: changes of the store's value or, once the key is overwritten, of the table's."""

    __slots__ = ("changed", "overwritten", "writes")

    def __init__(self, write: Write, now: float) -> None:
        self.overwritten = isinstance(write, OVERWRITING)
        self.changed = False
        """Whether it was changed after it was overwritten."""
        self.writes: list[tuple[float, Write]] = [(now, write)]
        """`(instant, write)` pairs; a TTL counts from its instant. An overwrite replaces all pairs before it."""

    @property
    def is_load(self) -> bool:
        """Whether the last overwrite stores the outcome of a load."""
        _, first = self.writes[0]
        return isinstance(first, Set) and first.permit is not None

    @property
    def is_overtaken(self) -> bool:
        """Whether the last overwrite stores the outcome of a load, and others have changed the key since it began."""
        _, first = self.writes[0]
        return isinstance(first, Set) and first.permit is not None and first.permit.void

    def change(self, write: Change, now: float, *, absent: bool) -> None:
        """Add a change; `absent` says that the key had no value to change."""
        if absent:  # its value has expired, or was removed by changes
            self.overwritten = True
            self.writes[:] = [(now, Delete(write.key))]
        if self.overwritten:
            self.changed = True
            at, first = self.writes[0]
            if isinstance(first, Set):  # a load's value is the transaction's own from now on
                self.writes[0] = at, replace(first, permit=None)
        else:
            self._add_change(write, now)

    def _add_change(self, write: Change, now: float) -> None:
        at, last = self.writes[-1]
        if isinstance(write, Incr) and isinstance(last, Incr) and abs(last.value + write.value) <= COUNTER_MAX:
            self.writes[-1] = at, replace(last, value=last.value + write.value)  # the first may have created it
        else:
            self.writes.append((now, write))

    def final(self, key: str, state: State) -> Iterator[Write]:
        """Yield the writes after which the key holds a state."""
        _, last = self.writes[0]
        if state.members is not None:
            yield Delete(key)
            yield SetAdd(key, tuple(state.members), state.left)
        elif isinstance(last, (Set, SetRaw)):
            yield replace(last, value=state.value, expire=state.left)
        elif state.tags:
            yield SetTagged(key, state.value, state.left, tags=state.tags)
        else:
            yield Set(key, state.value, state.left)


def later(write: Write, seconds: float) -> Write:
    """Return the write that has now the effect which another had some seconds ago."""
    if isinstance(write, OVERWRITING):
        if isinstance(write, Delete) or write.expire is None:
            return write
        left = write.expire - seconds
        return replace(write, expire=left) if left > 0 else Delete(write.key)
    if isinstance(write, Expire):
        return write if write.timeout is None else replace(write, timeout=max(write.timeout - seconds, MOMENT))
    if isinstance(write, SetRemove) or write.expire is None:
        return write
    return replace(write, expire=max(write.expire - seconds, MOMENT))


def _changes_nothing(write: Change, *, absent: bool) -> bool:
    if isinstance(write, (SetAdd, SetRemove)) and not write.values:
        return True
    return absent and isinstance(write, (Expire, SetRemove))


class Overlay:
    """The writes by key, and a table that answers reads: it is filled with the writes at the first read.

    :param copies: keep and answer copies of values, as the store does
    """

    __slots__ = ("_copies", "_drafted", "_learned", "_table", "deleted_tags", "puts")

    def __init__(self, copies: bool = False) -> None:  # noqa: FBT001, FBT002  half the price of a keyword
        self._copies = copies
        self.deleted_tags: dict[str, None] = NONE
        """Deleted tags: their keys are gone, except keys that were written later."""
        self.puts: dict[str, Aside] = {}
        """The values that were put aside since the last draft. They become drafts as soon as one is looked for."""
        self._drafted: dict[str, Draft] = {}
        self._learned: dict[str, float | None] = NONE
        """Keys whose state in the store is known, with their deadlines there; `None` if it carries a deleted tag."""
        self._table: Table | None = None

    @property
    def _drafts(self) -> dict[str, Draft]:
        if self.puts:
            puts, self.puts = self.puts, {}
            for key, (value, expire, at) in puts.items():
                self.overwrite(Set(key, value, expire), at)
        return self._drafted

    @property
    def has_puts_alone(self) -> bool:
        """Whether nothing is to be committed but the values that were put aside."""
        return not (self._drafted or self.deleted_tags)

    @property
    def is_long(self) -> bool:
        """Whether freeing it takes a while."""
        return len(self.puts) + len(self._drafted) > STEP

    def __len__(self) -> int:
        """Return the number of keys that were written."""
        return len(self._drafts)

    def knows(self, key: str) -> bool:
        """Say whether the whole state of a key is known here; once a load was overtaken, it is the store's again."""
        draft = self._drafts.get(key)
        return key in self._learned if draft is None else not draft.is_overtaken

    def learn(self, key: str, state: State, now: float) -> None:
        """Take in the state of a key in the store, unless the key's state is known by now."""
        if not self.knows(key):
            if self._drafts.pop(key, None) is not None:
                TURNS[Delete](self._filled(), Delete(key), now)
            lost = self.deletes(state.tags)
            restore(self._filled(), key, State() if lost else state, now)
            deadline = math.inf if state.left is None else now + state.left
            if self._learned is NONE:
                self._learned = {}
            self._learned[key] = None if lost else deadline

    def deletes(self, tags: Iterable[str]) -> bool:
        """Say whether a value of the store that carries these tags is deleted."""
        return not self.deleted_tags.keys().isdisjoint(tags)

    def may_overtake(self, write: Set, permit: LoadPermit) -> bool:
        """Say whether a tag of a load's result may have been deleted here since the load began.

        The store cannot tell: it is told of the deletion at the commit, which applies it before all writes.
        """
        return isinstance(write, SetTagged) and not permit.joinable and self.deletes(write.overtaking)

    def delete_tags(self, tags: tuple[str, ...], now: float) -> Steps[None]:
        """Note a deletion of tags. The commit applies it before all writes; so keys here that carry one go now."""
        if self.deleted_tags is NONE:
            self.deleted_tags = {}
        self.deleted_tags.update(dict.fromkeys(tags))
        for count, key in enumerate((*self._learned, *self.written), start=1):
            own = self.answer(GetKeyTags(key), now)
            if not set(tags).isdisjoint(own):
                self.overwrite(Delete(key), now)
            if not count % STEP:
                yield

    def answer(self, message: Message[R], now: float) -> R:
        """Answer a message about keys whose state is known."""
        reply: R = TURNS[message.__class__](self._filled(), message, now)
        if self._copies and isinstance(message, (Get, GetRaw)) and reply is not message.default:
            reply = copied(reply)
        return reply

    def answers(self, message: GetMany, found: Mapping[str, object], now: float) -> Steps[tuple[object, ...]]:
        """Answer a message about many keys; `found` are the values in the store of those that were not known here."""
        values: list[object] = []
        for keys in slices_of(message.keys):
            if values:
                yield
            values += [
                found[key] if key in found and not self.knows(key) else self.answer(Get(key, message.default), now)
                for key in keys
            ]
        return tuple(values)

    def overwrite(self, write: Set | SetRaw | Delete, now: float) -> bool:
        """Note a write that replaces the state of a key; says whether the key has a value afterwards."""
        if self._copies and isinstance(write, (Set, SetRaw)):
            write = replace(write, value=copied(write.value))
        self._drafts[write.key] = Draft(write, now)
        if self._table is not None or len(self._drafts) > STEP:
            TURNS[write.__class__](self._filled(), write, now)
        return not isinstance(write, Delete) and (write.expire is None or write.expire > 0)

    def change(self, write: Change, now: float) -> Any:
        """Note a change of a key whose state is known, and return its reply."""
        absent = not self.answer(Exists(write.key), now)
        reply = TURNS[write.__class__](self._filled(), write, now)
        if not _changes_nothing(write, absent=absent):
            self._draft(write, now, absent=absent)
        return reply

    def pop(self, message: SetPop, now: float) -> list[str]:
        """Remove some members of a set whose state is known, and return them."""
        taken = self.answer(message, now)
        if taken:
            self._draft(SetRemove(message.key, tuple(taken)), now, absent=False)
        return taken

    def _draft(self, write: Change, now: float, *, absent: bool) -> None:
        draft = self._drafts.get(write.key)
        if draft is None and self._learned.get(write.key, math.inf) is None:
            draft = self._drafts[write.key] = Draft(Delete(write.key), now)
        if draft is None:
            self._drafts[write.key] = Draft(write, now)
        else:
            draft.change(write, now, absent=absent)

    def free(self) -> Steps[None]:
        """Free the writes, which nobody needs any more, in steps."""
        table = self._filled()
        table.clear()
        while table.bury(STEP):
            yield
        while self._drafts:
            for _ in range(min(STEP, len(self._drafts))):
                self._drafts.popitem()
            yield

    def _filled(self) -> Table:
        """Return the table, in which all writes have happened."""
        drafts = self._drafts
        if self._table is None:  # all of them are overwrites
            self._table = Table(NO_LIMIT, TICK, _nothing)
            for at, write in sorted((draft.writes[0] for draft in drafts.values()), key=_instant):
                TURNS[write.__class__](self._table, write, at)
        return self._table

    def has_raw(self, key: str) -> bool:
        """Say whether a raw read is answered here: a state that was read from the store, unchanged, is no raw value."""
        draft = self._drafts.get(key) if self.wrote(key) else None
        return draft is not None and (draft.overwritten or any(isinstance(write, Incr) for _, write in draft.writes))

    def wrote(self, key: str) -> bool:
        """Say whether a key was written, other than by a load that was overtaken."""
        draft = self._drafts.get(key)
        return draft is not None and not draft.is_overtaken

    @property
    def written(self) -> tuple[str, ...]:
        """The keys that were written, other than by loads that were overtaken."""
        return tuple([key for key, draft in self._drafts.items() if not draft.is_overtaken])

    def wrote_by_name(self, key: str) -> bool:
        """Say whether a key was written, and its last write is not the outcome of a load."""
        draft = self._drafts.get(key)
        return draft is not None and not draft.is_load

    def writes(self, now: float) -> Iterator[Write]:
        """Yield the writes that a commit applies now: every deadline stays, and a key past its deadline is deleted."""
        for key, draft in self._drafts.items():
            if draft.overwritten and not draft.changed:
                at, write = draft.writes[0]
                yield write if isinstance(write, Set) and write.expire is None else later(write, now - at)
            else:
                yield from self._final(key, draft, now)

    def _outlived(self, key: str, state: State, now: float) -> bool:
        """Say whether a key lives on here that expires in the store before the commit: a change would come too late."""
        deadline = self._learned.get(key, math.inf)
        return deadline is not None and deadline <= now + SOON and (state.left is None or now + state.left > deadline)

    def _final(self, key: str, draft: Draft, now: float) -> Iterable[Write]:
        state = self.answer(Peek(key), now)
        if state.absent:
            return (Delete(key),)
        if draft.overwritten or (self._outlived(key, state, now) and not state.foreign):
            return draft.final(key, state)
        return [later(write, now - at) for at, write in draft.writes]


def copied(value: V) -> V:
    """Return a deep copy of a value; the value itself if it has none."""
    try:
        return value if type(value) in ATOMS else deepcopy(value)
    except Exception:  # noqa: BLE001  the user's code; a store that copies or encodes it says so at the commit
        return value


def _instant(write: tuple[float, Write]) -> float:
    return write[0]


def _nothing() -> None:
    return None

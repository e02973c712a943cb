"""The memory store actor: the shell around the table, with its clock, its own task and its listeners.

A turn is served in place, in the asker's task. A message that takes several turns (an errand) has its first turn there
too; the rest, and the sweeping of expired values, are turns of the actor's own task. So a deletion goes on when its
asker is cancelled. While no task can run, the asker's task serves the rest.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any, ClassVar, Final, Literal, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._log import logger
from cashews._steps import Steps
from cashews._typing import ABSENT, NOT_NOW
from cashews.actors.actor import Actor, ActorStatistics, Life
from cashews.actors.loop import current_loop
from cashews.actors.mailbox import Mailbox, StreamBell
from cashews.actors.scope import Service
from cashews.actors.slices import in_slices
from cashews.actors.slots import ReplySlot
from cashews.backends.direct import Direct, DirectLocks
from cashews.backends.interface import Backend, Environment, Turn
from cashews.backends.memory.copies import COPIED_IN, COPIED_OUT, CopyIn, CopyOut, with_copy
from cashews.backends.memory.errands import ERRANDS, IN_PARTS, Clearing, Errand, Short
from cashews.backends.memory.straight import lines_to_locks, straight_lines
from cashews.exceptions import WrongOptionError
from cashews.messages.values import Cause, OnRemove
from cashews.table.eviction import EvictionName
from cashews.table.keyspace import Table
from cashews.table.transactions import commit_in_steps
from cashews.table.turns import TURNS

R = TypeVar("R")
NO_SWEEPING: Final = 1.0
MICRO: Final = 1_000_000
ROOM: Final = 1_000
"""How many errands may wait for the actor; the tasks of further askers serve their own."""


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """The options of ``mem://``; any option of the serializer besides makes an `EncodedStore`.

    `size`: how many values are kept. `eviction`: the rule by which one leaves for another. `check_interval`: seconds
    between two sweeps, 0 to remove expired values when they are touched. `copy`: whether objects are shared or copied.
    """

    size: int = 1000
    eviction: EvictionName = "clock"
    check_interval: float = 1.0
    copy: Literal["share", "deep"] = "share"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise WrongOptionError("size", self.size, "an integer from 1")
        if self.check_interval < 0:
            raise WrongOptionError("check_interval", self.check_interval, "seconds from 0")
        if self.copy not in {"share", "deep"}:
            raise WrongOptionError("copy", self.copy, "'share' or 'deep'")


@dataclass(frozen=True, slots=True)
class Reporting:
    """A turn after which the listeners are told what left the store."""

    turn: Turn
    tell: Callable[[], None]

    def __call__(self, message: m.Message[Any], now: float) -> object:
        try:
            return self.turn(message, now)
        finally:
            self.tell()


class MemoryStore(Backend, Actor):
    """Values in this process."""

    name: ClassVar[str] = "mem"
    options_type: ClassVar[type[MemoryOptions]] = MemoryOptions

    def __init__(self, options: MemoryOptions, environment: Environment) -> None:
        self._options = options
        self._clock = environment.clock
        self._ensure_scope = environment.ensure_scope
        self._life = Life(self, environment.ensure_scope)
        self._listeners: tuple[OnRemove, ...] = ()
        self._removals: list[tuple[str, object, Cause]] = []
        self._turns_changed = environment.turns_changed
        self._sweeps = options.check_interval > 0
        first_fence = max(1, int(self._clock.wall() * MICRO))  # 0 is no number: it says that a lock is refused
        tick = options.check_interval or NO_SWEEPING
        self._table = table = Table(options.size, tick, self._on_earlier, first_fence, eviction=options.eviction)
        self._plain: dict[type[m.Message[Any]], Turn] = {kind: MethodType(turn, table) for kind, turn in TURNS.items()}
        if options.copy == "deep":
            self._plain |= {kind: CopyIn(self._plain[kind]) for kind in COPIED_IN}
            self._plain |= {kind: CopyOut(self._plain[kind]) for kind in COPIED_OUT}
        self._whole = {kind: self._plain[kind] for kind in IN_PARTS}
        self._plain |= {kind: Short(self._plain[kind]) for kind in (*IN_PARTS, m.Commit)}
        self._turns = self._plain
        self._direct = straight_lines(table, environment.door, self._clock.now)
        self._direct_locks = DirectLocks(self, *lines_to_locks(table, environment.door, self._clock.now))
        self._shut: anyio.Event | None = None
        """Set at the end of a long commit, during which nobody sees the table."""
        self.begin()

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return self._turns if self._shut is None else {}

    @property
    def direct(self) -> Direct | None:
        return self._direct if self.shares and not self._listeners else None

    @property
    def direct_locks(self) -> DirectLocks | None:
        return self._direct_locks

    @property
    def shares(self) -> bool:
        return self._options.copy == "share"

    @property
    def outlives(self) -> bool:
        return False

    async def ask(self, message: m.Message[R], *, strict: bool = False) -> R:
        while self._shut is not None:
            await self._shut.wait()
        turn = self._turns.get(type(message))
        if turn is not None:
            reply = turn(message, self._clock.now())
            if reply is not NOT_NOW:
                return reply  # type: ignore[no-any-return]  # turns answer their message's type
            if isinstance(message, m.Commit):
                return cast("R", await self._commit_in_steps(await self._with_copies(message)))
            kind = type(message)
            return cast("R", await self._run(IN_PARTS[kind](self._table, message, self._whole[kind])))
        return cast("R", await self._run(ERRANDS[type(message)](self._table, message)))

    # --- long commits

    async def _commit_in_steps(self, message: m.Commit) -> m.CommitOutcome:
        """Apply many writes, and let other tasks run in between; those that ask this store wait until it is over."""
        while self._shut is not None:
            await self._shut.wait()
        self._shut = over = anyio.Event()
        self._turns_changed()
        try:
            return await self._take_steps(commit_in_steps(self._table, message, self._clock.now()))
        finally:
            self._shut = None
            over.set()
            self._turns_changed()
            self._tell_removals()

    async def _with_copies(self, message: m.Commit) -> m.Commit:
        """Return a long commit with copies of its values, if this store keeps copies."""
        if self._options.copy != "deep":
            return message
        return replace(message, writes=tuple([with_copy(write) async for write in in_slices(message.writes)]))

    async def _take_steps(self, steps: Steps[R]) -> R:
        """Take all steps of a long turn, whatever is cancelled, and return its reply."""
        interrupted: BaseException | None = None
        while True:
            try:
                next(steps)
            except StopIteration as end:
                if interrupted is not None:
                    raise interrupted from None
                return cast("R", end.value)
            self._tell_removals()
            try:
                with anyio.CancelScope(shield=True):
                    await checkpoint()
            except anyio.get_cancelled_exc_class() as error:  # asyncio's own goes through shields, once
                interrupted = error

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        return (self._life.statistics("memory", len(self._mailbox) + len(self._errands)),)

    def statistics(self) -> Mapping[str, int]:
        return self._table.statistics()

    # --- errands

    async def _run(self, errand: Errand) -> object:
        """Serve the first turn of an errand here, and have the actor serve the others."""
        over = self._turn(errand)
        if errand.pauses or not over:
            await self._pause(errand, over=over)
        while not over:
            if self._life.at_work and not self._mailbox.full:
                reply = await self._handed_over(errand)
                if reply is not ABSENT:
                    return reply
            over = self._turn(errand)
            await self._pause(errand, over=over)
        return errand.reply(self._clock.now())

    async def _pause(self, errand: Errand, *, over: bool) -> None:
        """Let other tasks run after a turn in the asker's task; if that is cancelled, leave the rest to the actor."""
        try:
            await checkpoint()
        except BaseException:
            if not over and errand.told and self._life.takes_letters:
                self._errands.append(errand)
                self._wake()
            raise

    def _turn(self, errand: Errand) -> bool:
        try:
            return errand.turn(self._clock.now())
        finally:
            self._tell_removals()

    async def _handed_over(self, errand: Errand) -> object:
        """Return the reply to an errand from the actor; absent if the actor's task has ended before."""
        slot: ReplySlot[object] = self._life.loop.reply_slot()
        errand.replies.append(slot)
        self._mailbox.post(errand)
        try:
            reply = await slot
        finally:
            errand.replies.remove(slot)
        if isinstance(reply, Exception):
            raise reply
        return reply

    # --- the actor's own task

    def begin(self) -> None:
        self._bell = StreamBell()
        self._mailbox: Mailbox[Errand] = Mailbox(ROOM, self._bell)
        self._errands: deque[Errand] = deque()
        """The errands in hand, a turn each in rotation."""

    def forked(self) -> None:
        self._table.locks.clear()

    def attached(self) -> None:
        self._life.attend(current_loop())
        if self._sweeps and self._table.due < math.inf:
            self._ensure_scope()

    @property
    def services(self) -> tuple[Service, ...]:
        return (self._life.run,)

    def _on_earlier(self) -> None:
        if self._sweeps:
            self._wake()

    def _wake(self) -> None:
        if self._ensure_scope() and self._life.at_work and self._bell.asleep:
            self._bell.ring()

    async def work(self) -> None:
        """Serve errands in small turns, and sweep whenever a value may have expired; sleep until then."""
        mailbox, bell = self._mailbox, self._bell
        with bell:
            while self._mailbox is mailbox:  # else the actor has begun anew in another loop, and ours has come back
                self._errands.extend(mailbox.take(ROOM))
                turns = self._next_turn()
                due = self._sweep() if self._sweeps else math.inf
                self._life.note(turns + self._sweeps)
                if self._errands or mailbox.waiting or due <= self._clock.now():
                    await checkpoint()
                elif self._sweeps:
                    with self._clock.move_on_at(due):
                        await bell.wait()
                else:
                    await bell.wait()

    def _next_turn(self) -> int:
        """Serve a turn of the errand that has waited longest; returns how many turns that were."""
        if not self._errands:
            return 0
        errand = self._errands.popleft()
        try:
            if not self._turn(errand):
                self._errands.append(errand)
            else:
                errand.answer(errand.reply(self._clock.now()))
        except Exception as error:  # noqa: BLE001  the asker's failure, never the actor's death
            errand.answer(error)
        return 1

    def _sweep(self) -> float:
        due = self._table.sweep(self._clock.now())
        self._tell_removals()
        return due

    def end(self) -> None:
        """Have every asker go on with its errand in its own task."""
        for errand in (*self._errands, *self._mailbox.waiting):
            errand.answer(ABSENT)
        self._errands.clear()
        self._mailbox.waiting.clear()

    async def close(self) -> None:
        errand = Clearing(self._table, m.Clear())
        await self._life.close()
        while not self._turn(errand):
            await checkpoint()

    # --- what leaves, and copies

    def on_remove(self, listener: OnRemove) -> Callable[[], None]:
        self._listen((*self._listeners, listener))
        return partial(self._stop_telling, listener)

    def _stop_telling(self, listener: OnRemove) -> None:
        self._listen(tuple(other for other in self._listeners if other is not listener))

    def _listen(self, listeners: tuple[OnRemove, ...]) -> None:
        self._listeners = listeners
        self._table.removed = self._removals.append if listeners else None
        self._turns = (
            {kind: Reporting(turn, self._tell_removals) for kind, turn in self._plain.items()}
            if listeners
            else self._plain
        )
        self._turns_changed()

    def _tell_removals(self) -> None:
        if not self._removals:
            return
        removals = self._removals.copy()
        self._removals.clear()
        for removal in removals:
            for listener in self._listeners:
                try:
                    listener(*removal)
                except Exception:  # noqa: BLE001  a listener's failure is not the store's
                    logger.exception("a removal callback failed for the key %r", removal[0])

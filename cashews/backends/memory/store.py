"""The memory store: the thin shell around the table that owns its clock, its sweeper and its listeners."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from types import MethodType
from typing import Any, ClassVar, Literal, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._log import logger
from cashews.actors.scope import Service
from cashews.backends.interface import Backend, Environment, Turn
from cashews.exceptions import WrongOptionError
from cashews.messages.values import Cause, OnRemove
from cashews.table.keyspace import Table
from cashews.table.turns import TURNS

R = TypeVar("R")
NO_SWEEPING = 1.0
MICRO = 1_000_000
COPIED_IN = (m.Set, m.SetTagged, m.SetRaw, m.SetMany, m.Commit)
COPIED_OUT = (m.Get, m.Recall, m.GetHit, m.GetRaw, m.GetMany, m.RecallMany, m.GetMatch, m.Peek)
"""What has values in it, on the way in and on the way out."""


@dataclass(frozen=True, slots=True)
class MemoryOptions:
    """The options of ``mem://``.

    `size`: how many values are kept, the least recently used leaving first. `check_interval`: the seconds between two
    sweeps of expired values, 0 to remove them only when they are touched. `copy`: what `set` keeps and `get` returns,
    the object itself ("share") or deep copies ("deep"). Any option of the serializer besides makes an `EncodedStore`.
    """

    size: int = 1000
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
class CopyIn:
    """A turn that stores copies."""

    turn: Turn

    def __call__(self, message: m.Set | m.SetRaw | m.SetMany | m.Commit, now: float) -> object:
        if isinstance(message, m.Commit):
            return self.turn(replace(message, writes=deepcopy(message.writes)), now)
        if isinstance(message, m.SetMany):
            return self.turn(replace(message, pairs=deepcopy(dict(message.pairs))), now)
        return self.turn(replace(message, value=deepcopy(message.value)), now)


@dataclass(frozen=True, slots=True)
class CopyOut:
    """A turn that answers with copies of what is stored; a default is the asker's own."""

    turn: Turn

    def __call__(self, message: m.Get | m.GetRaw | m.GetMany | m.GetMatch | m.Peek, now: float) -> object:
        reply = self.turn(message, now)
        if isinstance(message, m.Peek):
            return deepcopy(reply)
        if isinstance(message, m.GetMatch):  # the cursor stays what it is
            return replace(reply, items=deepcopy(reply.items))
        return deepcopy(reply, {id(message.default): message.default})


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


class MemoryStore(Backend):
    """Values in this process: every turn is served in place, long commands in several turns."""

    name: ClassVar[str] = "mem"
    options_type: ClassVar[type[MemoryOptions]] = MemoryOptions

    def __init__(self, options: MemoryOptions, environment: Environment) -> None:
        self._options = options
        self._clock = environment.clock
        self._ensure_scope = environment.ensure_scope
        self._earlier: anyio.Event | None = None
        self._closings = 0
        self._listeners: tuple[OnRemove, ...] = ()
        self._removals: list[tuple[str, object, Cause]] = []
        self._turns_changed = environment.turns_changed
        first_fence = int(self._clock.wall() * MICRO)
        tick = options.check_interval or NO_SWEEPING
        self._table = table = Table(options.size, tick, self._on_earlier, first_fence)
        self._plain: dict[type[m.Message[Any]], Turn] = {kind: MethodType(turn, table) for kind, turn in TURNS.items()}
        if options.copy == "deep":
            self._plain |= {kind: CopyIn(self._plain[kind]) for kind in COPIED_IN}
            self._plain |= {kind: CopyOut(self._plain[kind]) for kind in COPIED_OUT}
        self._turns = self._plain
        self._in_turns: dict[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]] = {
            m.DeleteMatch: self._delete_match,
            m.DeleteTags: self._delete_tags,
            m.Clear: self._clear,
            m.GetKeysCount: self._count_keys,
        }

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return self._turns

    @property
    def shares(self) -> bool:
        return self._options.copy == "share"

    @property
    def outlives(self) -> bool:
        return False

    async def ask(self, message: m.Message[R], *, strict: bool = False) -> R:
        turn = self._turns.get(type(message))
        if turn is not None:
            return cast("R", turn(message, self._clock.now()))
        return cast("R", await self._in_turns[type(message)](message))

    def statistics(self) -> Mapping[str, int]:
        return self._table.statistics()

    async def close(self) -> None:
        self._closings += 1
        if self._earlier is not None:
            self._earlier.set()
        await self._clear(m.Clear())

    # --- long commands

    async def _delete_match(self, message: m.DeleteMatch) -> None:
        cursor = self._table.cursor()
        while cursor.keys:
            self._table.delete_page(message, cursor, self._clock.now())
            self._tell_removals()
            await checkpoint()

    async def _delete_tags(self, message: m.DeleteTags) -> None:
        doomed = self._table.doom(message.tags)
        try:
            while self._table.delete_doomed(doomed, self._clock.now()):
                self._tell_removals()
                await checkpoint()
        except BaseException:  # cancelled: the rest is the sweeper's, or that of whoever deletes a tag next
            self._on_earlier()
            raise

    async def _clear(self, _: m.Clear) -> None:
        self._table.clear()
        try:
            while self._table.bury():
                self._tell_removals()
                await checkpoint()
        except BaseException:  # cancelled: the rest is the sweeper's
            self._on_earlier()
            raise
        self._tell_removals()

    async def _count_keys(self, _: m.GetKeysCount) -> int:
        while self._sweep() <= self._clock.now():
            await checkpoint()
        return self._table.count(self._clock.now())

    # --- sweeping

    def attached(self) -> None:
        if self._table.due < math.inf and self._options.check_interval:
            self._ensure_scope()

    @property
    def services(self) -> tuple[Service, ...]:
        return (partial(self._sweep_until_closed, self._closings),) if self._options.check_interval else ()

    def _on_earlier(self) -> None:
        if self._options.check_interval and self._ensure_scope() and self._earlier is not None:
            self._earlier.set()

    def _sweep(self) -> float:
        due = self._table.sweep(self._clock.now())
        self._tell_removals()
        return due

    async def _sweep_until_closed(self, closings: int) -> None:
        """Sweep in small turns whenever something may have expired; sleep until then.

        `closings` is how often the store had been closed when this task was asked for: it may begin after the next.
        """
        earlier = None
        try:
            while self._closings == closings:
                self._earlier = earlier = anyio.Event()
                due = self._sweep()
                if due <= self._clock.now():
                    await checkpoint()
                    continue
                with self._clock.move_on_at(due):
                    await earlier.wait()
        finally:
            if self._earlier is earlier:
                self._earlier = None

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

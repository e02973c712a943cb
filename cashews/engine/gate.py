"""The gate of a store: its actors live in the home loop of the cache, and are asked from every loop."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from threading import get_ident
from typing import Any, TypeVar

from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.actor import ActorStatistics, ScopeEndedError
from cashews.actors.crossing import LoopGoneError
from cashews.actors.scope import Service
from cashews.backends.direct import Direct, DirectLocks
from cashews.backends.interface import Backend, Turn
from cashews.clock import Clock
from cashews.engine.permits import is_repeatable
from cashews.exceptions import CacheBackendInteractionError
from cashews.messages import LoadPermit, Message
from cashews.messages.values import OnRemove

R = TypeVar("R")
NO_TURNS: Mapping[type[Message[Any]], Turn] = {}


class Gatekeeper(ABC):
    """The engine, as the gates of its stores see it."""

    clock: Clock
    home_thread: int
    """The thread of the home loop; 0 while there is none."""

    @abstractmethod
    def at_home(
        self, call: Callable[[], Awaitable[R]], in_place: Callable[[], R | NotNowType] | None = None
    ) -> Awaitable[R]:
        """Have a call run in the home loop, and return its result. The caller's loop becomes the home if none lives.

        :raises LoopGoneError: if the home loop ends meanwhile
        """


class Gate(Backend):
    """A store that may be asked in every loop: a message from another than its home goes there, and its reply back."""

    def __init__(self, store: Backend, keeper: Gatekeeper) -> None:
        self.store = store
        self._keeper = keeper
        self.name = store.name  # type: ignore[misc]  # of the store, for everybody that has the gate

    @property
    def turns(self) -> Mapping[type[Message[Any]], Turn]:
        return self.store.turns

    @property
    def direct(self) -> Direct | None:
        return self.store.direct

    @property
    def direct_locks(self) -> DirectLocks | None:
        lines = self.store.direct_locks
        return None if lines is None else DirectLocks(self, lines.take, lines.release)

    @property
    def turns_here(self) -> Mapping[type[Message[Any]], Turn]:
        return self.store.turns if self._keeper.home_thread == get_ident() else NO_TURNS

    def ask(self, message: Message[R], *, strict: bool = False) -> Awaitable[R]:
        if self._keeper.home_thread == get_ident():
            return self.store.ask(message, strict=True) if strict else self.store.ask(message)
        return self._ask_at_home(message, strict=strict)

    async def _ask_at_home(self, message: Message[R], *, strict: bool) -> R:
        store, keeper = self.store, self._keeper

        def in_place() -> R | NotNowType:
            if keeper.home_thread != get_ident():  # it has moved, or its tasks have ended, and the loop will soon
                raise LoopGoneError(begun=False)
            turn = store.turns.get(type(message))
            if turn is None:
                return NOT_NOW
            reply: R | NotNowType = turn(message, keeper.clock.now())
            return reply

        while True:
            try:
                return await keeper.at_home(lambda: store.ask(message, strict=strict), in_place)
            except ScopeEndedError:  # the message was not served
                continue
            except LoopGoneError as gone:
                if not gone.begun or is_repeatable(message):
                    continue
                if store.suppresses and not strict:
                    return message.left_open()
                text = f"{store.name}, {message.command.value}: the event loop that served it has ended"
                raise CacheBackendInteractionError(text, unknown=True) from None

    async def settle(self) -> None:
        await self._repeated_at_home(self.store.settle)

    async def follow(self, key: str, permit: LoadPermit) -> None:
        await self._repeated_at_home(lambda: self.store.follow(key, permit))

    async def _repeated_at_home(self, call: Callable[[], Awaitable[None]]) -> None:
        """Have a call run in the home, and once more in the next one if the home ends before it has answered."""
        while True:
            is_here = self._keeper.home_thread == get_ident()
            try:
                return await self._keeper.at_home(call)
            except ScopeEndedError:
                if is_here:  # the cache is being closed
                    raise
            except LoopGoneError:
                continue

    async def close(self) -> None:
        await self.store.close()

    # --- the facts about the store

    def as_raw(self, value: object) -> object:
        return self.store.as_raw(value)

    @property
    def suppresses(self) -> bool:
        return self.store.suppresses

    @property
    def acts_as_one(self) -> bool:
        return self.store.acts_as_one

    def check_together(self, key: str, other: str) -> None:
        self.store.check_together(key, other)

    @property
    def shares(self) -> bool:
        return self.store.shares

    @property
    def outlives(self) -> bool:
        return self.store.outlives

    @property
    def follows(self) -> bool:
        return self.store.follows

    @property
    def needs_leases(self) -> bool:
        return self.store.outlives or self._keeper.home_thread not in {0, get_ident()}

    @property
    def services(self) -> tuple[Service, ...]:
        return self.store.services

    def forked(self) -> None:
        self.store.forked()

    def attached(self) -> None:
        self.store.attached()

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        return self.store.actors

    def statistics(self) -> Mapping[str, int]:
        return self.store.statistics()

    def on_remove(self, listener: OnRemove) -> Callable[[], None]:
        return self.store.on_remove(listener)

"""The contract of a store: what the engine asks of it, and what it may ask of the engine."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from random import Random
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar

from cashews._dataclass import dataclass
from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.actor import ActorStatistics
from cashews.actors.scope import Service
from cashews.backends.commands import Commands
from cashews.backends.direct import Direct, DirectLocks, Door
from cashews.backends.pages import Pages
from cashews.clock import Clock
from cashews.exceptions import NotSupportedError
from cashews.messages import LoadPermit, Message, Paged
from cashews.messages.values import OnRemove

R = TypeVar("R")
Item = TypeVar("Item")

Turn: TypeAlias = Callable[[Any, float], Any]
"""Serves one message at an instant, awaiting nothing: `turn(message, now)` answers the message's reply type."""


class Asks(Protocol):
    """An object that takes messages and answers them: an engine or a backend."""

    __slots__ = ()

    def in_place(self, message: Message[R]) -> R | NotNowType:
        """Serve a message in the caller's task, without waiting; answer `NOT_NOW` if that cannot be done."""
        return NOT_NOW

    def ask(self, message: Message[R]) -> Awaitable[R]:
        """Serve a message and return its reply."""
        ...


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """The place of a server, as traces name it: its kind, host or socket file, port and database."""

    system: str
    address: str
    port: int | None
    namespace: str


FindPlace: TypeAlias = "Callable[[], ServerPlace | None]"


class CommandTracer(Protocol):
    """Follows the commands to servers."""

    __slots__ = ()

    def command(self, message: Message[Any], place: FindPlace, run: Awaitable[R]) -> Awaitable[R]:
        """Await a command and return its reply; `place` answers once the command has met a server."""
        ...


@dataclass(slots=True)
class Tracing:
    """The tracer of an engine's commands to servers, if one is attached."""

    tracer: CommandTracer | None = None


@dataclass(frozen=True, slots=True)
class Environment:
    """What an engine gives to the backends it mounts."""

    clock: Clock
    random: Random
    ensure_scope: Callable[[], bool]
    """Say that a service has work to do; says whether services run here, and sees to it that they soon do."""
    turns_changed: Callable[[], None]
    """Say that `turns` answers other turns now."""
    tracing: Tracing
    door: Door


class Backend(Commands, Asks):
    """Where values are kept: an actor whose state changes only in its turns.

    Its own commands ask it at once. Unlike those of a cache they pass no switch, middleware, callback or transaction,
    and loads that run take no notice of them.
    """

    name: ClassVar[str]

    def _ask(self, message: Message[R]) -> Awaitable[R]:
        return self.ask(message)

    def _pages(self, message: Paged[Item]) -> AsyncIterator[Item]:
        return Pages(message, [self.ask])

    @property
    @abstractmethod
    def turns(self) -> Mapping[type[Message[Any]], Turn]:
        """The turns that may be served at once in the asker's task; a message without one goes through `ask`."""

    @property
    def direct(self) -> Direct | None:
        """The turns of `Get` and `Set` without a message; `None` while `turns` has others, or turns around them."""
        return None

    @property
    def direct_locks(self) -> DirectLocks | None:
        """The turns of `SetLock` and `Unlock` without a message; `None` if locks outlive this process."""
        return None

    @property
    def turns_here(self) -> Mapping[type[Message[Any]], Turn]:
        """The turns, if they may be served in the thread of the caller."""
        return self.turns

    @abstractmethod
    def ask(self, message: Message[R], *, strict: bool = False) -> Awaitable[R]:
        """Serve a message and return its reply.

        :param strict: raise also if the store suppresses its failures, and would answer neutrally
        :raises CacheBackendInteractionError: if the store cannot be reached, or refuses
        """

    async def settle(self) -> None:
        """Wait until every write that was asked for before has been served: a scan finds its value then."""

    def as_raw(self, value: object) -> object:
        """Return what a raw read of a raw value would answer."""
        return value

    @property
    def suppresses(self) -> bool:
        """Whether `ask` answers a message that fails neutrally, unless it is strict."""
        return False

    @property
    def shares(self) -> bool:
        """Whether it keeps and returns the very objects it is given, not copies of them or bytes."""
        return False

    @property
    def outlives(self) -> bool:
        """Whether its locks outlive this process, and other processes may hold some."""
        return True

    @property
    def needs_leases(self) -> bool:
        """Whether a lock that is taken here needs a lease: its holder may end, and nobody else would free it."""
        return self.outlives

    @property
    def acts_as_one(self) -> bool:
        """Whether one turn can be about all keys and tags, and a lock be held along with any others."""
        return True

    def check_together(self, key: str, other: str) -> None:
        """Refuse two keys that one turn of the store cannot be about; here, one can be about all keys.

        :raises CrossSlotError: if they lie in several slots of a cluster
        """

    @property
    def follows(self) -> bool:
        """Whether it hears of the changes that others make."""
        return False

    async def follow(self, key: str, permit: LoadPermit) -> None:
        """Void the permit of a load that begins, once others change its key; only a store that `follows` does."""

    @property
    def services(self) -> tuple[Service, ...]:
        """The tasks this backend needs while the engine runs."""
        return ()

    def forked(self) -> None:
        """Take note that this is the child of a fork: what tasks of the parent hold is held by nobody here."""

    def attached(self) -> None:
        """Take note that the engine has met an event loop: the first, or another after that one has ended."""

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        """The figures of the actors that the store is made of."""
        return ()

    @abstractmethod
    def statistics(self) -> Mapping[str, int]:
        """Return counters and sizes by name."""

    async def close(self) -> None:
        """Let go of everything; a closed backend is not used again."""

    def on_remove(self, listener: OnRemove) -> Callable[[], None]:
        """Have a function called for every removed value; returns a function that stops it.

        :raises NotSupportedError: if this store cannot tell
        """
        raise NotSupportedError(self.name, "removal callbacks")

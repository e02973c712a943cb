"""The servers behind a store: one of them, reached over some connections, or the masters of a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from redis.exceptions import RedisError

from cashews.actors.loop import Loop
from cashews.actors.scope import Service
from cashews.backends.interface import Environment
from cashews.backends.redis.address import Address, Directory
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.inbox import Request, RequestKind
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.survey import Survey
from cashews.backends.redis.tracking import Tracking
from cashews.backends.redis.wire import PING
from cashews.messages import LoadPermit

K = TypeVar("K", str, bytes, "str | bytes")


class Place(Protocol):
    """The place of some keys: it takes requests about them, and carries them out in their order."""

    anchor: bytes
    """The beginning of keys of ours that lie beside a user's key; empty on a single server."""

    @property
    def tracks(self) -> bool:
        """Whether reads fill a near table, as far as is known: whether the server tells of changes."""
        ...

    def at(self, key: str | bytes) -> Place:
        """Return the place of another key."""
        ...

    async def ask(
        self,
        packed: bytes,
        *,
        reads: bool = False,
        permit: LoadPermit | None = None,
        surely: bool = False,
        kind: RequestKind = Request,
    ) -> Any:
        """Send a command and return its reply; `Connection.ask` has the parameters and errors."""
        ...

    def send(
        self, packed: bytes, *, reads: bool = False, permit: LoadPermit | None = None, kind: RequestKind = Request
    ) -> Awaitable[Any]:
        """Send a command and return its reply, as `ask`; an error may be returned and not raised."""
        return self.ask(packed, reads=reads, permit=permit, kind=kind)

    def storing(self, key: str) -> RequestKind:
        """Return the kind of a request that stores a key under a permit."""
        ...

    @property
    def tells(self) -> int:
        """1 if others are to hear of the deletion of a key that is absent, else 0."""
        ...

    async def listen(self, channel: bytes, heard: Callable[[], object]) -> bool:
        """Have a function called at each message on a channel; says whether that is possible here."""
        ...

    async def unlisten(self, channel: bytes, heard: Callable[[], object]) -> None:
        """End a `listen`."""
        ...


class Servers(ABC):
    """The connections of a store, and the place of each key."""

    any_anchor: bytes = b""
    """The pattern of the beginnings of keys of ours."""
    is_cluster: bool = False

    @property
    @abstractmethod
    def connections(self) -> Sequence[Connection]:
        """The connections there are now."""

    @abstractmethod
    def address_of(self, keys: Sequence[str]) -> Address | None:
        """Return the address of the server of some keys, `None` while it is not known, or where several have them."""

    @property
    @abstractmethod
    def services(self) -> tuple[Service, ...]:
        """The tasks that the connections need."""

    @abstractmethod
    def attached(self, loop: Loop) -> None:
        """Begin anew in an event loop that the engine has met."""

    @property
    @abstractmethod
    def first(self) -> Place:
        """The place of requests that are about no single key."""

    @abstractmethod
    def at(self, key: str | bytes) -> Place:
        """Return the place that carries all requests about a key, in their order."""

    @abstractmethod
    def shares(self, keys: Sequence[K]) -> dict[Place, Sequence[K]]:
        """Return some keys by place, those in one part that one request may name."""

    @abstractmethod
    def together(self, keys: Iterable[str]) -> Place:
        """Return the place of a turn about all of some keys.

        :raises CrossSlotError: if there is none
        """

    @abstractmethod
    async def survey(self) -> Survey[Place]:
        """Return the places that have all keys between them.

        :raises redis.exceptions.RedisError: if they are not known
        """

    @abstractmethod
    async def flush(self) -> None:
        """Wait until everything is carried out that was sent before on another connection to the same server."""

    async def close(self) -> None:
        """Disconnect, once everything that waits is answered."""
        for connection in self.connections:
            await connection.close()

    def leave(self, error: RedisError) -> None:
        """Give all connections up: one has carried a reply that cannot belong to its request."""
        for connection in self.connections:
            connection.leave(error)


class OneServer(Servers):
    """A server, and the connections to it; each key has one that carries all of its requests."""

    def __init__(
        self, directory: Directory, options: RedisOptions, environment: Environment, tracking: Tracking | None = None
    ) -> None:
        self._connections = [Connection(directory, options, environment, tracking) for _ in range(options.connections)]
        self._first = self._connections[0]

    @property
    def connections(self) -> Sequence[Connection]:
        return self._connections

    def address_of(self, keys: Sequence[str]) -> Address | None:
        return self._first.address

    @property
    def services(self) -> tuple[Service, ...]:
        return tuple(connection.run for connection in self._connections)

    def attached(self, loop: Loop) -> None:
        for connection in self._connections:
            connection.attached(loop)

    @property
    def first(self) -> Place:
        return self._first

    def at(self, key: str | bytes) -> Place:
        connections = self._connections
        return self._first if len(connections) == 1 else connections[hash(key) % len(connections)]

    def shares(self, keys: Sequence[K]) -> dict[Place, Sequence[K]]:
        return {self.at(keys[0]): keys} if keys else {}

    def together(self, keys: Iterable[str]) -> Place:
        return self._first

    async def survey(self) -> Survey[Place]:
        return Survey[Place]({self._first: frozenset()})

    async def flush(self) -> None:
        """Wait until the server has carried out everything that was sent on another connection than the first.

        A value that is on its way there is then in reach of a scan or a commit on the first one.
        """
        for connection in self._connections[1:]:
            await connection.ask(PING)

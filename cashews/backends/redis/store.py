"""The Redis store: takes messages to the server, and says what becomes of them when it fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, TypeVar

from redis import exceptions as redis

from cashews import messages as m
from cashews._log import logger
from cashews.actors.actor import ActorStatistics
from cashews.actors.loop import current_loop
from cashews.actors.scope import Service
from cashews.backends.encoding import Values
from cashews.backends.interface import Backend, Environment, Turn
from cashews.backends.redis.address import Address
from cashews.backends.redis.commands import Commands
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.failures import OUTAGE, UNKNOWN
from cashews.backends.redis.keys import Scans
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.transactions import Commits
from cashews.backends.redis.wire import encoded
from cashews.exceptions import CacheBackendInteractionError, CounterOverflowError, WrongTypeError

R = TypeVar("R")
VALUE_READS = frozenset({m.Get, m.Recall, m.GetHit, m.GetRaw})


class RedisStore(Backend):
    """Values on a server, for many processes: every message is a request on a multiplexed connection."""

    name: ClassVar[str] = "redis"

    def __init__(self, address: Address, options: RedisOptions, environment: Environment) -> None:
        self._suppress = options.suppress
        self._connections = [
            Connection(address, options, environment.clock, environment.random, environment.ensure_scope)
            for _ in range(options.connections)
        ]
        self._values = Values(options, self)
        self._commands = Commands(self._connection_of, self._values)
        scans = Scans(self._connections, self._commands)
        self._serve: dict[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]] = {
            **self._commands.table,
            **Commits(self._connection_of, self._values, scans.flush).table,
            **scans.table,
        }
        self._failing: dict[type[m.Message[Any]], str] = {}
        """The messages that the server refuses, and why."""
        self._mistaken: set[type[m.Message[Any]]] = set()
        """The messages that have met a key of another kind: their successes at other keys do not change that."""

    def _connection_of(self, key: str) -> Connection:
        connections = self._connections
        return connections[0] if len(connections) == 1 else connections[hash(key) % len(connections)]

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return {}

    @property
    def services(self) -> tuple[Service, ...]:
        return tuple(connection.run for connection in self._connections)

    def attached(self) -> None:
        for connection in self._connections:
            connection.attached(current_loop())

    async def ask(self, message: m.Message[R]) -> R:
        try:
            reply: R = await self._serve[message.__class__](message)
        except redis.RedisError as error:
            return await self._failed(message, error, suppress=self._suppress)
        if self._failing:
            self._failing.pop(message.__class__, None)
        return reply

    async def demand(self, message: m.Message[R]) -> R:
        try:
            reply: R = await self._serve[message.__class__](message)
        except redis.RedisError as error:
            return await self._failed(message, error, suppress=False)
        return reply

    def as_raw(self, value: object) -> object:
        return encoded(str(value)) if isinstance(value, (str, int, float)) else value

    @property
    def suppresses(self) -> bool:
        return self._suppress

    async def _failed(self, message: m.Message[R], error: redis.RedisError, *, suppress: bool) -> R:
        """Answer a message that the server did not: neutrally, or with an error of ours."""
        if message.__class__ in VALUE_READS and "WRONGTYPE" in str(error):
            nothing: R = message.declined()  # a structure is no value
            return nothing
        failure = await self._explained(message, error)
        if isinstance(failure, CounterOverflowError):  # the caller's own arithmetic
            raise failure from None
        if not isinstance(error, OUTAGE):
            self._note(message, failure)
        if not suppress:
            raise failure from error
        return message.left_open() if isinstance(error, UNKNOWN) else message.declined()

    async def _explained(self, message: m.Message[R], error: redis.RedisError) -> Exception:
        text = str(error)
        if "would overflow" in text:
            return CounterOverflowError(message.keys[0])
        if not message.keys or not ("WRONGTYPE" in text or "not an integer" in text):
            return self._failure(message, error)
        try:
            found = await self._commands.kind_of(message.keys[0])
        except redis.RedisError:  # the server has gone meanwhile
            return self._failure(message, error)
        if found == "int" and isinstance(message, m.Incr):  # one that needs more than 64 bits
            return CounterOverflowError(message.keys[0])
        return WrongTypeError(message.keys[0], found, "an integer" if isinstance(message, m.Incr) else "another kind")

    @staticmethod
    def _failure(message: m.Message[R], error: redis.RedisError) -> CacheBackendInteractionError:
        described = f"redis, {message.command.value}: {error}"
        return CacheBackendInteractionError(described, unknown=isinstance(error, UNKNOWN))

    def _note(self, message: m.Message[R], failure: Exception) -> None:
        """Log what the server refuses, once for each kind of message until it works again."""
        kind = type(message)
        if isinstance(failure, WrongTypeError):
            known = kind in self._mistaken
            self._mistaken.add(kind)
        else:
            known = self._failing.get(kind) == str(failure)
            self._failing[kind] = str(failure)
        if not known:
            logger.error("%s", failure)

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        names = ("redis", *(f"redis {number}" for number in range(2, len(self._connections) + 1)))
        return tuple(connection.actor(name) for connection, name in zip(self._connections, names, strict=True))

    def statistics(self) -> Mapping[str, int]:
        figures = [connection.statistics() for connection in self._connections]
        total = {name: sum(each[name] for each in figures) for name in figures[0]}
        return {**total, "decode_failures": self._values.failures}

    async def close(self) -> None:
        for connection in self._connections:
            await connection.close()

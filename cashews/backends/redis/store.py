"""The Redis store: the command for each message, and the reply to a message when the server fails or refuses it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from redis import exceptions as redis

from cashews import messages as m
from cashews._log import logger
from cashews.actors.actor import ActorStatistics
from cashews.actors.loop import current_loop
from cashews.actors.scope import Service
from cashews.backends.encoding import Values
from cashews.backends.interface import Backend, Environment, ServerPlace, Turn
from cashews.backends.redis import keys, locks, structures, tags, transactions, values
from cashews.backends.redis.connection import FIGURES
from cashews.backends.redis.failures import OUTAGE, UNKNOWN, WrongReplyError
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.servers import Servers
from cashews.backends.redis.wire import encoded
from cashews.exceptions import CacheBackendInteractionError, CounterOverflowError, WrongTypeError
from cashews.serialize import Pending

R = TypeVar("R")
VALUE_READS: Final = frozenset({m.Get, m.Recall, m.GetHit, m.GetRaw, values.Fetch})
"""Reads to which a structure is no value: its key is absent, and not of the wrong type."""


class RedisStore(Backend):
    """Values on a server, for many processes: every message is a request on a multiplexed connection."""

    name: ClassVar[str] = "redis"

    def __init__(self, servers: Servers, options: RedisOptions, environment: Environment) -> None:
        self._suppress = options.suppress
        self._tracing = environment.tracing
        self._servers = servers
        self._values = Values(options, self)
        self.remote = Remote(
            servers,
            self._values,
            options.max_value_size,
            options.client_side_prefix if options.client_side else "",
            keeps_decoded=options.client_side_copy == "share",
        )
        self._failing: dict[type[m.Message[Any]], str] = {}
        """Messages that the server refuses, each with its reason."""

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return {}

    @property
    def services(self) -> tuple[Service, ...]:
        return self._servers.services

    def attached(self) -> None:
        self._servers.attached(current_loop())

    async def ask(self, message: m.Message[R], *, strict: bool = False) -> R:
        try:
            kind, tracer = message.__class__, self._tracing.tracer
            halves = HALVES.get(kind) if tracer is None else None
            if halves is None:
                run: Awaitable[R] = COMMANDS[kind](self.remote, message)
                if tracer is not None:
                    run = tracer.command(message, partial(self._place, message.keys), run)
                reply = await run
            else:
                begin, end = halves
                found = end(self.remote, message, await begin(self.remote, message))
                reply = await values.pending(self.remote, message, found) if type(found) is Pending else found
        except redis.RedisError as error:
            return await self._failed(
                message, error, suppress=self._suppress and not strict and message.__class__ is not m.Ping
            )
        if self._failing:
            self._failing.pop(message.__class__, None)
        return reply

    def _place(self, keys: Sequence[str]) -> ServerPlace | None:
        """Return the place of the server that has some keys, as far as it is known and there is one."""
        address = self._servers.address_of(keys)
        if address is None:
            return None
        port = None if address.path is not None else address.port
        return ServerPlace("redis", address.path or address.host, port, str(address.db))

    async def settle(self) -> None:
        try:
            await self.remote.servers.flush()
        except redis.RedisError as error:
            raise self._failure(m.Ping(), error) from error

    def as_raw(self, value: object) -> object:
        return encoded(str(value)) if isinstance(value, (str, int, float)) else value

    @property
    def suppresses(self) -> bool:
        return self._suppress

    async def _failed(self, message: m.Message[R], error: redis.RedisError, *, suppress: bool) -> R:
        """Return the neutral reply to a message that has failed, or raise an error of ours."""
        if message.__class__ in VALUE_READS and "WRONGTYPE" in str(error):
            nothing: R = message.declined()
            return nothing
        if isinstance(error, WrongReplyError):
            self._servers.leave(error)
        failure = await self._explained(message, error)
        if isinstance(failure, (CounterOverflowError, WrongTypeError)):  # a mistake in the caller's program
            raise failure from None
        if not isinstance(error, OUTAGE):
            self._note(message, failure)
        if not suppress:
            raise failure from error
        return message.left_open() if isinstance(error, UNKNOWN) else message.declined()

    async def _explained(self, message: m.Message[R], error: redis.RedisError) -> Exception:
        text = str(error) if isinstance(error, redis.ResponseError) else ""
        if not message.keys:
            return self._failure(message, error)
        key = message.keys[0]
        name = key.removeprefix(self.remote.prefix)
        if "would overflow" in text:
            return CounterOverflowError(name)
        if not ("WRONGTYPE" in text or "not an integer" in text):
            return self._failure(message, error)
        try:
            found = await values.kind_of(self.remote, key)
        except redis.RedisError:  # the server went away meanwhile
            return self._failure(message, error)
        if found == "int" and isinstance(message, m.Incr):  # an integer of more than 64 bits
            return CounterOverflowError(name)
        return WrongTypeError(name, found, "an integer" if isinstance(message, m.Incr) else "another kind")

    @staticmethod
    def _failure(message: m.Message[R], error: redis.RedisError) -> CacheBackendInteractionError:
        described = f"redis, {message.command.value}: {error}"
        return CacheBackendInteractionError(described, unknown=isinstance(error, UNKNOWN))

    def _note(self, message: m.Message[R], failure: Exception) -> None:
        """Log a refusal of the server, once for each kind of message until it works again."""
        kind = type(message)
        if self._failing.get(kind) != str(failure):
            self._failing[kind] = str(failure)
            logger.error("%s", failure)

    @property
    def acts_as_one(self) -> bool:
        return not self._servers.is_cluster

    def check_together(self, key: str, other: str) -> None:
        self._servers.together((key, other))

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        connections = self._servers.connections
        names = ("redis", *(f"redis {number}" for number in range(2, len(connections) + 1)))
        return tuple(connection.actor(name) for connection, name in zip(connections, names, strict=False))

    def statistics(self) -> Mapping[str, int]:
        figures = [connection.statistics() for connection in self._servers.connections]
        total = {name: sum(each[name] for each in figures) for name in FIGURES}
        remote = self.remote
        return {**total, "refused": remote.refused, "decode_failures": self._values.failures + remote.unreadable}

    async def close(self) -> None:
        await self._servers.close()


COMMANDS: Final[Mapping[type[m.Message[Any]], Callable[[Remote, Any], Awaitable[Any]]]] = {
    m.Get: values.get,
    m.Recall: values.get,
    values.Fetch: values.fetch,
    m.GetHit: values.get_hit,
    m.GetRaw: values.get_raw,
    m.Set: values.set_,
    m.SetRaw: values.set_raw,
    m.Incr: values.incr,
    m.Exists: values.exists,
    m.Delete: values.delete,
    m.Expire: values.expire,
    m.GetExpire: values.get_expire,
    m.GetSize: values.get_size,
    m.GetBits: structures.get_bits,
    m.IncrBits: structures.incr_bits,
    m.SliceIncr: structures.slice_incr,
    m.AdmitSlice: structures.admit_slice,
    m.Admit: structures.admit,
    m.EnterCircuit: structures.enter_circuit,
    m.ReportCircuit: structures.report_circuit,
    m.SetAdd: structures.set_add,
    m.SetRemove: structures.set_remove,
    m.SetPop: structures.set_pop,
    m.SetLock: locks.set_lock,
    m.RenewLock: locks.renew_lock,
    m.Unlock: locks.unlock,
    m.LockTimeLeft: locks.lock_time_left,
    m.WatchLock: locks.watch_lock,
    m.UnwatchLock: locks.unwatch_lock,
    m.ListLocks: locks.list_locks,
    m.BreakLock: locks.break_lock,
    m.SetTagged: tags.set_tagged,
    m.GetKeyTags: tags.get_key_tags,
    m.MarkLoad: tags.mark_load,
    m.DeleteTags: tags.delete_tags,
    m.GetMany: keys.get_many,
    m.RecallMany: keys.get_many,
    keys.FetchMany: keys.fetch_many,
    m.SetMany: keys.set_many,
    m.DeleteMany: keys.delete_many,
    m.DeleteMatch: keys.delete_match,
    m.GetMatch: keys.get_match,
    m.Scan: keys.scan,
    m.Clear: keys.clear,
    m.GetKeysCount: keys.get_keys_count,
    m.Ping: keys.ping,
    m.Peek: transactions.peek,
    m.Commit: transactions.commit,
}
"""The command that serves each type of message."""
HALVES: Final[Mapping[type[m.Message[Any]], tuple[Callable[[Remote, Any], Awaitable[Any]], Callable[..., Any]]]] = {
    m.Get: (values.begin_get, values.end_get),
    m.Recall: (values.begin_get, values.end_get),
    m.Set: (values.begin_set, values.end_set),
}
"""The halves of the commands that are asked for most: the store awaits what is between, for two coroutines less."""

"""The Redis store with a near table before it: reads are served from memory, and kept exact by the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, TypeVar, cast

from redis.exceptions import RedisError

from cashews import messages as m
from cashews._dataclass import replace
from cashews._typing import ABSENT, NOT_NOW
from cashews.actors.actor import ActorStatistics
from cashews.actors.scope import Service
from cashews.actors.slices import in_steps
from cashews.backends.direct import Direct
from cashews.backends.interface import Backend, Environment, Turn
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.keys import FetchMany
from cashews.backends.redis.near import MOST, Near, NearSlot
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.remote import side_by_side
from cashews.backends.redis.store import RedisStore
from cashews.backends.redis.straight import straight_lines
from cashews.backends.redis.tracking import followed_read
from cashews.backends.redis.values import Fetch, value_in, value_of
from cashews.backends.redis.wire import PING, encoded
from cashews.commands import Effect
from cashews.exceptions import CacheClosedError, CrossSlotError, EncodeError
from cashews.serialize import Pending

R = TypeVar("R")


class NearStore(Backend):
    """A `RedisStore` whose values are kept in a near table too; at the server every key begins with a prefix.

    A reply to a write is handed on once no read is served any more that the write has changed. Messages of
    transactions are strict, and never served from the table.
    """

    name: ClassVar[str] = "redis"

    def __init__(self, store: RedisStore, near: Near, options: RedisOptions, environment: Environment) -> None:
        self._now = environment.clock.now
        self._near = near
        self._prefix = options.client_side_prefix
        self.store = store
        self._direct = straight_lines(near, environment.door, environment.clock.now)

    @property
    def direct(self) -> Direct | None:
        return self._direct

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        get = self._near.get if self.store.remote.keeps_decoded else self._get_decoded
        many = self._near.get_many
        return {m.Get: get, m.Recall: get, m.GetMany: many, m.RecallMany: many}

    def ask(self, message: m.Message[R], *, strict: bool = False) -> Awaitable[R]:
        read = None if strict else NEAR.get(message.__class__)
        return self._pass_on(message, strict=strict) if read is None else read(self, message)

    async def _pass_on(self, message: m.Message[R], *, strict: bool) -> R:
        kind = message.__class__
        try:
            reply = await self.store.ask(await in_steps(message.renaming(self._named)), strict=strict)
        except EncodeError as error:
            error.rename(error.key.removeprefix(self._prefix))
            raise
        except CrossSlotError as error:
            raise self._named_by_users(error) from None
        finally:
            keys = message.keys if message.effect is Effect.WRITE else ()
            if len(keys) <= MOST:
                self._near.drop(keys)
        if kind in CHANGING_OTHERS or len(keys) > MOST:
            await self._hear_out()
        return cast("R", self._cut(reply)) if kind in NAMING else reply

    def _named(self, key: str) -> str:
        return self._prefix + key

    # --- reading

    def _get_decoded(self, message: m.Get, now: float) -> object:
        """Serve a read in place, and decode the value anew: the turn of `Get` and `Recall` if nothing is shared."""
        slot = self._near.find(message.key, now)
        if slot is None:
            return NOT_NOW
        found = value_in(self.store.remote, self._named(message.key), slot)
        if type(found) is Pending:
            return NOT_NOW
        self._near.hits += 1
        return message.default if found is ABSENT else found

    def read(self, message: m.Get) -> Awaitable[object]:
        key, near = message.key, self._near
        slot = near.find(key, self._now())
        if slot is None:
            near.misses += 1
            return self.store.ask(Fetch(self._prefix + key, message.default, key))
        near.hits += 1
        return self._value_of(message, slot)

    def _value_of(self, message: m.Get, slot: NearSlot) -> Awaitable[object]:
        return value_of(self.store.remote, message.rename(self._named), slot)

    async def read_many(self, message: m.GetMany) -> tuple[object, ...]:
        """Read several keys as they were at one instant: all of them from the table, or all from the server."""
        now, near = self._now(), self._near
        slots = [near.find(key, now) for key in message.many] if len(message.many) <= MOST else [None]
        there = [slot for slot in slots if slot is not None]
        if len(there) < len(slots):
            near.misses += len(message.many)
            names = await in_steps(message.renaming(self._named))
            return await self.store.ask(FetchMany(names.many, message.default, message.many))
        near.hits += len(slots)
        return tuple([await self._value_of(m.Get(slot.key, message.default), slot) for slot in there])

    async def follow(self, key: str, permit: m.LoadPermit) -> None:
        if self._near.is_bound(key):
            self._near.follow(key, permit)
            return
        name = self._named(key)
        place = self.store.remote.at(name)
        if not place.tracks:
            return
        packed, kind = followed_read(encoded(name), key, permit)
        try:
            is_followed: bool = await place.ask(packed, kind=kind)
        except RedisError:  # the server is away, or the slot of the key on its way to another
            is_followed = False
        if not is_followed and place.tracks:
            permit.refuse()

    # --- writing

    async def _hear_out(self) -> None:
        """Have each server answer: it has told of all changes that an earlier request has made before."""
        connections = self.store.remote.servers.connections
        await side_by_side([partial(_hear_out, connection) for connection in connections])

    def _cut(self, reply: Any) -> Any:
        """Return a reply that names keys or tags, without the prefix."""
        size = len(self._prefix)
        if isinstance(reply, m.State):
            return replace(reply, tags=tuple([tag[size:] for tag in reply.tags]))
        if isinstance(reply, m.Page):
            return _cut_page(cast("m.Page[Any]", reply), size)  # type: ignore[redundant-cast]  # to pyright it is none
        return tuple([tag[size:] for tag in reply])

    # --- the store behind it

    @property
    def acts_as_one(self) -> bool:
        return self.store.acts_as_one

    def check_together(self, key: str, other: str) -> None:
        try:
            self.store.check_together(self._named(key), self._named(other))
        except CrossSlotError as error:
            raise self._named_by_users(error) from None

    def _named_by_users(self, error: CrossSlotError) -> CrossSlotError:
        return CrossSlotError(error.key.removeprefix(self._prefix), error.other.removeprefix(self._prefix))

    def as_raw(self, value: object) -> object:
        return self.store.as_raw(value)

    async def settle(self) -> None:
        await self.store.settle()

    @property
    def suppresses(self) -> bool:
        return self.store.suppresses

    @property
    def follows(self) -> bool:
        return True

    @property
    def services(self) -> tuple[Service, ...]:
        return self.store.services

    def attached(self) -> None:
        self.store.attached()

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        return self.store.actors

    def statistics(self) -> Mapping[str, int]:
        return {**self.store.statistics(), **self._near.statistics()}

    async def close(self) -> None:
        await self.store.close()


async def _hear_out(connection: Connection) -> None:
    with suppress(RedisError, CacheClosedError):  # then there is no link any more, and nothing of it is served
        await connection.ask(PING)


def _cut_page(page: m.Page[Any], size: int) -> m.Page[Any]:
    return replace(page, items=[_cut_item(item, size) for item in page.items])


def _cut_item(item: Any, size: int) -> Any:
    return item[size:] if isinstance(item, str) else (item[0][size:], *item[1:])


NEAR: Final[Mapping[type[m.Message[Any]], Callable[[NearStore, Any], Awaitable[Any]]]] = {
    m.Get: NearStore.read,
    m.Recall: NearStore.read,
    m.GetMany: NearStore.read_many,
    m.RecallMany: NearStore.read_many,
}
"""The messages that may be served from the table, unless they are strict."""
CHANGING_OTHERS: Final = frozenset({m.DeleteTags, m.DeleteMatch, m.Clear, m.Commit})
"""The messages that change keys which they do not name."""
NAMING: Final = frozenset({m.Scan, m.GetMatch, m.ListLocks, m.GetKeyTags, m.Peek})
"""The messages whose replies name keys or tags."""

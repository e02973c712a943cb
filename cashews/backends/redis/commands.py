"""How each message is asked of a server: one command or one script, and what its reply means."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from redis.exceptions import NoPermissionError, ResponseError

from cashews import messages as m
from cashews.backends.encoding import Values, in_slices
from cashews.backends.redis import scripts, tagged
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.tagged import CHUNK, HEAD, bare, headed
from cashews.backends.redis.wire import Word, decoded, pack
from cashews.exceptions import WrongArgumentError
from cashews.serialize import Pending
from cashews.strategies.entry import Entry
from cashews.structures.kinds import COUNTER_MAX, counter

LOCKS: Final = "cashews/lock/"
"""What the keys of locks begin with; such a key is no value's."""
FENCE: Final = "cashews/fence"
"""The key of the last fencing number; no lock has it, not even the one whose name is empty."""
INTERNAL: Final = (LOCKS, FENCE, tagged.TAGS)
"""What the keys begin with that users do not see."""


def milliseconds(seconds: float) -> int:
    """Return a duration as the server takes it: at least a millisecond, unless there is nothing left."""
    return max(1, round(seconds * 1000)) if seconds > 0 else 0


def lifetime(expire: float | None) -> int | str:
    """Return a duration as scripts take it."""
    return "" if expire is None else milliseconds(expire)


def raw(value: object) -> bytes | str | int | float:
    """Return what can be stored without encoding it.

    :raises WrongArgumentError: if it cannot
    """
    if isinstance(value, (bytes, str, int, float)):
        return value
    raise WrongArgumentError("value", value, "bytes, text or a number")


def member(stored: bytes) -> str:
    """Return a member of a set."""
    return decoded(stored)


class Commands:
    """The messages about single keys, or about keys that are named; each takes one round trip.

    `at` gives the connection that a key's requests go through, in their order.
    """

    def __init__(self, at: Callable[[str], Connection], values: Values) -> None:
        self._at = at
        self._values = values
        self._met_tags = False
        """Whether there are tags here, as far as we have seen: then what is overwritten has to leave their indexes."""

    @property
    def table(self) -> Mapping[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]]:
        """What serves each type of message."""
        return {
            m.Get: self.get,
            m.Recall: self.get,
            m.GetHit: self.get_hit,
            m.GetRaw: self.get_raw,
            m.GetMany: self.get_many,
            m.RecallMany: self.get_many,
            m.Set: self.set,
            m.SetTagged: self.set_tagged,
            m.SetRaw: self.set_raw,
            m.SetMany: self.set_many,
            m.Incr: self.incr,
            m.Exists: self.exists,
            m.Delete: self.delete,
            m.DeleteMany: self.delete_many,
            m.DeleteTags: self.delete_tags,
            m.GetKeyTags: self.get_key_tags,
            m.MarkLoad: self.mark_load,
            m.Expire: self.expire,
            m.GetExpire: self.get_expire,
            m.GetSize: self.get_size,
            m.GetBits: self.get_bits,
            m.IncrBits: self.incr_bits,
            m.SliceIncr: self.slice_incr,
            m.Admit: self.admit,
            m.EnterCircuit: self.enter_circuit,
            m.ReportCircuit: self.report_circuit,
            m.SetAdd: self.set_add,
            m.SetRemove: self.set_remove,
            m.SetPop: self.set_pop,
            m.SetLock: self.set_lock,
            m.RenewLock: self.renew_lock,
            m.Unlock: self.unlock,
            m.LockTimeLeft: self.lock_time_left,
            m.WatchLock: self.watch_lock,
            m.UnwatchLock: self.unwatch_lock,
            m.Ping: self.ping,
        }

    # --- values

    async def get(self, message: m.Get) -> object:
        key, default = message.key, message.default
        stored = await self._at(key).ask(pack(("GET", key)), reads=True)
        if stored is None:
            return default
        if stored.startswith(HEAD):
            stored = self._bare(stored)
        found = self._values.decode_plain(key, stored, default)
        return await self._values.decode_pending(key, found, default) if isinstance(found, Pending) else found

    async def get_hit(self, message: m.GetHit) -> object:
        stored, hits = await scripts.GET_HIT.ask(self._at(message.key), (message.key,))
        if stored is None:
            return message.default
        found = await self._values.decode(message.key, self._bare(stored), message.default)
        if isinstance(found, Entry):
            found.hits = hits
        return found

    async def get_raw(self, message: m.GetRaw) -> object:
        stored = await self._at(message.key).ask(pack(("GET", message.key)), reads=True)
        return message.default if stored is None else self._bare(stored)

    def _bare(self, stored: bytes) -> bytes:
        """Return what is stored without its tags."""
        value = bare(stored)
        self._met_tags = self._met_tags or value is not stored
        return value

    async def get_many(self, message: m.GetMany) -> tuple[object, ...]:
        return tuple(await self.read(message.keys, message.default)) if message.keys else ()

    async def read(self, keys: tuple[str, ...], default: object) -> list[object]:
        """Read several values."""
        stored = await self._at(keys[0]).ask(pack(("MGET", *keys)), reads=True)
        return await in_slices(self._found(key, value, default) for key, value in zip(keys, stored, strict=True))

    async def _found(self, key: str, stored: bytes | None, default: object) -> object:
        return default if stored is None else await self._values.decode(key, self._bare(stored), default)

    async def set(self, message: m.Set) -> bool:
        key, expire, exist, permit = message.key, message.expire, message.exist, message.permit
        if expire is not None and expire <= 0:
            return await self._remove_instead(message)
        value = self._values.encode_plain(key, message.value)
        if value is None:
            value = await self._values.encode(key, message.value, expire)
        if self._met_tags:
            return await self._set(message, value)
        words: tuple[Word, ...] = ("SET", key, value)
        if expire is not None:
            words += ("PX", milliseconds(expire))
        if exist is not None:
            words += ("XX" if exist else "NX",)
        return await self._at(key).ask(pack(words), permit=permit) is not None

    async def set_tagged(self, message: m.SetTagged) -> bool:
        self._met_tags = True
        if message.expire is not None and message.expire <= 0:
            return await self._remove_instead(message)
        value = await self._values.encode(message.key, message.value, message.expire)
        return await self._set(message, headed(value, message.tags), message.since, message.tags)

    async def _set(self, message: m.Set, stored: bytes, since: int | None = None, tags: tuple[str, ...] = ()) -> bool:
        """Store a value in the place of one that may carry tags."""
        exist = "" if message.exist is None else "XX" if message.exist else "NX"
        operands = (stored, lifetime(message.expire), exist, "" if since is None else since, *tags)
        reply = await tagged.SET.ask(self._at(message.key), (message.key,), *operands, permit=message.permit)
        return reply is not None

    async def _remove_instead(self, message: m.Set) -> bool:
        if message.exist is not False and (message.permit is None or not message.permit.void):
            await self.delete(m.Delete(message.key))
        return False

    async def set_raw(self, message: m.SetRaw) -> bool:
        return await self._put(message.key, raw(message.value), message.expire)

    async def _put(self, key: str, value: bytes | str | float, expire: float | None) -> bool:
        if expire is not None and expire <= 0:
            await self.delete(m.Delete(key))
            return False
        if self._met_tags:
            await tagged.SET_MANY.ask(self._at(key), (key,), lifetime(expire), value)
            return True
        lasting = () if expire is None else ("PX", milliseconds(expire))
        await self._at(key).ask(pack(("SET", key, value, *lasting)))
        return True

    async def set_many(self, message: m.SetMany) -> None:
        if message.expire is not None and message.expire <= 0:
            return await self.delete_many(m.DeleteMany(message.keys))
        values = await in_slices(self._values.encode(*pair, message.expire) for pair in message.pairs.items())
        connection = self._at(message.keys[0])
        if self._met_tags:
            await tagged.SET_MANY.ask(connection, message.keys, lifetime(message.expire), *values)
        elif message.expire is not None:
            await scripts.SET_MANY.ask(connection, message.keys, milliseconds(message.expire), *values)
        else:
            pairs = [each for pair in zip(message.keys, values, strict=True) for each in pair]
            await connection.ask(pack(("MSET", *pairs)))
        return None

    async def incr(self, message: m.Incr) -> int:
        counter(message.key, message.value)
        connection, key = self._at(message.key), (message.key,)
        try:
            if message.expire is None:
                return int(await connection.ask(pack(("INCRBY", message.key, message.value))))
            return int(await scripts.INCR.ask(connection, key, message.value, milliseconds(message.expire)))
        except ResponseError as error:
            if "not an integer" not in str(error):
                raise
            return int(await tagged.INCR.ask(connection, key, message.value))

    async def exists(self, message: m.Exists) -> bool:
        return bool(await self._at(message.key).ask(pack(("EXISTS", message.key)), reads=True))

    async def delete(self, message: m.Delete) -> bool:
        return bool(await tagged.DELETE.ask(self._at(message.key), (message.key,)))

    async def delete_many(self, message: m.DeleteMany) -> None:
        shares: dict[Connection, list[str]] = {}
        for key in message.keys:  # each goes behind what was sent for it before: a load's value may be on its way
            shares.setdefault(self._at(key), []).append(key)
        for connection, keys in shares.items():
            for start in range(0, len(keys), CHUNK):
                await tagged.DELETE.ask(connection, tuple(keys[start : start + CHUNK]))

    async def expire(self, message: m.Expire) -> bool:
        return bool(await tagged.EXPIRE.ask(self._at(message.key), (message.key,), lifetime(message.timeout)))

    async def get_expire(self, message: m.GetExpire) -> int:
        left: int = await self._at(message.key).ask(pack(("PTTL", message.key)), reads=True)
        return left if left < 0 else max(1, math.ceil(left / 1000))

    async def get_size(self, message: m.GetSize) -> int:
        return await self._at(message.key).ask(pack(("MEMORY", "USAGE", message.key)), reads=True) or 0

    # --- tags

    async def delete_tags(self, message: m.DeleteTags) -> None:
        self._met_tags = True
        for tag in message.tags:
            left, begins = 1, 1
            while left:
                left = await tagged.DELETE_TAG.ask(self._at(tag), (), tag, CHUNK, begins)
                begins = 0

    async def prune(self, tag: str) -> None:
        """Take what does not carry a tag out of its index."""
        place = 0
        while place >= 0:
            place = await tagged.PRUNE.ask(self._at(tag), (), tag, place, CHUNK)

    async def get_key_tags(self, message: m.GetKeyTags) -> tuple[str, ...]:
        tags = await tagged.TAGS_OF.ask(self._at(message.key), (message.key,))
        return tuple([tag.decode(errors="surrogateescape") for tag in tags])

    async def mark_load(self, message: m.MarkLoad) -> int:
        """Answer the server's time in microseconds."""
        seconds, microseconds = await self._at(message.key).ask(pack(("TIME",)), reads=True)
        return int(seconds) * 1_000_000 + int(microseconds)

    # --- bits, windows, tallies, circuits

    async def get_bits(self, message: m.GetBits) -> tuple[int, ...]:
        return await self._bits(message, "")

    async def incr_bits(self, message: m.IncrBits) -> tuple[int, ...]:
        return await self._bits(message, max(-COUNTER_MAX, min(message.by, COUNTER_MAX)))

    async def _bits(self, message: m.GetBits | m.IncrBits, by: int | str) -> tuple[int, ...]:
        if not message.indexes:
            return ()
        key, size, indexes = message.key, message.size, message.indexes
        fields = await scripts.BITS.ask(self._at(key), (key,), size, by, *indexes)
        if size < scripts.WIDE:
            return tuple(fields)
        return tuple([high << scripts.LOW | low for high, low in fields])

    async def slice_incr(self, message: m.SliceIncr) -> int:
        key, most = message.key, message.maxvalue
        if most < 1:
            return most + 1
        window = message.start, message.end, most, lifetime(message.expire)
        return int(await scripts.SLICE_INCR.ask(self._at(key), (key,), *window))

    async def admit(self, message: m.Admit) -> bool:
        key, rules = message.key, (message.limit, milliseconds(message.period), lifetime(message.ban))
        return bool(await scripts.ADMIT.ask(self._at(key), (key,), *rules))

    async def enter_circuit(self, message: m.EnterCircuit) -> float | None:
        rules = _rules(message.rules)
        entered = await scripts.ENTER_CIRCUIT.ask(self._at(message.key), (message.key,), *rules)
        return None if entered is None else float(entered)

    async def report_circuit(self, message: m.ReportCircuit) -> None:
        key, call = message.key, (f"{message.entered:.3f}", int(message.failed))
        await scripts.REPORT_CIRCUIT.ask(self._at(key), (key,), *_rules(message.rules), *call)

    # --- sets

    async def set_add(self, message: m.SetAdd) -> None:
        if message.values:
            key = message.key
            await scripts.SET_ADD.ask(self._at(key), (key,), lifetime(message.expire), *message.values)

    async def set_remove(self, message: m.SetRemove) -> None:
        if message.values:
            await self._at(message.key).ask(pack(("SREM", message.key, *message.values)))

    async def set_pop(self, message: m.SetPop) -> list[str]:
        members = await self._at(message.key).ask(pack(("SPOP", message.key, message.count)))
        return [member(each) for each in members]

    # --- locks

    async def set_lock(self, message: m.SetLock) -> int:
        key, expire = LOCKS + message.key, message.expire
        if expire is not None and expire <= 0:
            return 0
        return int(await scripts.LOCK.ask(self._at(key), (key, FENCE), message.value, lifetime(expire)))

    async def renew_lock(self, message: m.RenewLock) -> bool:
        key = LOCKS + message.key
        return bool(await scripts.RENEW.ask(self._at(key), (key,), message.value, milliseconds(message.expire)))

    async def unlock(self, message: m.Unlock) -> bool:
        key = LOCKS + message.key
        return bool(await scripts.UNLOCK.ask(self._at(key), (key,), message.value))

    async def lock_time_left(self, message: m.LockTimeLeft) -> float | None:
        key = LOCKS + message.key
        left: int = await self._at(key).ask(pack(("PTTL", key)), reads=True)
        if left < 0:
            return math.inf if left == -1 else None
        return max(left, 1) / 1000

    async def watch_lock(self, message: m.WatchLock) -> bool:
        key = LOCKS + message.key
        try:
            return await self._at(key).listen(key, message.wake)
        except NoPermissionError:  # by the rules of the server: it cannot tell us
            return False

    async def unwatch_lock(self, message: m.UnwatchLock) -> None:
        key = LOCKS + message.key
        await self._at(key).unlisten(key, message.wake)

    # --- the whole store

    async def ping(self, message: m.Ping) -> bytes:
        words = ("PING",) if message.message is None else ("PING", message.message)
        return bytes(await self._at("").ask(pack(words)))

    async def kind_of(self, key: str) -> str:
        """Say what a key holds."""
        kind: bytes = await self._at(key).ask(pack(("TYPE", key)), reads=True)
        return type(await self.get(m.Get(key))).__name__ if kind == b"string" else kind.decode()


def _rules(rules: m.CircuitRules) -> tuple[float | str, ...]:
    half_open_ttl = "" if rules.half_open_ttl is None else rules.half_open_ttl * 1000
    return (rules.errors_rate, rules.period * 1000, rules.ttl * 1000, half_open_ttl, rules.min_calls)

"""The memory store with a serializer: it keeps bytes, encoded before their turn and decoded after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import replace
from cashews._typing import ABSENT
from cashews.backends.encoding import PART, NativeValues, in_parts
from cashews.backends.interface import Environment, Turn
from cashews.backends.memory.store import MemoryOptions, MemoryStore
from cashews.serialize import HITS, HITS_PREFIX, SerializerOptions, next_hits

R = TypeVar("R")


class Counted(bytearray):
    """The bytes of an entry: its hits are counted in place."""

    def hit(self) -> None:
        """Count one hit."""
        self[HITS] = next_hits(self)


class CountedValues(NativeValues):
    """Integers, raw values, and bytes."""

    async def to_stored(self, key: str, value: object, expire: float | None) -> object:
        if type(value) is int or (expire is not None and expire <= 0):  # the latter is not stored
            return value
        encoded = await self.encode(key, value, expire)
        return Counted(encoded) if encoded.startswith(HITS_PREFIX) else encoded

    async def from_stored(self, key: str, stored: object, default: object) -> object:
        if stored is ABSENT:
            return default
        return await self.decode(key, bytes(stored), default) if isinstance(stored, (bytes, Counted)) else stored


class EncodedStore(MemoryStore):
    """Values in this process, as bytes. What is read is an object of its own, whatever the option `copy` says.

    Integers stay what they are, since the store counts in them, and so do raw values. Removal callbacks are told what
    is kept.
    """

    def __init__(self, options: MemoryOptions, serializer: SerializerOptions, environment: Environment) -> None:
        super().__init__(replace(options, copy="share"), environment)
        self._values = CountedValues(serializer, self)
        self._serve: Mapping[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]] = {
            m.Get: self._get,
            m.Recall: self._get,
            m.GetHit: self._get_hit,
            m.GetRaw: self._get_raw,
            m.GetMany: self._get_many,
            m.RecallMany: self._get_many,
            m.GetMatch: self._get_match,
            m.Set: self._set,
            m.SetTagged: self._set,
            m.SetMany: self._set_many,
            m.Peek: self._peek,
            m.Commit: self._commit,
        }

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return {kind: turn for kind, turn in super().turns.items() if kind not in self._serve}

    @property
    def shares(self) -> bool:
        return False

    async def ask(self, message: m.Message[R], *, strict: bool = False) -> R:
        serve = self._serve.get(type(message))
        reply: R = await (super().ask(message) if serve is None else serve(message))
        return reply

    def statistics(self) -> Mapping[str, int]:
        return {**super().statistics(), "decode_failures": self._values.failures}

    # --- values

    async def _take(self, message: m.Message[R]) -> R:
        """Serve a message about what is kept."""
        return await super().ask(message)

    async def _get(self, message: m.Get) -> object:
        kept = await self._take(m.Get(message.key, ABSENT))
        return await self._values.from_stored(message.key, kept, message.default)

    async def _get_hit(self, message: m.GetHit) -> object:
        kept = await self._take(m.Get(message.key, ABSENT))
        if isinstance(kept, Counted):
            kept.hit()
        return await self._values.from_stored(message.key, kept, message.default)

    async def _get_raw(self, message: m.GetRaw) -> object:
        kept = await self._take(message)
        return bytes(kept) if isinstance(kept, Counted) else kept

    async def _get_many(self, message: m.GetMany) -> tuple[object, ...]:
        values: list[object] = []
        for keys in in_parts(message.keys):
            if values:
                await checkpoint()
            found = await self._take(m.GetMany(tuple(keys), ABSENT))
            values += await self._values.many_from_stored(keys, found, message.default)
        return tuple(values)

    async def _get_match(self, message: m.GetMatch) -> m.Page[tuple[str, object]]:
        page = await self._take(message)
        return replace(page, items=await self._values.pairs_from_stored(page.items))

    async def _set(self, message: m.Set) -> bool:
        kept = await self._values.to_stored(message.key, message.value, message.expire)
        return await self._take(replace(message, value=kept))

    async def _set_many(self, message: m.SetMany) -> None:
        for keys in in_parts(tuple(message.pairs)):
            pairs = {key: message.pairs[key] for key in keys}
            await self._take(m.SetMany(await self._values.pairs_to_stored(pairs, message.expire), message.expire))
            if len(keys) == PART:  # others may follow
                await checkpoint()

    async def _peek(self, message: m.Peek) -> m.State:
        return await self._values.state_from_stored(message.key, await self._take(message))

    async def _commit(self, message: m.Commit) -> m.CommitOutcome:
        return await self._take(await self._values.commit_to_stored(message))

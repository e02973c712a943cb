"""The stored forms of values: encoding and decoding in the asker's task. Undecodable bytes are absent, and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeVar

from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import replace
from cashews._log import logger
from cashews._typing import ABSENT
from cashews.clock import SystemClock
from cashews.exceptions import DecodeError
from cashews.serialize import Pending, Serializer, SerializerOptions, custom_of

R = TypeVar("R")
SLICE: Final = 0.003
"""The seconds of the system's time for which a task encodes or decodes before it lets others run."""
PART: Final = 1_000
"""The most keys that are served at a time of a message that names its keys."""
UNREADABLE: Final = "bytes that cannot be read"
"""The kind of a stored value that cannot be decoded, for error messages."""


async def one_by_one(work: Iterable[Awaitable[R]]) -> list[R]:
    """Await one piece of work after the other, with a checkpoint whenever a slice of time has passed."""
    done: list[R] = []
    end = SystemClock.now() + SLICE
    for piece in work:
        done.append(await piece)
        if SystemClock.now() >= end:
            await checkpoint()
            end = SystemClock.now() + SLICE
    return done


def in_parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the keys of a message some at a time, as many as one turn can serve."""
    for begin in range(0, len(keys), PART):
        yield keys[begin : begin + PART]


class Values:
    """An encoder and decoder of values, in the asker's task.

    `backend` is handed to registered encoders and decoders.
    """

    def __init__(self, options: SerializerOptions, backend: object) -> None:
        self._serializer = Serializer(options)
        self._backend = backend
        self._reported = False
        self.failures = 0
        """The number of stored values that could not be decoded."""

    def encode_plain(self, key: str, value: object) -> bytes | None:
        """Return the bytes of a value; `None` for a value of a registered type, which needs `encode`.

        :raises EncodeError: if its codec cannot encode it
        """
        return self._serializer.encode(key, value) if custom_of(value) is None else None

    async def encode(self, key: str, value: object, expire: float | None) -> bytes:
        """Return the bytes of a value.

        :raises EncodeError: if its codec, or the encoder of its type, cannot encode it
        """
        custom = custom_of(value)
        if custom is None:
            return self._serializer.encode(key, value)
        return await self._serializer.encode_custom(key, value, custom, self._backend, expire)

    async def decode(self, key: str, stored: bytes, default: object) -> object:
        """Return the value of stored bytes, the default for undecodable ones."""
        found = self.decode_plain(key, stored, default)
        return await self.decode_pending(key, found, default) if type(found) is Pending else found

    def decode_plain(self, key: str, stored: bytes, default: object) -> object:
        """Return the value of stored bytes, the default for undecodable ones.

        The value of a registered type, or one that takes long to decompress, is `Pending`: see `decode_pending`.
        """
        try:
            return self._serializer.decode(key, stored)
        except DecodeError as error:
            self._count(error)
            return default

    async def decode_pending(self, key: str, pending: Pending, default: object) -> object:
        """Return a pending value, the default if it cannot be decompressed or its decoder fails."""
        try:
            while pending.expansion is not None:
                await checkpoint()
                found = self._serializer.resume(key, pending)
                if type(found) is not Pending:
                    return found
                pending = found
            return await self._serializer.finish(key, pending, self._backend)
        except DecodeError as error:
            self._count(error)
            return default

    def _count(self, error: DecodeError) -> None:
        """Count an undecodable value, and log the first: one wrong setting makes thousands."""
        self.failures += 1
        if not self._reported:
            self._reported = True
            logger.warning("%s; it counts as absent, as will others like it", error)


class NativeValues(Values, ABC):
    """The stored forms of a store that encodes all values but integers, with which it counts, and raw ones."""

    @abstractmethod
    async def to_stored(self, key: str, value: object, expire: float | None) -> object:
        """Return the stored form of a value.

        :raises EncodeError: if the value cannot be encoded
        """

    @abstractmethod
    async def from_stored(self, key: str, stored: object, default: object) -> object:
        """Return the value of a stored form, the default if that is absent or undecodable."""

    def raw_to_stored(self, value: object) -> object:
        """Return the stored form of a raw value.

        :raises WrongArgumentError: if the store cannot hold it without encoding
        """
        return value

    async def pairs_to_stored(self, pairs: Mapping[str, object], expire: float | None) -> dict[str, object]:
        """Return the stored forms of several values by key."""
        given = dict(pairs)
        stored = await one_by_one(self.to_stored(key, value, expire) for key, value in given.items())
        return dict(zip(given, stored, strict=True))

    async def commit_to_stored(self, message: m.Commit) -> m.Commit:
        """Return a commit whose writes have stored forms."""
        writes = await one_by_one(self._write_to_stored(write) for write in message.writes)
        return replace(message, writes=tuple(writes))

    async def _write_to_stored(self, write: m.Write) -> m.Write:
        if isinstance(write, m.Set):
            return replace(write, value=await self.to_stored(write.key, write.value, write.expire))
        return replace(write, value=self.raw_to_stored(write.value)) if isinstance(write, m.SetRaw) else write

    async def many_from_stored(self, keys: Iterable[str], stored: Iterable[object], default: object) -> list[object]:
        """Return the values of the stored forms of several keys."""
        return await one_by_one(self.from_stored(key, each, default) for key, each in zip(keys, stored, strict=True))

    async def pairs_from_stored(self, pairs: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
        """Return keys with the values of their stored forms; those of undecodable ones are left out."""
        keys = [key for key, _ in pairs]
        values = await self.many_from_stored(keys, [stored for _, stored in pairs], ABSENT)
        return [pair for pair in zip(keys, values, strict=True) if pair[1] is not ABSENT]

    async def state_from_stored(self, key: str, state: m.State) -> m.State:
        """Return the state of a key with the value of its stored form."""
        if state.value is ABSENT:
            return state
        value = await self.from_stored(key, state.value, ABSENT)
        return replace(state, value=value, foreign=UNREADABLE if value is ABSENT else "")

"""Values on their way to a store of bytes and back; what cannot be read is absent, and counted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._log import logger
from cashews._typing import ABSENT
from cashews.clock import SystemClock
from cashews.exceptions import DecodeError
from cashews.serialize import Pending, Serializer, SerializerOptions, custom_of

R = TypeVar("R")
SLICE: Final = 0.003
"""For how many seconds of the system's time a task works on values before it lets others run."""
UNREADABLE: Final = "bytes that cannot be read"


async def in_slices(work: Iterable[Awaitable[R]]) -> list[R]:
    """Await one piece of work after the other, and let others run whenever that has taken some milliseconds."""
    done: list[R] = []
    end = SystemClock.now() + SLICE
    for piece in work:
        done.append(await piece)
        if SystemClock.now() >= end:
            await checkpoint()
            end = SystemClock.now() + SLICE
    return done


class Values:
    """Encodes what is stored and decodes what is found, in the asker's task.

    `backend` is what registered encoders and decoders are told of.
    """

    def __init__(self, options: SerializerOptions, backend: object) -> None:
        self._serializer = Serializer(options)
        self._backend = backend
        self._reported = False
        self.failures = 0
        """How many stored values could not be read."""

    def write(self, key: str, value: object) -> bytes | None:
        """Return the bytes that a value is kept as, `None` if its type is registered: that takes `encode`.

        :raises EncodeError: if its codec cannot write it
        """
        return self._serializer.encode(key, value) if custom_of(value) is None else None

    async def encode(self, key: str, value: object, expire: float | None) -> bytes:
        """Return the bytes that a value is kept as.

        :raises EncodeError: if its codec, or the encoder of its type, cannot write it
        """
        custom = custom_of(value)
        if custom is None:
            return self._serializer.encode(key, value)
        return await self._serializer.encode_custom(key, value, custom, self._backend, expire)

    async def decode(self, key: str, stored: bytes, default: object) -> object:
        """Return the value of stored bytes, the default for what cannot be read."""
        found = self.read(key, stored, default)
        return await self.finish(key, found, default) if isinstance(found, Pending) else found

    def read(self, key: str, stored: bytes, default: object) -> object:
        """Return the value of stored bytes, or the `Pending` one of a registered type; the default for other bytes."""
        try:
            return self._serializer.decode(key, stored)
        except DecodeError as error:
            self._count(error)
            return default

    async def finish(self, key: str, pending: Pending, default: object) -> object:
        """Return the value of a registered type, the default if its decoder refuses it."""
        try:
            return await self._serializer.finish(key, pending, self._backend)
        except DecodeError as error:
            self._count(error)
            return default

    def _count(self, error: DecodeError) -> None:
        """Count what cannot be read, and log the first: one wrong setting makes thousands."""
        self.failures += 1
        if not self._reported:
            self._reported = True
            logger.warning("%s; it counts as absent, as will others like it", error)


class NativeValues(Values, ABC):
    """Values of a store that keeps some as they are: integers, since it counts in them, and raw ones."""

    @abstractmethod
    async def keep(self, key: str, value: object, expire: float | None) -> object:
        """Return what is kept of a value.

        :raises EncodeError: if it has to be encoded and cannot be
        """

    @abstractmethod
    async def find(self, key: str, kept: object, default: object) -> object:
        """Return the value of what is kept, the default if that is absent or cannot be read."""

    def keep_raw(self, value: object) -> object:
        """Return what is kept of a raw value.

        :raises WrongArgumentError: if it cannot be kept
        """
        return value

    async def keep_all(self, pairs: Mapping[str, object], expire: float | None) -> dict[str, object]:
        """Return what is kept of several values."""
        given = dict(pairs)
        kept = await in_slices(self.keep(key, value, expire) for key, value in given.items())
        return dict(zip(given, kept, strict=True))

    async def keep_writes(self, message: m.Commit) -> m.Commit:
        """Return a commit of what is kept."""
        writes = await in_slices(self._keep_write(write) for write in message.writes)
        return replace(message, writes=tuple(writes))

    async def _keep_write(self, write: m.Write) -> m.Write:
        if isinstance(write, m.Set):
            return replace(write, value=await self.keep(write.key, write.value, write.expire))
        return replace(write, value=self.keep_raw(write.value)) if isinstance(write, m.SetRaw) else write

    async def find_all(self, keys: Iterable[str], kept: Iterable[object], default: object) -> list[object]:
        """Return the values of what is kept under several keys."""
        return await in_slices(self.find(key, each, default) for key, each in zip(keys, kept, strict=True))

    async def find_pairs(self, pairs: Sequence[tuple[str, object]]) -> list[tuple[str, object]]:
        """Return keys with the values of what is kept, as far as these can be read."""
        keys = [key for key, _ in pairs]
        values = await self.find_all(keys, [kept for _, kept in pairs], ABSENT)
        return [pair for pair in zip(keys, values, strict=True) if pair[1] is not ABSENT]

    async def find_state(self, key: str, state: m.State) -> m.State:
        """Return the state of a key with the value of what is kept."""
        if state.value is ABSENT:
            return state
        value = await self.find(key, state.value, ABSENT)
        return replace(state, value=value, foreign=UNREADABLE if value is ABSENT else "")

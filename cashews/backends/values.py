"""Values on their way to a store of bytes and back; what cannot be read is absent, and counted."""

from __future__ import annotations

from cashews.exceptions import DecodeError
from cashews.log import logger
from cashews.serialize import Pending, Serializer, SerializerOptions, custom_of


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

"""Values in the form that a file holds: 64-bit integers and raw values as SQLite stores them, all others as bytes."""

from __future__ import annotations

from cashews._typing import ABSENT
from cashews.backends.encoding import NativeValues
from cashews.serialize import Pending, SerializerOptions
from cashews.structures.kinds import is_counter
from cashews.structures.raw import plain


class DiskValues(NativeValues):
    """The encoder of values on their way into a file, and the decoder of values found in one."""

    def __init__(self, options: SerializerOptions, backend: object) -> None:
        super().__init__(options, backend)
        self._signed = bool(options.secrets)

    async def to_stored(self, key: str, value: object, expire: float | None) -> object:
        if expire is not None and expire <= 0:  # it is not stored
            return b""
        if type(value) is int and is_counter(value):
            return value
        return await self.encode(key, value, expire)

    async def from_stored(self, key: str, stored: object, default: object) -> object:
        """Return the value of a stored form. Numbers and text were stored raw, and are their own value."""
        if isinstance(stored, bytes):
            found = self.decode_plain(key, stored, default)
            return await self.decode_pending(key, found, default) if type(found) is Pending else found
        if stored is ABSENT or (self._signed and not isinstance(stored, int)):
            return default
        return stored

    def raw_to_stored(self, value: object) -> object:
        return plain(value)

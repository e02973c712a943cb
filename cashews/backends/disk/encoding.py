"""Values in the form that a file holds: 64-bit integers and raw values as SQLite stores them, all others as bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cashews._typing import ABSENT
from cashews.backends.encoding import NativeValues
from cashews.exceptions import WrongArgumentError
from cashews.serialize import Pending, SerializerOptions
from cashews.structures.kinds import is_counter

PLAIN: Final[Mapping[type, Callable[[Any], object]]] = {
    bytes: lambda value: b"".join((value,)),
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}
"""The types that SQLite stores, each with the function that reduces an object of a subclass to the type itself."""


def plain(value: Any) -> object:
    """Return a raw value as an object of exactly one of the types that SQLite stores.

    :raises WrongArgumentError: if SQLite cannot store it
    """
    stored = next((reduce(value) for kind, reduce in PLAIN.items() if issubclass(type(value), kind)), None)
    if stored is None or stored != stored or (isinstance(stored, int) and not is_counter(stored)):  # noqa: PLR0124  NaN is not itself
        raise WrongArgumentError("value", value, "bytes, text, an integer of 64 bits, or a number that is not NaN")
    return stored


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

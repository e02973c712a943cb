"""What a file keeps of a value: an integer of 64 bits as it is, anything else as bytes, a raw one as SQLite has it."""

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
"""What can be kept as it is, and how an object of a subclass becomes that."""


def plain(value: Any) -> object:
    """Return what is kept of a value that is not encoded.

    :raises WrongArgumentError: if SQLite cannot keep it
    """
    kept = next((take(value) for kind, take in PLAIN.items() if isinstance(value, kind)), None)
    if kept is None or kept != kept or (isinstance(kept, int) and not is_counter(kept)):  # noqa: PLR0124  NaN is not itself
        raise WrongArgumentError("value", value, "bytes, text, an integer of 64 bits, or a number that is not NaN")
    return kept


class DiskValues(NativeValues):
    """Encodes what is stored in files and decodes what is found there."""

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
        """Return the value of what is kept: of numbers and text, which nobody has encoded, these themselves."""
        if isinstance(stored, bytes):
            found = self.decode_plain(key, stored, default)
            return await self.decode_pending(key, found, default) if isinstance(found, Pending) else found
        if stored is ABSENT or (self._signed and not isinstance(stored, int)):
            return default
        return stored

    def raw_to_stored(self, value: object) -> object:
        return plain(value)

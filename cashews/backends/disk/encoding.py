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

    async def keep(self, key: str, value: object, expire: float | None) -> object:
        if expire is not None and expire <= 0:  # it is not stored
            return b""
        if type(value) is int and is_counter(value):
            return value
        return await self.encode(key, value, expire)

    async def find(self, key: str, kept: object, default: object) -> object:
        """Return the value of what is kept: of numbers and text, which nobody has encoded, these themselves."""
        if isinstance(kept, bytes):
            found = self.read(key, kept, default)
            return await self.finish(key, found, default) if isinstance(found, Pending) else found
        if kept is ABSENT or (self._signed and not isinstance(kept, int)):
            return default
        return kept

    def keep_raw(self, value: object) -> object:
        return plain(value)

"""Raw values: stored without encoding them, so of the types alone that every store can keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cashews.exceptions import WrongArgumentError
from cashews.structures.kinds import is_counter

PLAIN: Final[Mapping[type, Callable[[Any], object]]] = {
    bytes: lambda value: b"".join((value,)),
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}
"""The types of raw values, each with the function that reduces an object of a subclass to the type itself."""


def plain(value: Any) -> object:
    """Return a raw value as an object of exactly one of the types that every store can keep.

    :raises WrongArgumentError: if it is of no such type, NaN, or an integer beyond 64 bits
    """
    stored = next((reduce(value) for kind, reduce in PLAIN.items() if issubclass(type(value), kind)), None)
    if stored is None or stored != stored or (isinstance(stored, int) and not is_counter(stored)):  # noqa: PLR0124  NaN is not itself
        allowed = "bytes, text, an integer of 64 bits, or a number that is not NaN"
        raise WrongArgumentError("value", value.__class__, allowed)
    return stored

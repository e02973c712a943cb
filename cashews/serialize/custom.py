"""Custom types: classes for which the user has registered an encoder and a decoder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

from cashews._arguments import runnable
from cashews._dataclass import dataclass
from cashews.exceptions import WrongArgumentError
from cashews.serialize.compression import Expansion
from cashews.strategies.entry import Entry, Raised, Returned

Encoder = Callable[..., Awaitable[bytes]]
"""``await encoder(value, backend, key, expire)``"""
Decoder = Callable[..., Awaitable[Any]]
"""``await decoder(payload, backend, key)``"""

NATIVE: Final = frozenset({int, bytes})
"""The types that no user can register, because every store has a form of its own for them."""


@dataclass(frozen=True, slots=True)
class Custom:
    """A registered type: its encoder and decoder, and the name that is stored in front of each payload."""

    name: str
    encoder: Encoder
    decoder: Decoder


@dataclass(slots=True)
class Pending:
    """A stored value that still has to be decompressed further, or decoded by the user's decoder.

    `entry` is set if the value belongs to an entry; it is that entry, still without the value. `hits` are its hits, as
    far as they are known apart from it. Either `expansion` is set or `custom` and `payload`.
    """

    custom: Custom | None = None
    payload: bytes = b""
    entry: Entry | None = None
    expansion: Expansion | None = None
    hits: int | None = None


_customs: dict[type, Custom] = {}


def register_type(klass: type, encoder: Encoder, decoder: Decoder) -> None:
    """Store objects of a class with functions of your own, in every cache of the process.

    This applies to objects of exactly this class, not of a subclass, that are themselves a cached value or result.
    Objects inside a list, a mapping or another object are left to the codec. Stored payloads name the class by its
    module and qualified name; a class that is registered later under the same name takes over.

    :param encoder: ``await encoder(value, backend, key, expire)`` returns bytes
    :param decoder: ``await decoder(payload, backend, key)`` returns the value; if it raises, the value is absent
    :raises WrongArgumentError: if `klass` is not a class or is `int` or `bytes`, or a function cannot be called
    """
    if not isinstance(cast("object", klass), type) or klass in NATIVE:
        raise WrongArgumentError("klass", klass, "a class other than int and bytes")
    custom = Custom(_name_of(klass), runnable("encoder", encoder), runnable("decoder", decoder))
    try:
        hash(klass)
    except TypeError:
        raise WrongArgumentError("klass", klass, "a class with a hash") from None
    for same_name in [each for each in _customs if _name_of(each) == custom.name]:
        del _customs[same_name]
    _customs[klass] = custom


def _name_of(klass: type) -> str:
    return f"{klass.__module__}:{klass.__qualname__}"


def custom_of(value: object) -> Custom | None:
    """Return the registered type of a value, or of an entry's value; `None` if its class is not registered."""
    if not _customs:
        return None
    if type(value) is Entry:
        value = None if type(value.outcome) is Raised else cast("Returned", value.outcome).value
    try:
        return _customs.get(type(value))
    except TypeError:  # its metaclass has no hash
        return None


def custom_by_name(name: str) -> Custom | None:
    """Return the registered type with a name such as ``module:Class``."""
    return next((custom for custom in _customs.values() if custom.name == name), None)


def custom_by_class_name(name: str) -> Custom | None:
    """Return the registered type with a bare class name, as cashews 7 stored it; `None` if several have the name."""
    found = [custom for klass, custom in _customs.items() if klass.__name__ == name]
    return found[0] if len(found) == 1 else None

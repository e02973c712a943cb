"""Registered types: classes whose objects an encoder and a decoder of the user's turn into bytes and back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, cast

from cashews._arguments import runnable
from cashews.exceptions import WrongArgumentError
from cashews.strategies.entry import Entry, Raised

Encoder = Callable[..., Awaitable[bytes]]
"""``await encoder(value, backend, key, expire)``"""
Decoder = Callable[..., Awaitable[Any]]
"""``await decoder(payload, backend, key)``"""

NATIVE: Final = frozenset({int, bytes})
"""What every store keeps in a way of its own."""


@dataclass(frozen=True, slots=True)
class Custom:
    """A registered type: the name that stands in front of its payloads, and what writes and reads them."""

    name: str
    encoder: Encoder
    decoder: Decoder


@dataclass(slots=True)
class Pending:
    """A stored value that its decoder has yet to read; `entry` is the entry whose value it is, if it is one's."""

    custom: Custom
    payload: bytes
    entry: Entry | None = None


_customs: dict[type, Custom] = {}


def register_type(klass: type, encoder: Encoder, decoder: Decoder) -> None:
    """Have objects of exactly this class written and read by functions of your own, in every serializer.

    A value is looked at, and the value of an entry; what is inside a list or mapping is the codec's business. A class
    is known by its module and qualified name; one that is registered later under the same name replaces it.

    :param encoder: ``await encoder(value, backend, key, expire)`` returns bytes
    :param decoder: ``await decoder(payload, backend, key)`` returns the value; a value that it raises for is absent
    :raises WrongArgumentError: if it is no class, one that stores keep natively, or something cannot be called
    """
    if not isinstance(cast("object", klass), type) or klass in NATIVE:
        raise WrongArgumentError("klass", klass, "a class other than int and bytes")
    custom = Custom(_name_of(klass), runnable("encoder", encoder), runnable("decoder", decoder))
    for other in [each for each in _customs if _name_of(each) == custom.name]:
        del _customs[other]
    _customs[klass] = custom


def _name_of(klass: type) -> str:
    return f"{klass.__module__}:{klass.__qualname__}"


def custom_of(value: object) -> Custom | None:
    """Return the registered type of a value, or of an entry's value; `None` if it has none."""
    if not _customs:
        return None
    if isinstance(value, Entry):
        value = None if isinstance(value.outcome, Raised) else value.outcome.value
    return _customs.get(type(value))


def custom_called(name: str) -> Custom | None:
    """Return the registered type of a name, as in ``module:Class``."""
    return next((custom for custom in _customs.values() if custom.name == name), None)


def custom_of_class(name: str) -> Custom | None:
    """Return the one registered type whose class has a name; `None` if there are several."""
    found = [custom for klass, custom in _customs.items() if klass.__name__ == name]
    return found[0] if len(found) == 1 else None

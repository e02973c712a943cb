"""The codecs: one value to bytes and back, by a library each."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from cashews.serialize.optional import load

PICKLED: Final = 0x80
"""The first byte of a pickle since protocol 2."""

_PROTOCOL: Final = 5
_DILL_PROTOCOL: Final = 4
"""What dill writes by itself on most versions of Python; all of them read it."""

_PLAIN: Final = frozenset({type(None), bool, float, str, list, tuple, dict})
"""What comes back from msgpack and belongs to no class of its own."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A library's way to write a value and to read it.

    `start` is the byte that everything it writes begins with, `None` if there is none: then it writes no pickles.
    """

    name: str
    dumps: Callable[[object], bytes]
    loads: Callable[[bytes], object]
    start: int | None = None


def codec_of(pickle_type: str) -> Codec:
    """Return a codec by its name.

    :raises MissingExtraError: if its package is not installed
    """
    return _MAKERS[pickle_type]()


def _pickle() -> Codec:
    return Codec("pickle", partial(pickle.dumps, protocol=_PROTOCOL), pickle.loads, PICKLED)


def _dill() -> Codec:
    dill = load("dill", "dill")
    return Codec("dill", partial(dill.dumps, protocol=_DILL_PROTOCOL), dill.loads, PICKLED)


def _sqlalchemy() -> Codec:
    serializer = load("sqlalchemy.ext.serializer", "sqlalchemy")
    return Codec("sqlalchemy", partial(serializer.dumps, protocol=_PROTOCOL), serializer.loads, PICKLED)


def _json() -> Codec:
    return Codec("json", _dump_json, json.loads)


def _dump_json(value: object) -> bytes:
    return json.dumps(value).encode()


def _msgpack() -> Codec:
    msgpack = load("msgspec.msgpack", "msgpack")
    return Codec("msgpack", MsgpackWriter(msgpack.Encoder().encode), msgpack.Decoder().decode)


@dataclass(frozen=True, slots=True)
class MsgpackWriter:
    """Writes what msgpack gives back as it was; the library itself would write an object's fields, and lose its class.

    What it contains is the library's business: there dataclasses come back as mappings, sets and tuples as lists.
    """

    encode: Callable[[object], bytes]

    def __call__(self, value: object) -> bytes:
        if isinstance(value, int) and not isinstance(value, bool):
            return b"%d" % value  # an enum's member, say; on its own, msgpack's small integers could be anything
        if type(value) in _PLAIN:
            return self.encode(value)
        message = f"an object of type {type(value).__qualname__} would come back as plain data"
        raise TypeError(message)


_MAKERS: Mapping[str, Callable[[], Codec]] = {
    "pickle": _pickle,
    "default": _pickle,
    "dill": _dill,
    "sqlalchemy": _sqlalchemy,
    "json": _json,
    "msgpack": _msgpack,
}

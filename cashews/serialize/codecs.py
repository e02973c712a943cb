"""The codecs: each turns a value into bytes and back with one library."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from cashews._dataclass import dataclass
from cashews.serialize.optional import load

PICKLED: Final = 0x80
"""The first byte of a pickle since protocol 2."""

_PROTOCOL: Final = 5
_DILL_PROTOCOL: Final = 4
"""The default of dill on most versions of Python; all of them can read it."""

_PLAIN: Final = frozenset({type(None), bool, float, str, list, tuple, dict})
"""The types that msgpack writes and reads back as equal values, apart from integers."""


@dataclass(frozen=True, slots=True)
class Codec:
    """A pair of functions of one library: `dumps` turns a value into bytes, `loads` turns them back.

    `start` is the first byte of everything that `dumps` returns; `None` for a library without such a byte, which then
    writes no pickles.
    """

    name: str
    dumps: Callable[[object], bytes]
    loads: Callable[[bytes], object]
    start: int | None = None


def codec_of(pickle_type: str) -> Codec:
    """Return the codec with a name, as in the option `pickle_type`.

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
    """The `dumps` of msgpack, restricted to plain data: the library would write other objects without their class.

    Only the value itself is checked. Inside of it, as the library has it, a dataclass comes back as a mapping, and a
    set or tuple as a list.
    """

    encode: Callable[[object], bytes]

    def __call__(self, value: object) -> bytes:
        if isinstance(value, int) and not isinstance(value, bool):
            return b"%d" % value  # a subclass of int; msgpack's small integers begin like other forms
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

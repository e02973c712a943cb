"""The forms of stored values: a few bytes in front of a codec's output tell the type of the value.

Integers are decimal text, and bytes follow ``bytes:``, as in cashews 7. A record of this package is written field by
field, so stored values stay readable when its class is moved or renamed. The output of a codec by itself never begins
like a form.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from struct import Struct
from typing import Final, cast

from cashews.exceptions import DecodeError
from cashews.serialize.codecs import Codec
from cashews.serialize.custom import Custom, Pending, custom_by_class_name, custom_by_name
from cashews.strategies.entry import Entry, Raised, Returned, StoredRun
from cashews.strategies.replay import RECORDERS, Replay

HITS_PREFIX: Final = b"\0H"
"""The first bytes of a stored entry. Its number of hits follows, then the rest of the entry.

The hits are outside of the signature, because stores count them in place.
"""
HITS_SIZE: Final = 8
"""The bytes of the number of hits, an unsigned integer with the highest byte first."""
HITS: Final = slice(len(HITS_PREFIX), len(HITS_PREFIX) + HITS_SIZE)
"""The position of the number of hits in a stored entry."""

_FRAME: Final = 0
_ENTRY: Final = b"\0E"
_RAISED: Final = b"\0R"
_RUN: Final = b"\0I"
_CUSTOM: Final = b"\0T"
_REPLAY: Final = b"\0P"
_BYTES: Final = b"bytes"
_BEYOND_DIGITS: Final = 0x3A
_BEYOND_ASCII: Final = 0x80
_MINUS: Final = 0x2D

_ENTRY_HEAD: Final = Struct(">2sdd")
"""The form, the deadline, the cost."""
_CUSTOM_HEAD: Final = Struct(">2sH")
"""The form, the length of the name of the class; of a custom type, or of a replay."""

_CLASS: Final = pickle.STACK_GLOBAL
"""The opcode in every pickle that refers to a class. Without it no object of an older class can come back."""
_SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
"""The types that need no check by `repr()`: their objects have no attributes that could be missing."""


def next_hits(stored: bytes | bytearray) -> bytes:
    """Return the number of hits of a stored entry plus one, as bytes."""
    return (int.from_bytes(stored[HITS], "big") + 1).to_bytes(HITS_SIZE, "big")


def integer_in(stored: bytes) -> int | None:
    """Return the integer in stored bytes if they are its decimal text, else `None`."""
    digits = stored[1:] if stored[0] == _MINUS else stored
    return int(stored) if digits.isdigit() else None


class Forms:
    """The writer and reader of all forms, with one codec for the values inside of them."""

    def __init__(self, codec: Codec, *, check_repr: bool) -> None:
        self._dump = codec.dumps
        self._loads = codec.loads
        self._start = codec.start
        self.load = self._load_checked if check_repr and codec.start is not None else codec.loads
        self._writers: Mapping[type, Callable[..., bytes]] = {
            int: self._write_integer,
            bytes: self._write_bytes,
            Entry: self._write_entry,
            Raised: self._write_raised,
            StoredRun: self._write_run,
            Replay: self._write_replay,
        }
        self._readers: Mapping[bytes, Callable[[str, bytes], object]] = {
            _ENTRY: self._read_entry,
            _RAISED: self._read_raised,
            _RUN: self._read_run,
            _CUSTOM: self._read_custom,
            _REPLAY: self._read_replay,
        }

    def _load_checked(self, payload: bytes) -> object:
        """Load a value and try its `repr()`, which fails if it was stored by an older class and lacks attributes."""
        value = self._loads(payload)
        if type(value) not in _SCALARS and _CLASS in payload:
            repr(value)
        return value

    # --- writing

    def write(self, value: object) -> bytes:
        """Return the stored form of a value. Exceptions of the codec are not caught."""
        writer = self._writers.get(type(value))
        return self._dump(value) if writer is None else writer(value)

    def write_custom(self, value: object, custom: Custom, payload: bytes) -> bytes:
        """Return the stored form of a payload of a custom type, inside its entry if `value` is an entry."""
        name = custom.name.encode()
        body = _CUSTOM_HEAD.pack(_CUSTOM, len(name)) + name + payload
        return self._entry_head(value) + body if type(value) is Entry else body

    def _write_integer(self, value: int) -> bytes:
        return b"%d" % value

    def _write_bytes(self, value: bytes) -> bytes:
        return b"bytes:" + value

    def _write_entry(self, entry: Entry) -> bytes:
        outcome = entry.outcome
        return self._entry_head(entry) + self.write(
            outcome if type(outcome) is Raised else cast("Returned", outcome).value
        )

    def _entry_head(self, entry: Entry) -> bytes:
        return _ENTRY_HEAD.pack(_ENTRY, entry.deadline, entry.cost)

    def _write_raised(self, raised: Raised) -> bytes:
        return _RAISED + self._dump(raised.error)

    def _write_run(self, run: StoredRun) -> bytes:
        return _RUN + self._dump(list(run.items))

    def _write_replay(self, replay: Replay) -> bytes:
        kind = replay.kind.encode()
        return _CUSTOM_HEAD.pack(_REPLAY, len(kind)) + kind + RECORDERS[replay.kind].pack(replay.state)

    # --- reading

    def read(self, key: str, body: bytes) -> object:
        """Return the value of a stored form, `Pending` for a custom type. Exceptions of the codec are not caught.

        :raises DecodeError: if the form is unknown
        """
        first = body[0]
        if first == self._start:
            return self.load(body)
        if first == _FRAME:
            return self._read_framed(key, body)
        if first < _BEYOND_DIGITS and (number := integer_in(body)) is not None:
            return number
        if first < _BEYOND_ASCII and chr(first).isidentifier() and b":" in body:
            return self._read_named(key, body)
        if self._start is not None:
            raise DecodeError(key, "it is not recognised")
        return self.load(body)

    def _read_framed(self, key: str, body: bytes) -> object:
        reader = self._readers.get(body[:2])
        if reader is None:
            raise DecodeError(key, "it has a form that is not known here")
        return reader(key, body)

    def _read_named(self, key: str, body: bytes) -> object:
        """Read bytes, or a payload of a custom type as cashews 7 wrote it: after the bare name of its class."""
        name, _, payload = body.partition(b":")
        if name == _BYTES:
            return payload
        custom = custom_by_class_name(name.decode())
        if custom is None:
            raise DecodeError(key, "it is not recognised, and not exactly one registered type has its name")
        return Pending(custom, payload)

    def _read_entry(self, key: str, body: bytes) -> Entry | Pending:
        _, deadline, cost = cast("tuple[bytes, float, float]", _ENTRY_HEAD.unpack_from(body))
        inner = body[_ENTRY_HEAD.size :]
        if inner.startswith(_ENTRY):
            raise DecodeError(key, "it is an entry of an entry")
        value = self.read(key, inner)
        if type(value) is Pending:
            value.entry = Entry(Returned(None), deadline, cost)
            return value
        return Entry(value if type(value) is Raised else Returned(value), deadline, cost)

    def _read_raised(self, key: str, body: bytes) -> Raised:
        error = self.load(body[len(_RAISED) :])
        if not issubclass(type(error), Exception):
            raise DecodeError(key, "it is no exception")
        return Raised(cast("Exception", error))

    def _read_run(self, key: str, body: bytes) -> StoredRun:
        items = self.load(body[len(_RUN) :])
        if type(items) is not list:
            raise DecodeError(key, "it is no list of items")
        return StoredRun(tuple(cast("list[object]", items)))

    def _read_replay(self, key: str, body: bytes) -> Replay:
        _, size = cast("tuple[bytes, int]", _CUSTOM_HEAD.unpack_from(body))
        end = _CUSTOM_HEAD.size + size
        kind = body[_CUSTOM_HEAD.size : end].decode()
        if kind not in RECORDERS:
            raise DecodeError(key, "its type is not recorded here")
        return Replay(kind, RECORDERS[kind].unpack(body[end:]))

    def _read_custom(self, key: str, body: bytes) -> Pending:
        _, size = cast("tuple[bytes, int]", _CUSTOM_HEAD.unpack_from(body))
        end = _CUSTOM_HEAD.size + size
        custom = custom_by_name(body[_CUSTOM_HEAD.size : end].decode())
        if custom is None:
            raise DecodeError(key, "its type is not registered")
        return Pending(custom, body[end:])

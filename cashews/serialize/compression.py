"""Compression: the options choose the format to write, the first bytes of stored data tell the format to read.

Sizes are bounded in both directions.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cashews.exceptions import DecodeError
from cashews.serialize.optional import load

_GZIP_WINDOW: Final = 31
"""The `wbits` with which zlib reads the format of gzip."""
_LEVEL: Final = 6
STEP: Final = 256 * 1024
"""The bytes that one step of a decompression brings at most: about a millisecond."""
CHUNK: Final = 64 * 1024
"""The bytes that a decompressor is given at a time."""

Compress = Callable[[bytes], bytes]


def compress_of(compress_type: str) -> Compress:
    """Return the function that compresses in a format, as in the option `compress_type`.

    :raises MissingExtraError: if its package is not installed
    """
    if compress_type == "zstd":
        compress: Compress = _zstd().compress
        return compress
    return _gzip if compress_type == "gzip" else zlib.compress


def _zstd() -> Any:
    """Return Python's own module, or its backport for versions before 3.14."""
    return load("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "zstd")


def _gzip(payload: bytes) -> bytes:
    """Compress without a timestamp, so that equal values become equal bytes."""
    return gzip.compress(payload, _LEVEL, mtime=0)


class Expansion:
    """The decompression of one stream, in steps: a few bytes may expand to many, and others want to run meanwhile."""

    __slots__ = ("_given", "_key", "_limit", "_packed", "_parts", "_size", "_stream")

    def __init__(self, key: str, stream: Any, packed: bytes, limit: int) -> None:
        self._key = key
        self._stream = stream
        self._packed = memoryview(packed)
        self._given = 0
        """The number of bytes that the stream was given: a chunk at a time, as it may return what is left of one."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def step(self) -> bool:
        """Decompress up to `STEP` bytes, never more than one byte beyond the limit; returns whether that was all.

        :raises DecodeError: if the data are incomplete, followed by other data, or larger than the limit
        """
        stream, end = self._stream, min(self._size + STEP, self._limit + 1)
        while not stream.eof and self._size < end:
            chunk = self._next_chunk()
            part: bytes = stream.decompress(chunk, end - self._size)
            if not (part or chunk) and self._is_starved:
                raise DecodeError(self._key, "its compressed data are incomplete")
            self._parts.append(part)
            self._size += len(part)
        if self._size > self._limit:
            raise DecodeError(self._key, too_large(self._limit))
        if stream.eof and (stream.unused_data or self._given < len(self._packed)):
            raise DecodeError(self._key, "its compressed data are followed by others")
        return bool(stream.eof)

    def _next_chunk(self) -> bytes | memoryview:
        """Return the input that the stream has not used, or the next; nothing while it has more output (zstd)."""
        unused: bytes = getattr(self._stream, "unconsumed_tail", b"")
        if unused or not self._is_hungry:
            return unused
        chunk = self._packed[self._given : self._given + CHUNK]
        self._given += len(chunk)
        return chunk

    @property
    def _is_hungry(self) -> bool:
        """True if the stream cannot go on without more input; only zstd tells."""
        return bool(getattr(self._stream, "needs_input", True))

    @property
    def _is_starved(self) -> bool:
        """True if the stream wants more input than there is."""
        return self._is_hungry and self._given >= len(self._packed)

    def payload(self) -> bytes:
        """Return everything, once the last step is done."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def expansion_of(key: str, packed: bytes, limit: int) -> Expansion | None:
    """Return the decompression that bytes need, `None` if they are not compressed.

    :param limit: the largest number of decompressed bytes
    """
    stream_of = _STREAMS.get(packed[:2])
    return None if stream_of is None else Expansion(key, stream_of(), packed, limit)


def too_large(limit: int) -> str:
    """Return the reason for which data beyond a limit are refused."""
    return f"it is larger than {limit} bytes"


def _unzstd() -> Any:
    return _zstd().ZstdDecompressor()


_STREAMS: Mapping[bytes, Callable[[], Any]] = {
    b"\x1f\x8b": partial(zlib.decompressobj, _GZIP_WINDOW),
    # The headers of zlib's four levels. Neither the output of a codec nor the name of a class begins like one of them.
    **dict.fromkeys((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), partial(zlib.decompressobj, zlib.MAX_WBITS)),
    b"\x28\xb5": _unzstd,
}
"""The function that returns a new decompressor for data, by their first two bytes."""

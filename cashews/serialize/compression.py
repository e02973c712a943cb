"""Compression: what is written is configured, what is read is recognised, and both are bounded."""

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
"""What tells zlib to read the format of gzip."""
_LEVEL: Final = 6

Compress = Callable[[bytes], bytes]


def compress_of(compress_type: str) -> Compress:
    """Return what compresses.

    :raises MissingExtraError: if its package is not installed
    """
    if compress_type == "zstd":
        compress: Compress = _zstd().compress
        return compress
    return _gzip if compress_type == "gzip" else zlib.compress


def _zstd() -> Any:
    """Return Python's own module, or the package that is the same for versions before 3.14."""
    return load("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd", "zstd")


def _gzip(payload: bytes) -> bytes:
    """Compress without the time of day: equal values are equal bytes."""
    return gzip.compress(payload, _LEVEL, mtime=0)


def expanded(key: str, packed: bytes, limit: int) -> bytes:
    """Return bytes as they were before they were compressed, if they were.

    :param limit: how many bytes they may grow to
    :raises DecodeError: if they are damaged, incomplete, followed by others, or grow too large
    """
    expand = _EXPANDERS.get(packed[:2])
    return packed if expand is None else expand(key, packed, limit)


def _inflated(key: str, packed: bytes, limit: int, *, window: int) -> bytes:
    return _bounded(key, zlib.decompressobj(window), packed, limit)


def _unzstd(key: str, packed: bytes, limit: int) -> bytes:
    return _bounded(key, _zstd().ZstdDecompressor(), packed, limit)


def _bounded(key: str, stream: Any, packed: bytes, limit: int) -> bytes:
    """Expand one whole stream; it is not asked for more than a byte too many."""
    payload: bytes = stream.decompress(packed, limit + 1)
    if len(payload) > limit:
        raise DecodeError(key, too_large(limit))
    if not stream.eof:
        raise DecodeError(key, "its compressed data are incomplete")
    if stream.unused_data:
        raise DecodeError(key, "its compressed data are followed by others")
    return payload


def too_large(limit: int) -> str:
    """Return why data are refused that are, or would be, too large."""
    return f"it is larger than {limit} bytes"


_EXPANDERS: Mapping[bytes, Callable[[str, bytes, int], bytes]] = {
    b"\x1f\x8b": partial(_inflated, window=_GZIP_WINDOW),
    # The headers of zlib's four levels; no other begins like the output of a codec or the name of a class.
    **dict.fromkeys((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), partial(_inflated, window=zlib.MAX_WBITS)),
    b"\x28\xb5": _unzstd,
}
"""The first two bytes of compressed data, and what reads them."""

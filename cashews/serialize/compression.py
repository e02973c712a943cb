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


def expanded(key: str, packed: bytes, limit: int) -> bytes:
    """Return bytes in decompressed form, unchanged if they are not compressed.

    :param limit: the largest number of decompressed bytes
    :raises DecodeError: if the data are damaged, incomplete, followed by other data, or larger than the limit
    """
    expand = _EXPANDERS.get(packed[:2])
    return packed if expand is None else expand(key, packed, limit)


def _inflated(key: str, packed: bytes, limit: int, *, window: int) -> bytes:
    return _bounded(key, zlib.decompressobj(window), packed, limit)


def _unzstd(key: str, packed: bytes, limit: int) -> bytes:
    return _bounded(key, _zstd().ZstdDecompressor(), packed, limit)


def _bounded(key: str, stream: Any, packed: bytes, limit: int) -> bytes:
    """Decompress one whole stream, and never more than one byte beyond the limit."""
    payload: bytes = stream.decompress(packed, limit + 1)
    if len(payload) > limit:
        raise DecodeError(key, too_large(limit))
    if not stream.eof:
        raise DecodeError(key, "its compressed data are incomplete")
    if stream.unused_data:
        raise DecodeError(key, "its compressed data are followed by others")
    return payload


def too_large(limit: int) -> str:
    """Return the reason for which data beyond a limit are refused."""
    return f"it is larger than {limit} bytes"


_EXPANDERS: Mapping[bytes, Callable[[str, bytes, int], bytes]] = {
    b"\x1f\x8b": partial(_inflated, window=_GZIP_WINDOW),
    # The headers of zlib's four levels. Neither the output of a codec nor the name of a class begins like one of them.
    **dict.fromkeys((b"x\x01", b"x\x5e", b"x\x9c", b"x\xda"), partial(_inflated, window=zlib.MAX_WBITS)),
    b"\x28\xb5": _unzstd,
}
"""The function that decompresses data, by their first two bytes."""

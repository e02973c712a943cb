"""The serializer: it writes codec and form, then compression, then signature; it reads them in reverse.

The layers of a stored value, from the outside in:

* an integer is decimal text by itself, never signed, because stores count in it;
* an entry begins with NUL "H" and 8 bytes of hits, because stores count them; sealed bytes follow;
* sealed bytes are NUL "S", a MAC and packed bytes; without a secret they are packed bytes;
* packed bytes are a body, or a body compressed by gzip, zlib or zstd;
* a body is the output of a codec, or decimal text, or "bytes:" and bytes, or NUL, a letter, fields and another body.
"""

from __future__ import annotations

from typing import Final, cast

from cashews._dataclass import replace
from cashews.exceptions import DecodeError, EncodeError
from cashews.serialize.codecs import codec_of
from cashews.serialize.compression import Expansion, compress_of, expansion_of, too_large
from cashews.serialize.custom import Custom, Pending
from cashews.serialize.forms import HITS, HITS_PREFIX, HITS_SIZE, Forms, integer_in
from cashews.serialize.options import SerializerOptions
from cashews.serialize.signature import SIGNED, Signature
from cashews.strategies.entry import Entry, Raised, Returned

_BEYOND_DIGITS: Final = 0x3A
_NO_BYTE: Final = -1
STEPS: Final = 4
"""The steps of a decompression that are done at once; what takes more is `Pending`."""
_PLAIN: Final = frozenset({type(None), bool, float, str, list, tuple, dict})
"""The types that only the codec writes, without a form."""


class Serializer:
    """An encoder and decoder of values, configured by options.

    Values of custom types take an `await`: see `custom_of()`, `encode_custom()` and `finish()`.

    :raises MissingExtraError: if the package of the codec, compression or signature is not installed
    """

    def __init__(self, options: SerializerOptions) -> None:
        self._options = options
        codec = codec_of(options.pickle_type)
        self._name = codec.name
        self._forms = Forms(codec, check_repr=options.check_repr)
        self._write = self._forms.write
        self._load = self._forms.load
        compress_type = options.compress_type
        self._compress = None if compress_type in {None, "null"} else compress_of(str(compress_type))
        secrets = options.secrets
        self._signature = Signature(secrets, options.digestmod, options.legacy_digestmod) if secrets else None
        self._bare = _NO_BYTE if secrets or codec.start is None else codec.start
        """The first byte of stored values that only the codec has to read."""
        self._dump_plain = codec.dumps if self._compress is None and self._signature is None else None
        """The function that writes plain values, if there are neither compression nor signature."""

    def __repr__(self) -> str:
        return f"Serializer({self._options!r})"

    # --- writing

    def encode(self, key: str, value: object) -> bytes:
        """Return the bytes to store for a value; those of an `int` are decimal text that a store can count in.

        :raises EncodeError: if the codec cannot write the value, or the result would be too large to be read
        """
        try:
            if self._dump_plain is not None and type(value) in _PLAIN:
                return self._dump_plain(value)
            if type(value) is int:
                return b"%d" % value
            return self._finished(key, value, self._write(value))
        except Exception as error:
            raise EncodeError(key, content_of(value), self._name, str(error)) from error

    async def encode_custom(
        self, key: str, value: object, custom: Custom, backend: object = None, expire: float | None = None
    ) -> bytes:
        """Return the bytes to store for a value of a custom type, or for an entry with such a value.

        :param custom: the result of `custom_of(value)`
        :param backend: handed to the encoder
        :raises EncodeError: if the encoder fails, or does not return bytes
        """
        content = content_of(value)
        try:
            payload = await custom.encoder(content, backend, key, expire)
            return self._finished(key, value, self._forms.write_custom(value, custom, payload))
        except Exception as error:
            raise EncodeError(key, content, "its encoder", str(error)) from error

    def _finished(self, key: str, value: object, body: bytes) -> bytes:
        packed = body if self._compress is None else self._compressed(body)
        sealed = packed if self._signature is None else self._signature.seal(key, packed)
        if type(value) is Entry:
            return HITS_PREFIX + value.hits.to_bytes(HITS_SIZE, "big") + sealed
        return sealed

    def _compressed(self, body: bytes) -> bytes:
        if len(body) < self._options.compress_threshold or self._compress is None:
            return body
        if len(body) > self._options.size_limit:
            raise ValueError(too_large(self._options.size_limit))
        return self._compress(body)

    # --- reading

    def decode(self, key: str, stored: bytes) -> object:
        """Return a stored value; `Pending` for a custom type or one that takes long, which `finish()` completes.

        A signature is verified before anything is decompressed or decoded.

        :raises DecodeError: if the bytes cannot be verified, recognised or decoded
        """
        try:
            if stored[0] == self._bare:
                return self._load(stored)
            return self._decoded(key, stored)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(key, type(error).__name__ if stored else "it is empty") from error

    def resume(self, key: str, pending: Pending) -> object:
        """Return a value whose decompression was pending; `Pending` for a custom type, or while there is more to do.

        :raises DecodeError: if the bytes cannot be decompressed, recognised or decoded
        """
        expansion = pending.expansion
        try:
            if expansion is not None and not expansion.step():
                return pending
            return pending if expansion is None else self._read(key, expansion, pending.hits)
        except DecodeError:
            raise
        except Exception as error:
            raise DecodeError(key, type(error).__name__) from error

    async def finish(self, key: str, pending: Pending, backend: object = None) -> object:
        """Return a value of a custom type, or the entry that contains it; its decompression is over.

        :param backend: handed to the decoder
        :raises DecodeError: if the decoder fails
        """
        assert pending.custom is not None
        try:
            value = await pending.custom.decoder(pending.payload, backend, key)
        except DecodeError as error:  # raised by the user's decoder, perhaps without the key
            raise DecodeError(key, error.reason) from error
        except Exception as error:
            raise DecodeError(key, f"its decoder failed with {type(error).__name__}") from error
        if pending.entry is None:
            return value
        return replace(pending.entry, outcome=Returned(value))

    def _decoded(self, key: str, stored: bytes) -> object:
        if stored[0] < _BEYOND_DIGITS and (number := integer_in(stored)) is not None:
            return number
        if stored.startswith(HITS_PREFIX):
            return self._counted(key, stored)
        return self._opened(key, stored)

    def _counted(self, key: str, stored: bytes) -> object:
        return self._opened(key, stored[HITS.stop :], int.from_bytes(stored[HITS], "big"))

    def _opened(self, key: str, sealed: bytes, hits: int | None = None) -> object:
        if self._signature is not None:
            sealed = self._signature.open(key, sealed)
        elif sealed.startswith(SIGNED):
            raise DecodeError(key, "it is signed, and no secret is set")
        expansion = expansion_of(key, sealed, self._options.size_limit)
        if expansion is None:
            return self._with_hits(key, self._forms.read(key, sealed), hits)
        for _ in range(STEPS):
            if expansion.step():
                return self._read(key, expansion, hits)
        return Pending(expansion=expansion, hits=hits)

    def _read(self, key: str, expansion: Expansion, hits: int | None) -> object:
        return self._with_hits(key, self._forms.read(key, expansion.payload()), hits)

    @staticmethod
    def _with_hits(key: str, found: object, hits: int | None) -> object:
        """Give an entry its number of hits, if that is stored apart from it."""
        if hits is not None:
            entry = found.entry if type(found) is Pending else found
            if type(entry) is not Entry:
                raise DecodeError(key, "it has hits and is no entry")
            entry.hits = hits
        return found


def content_of(value: object) -> object:
    """Return the user's object in a value to store: the result or exception inside an entry, or the value itself."""
    if type(value) is Entry:
        outcome = value.outcome
        value = outcome if type(outcome) is Raised else cast("Returned", outcome).value
    return value.error if type(value) is Raised else value

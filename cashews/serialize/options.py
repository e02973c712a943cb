"""The options of a serializer, as `setup()` takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias, cast, get_args

from cashews._dataclass import dataclass, field
from cashews.exceptions import WrongOptionError

PickleType: TypeAlias = Literal["pickle", "default", "json", "dill", "sqlalchemy", "msgpack"]
"""The names of the codecs; ``default`` is another name for ``pickle``."""
Digestmod: TypeAlias = Literal["sum", "md5", "sha1", "sha256", "xxh32", "xxh64", "xxh3_64", "xxh3_128"]
CompressType: TypeAlias = Literal["null", "gzip", "zlib", "zstd"]
"""The names of the compressions; ``null`` means none, as `None` does."""

_CHOICES = {"pickle_type": PickleType, "digestmod": Digestmod, "compress_type": CompressType}
_MINIMA = {"compress_threshold": 0, "size_limit": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SerializerOptions:
    """The options of serialisation. A record that inherits from this one calls `check_serializer()` in its own check.

    * `pickle_type`: the codec.
    * `secret`: one secret, or several: the first signs, all verify, so that a secret can be replaced step by step.
    * `digestmod`: the algorithm of the signature.
    * `legacy_digestmod`: read, too, values that cashews 7 has signed with this algorithm. That format binds a value to
      its key less tightly, so remove the option when these values have expired.
    * `compress_type`: the compression of new values; stored values are recognised, whatever their compression is.
    * `compress_threshold`: the size in bytes below which values are not compressed.
    * `size_limit`: the bytes that one compressed value may have after decompression.
    * `check_repr`: a value counts as absent if its `repr()` fails, since an older version of its class has stored it.
    """

    pickle_type: PickleType = "pickle"
    secret: str | bytes | Sequence[str | bytes] | None = field(default=None, repr=False)
    digestmod: Digestmod = "md5"
    legacy_digestmod: Digestmod | None = None
    compress_type: CompressType | None = None
    compress_threshold: int = 1024
    size_limit: int = 128 * 1024 * 1024
    check_repr: bool = True

    def __post_init__(self) -> None:
        self.check_serializer()

    def check_serializer(self) -> None:
        """Check the fields of this record.

        :raises WrongOptionError: if the value of an option is not allowed
        """
        for name, choice in _CHOICES.items():
            _check_choice(name, getattr(self, name), choice, optional=name == "compress_type")
        for name, least in _MINIMA.items():
            _check_least(name, getattr(self, name), least)
        _check_choice("legacy_digestmod", self.legacy_digestmod, Digestmod if self.secrets else None, optional=True)
        if type(self.check_repr) is not bool:
            raise WrongOptionError("check_repr", self.check_repr, "True or False")

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets as bytes; the first signs, all verify. Empty if values are not signed.

        :raises WrongOptionError: if one of them is empty, or neither text nor bytes
        """
        if self.secret is None:
            return ()
        given = (self.secret,) if isinstance(self.secret, (str, bytes)) else self.secret
        if not isinstance(cast("object", given), Sequence) or not given:
            raise _wrong_secret(given)
        return tuple([_secret_of(each) for each in given])


def _secret_of(given: object) -> bytes:
    secret = given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given
    if isinstance(secret, bytes) and secret:
        return secret
    raise _wrong_secret(given)


def _wrong_secret(given: object) -> WrongOptionError:
    """Return an error that shows the type of the given object, never the secret itself."""
    found = given if not given else type(given)
    return WrongOptionError("secret", found, "text or bytes, not empty, or several of them")


def _check_choice(name: str, value: object, choice: object, *, optional: bool) -> None:
    allowed = (*get_args(choice), *([None] if optional else []))
    if value not in allowed:
        raise WrongOptionError(name, value, ", ".join(map(repr, allowed)))


def _check_least(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise WrongOptionError(name, value, f"an integer from {least}")

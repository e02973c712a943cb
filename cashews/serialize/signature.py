"""Signatures: they prove that stored bytes were written under their key with knowledge of a secret.

A signature is an HMAC (RFC 2104) over the length of the key, the key, and the payload; the length separates the two
unambiguously. The algorithm comes from the options, never from stored data.
"""

from __future__ import annotations

import hmac
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cashews.exceptions import DecodeError, WeakDigestWarning
from cashews.serialize.optional import load

SIGNED: Final = b"\0S"
"""The first bytes of signed data; the MAC follows, then the payload."""

Mac = Callable[[bytes, bytes], bytes]
"""``mac(secret, message)``"""

_SUM_BYTES: Final = 8


class Signature:
    """A signer with the first of several secrets, and a verifier with all of them.

    An HMAC with md5, sha1 or sha256 protects against attackers. The xxhash family, which is fast, and ``sum``, which
    exists for compatibility, detect accidental damage only.

    :param legacy: the algorithm for reading signatures of cashews 7, `None` to refuse them
    :raises MissingExtraError: if the package of an algorithm is not installed
    """

    def __init__(self, secrets: tuple[bytes, ...], digestmod: str, legacy: str | None = None) -> None:
        self._secrets = secrets
        self._mac = _mac_of(digestmod)
        self._start = len(SIGNED) + len(self._mac(b"", b""))
        self._old_mac = self._mac if legacy is None else _mac_of(legacy)
        self._old_prefix = None if legacy is None else f"{legacy}:".encode()

    def seal(self, key: str, payload: bytes) -> bytes:
        """Return a payload with its signature in front."""
        return SIGNED + self._mac(self._secrets[0], _framed(key, payload)) + payload

    def open(self, key: str, sealed: bytes) -> bytes:
        """Return the payload of signed bytes.

        :raises DecodeError: if they are not signed, or not for this key with one of the secrets
        """
        if sealed.startswith(SIGNED):
            start = self._start
            payload, given = sealed[start:], sealed[len(SIGNED) : start]
            valid = self._verified(_framed(key, payload), given)
        elif self._old_prefix is not None and sealed.startswith(self._old_prefix):
            given, _, payload = sealed[len(self._old_prefix) :].partition(b"_")
            valid = self._old_verified(_encoded(key) + payload, given)
        else:
            raise DecodeError(key, "it is not signed")
        if not valid:
            raise DecodeError(key, "its signature is not valid")
        return payload

    def _verified(self, message: bytes, given: bytes) -> bool:
        """Compare in constant time. Valid MACs stay in this frame, so no traceback of an error can show them."""
        return any(hmac.compare_digest(self._mac(secret, message), given) for secret in self._secrets)

    def _old_verified(self, message: bytes, given: bytes) -> bool:
        """Compare as hexadecimal text. cashews 7 wrote a sum without its leading zeros."""
        macs = [self._old_mac(secret, message).hex().encode() for secret in self._secrets]
        return any(hmac.compare_digest(mac, given.rjust(len(mac), b"0")) for mac in macs)


def _framed(key: str, payload: bytes) -> bytes:
    name = _encoded(key)
    return len(name).to_bytes(8, "big") + name + payload


def _encoded(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _mac_of(digestmod: str) -> Mac:
    if digestmod == "sum":
        warnings.warn(WeakDigestWarning(digestmod), stacklevel=2)
    return _MACS[digestmod]()


def _hmac(name: str) -> Mac:
    return partial(_digest_hmac, name)


def _digest_hmac(name: str, secret: bytes, message: bytes) -> bytes:
    return hmac.digest(secret, message, name)


def _xxhash(name: str) -> Mac:
    return partial(_digest_xxhash, getattr(load("xxhash", "speedup"), name))


def _digest_xxhash(algorithm: Callable[[bytes], Any], secret: bytes, message: bytes) -> bytes:
    digest: bytes = algorithm(secret + message).digest()
    return digest


def _sum() -> Mac:
    return _digest_sum


def _digest_sum(secret: bytes, message: bytes) -> bytes:
    return (sum(secret) + sum(message)).to_bytes(_SUM_BYTES, "big")


_MACS: Mapping[str, Callable[[], Mac]] = {
    "sum": _sum,
    **{name: partial(_hmac, name) for name in ("md5", "sha1", "sha256")},
    **{name: partial(_xxhash, name) for name in ("xxh32", "xxh64", "xxh3_64", "xxh3_128")},
}

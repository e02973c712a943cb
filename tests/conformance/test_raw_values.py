"""Raw values: every store keeps those of the same few types, and refuses all others before anything is done."""

from __future__ import annotations

import enum

import pytest

from cashews.exceptions import WrongArgumentError


class Bytes(bytes):
    pass


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not its text"


class Number(enum.IntEnum):
    ONE = 1


REFUSED = [2**63, -(2**63) - 1, 2**70, float("nan"), None, [1], {"a": 1}, bytearray(b"x"), 1j, object()]
KEPT = [
    (b"x", b"x"),
    (Bytes(b"x"), b"x"),
    ("é", "é"),
    (Text("x"), "x"),
    (Number.ONE, 1),
    (True, 1),
    (2**63 - 1, 2**63 - 1),
    (-(2**63), -(2**63)),
    (1.5, 1.5),
    (float("inf"), float("inf")),
    (b"", b""),
    ("", ""),
]


def as_sent(value):
    """Return the bytes that a server is sent for a plain value: it has no other type."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: type(value).__name__)
async def test_any_other_value_is_refused_and_the_one_before_stays(cache, value):
    """Guarantee 1."""
    await cache.set_raw("k", b"old")
    with pytest.raises(WrongArgumentError, match=r"value is .*; allowed: bytes, text, an integer of 64 bits, or"):
        await cache.set_raw("k", value)
    assert await cache.get_raw("k") == b"old"


@pytest.mark.parametrize(("value", "kept"), KEPT, ids=repr)
async def test_a_value_of_a_subclass_is_kept_as_its_plain_value(cache, value, kept):
    assert await cache.set_raw("k", value)
    found = await cache.get_raw("k")
    if isinstance(found, bytes):
        assert found == as_sent(kept)
    else:
        assert (found, type(found)) == (kept, type(kept))

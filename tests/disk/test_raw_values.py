"""What is stored without encoding it: what SQLite can keep comes back as it is, anything else is refused."""

import enum
import sqlite3
from contextlib import closing

import pytest

from cashews.exceptions import WrongArgumentError

pytestmark = pytest.mark.diskcache


class Raw(bytes):
    pass


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not its text"


class Name(str, enum.Enum):
    A = "a"


class Number(enum.IntEnum):
    ONE = 1


class Fraction(float):
    pass


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 2**70, float("nan"), None, [1], {"a": 1}])
async def test_what_cannot_be_kept_is_refused(opened, value):
    """It is no outage, which is answered neutrally if that is wished."""
    async with opened(suppress=True) as cache:
        await cache.set_raw("k", "old")
        with pytest.raises(WrongArgumentError, match=r"value is .*; allowed: bytes, text, an integer of 64 bits, or"):
            await cache.set_raw("k", value)
        with pytest.raises(WrongArgumentError):
            async with cache.transaction():
                await cache.set_raw("k", value)
        assert await cache.get_raw("k") == "old"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (Raw(b"x"), b"x"),
        (Raw(b"x" * 50_000), b"x" * 50_000),
        (Text("x"), "x"),
        (Text("x" * 50_000), "x" * 50_000),
        (Name.A, "a"),
        (Number.ONE, 1),
        (True, 1),
        (Fraction(1.5), 1.5),
        (float("inf"), float("inf")),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (0, 0),
        ("", ""),
    ],
)
@pytest.mark.parametrize("in_transaction", [False, True])
async def test_an_object_of_a_subclass_is_kept_as_its_plain_value(cache, directory, value, kept, in_transaction):
    if in_transaction:
        async with cache.transaction():
            assert await cache.set_raw("k", value)
    else:
        assert await cache.set_raw("k", value)
    found = await cache.get_raw("k")
    assert (found, type(found)) == (kept, type(kept))
    with closing(sqlite3.connect(directory / "cache.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM Cache WHERE mode = 4").fetchone() == (0,)

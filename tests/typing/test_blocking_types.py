"""The types of the blocking face: mypy and pyright check what is asserted here, and the tests run it.

The functions whose names begin with `refused` hold errors that are expected, and are never called.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from cashews import Cache, CallStatistics, Explanation

if TYPE_CHECKING:
    from typing_extensions import assert_type
else:

    def assert_type(value, _):
        """Stand in for what Python 3.10 does not have, and return the value likewise."""
        return value


cache = Cache("typed blocking")
face = cache.blocking


@pytest.fixture(autouse=True)
def store() -> Iterator[None]:
    """Give each test a store of its own."""
    cache.setup("mem://", check_interval=0)
    yield
    face.close()


@face(ttl="1m", key="simple:{uid}")
def simple(uid: int, *, fresh: bool = False) -> str:
    return f"{uid}{fresh}"


@face.early(ttl="1m", early_ttl="10s", key="early:{uid}")
def early(uid: int) -> list[str]:
    return [str(uid)]


@face.failover(ttl="1m", key="{uid}")
def failover(uid: int) -> str:
    return str(uid)


@face.locked(key="{uid}")
def locked(uid: int) -> str:
    return str(uid)


@face.invalidate("simple:{uid}")
def forgetting(uid: int) -> None: ...


@face.transaction()
def transfer(amount: int) -> int:
    return face.incr("balance", amount)


class Shop:
    @face(ttl="1m", key="price:{item}")
    def price(self, item: str) -> int:
        return len(item)


def test_decorated_functions() -> None:
    assert_type(simple(1, fresh=True), str)
    assert_type(simple.key(1), str)
    assert_type(simple.invalidate(1), bool)
    assert_type(simple.refresh(1), str)
    assert_type(simple.peek(1), "str | None")
    assert_type(simple.explain(1), Explanation)
    assert_type(simple.statistics(), CallStatistics)
    assert_type(early(1), list[str])
    assert_type(failover(1), str)
    assert_type(locked(1), str)
    assert_type(transfer(5), int)
    forgetting(1)


def test_methods() -> None:
    shop = Shop()
    assert_type(shop.price("tea"), int)
    assert_type(shop.price.peek("tea"), "int | None")
    assert_type(Shop.price.key(shop, "tea"), str)


def test_commands() -> None:
    assert_type(face.set("a", 1, expire="1m"), bool)
    assert_type(face.incr("a"), int)
    assert_type(face.get_or_set("b", lambda: 2.0), float)
    assert_type(face.get_or_set("b", 2.0), float)
    assert_type(face.scan("*"), Iterator[str])
    assert_type(face.delete("b"), bool)
    assert_type(face.exists("b"), bool)
    assert_type(face.ping(), bytes)
    with face.transaction() as transaction:
        assert_type(transaction.commit(), None)
    with face.filling("c") as filling:
        assert_type(filling.set("c", 1), bool)


def refused_arguments() -> None:
    simple("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    simple.peek()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    face.set(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def refused_waits() -> None:
    await simple(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]

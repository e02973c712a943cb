"""The types of the blocking face: mypy and pyright check what is asserted here, and the tests run it.

The functions whose names begin with `refused` hold errors that are expected, and are never called.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

from cashews import (
    Blocking,
    BlockingCached,
    BlockingCachedIterator,
    BlockingFiltered,
    Cache,
    CallStatistics,
    Explanation,
)

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


@face.iterator(ttl="1m", key="rows:{count}")
def rows(count: int) -> Iterator[float]:
    for row in range(count):
        yield float(row)


@face.many(ttl="1m", key="many:{id}")
def many(ids: list[int], *, fresh: bool = False) -> dict[int, str]:
    return {one: f"{one}{fresh}" for one in ids}


@face.batching(window=0)
def batched(ids: list[int], *, fresh: bool = False) -> dict[int, str]:
    return {one: f"{one}{fresh}" for one in ids}


@face.bloom(capacity=10, name="bloom:{name}")
def bloom(name: str) -> int:
    return len(name)


@face.dual_bloom(capacity=10, name="dual:{name}")
def dual_bloom(name: str) -> int:
    return len(name)


class Shop:
    @face(ttl="1m", key="price:{item}")
    def price(self, item: str) -> int:
        return len(item)

    @face.iterator(ttl="1m", key="goods:{kind}")
    def goods(self, kind: str) -> Iterator[str]:
        yield kind

    @face.many(ttl="1m", key="prices:{id}")
    def prices(self, ids: list[str]) -> dict[str, int]:
        return {one: len(one) for one in ids}

    @face.bloom(capacity=10, name="sells:{item}")
    def sells(self, item: str) -> bool:
        return bool(item)


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


def test_generators_and_functions_of_many_ids() -> None:
    assert_type(rows(2), Generator[float, None, None])
    assert assert_type(list(rows(2)), list[float]) == [0.0, 1.0]
    assert assert_type(rows.key(2), str) == "rows:2"
    assert_type(rows.invalidate(2), bool)
    assert_type(rows.explain(2), Explanation)
    assert assert_type(many([1], fresh=True), dict[int, str]) == {1: "1True"}
    assert assert_type(many.key(1), str) == "many:1"
    assert assert_type(many.explain([1]), dict[int, Explanation])[1].found
    many.invalidate([1])
    assert assert_type(many.statistics(), CallStatistics).loads == 1
    assert assert_type(batched(1, fresh=True), "str | None") == "1True"


def test_functions_behind_filters() -> None:
    assert assert_type(bloom.set("ann"), int) == 3
    assert assert_type(bloom("ann"), "int | bool") == 3
    assert assert_type(bloom.key("ann"), str) == "bloom:bloom:ann"
    assert assert_type(dual_bloom("ann"), "int | bool") == 3


def test_methods() -> None:
    shop = Shop()
    assert_type(shop.price("tea"), int)
    assert_type(shop.price.peek("tea"), "int | None")
    assert_type(Shop.price.key(shop, "tea"), str)
    assert assert_type(list(shop.goods("tea")), list[str]) == ["tea"]
    assert assert_type(shop.goods.key("tea"), str) == "goods:tea"
    assert assert_type(shop.prices(["tea"]), dict[str, int]) == {"tea": 3}
    assert_type(Shop.prices.explain(shop, ["tea"]), dict[str, Explanation])
    assert assert_type(shop.sells.set("tea"), bool)
    assert assert_type(shop.sells("tea"), bool)


def test_types_for_annotations() -> None:
    open_face: Blocking = face
    cached: BlockingCached[[int], list[str]] = early
    items: BlockingCachedIterator[[int], float] = rows
    filtered: BlockingFiltered[[str], int] = bloom
    assert open_face.exists(cached.key(1)) is False
    assert (items.key(1), filtered.key("ann")) == ("rows:1", "bloom:bloom:ann")


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
    rows("1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    many(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    batched("a")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    bloom.set(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    face.set(1, 2)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def refused_waits() -> None:
    await simple(1)  # type: ignore[misc]  # pyright: ignore[reportGeneralTypeIssues]

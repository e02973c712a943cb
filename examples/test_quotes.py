"""Tests of quotes.py, with time that the tests own; docs/tutorials/tests.md goes through them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from quotes import Quotes

from cashews import Cache
from cashews.testing import VirtualClock

pytestmark = pytest.mark.anyio


# --8<-- [start:fixtures]
class Exchange:
    """A stock exchange that a test controls."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.calls = 0
        self.price = 10.0
        self.seconds = 0.0
        self.is_down = False

    async def fetch(self, symbol: str) -> float:
        self.calls += 1
        if self.is_down:
            raise ConnectionError(symbol)
        await self.clock.sleep(self.seconds)
        return self.price


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def exchange(clock: VirtualClock) -> Exchange:
    return Exchange(clock)


@pytest.fixture
async def quotes(clock: VirtualClock, exchange: Exchange) -> AsyncIterator[Quotes]:
    async with Cache.open("mem://", clock=clock) as cache:
        yield Quotes(cache, exchange.fetch)


# --8<-- [end:fixtures]


# --8<-- [start:time]
async def test_a_quote_is_asked_for_once_a_minute(quotes: Quotes, exchange: Exchange, clock: VirtualClock) -> None:
    assert await quotes.of("NUT") == 10.0
    exchange.price = 11.0
    await clock.advance(59)
    assert await quotes.of("NUT") == 10.0
    await clock.advance(1)
    assert await quotes.of("NUT") == 11.0
    assert exchange.calls == 2


async def test_an_old_quote_is_better_than_none(quotes: Quotes, exchange: Exchange, clock: VirtualClock) -> None:
    await quotes.of("NUT")
    exchange.is_down = True
    await clock.advance(3_599)
    assert await quotes.of("NUT") == 10.0
    await clock.advance(1)
    with pytest.raises(ConnectionError):
        await quotes.of("NUT")


# --8<-- [end:time]


# --8<-- [start:crowd]
async def test_a_crowd_asks_the_exchange_once(quotes: Quotes, exchange: Exchange, clock: VirtualClock) -> None:
    exchange.seconds = 5
    async with anyio.create_task_group() as crowd:
        for _ in range(100):
            crowd.start_soon(quotes.of, "NUT")
        await clock.advance(5)
    assert exchange.calls == 1


# --8<-- [end:crowd]


# --8<-- [start:invalidation]
async def test_a_forgotten_quote_is_asked_for_again(quotes: Quotes, exchange: Exchange) -> None:
    await quotes.of("NUT")
    exchange.price = 12.0
    await quotes.forget("NUT")
    assert await quotes.of("NUT") == 12.0


# --8<-- [end:invalidation]

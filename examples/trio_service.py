"""A trio service that answers exchange rates over TCP; docs/tutorials/trio.md tells how it grew.

Run it with ``python examples/trio_service.py``, and ask it with ``nc 127.0.0.1 7070``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import trio

from cashews import Cache

Fetch = Callable[[str], Awaitable[float]]


# --8<-- [start:upstream]
class Bank:
    """A stand-in for a bank's slow service, which may be down."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_down = False

    async def rate(self, currency: str) -> float:
        """Return the rate of a currency against the euro."""
        self.calls += 1
        if self.is_down:
            raise ConnectionError(currency)
        await trio.sleep(0.05)
        return {"usd": 1.17, "gbp": 0.86, "jpy": 171.5}[currency]


# --8<-- [end:upstream]


# --8<-- [start:cached]
def cached(cache: Cache, fetch: Fetch) -> Fetch:
    """Return the same function with a cache: early refreshes first, the last good answer behind them."""

    @cache.failover(ttl="1d", exceptions=ConnectionError, key="last-rate:{currency}")
    @cache.early(ttl="10m", early_ttl="1m", key="rate:{currency}")
    async def rate(currency: str) -> float:
        return await fetch(currency)

    return rate


# --8<-- [end:cached]


# --8<-- [start:serve]
async def lines(stream: trio.SocketStream) -> AsyncIterator[str]:
    """Yield the lines that a client sends, up to 100 bytes each."""
    waiting = b""
    async for chunk in stream:
        waiting += chunk
        while b"\n" in waiting:
            line, waiting = waiting.split(b"\n", 1)
            yield line.decode(errors="replace").strip().lower()
        if len(waiting) > 100:
            return


async def serve(
    bank: Bank, port: int, task_status: trio.TaskStatus[list[trio.SocketListener]] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer clients until cancelled; the cache opens before the first client and closes after the last."""
    async with Cache.open("mem://?size=1000") as cache:
        rate = cached(cache, bank.rate)

        async def answer(stream: trio.SocketStream) -> None:
            async for currency in lines(stream):
                try:
                    reply = f"{await rate(currency):.2f}"
                except (KeyError, ConnectionError) as error:
                    reply = f"sorry: {error!r}"
                await stream.send_all(reply.encode() + b"\n")

        listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
        await trio.serve_listeners(answer, listeners, task_status=task_status)


# --8<-- [end:serve]

if __name__ == "__main__":
    trio.run(serve, Bank(), 7070)

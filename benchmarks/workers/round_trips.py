"""What one warm call says to a server, trip by trip: `round_trips.py URL CASE...`.

The library is connected through a proxy in this process. A round trip is all that a connection sends until it is
answered: commands in one write are one, and so is a script.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from urllib.parse import urlsplit

import cases_cashews
import hiredis
import loop_asyncio
from cases import Call, echo
from cases_cashews import cache
from lines import answer_with, describe

SIZE = 65_536
CALM_SECONDS = 0.05
WARMING = 3


class Library(cases_cashews.Library):
    """The cases of the memory store, and what makes a difference on a server only."""

    async def lock_hit(self) -> Call:
        user = cache(ttl="10m", key="lock:{uid}", lock=True)(echo)
        await user(7)
        return partial(user, 7)

    async def lock_miss(self) -> Call:
        user = cache(ttl="10m", key="lock:{uid}", lock=True)(echo)
        cold = count(1_000)
        return lambda: user(next(cold))


class Proxy:
    """Passes on what connections and the server say, and keeps the commands of each round trip."""

    def __init__(self, host: str, port: int) -> None:
        self.trips: list[list[str]] = []
        self._host, self._port = host, port
        self._busy = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        replies, requests = await asyncio.open_connection(self._host, self._port)
        line = Line(self)
        await asyncio.gather(line.pass_requests(reader, requests), line.pass_replies(replies, writer))

    async def calm(self) -> None:
        """Wait until nobody has said anything for a while."""
        self._busy = True
        while self._busy:
            self._busy = False
            await asyncio.sleep(CALM_SECONDS)

    def heard(self) -> None:
        """Remember that somebody has said something."""
        self._busy = True


class Line:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._trip: list[str] | None = None

    async def pass_requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what the library says, and note it."""
        parser = hiredis.Reader()
        while data := await reader.read(SIZE):
            self._proxy.heard()
            parser.feed(data)
            if self._trip is None:
                self._trip = []
                self._proxy.trips.append(self._trip)
            while (command := parser.gets()) is not False:
                self._trip.append(command[0].decode().upper())
            writer.write(data)
        writer.close()

    async def pass_replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what the server says, which ends a trip."""
        while data := await reader.read(SIZE):
            self._proxy.heard()
            self._trip = None
            writer.write(data)
        writer.close()


@asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[tuple[Proxy, str]]:
    """Run a proxy; give it, and the URL to reach it by."""
    parts = urlsplit(url)
    proxy = Proxy(parts.hostname or "localhost", parts.port or 6379)
    listener = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    try:
        yield proxy, f"redis://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    finally:
        listener.close()


async def trips_of(proxy: Proxy, case: str) -> dict[str, object]:
    """Count for one case: the third warm call, when scripts are known and connections open."""
    try:
        call = await getattr(Library(loop_asyncio), case)()
        for _ in range(WARMING):
            await proxy.calm()
            proxy.trips.clear()
            await call()
        await proxy.calm()
    except Exception as error:  # noqa: BLE001  whatever goes wrong in a library is an answer, too
        return {"case": case, "error": describe(error)}
    return {"case": case, "trips": list(proxy.trips)}


async def measure(url: str, cases: list[str], found: list[dict[str, object]]) -> None:
    """Count for all cases."""
    async with proxy_to(url) as (proxy, address):
        cache.setup(address)
        found += [await trips_of(proxy, case) for case in cases]
        await cache.close()


def main() -> dict[str, object]:
    """Count in an event loop."""
    url, *cases = sys.argv[1:]
    found: list[dict[str, object]] = []
    loop_asyncio.run(partial(measure, url, cases, found))
    return {"trips": found}


if __name__ == "__main__":
    answer_with(main)

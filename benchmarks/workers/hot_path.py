"""What a decorated hit on `mem://` is made of, step by step: `hot_path.py ROUNDS`. Only for this library.

Each step is a statement that `timeit` runs, the whole is awaited in an event loop; they are measured in turn. The steps
need names from the inside of the library, and a step whose names have gone is an error of its own line.
"""

from __future__ import annotations

import sys
import time
import timeit
from collections.abc import Awaitable, Callable
from statistics import median
from threading import Event, Thread
from types import MethodType

import loop_asyncio
from cases import TTL, echo
from lines import answer_with, describe

import cashews

CALLS = 20_000

Names = dict[str, object]


def key_function() -> tuple[str, Names]:
    """The key function, generated from the template."""
    from cashews.keys.compile import key_source

    return "key_of(7)", {"key_of": key_source(echo, "user:{uid}").key()}


def context_variable() -> tuple[str, Names]:
    """The context variable that holds all that is ambient."""
    from cashews.engine.context import AMBIENT

    return "ambient()", {"ambient": AMBIENT.get}


def thread_identity() -> tuple[str, Names]:
    """Whether this is the thread of the event loop."""
    from threading import get_ident

    return "get_ident()", {"get_ident": get_ident}


def message() -> tuple[str, Names]:
    """The message."""
    from cashews._typing import ABSENT
    from cashews.messages import Get

    return "Get('user:7', ABSENT)", {"Get": Get, "ABSENT": ABSENT}


def clock() -> tuple[str, Names]:
    """The clock."""
    from cashews.clock import SystemClock

    return "now()", {"now": SystemClock().now}


def table_lookup() -> tuple[str, Names]:
    """The turn: the lookup in the table, the deadline, the order of use."""
    from cashews._typing import ABSENT
    from cashews.messages import Get, Set
    from cashews.table.keyspace import Table
    from cashews.table.turns import TURNS

    table, now = Table(1_000, 1.0, lambda: None), time.monotonic()
    TURNS[Set](table, Set("user:7", 7, TTL, None, None), now)
    return "turn(message, now)", {"turn": MethodType(TURNS[Get], table), "message": Get("user:7", ABSENT), "now": now}


STEPS = [key_function, context_variable, thread_identity, message, clock, table_lookup]


class Step:
    """A statement, and what one execution took in each round."""

    def __init__(self, prepare: Callable[[], tuple[str, Names]]) -> None:
        self.name = (prepare.__doc__ or "").rstrip(".")
        self.times: list[float] = []
        statement, names = prepare()
        self._timer = timeit.Timer(statement, globals=names)

    async def run(self) -> None:
        self.times.append(self._timer.timeit(CALLS) / CALLS)


class Awaited:
    """A coroutine function, and what awaiting it took in each round."""

    def __init__(self, name: str, function: Callable[[int], Awaitable[object]]) -> None:
        self.name = name
        self.times: list[float] = []
        self._function = function

    async def run(self) -> None:
        function = self._function
        started = time.perf_counter()
        for _ in range(CALLS):
            await function(7)
        self.times.append((time.perf_counter() - started) / CALLS)


async def checkpoint(_: int) -> None:
    """Let the event loop turn."""
    await loop_asyncio.sleep(0)


def hot_function() -> Callable[[int], Awaitable[object]]:
    """Return the decorated function whose hits are measured."""
    cache = cashews.Cache()
    cache.setup("mem://?size=1000&check_interval=1")
    return cache(ttl="10m", key="user:{uid}")(echo)


def get_from_another_loop() -> Callable[[int], Awaitable[object]]:
    """Return a function that asks a cache whose home is another event loop, in a thread."""
    cache, ready = cashews.Cache(), Event()
    cache.setup("mem://?size=1000&check_interval=1")

    async def stay() -> None:
        await cache.set("user:7", 7, expire=TTL)
        ready.set()
        await loop_asyncio.sleep(TTL)

    Thread(target=loop_asyncio.run, args=(stay,), daemon=True).start()
    ready.wait()
    return lambda uid: cache.get(f"user:{uid}")


def measure(rounds: int) -> dict[str, object]:
    """Measure the steps and the whole, in turn."""
    steps: list[Step | Awaited] = []
    broken: list[dict[str, object]] = []
    for prepare in STEPS:
        try:
            steps.append(Step(prepare))
        except Exception as error:  # noqa: BLE001  a step that has gone must not hide the others
            broken.append({"name": (prepare.__doc__ or "").rstrip("."), "error": describe(error)})
    steps.append(Awaited("Awaiting a function that does nothing", echo))
    steps.append(Awaited("A checkpoint, which is due once for each budget of turns", checkpoint))
    steps.append(Awaited("A whole decorated hit", hot_function()))
    steps.append(Awaited("A `get` from another event loop than the cache's home", get_from_another_loop()))

    async def main() -> None:
        for _ in range(rounds):
            for step in steps:
                await step.run()

    loop_asyncio.run(main)
    return {
        "steps": [
            *[{"name": step.name, "median": median(step.times), "best": min(step.times)} for step in steps],
            *broken,
        ]
    }


if __name__ == "__main__":
    answer_with(lambda: measure(int(sys.argv[1])))

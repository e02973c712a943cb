"""How long a command holds up the event loop: its longest turn, as another task sees it.

Turns are measured in processor time of the thread, without the garbage collector: full collections of so many objects
are Python's own, whoever made them.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from statistics import median
from time import thread_time

import anyio
from anyio.lowlevel import checkpoint

LONGEST = 0.020
"""The seconds that a turn may take, on a machine that does the reference work in the reference time."""
REFERENCE = 0.0030
"""The seconds that the reference work takes on the machine of the benchmarks, when nothing else runs there."""


def slowness():
    """Return how many times slower this machine is now than that one; neighbours on its caches slow it down by half."""
    times = []
    for _ in range(3):
        began = thread_time()
        table = {f"k{number}": (number,) for number in range(20_000)}
        assert sum(map(len, map(table.get, table))) == len(table)
        times.append(thread_time() - began)
    return max(1.0, median(times) / REFERENCE)


@contextmanager
def uncollected():
    """Run a block without the garbage collector."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()


class Turns:
    """The longest turn that another task has waited for."""

    def __init__(self):
        self.longest = 0.0

    async def watch(self):
        before = thread_time()
        while True:
            await checkpoint()
            now = thread_time()
            self.longest = max(self.longest, now - before)
            before = now


async def longest_turn(command, *args):
    """Return the seconds of the longest turn while a command runs, as the machine of the benchmarks would take them."""
    turns = Turns()
    with uncollected():
        before = slowness()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turns.watch)
            await checkpoint()
            await command(*args)
            await checkpoint()  # the last turn is seen, too
            tasks.cancel_scope.cancel()
        return turns.longest / max(before, slowness())

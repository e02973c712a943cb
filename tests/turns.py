"""How long a command holds up the event loop: its longest turn, as another task sees it.

Turns are measured in processor time of the thread, without the garbage collector: full collections of so many objects
are Python's own, whoever made them.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from time import thread_time

import anyio
from anyio.lowlevel import checkpoint

LONGEST = 0.020
"""The seconds that a turn may take."""


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
    """Return the seconds of the longest turn while a command runs."""
    turns = Turns()
    with uncollected():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turns.watch)
            await checkpoint()
            await command(*args)
            await checkpoint()  # the last turn is seen, too
            tasks.cancel_scope.cancel()
    return turns.longest

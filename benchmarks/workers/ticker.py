"""A ticker sleeps a millisecond at a time; what a tick takes longer than that is a stall of the event loop."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass

from cases import Call, Loop
from lines import report_progress

TICK = 0.001


@dataclass
class Ticker:
    """Ticks, and remembers the longest stall in seconds."""

    loop: Loop
    longest: float = 0.0
    stopped: bool = False

    async def tick_until(self, instant: float) -> None:
        """Tick until an instant of `time.perf_counter`, or until it is stopped."""
        before = time.perf_counter()
        while before < instant and not self.stopped:
            await self.loop.sleep(TICK)
            now = time.perf_counter()
            self.longest = max(self.longest, now - before - TICK)
            before = now


class Watch:
    """What was done, how long it took, and how long the event loop stood still meanwhile."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.steps: list[dict[str, object]] = []

    async def step(self, name: str, work: Call) -> None:
        """Do some work and watch."""
        report_progress(name)
        gc.collect()
        ticker = Ticker(self._loop)
        both = iter((ticker.tick_until(math.inf), self._timed(name, work, ticker)))
        await self._loop.together(lambda: next(both), 2)
        self.steps[-1]["stall"] = ticker.longest

    async def _timed(self, name: str, work: Call, ticker: Ticker) -> None:
        started = time.perf_counter()
        try:
            await work()
            self.steps.append({"name": name, "seconds": time.perf_counter() - started})
        finally:
            ticker.stopped = True

"""A ticker sleeps a millisecond at a time; what a tick takes longer than that is a stall of the event loop."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cases import Loop

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

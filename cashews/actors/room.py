"""Room: where askers wait while an inbox is full."""

from __future__ import annotations

import anyio


class Room:
    """Lets askers in again, all at once: each looks for himself whether there is room for him."""

    def __init__(self) -> None:
        self._again: anyio.Event | None = None
        """Set when there may be room; there while somebody waits."""

    async def wait(self) -> None:
        """Wait until there may be room."""
        if self._again is None:
            self._again = anyio.Event()
        await self._again.wait()

    def let_in(self) -> None:
        """Have those look again who wait."""
        if self._again is not None:
            self._again.set()
            self._again = None

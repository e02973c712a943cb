"""The world outside of the cache: the newest version of each item, and the oldest that a read may still see."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio

ITEMS = ("a", "b", "c", "d", "e")
"""The names of the items; each has a key in every kind of decorated function, and the keys of commands."""


class StaleReadError(AssertionError):
    """A read saw a version that an invalidation had ended before the read began."""


@dataclass
class World:
    """Versions of items, as a database has them, and floors.

    Whoever changes an item takes a new version, then invalidates or writes in the cache, and raises the floor of the
    item to that version once the cache has answered without an error. A read that begins after that must not see an
    older version: that is all that is checked, and it holds for every command, decorator, tag and transaction.
    """

    versions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ITEMS, 0))
    floors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ITEMS, 0))
    reads: int = 0
    hits: int = 0
    """Reads that saw a version which was not the newest or was found: the program does test a cache."""
    _writing: dict[str, anyio.Lock] = field(default_factory=lambda: {item: anyio.Lock() for item in ITEMS})

    @asynccontextmanager
    async def changing(self, items: Iterable[str]) -> AsyncGenerator[dict[str, int]]:
        """Change items: the block invalidates them in the cache, or writes the versions that it is given.

        Changes of one item come one after the other, since a write that is overtaken by a younger one is nobody's
        fault. Where the block raises or is cancelled, nothing is promised, and the floors stay.
        """
        ordered = sorted(set(items))
        async with AsyncExitStack() as stack:
            for item in ordered:
                await stack.enter_async_context(self._writing[item])
            for item in ordered:
                self.versions[item] += 1
            versions = {item: self.versions[item] for item in ordered}
            yield versions
            for item, version in versions.items():
                self.floors[item] = max(self.floors[item], version)

    def check(self, item: str, floor: int, seen: object, where: str) -> None:
        """Compare what a read has seen with the floor that there was when it began."""
        self.reads += 1
        if not isinstance(seen, int) or isinstance(seen, bool):
            raise StaleReadError(f"{where} of {item!r} saw {seen!r}, which nobody has stored")
        if seen < floor:
            raise StaleReadError(f"{where} of {item!r} saw version {seen}, but {floor} was invalidated before")
        self.hits += seen < self.versions[item]

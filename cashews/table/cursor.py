"""Where a scan of a table stands."""

from __future__ import annotations


class TableCursor:
    """Where a scan stands: the keys of its first turn that have not been examined yet."""

    __slots__ = ("keys",)

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys

    def take(self, count: int) -> list[str]:
        """Return the next keys and forget them: a million are never let go of at once."""
        taken = self.keys[-count:]
        del self.keys[-count:]
        return taken

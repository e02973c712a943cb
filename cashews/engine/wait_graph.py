"""Which transactions of this process wait for which others: a deadlock is found before anybody waits in it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from cashews.exceptions import LockedError


class WaitGraph:
    """The holder of each lock, and the locks that each transaction waits for.

    Source: the wait-for graph of Gray and Reuter, "Transaction Processing", 1993, section 7.11.
    """

    def __init__(self) -> None:
        self.holders: dict[str, object] = {}
        self._waits: dict[object, list[str]] = {}

    @contextmanager
    def waiting(self, who: object, name: str) -> Generator[None]:
        """Have a transaction wait for a lock until the block ends.

        :raises LockedError: if the holder waits for this transaction, itself or by way of others
        """
        if self._leads_to(who, name):
            raise LockedError(name, "its holder waits for this transaction, a deadlock")
        waits = self._waits.setdefault(who, [])
        waits.append(name)
        try:
            yield
        finally:
            waits.remove(name)
            if not waits:
                del self._waits[who]

    def _leads_to(self, who: object, name: str) -> bool:
        names, seen = [name], set[object]()
        while names:
            holder = self.holders.get(names.pop())
            if holder is who:
                return True
            if holder is not None and holder not in seen:
                seen.add(holder)
                names += self._waits.get(holder, ())
        return False

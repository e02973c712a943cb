"""Facts about a running load that travel with messages: its permit to store, and the tags it is known to give."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, Protocol

from cashews._dataclass import dataclass


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags whose deletion overtakes a load: those of its value, as far as they are known before it runs."""

    tags: tuple[str, ...]
    more: bool = False
    """True if the result may add further tags."""

    def may_add(self, tags: Iterable[str]) -> bool:
        """Say whether the result may add one of some tags."""
        return self.more


class UnknownTags(KnownTags):
    """The tags of a value that is not stored, since they could not be worked out; `error` says why."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        super().__init__((), more=True)
        object.__setattr__(self, "error", error)

    error: Exception


class Waits(Protocol):
    """A load, or a lock of loads: it cannot end, or become free, before all that it is blocked on has."""

    __slots__ = ()
    blocked_on: list[Waits]


NOTHING: Final[list[Waits]] = []
"""The list of a load that waits for nothing, as long as it has none of its own."""


def block(load: Waits, *others: Waits) -> None:
    """Have a load or a lock wait for some others as well, each until it is removed from `blocked_on`."""
    if load.blocked_on:
        load.blocked_on += others
    else:
        load.blocked_on = [*others]  # type: ignore[misc]  # a slot of each class


class LoadPermit(Waits):
    """The right to store the outcome of a load: void once the key is written or invalidated while the load runs.

    Source: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
    """

    __slots__ = (
        *("blocked_on", "followed", "joinable", "key", "origin", "over", "since", "tagging", "unfollow", "void"),
    )

    def __init__(self, key: str, origin: object | None = None, tagging: KnownTags | None = None) -> None:
        self.key = key
        self.origin = origin
        """The `invalidate_further()` block around the load, if any: its own reads do not void the permit. Once a
        transaction has the value it is the transaction, whose own changes do not."""
        self.tagging = tagging
        """The tags of the value to store; `None` if it will carry none."""
        self.blocked_on: list[Waits] = NOTHING
        """The loads and locks that the load waits for."""
        self.since: int | None = None
        """The store's mark of the instant at which the load began; `None` if no tags are stored."""
        self.void = False
        self.joinable = True
        """False once an invalidation has overtaken the load, or may have: later calls load anew."""
        self.over = False
        """True once the load has ended: a store that is told of the load only then has nothing to follow."""
        self.followed = False
        """True once a store that follows the changes of the key may have been told of the load."""
        self.unfollow: Callable[[], object] | None = None
        """Has the store that follows the changes of the key do so no more; `None` if none does."""

    def refuse(self) -> None:
        """Void the permit, and let no later call join its load."""
        self.void, self.joinable = True, False

"""Facts about a running load that travel with messages: its permit to store, and the tags it is known to give."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags of a load's value, as far as they are known before the load runs."""

    tags: tuple[str, ...]
    more: bool = False
    """True if the result may add further tags."""


class LoadPermit:
    """The right to store the outcome of a load: void once the key is invalidated while the load runs.

    Source: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
    """

    __slots__ = ("key", "origin", "since", "tagging", "void")

    def __init__(self, key: str, origin: object | None = None, tagging: KnownTags | None = None) -> None:
        self.key = key
        self.origin = origin
        """The `invalidate_further()` block around the load, if any: its own reads do not void the permit."""
        self.tagging = tagging
        """The tags of the value to store; `None` if it will carry none."""
        self.since: int | None = None
        """The store's mark of the instant at which the load began; `None` if no tags are stored."""
        self.void = False

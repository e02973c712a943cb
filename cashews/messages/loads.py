"""Module messages.loads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class KnownTags:
    """The tags that a load will give to its value, as far as they are known before it runs."""

    tags: tuple[str, ...]
    more: bool = False
    """Whether the result may add others."""


class LoadPermit:
    """The right to store what a load brings: void once the key is invalidated while the load runs.

    Source: Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.
    """

    __slots__ = ("key", "origin", "since", "tagging", "void")

    def __init__(self, key: str, origin: object | None = None, tagging: KnownTags | None = None) -> None:
        self.key = key
        self.origin = origin
        """The block whose own reads do not void it."""
        self.tagging = tagging
        """The tags of what it will store, if it will carry any."""
        self.since: int | None = None
        """The store's mark of the instant at which the load began, where it stores under tags."""
        self.void = False

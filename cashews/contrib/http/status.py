"""Cache-Status: the account that a cache gives of how it has handled a request (RFC 9211)."""

from __future__ import annotations

import enum

from cashews._dataclass import dataclass
from cashews.contrib.http.structured import is_token, written


class Forward(enum.Enum):
    """Why a request went on to the application (RFC 9211, 2.2)."""

    BYPASS = "bypass"
    METHOD = "method"
    MISS = "miss"
    URI_MISS = "uri-miss"
    VARY_MISS = "vary-miss"
    STALE = "stale"
    REQUEST = "request"


def item(text: str) -> str:
    """Return text as a token if it can be one, else as a string."""
    return text if is_token(text) else written(text)


@dataclass(slots=True, kw_only=True)
class CacheStatus:
    """One member of the field: a hit, a request that went on, or neither for an answer of the cache's own.

    `ttl` is how many seconds the answer stays fresh, negative if it is stale.
    """

    hit: bool = False
    forward: Forward | None = None
    forward_status: int | None = None
    ttl: float | None = None
    stored: bool = False
    collapsed: bool = False
    key: str | None = None
    detail: str | None = None

    def member(self, name: str) -> bytes:
        """Return the member, under the name of the cache as `item` has it."""
        parts = [name]
        if self.hit:
            parts.append("hit")
        if self.forward is not None:
            parts.append(f"fwd={self.forward.value}")
        if self.forward_status is not None:
            parts.append(f"fwd-status={self.forward_status}")
        if self.ttl is not None:
            parts.append(f"ttl={int(self.ttl // 1)}")
        if self.stored:
            parts.append("stored")
        if self.collapsed:
            parts.append("collapsed")
        if self.key is not None:
            parts.append(f"key={written(self.key)}")
        if self.detail is not None:
            parts.append(f"detail={item(self.detail)}")
        return "; ".join(parts).encode("ascii")

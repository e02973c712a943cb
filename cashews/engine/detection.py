"""Where results came from: records of served calls, for `detect`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Detector:
    """Collects, key by key, one record for every answer that came from a cache."""

    __slots__ = ("_calls",)

    def __init__(self) -> None:
        self._calls: dict[str, list[dict[str, Any]]] = {}

    def record(self, key: str, record: Mapping[str, Any]) -> None:
        """Note an answer; a record has at least `name`, `ttl` and `backend`."""
        self._calls.setdefault(key, []).append(dict(record))

    @property
    def calls(self) -> dict[str, list[dict[str, Any]]]:
        """The records by key, in the order of the calls."""
        return {key: list(records) for key, records in self._calls.items()}

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys that were answered from a cache."""
        return tuple(self._calls)

    def clear(self) -> None:
        """Forget all records."""
        self._calls.clear()

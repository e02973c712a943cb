"""Uncached calls: the limits of the cache cost a call its caching, never its answer."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from cashews._log import logger
from cashews.exceptions import (
    CacheBackendInteractionError,
    CacheClosedError,
    EncodeError,
    EventLoopError,
    LockedError,
    NoKeyError,
    NotConfiguredError,
    TransactionError,
)

ASKED_FOR: Final = (CacheBackendInteractionError, NotConfiguredError, TransactionError, LockedError)
"""The errors that reach callers all the same: of an outage with `suppress=False`, of a cache that is not set up, and of
transactions."""
REASONS: Final = {
    NoKeyError: "no key",
    CacheClosedError: "closed",
    EventLoopError: "no event loop",
    EncodeError: "not encoded",
}


class Uncached:
    """Counts the calls of one function that were not cached, and logs each reason once.

    :param counter: the counts of the whole cache, by reason
    :param tolerated: the errors that the function's callers do not get to see
    """

    __slots__ = ("_counter", "_function", "_said", "_tolerated")

    def __init__(
        self, function: Callable[..., Any], counter: Counter[str], tolerated: type[Exception] = Exception
    ) -> None:
        self._function = function
        self._counter = counter
        self._tolerated = tolerated
        self._said: set[str] = set()

    def tolerate(self, error: Exception, part: str) -> None:
        """Note that a part of the cache's work has failed.

        :raises Exception: the error itself, if it is one that callers have to see
        """
        if isinstance(error, ASKED_FOR) or not isinstance(error, self._tolerated):
            raise error
        self.note(error, part)

    def note(self, error: Exception, part: str) -> None:
        """Count a call that was not cached, and say why, if it is the first one for this reason."""
        reason = next((reason for kind, reason in REASONS.items() if isinstance(error, kind)), f"{part} failed")
        self._counter[reason] += 1
        if reason not in self._said:
            self._said.add(reason)
            unexpected = None if isinstance(error, tuple(REASONS)) else error
            logger.warning("calls of %s are not cached: %s: %s", self._place(), reason, error, exc_info=unexpected)

    def _place(self) -> str:
        function = self._function
        inner = inspect.unwrap(function)
        name = getattr(function, "__qualname__", type(function).__qualname__)
        module = getattr(function, "__module__", None) or type(function).__module__
        code = getattr(inner, "__code__", None)
        return f"{module}.{name}" + (f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else "")

"""Calls that can have no key: their function runs uncached, and this is said once per function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from cashews._log import logger
from cashews.exceptions import NoKeyError


class Unkeyed:
    """The log line about the calls of one function that can have no key."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._is_said = False

    def __call__(self, error: NoKeyError) -> None:
        """Log the reason, the first time."""
        if self._is_said:
            return
        self._is_said = True
        code = getattr(inspect.unwrap(self._function), "__code__", None)
        place = f"{code.co_filename}:{code.co_firstlineno}" if code else "no source"
        logger.warning("%s (%s) runs uncached: %s", error.function, place, error)

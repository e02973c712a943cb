"""Imports of optional packages, which users install as extras."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cashews.exceptions import MissingExtraError


def load(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    :raises MissingExtraError: if the package is not installed; the error names the extra
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], extra) from None

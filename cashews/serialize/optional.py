"""Packages that are installed as extras."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from cashews.exceptions import MissingExtraError


def load(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    :raises MissingExtraError: if it is not installed
    """
    try:
        return import_module(module)
    except ImportError:
        raise MissingExtraError(module.partition(".")[0], extra) from None

"""Stand-ins for names of cashews 7 that have no counterpart of the same form."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from cashews.engine.context import AmbientBlock, Detector
from cashews.keys.compile import key_source


class PicklerType(str, enum.Enum):
    """The codecs of cashews 7, as values of `pickle_type=`."""

    DEFAULT = "pickle"
    JSON = "json"
    DILL = "dill"
    SQLALCHEMY = "sqlalchemy"


def get_cache_key(
    func: Callable[..., Any], template: str | None = None, args: tuple[Any, ...] = (), kwargs: Any = None
) -> str:
    """Return the key of a call."""
    return key_source(func, template).key()(*args, **(kwargs or {}))


def _begin() -> tuple[Detector, Detector]:
    detector = Detector()
    return detector, detector


cache_detect = AmbientBlock("detectors", _begin)
"""``with cache_detect as detector:`` collects the answers of every cache."""

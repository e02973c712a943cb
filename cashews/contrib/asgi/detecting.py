"""One detector per request and cache, for all middlewares that ask what cached functions had a part in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Final

from cashews.api.cache import Cache
from cashews.contrib.asgi._types import Scope
from cashews.engine.context import AmbientBlock, Detector

_KEY: Final = "cashews.detectors"


def detecting(cache: Cache, scope: Scope) -> AbstractContextManager[Detector]:
    """Return the block of a request's detector: the outermost middleware has it detect, the others share it."""
    detectors: dict[int, Detector] = scope.setdefault(_KEY, {})
    if (known := detectors.get(id(cache))) is not None:
        return nullcontext(known)
    block: AmbientBlock[Detector] = cache.detect
    return _Shared(block, detectors, id(cache))


class _Shared(AbstractContextManager[Detector]):
    """The block of a request's detector, in which others find it."""

    def __init__(self, block: AmbientBlock[Detector], detectors: dict[int, Detector], place: int) -> None:
        self._block = block
        self._detectors = detectors
        self._place = place

    def __enter__(self) -> Detector:
        self._detectors[self._place] = detector = self._block.__enter__()
        return detector

    def __exit__(self, *_: object) -> None:
        del self._detectors[self._place]
        self._block.__exit__()

"""One detector per request and cache, for all middlewares that ask what cached functions had a part in."""

from __future__ import annotations

from typing import Final

from cashews.contrib.asgi._types import Scope
from cashews.engine.context import AMBIENT, Ambient, Detector, take_back
from cashews.engine.engine import Engine

_KEY: Final = "cashews.detectors"


class detecting:  # noqa: N801  a block, called like a function
    """``with detecting(engine, scope) as detector:`` collects a request's answers from one cache.

    The outermost middleware's block detects, and those within share its detector.
    """

    __slots__ = ("_before", "_detector", "_detectors", "_during", "_engine")

    def __init__(self, engine: Engine, scope: Scope) -> None:
        self._engine = engine
        self._detectors: dict[Engine, Detector] = scope.setdefault(_KEY, {})

    def __enter__(self) -> Detector:
        known = self._detectors.get(self._engine)
        self._during: Ambient | None = None
        if known is None:
            known = self._detectors[self._engine] = self._detector = Detector(self._engine)
            self._before = before = AMBIENT.get()
            self._during = (
                Ambient(detectors=(known,))
                if before is None
                else before.changed("detectors", (*before.detectors, known))
            )
            AMBIENT.set(self._during)
        return known

    def __exit__(self, *_: object) -> None:
        if self._during is None:  # the block shares a detector
            return
        del self._detectors[self._engine]
        if AMBIENT.get() is self._during:
            AMBIENT.set(self._before)
        else:  # the application has left an entry of its own
            take_back("detectors", self._detector)

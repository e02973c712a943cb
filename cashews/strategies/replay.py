"""Replays: the stored form of results that can be read only once, such as a streamed response.

A recorder of their class writes them down while their reader has them, and makes new ones of what it has written.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from cashews._dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Replay:
    """A result as its recorder wrote it down; `kind` is the name of the result's class."""

    kind: str
    state: object

    def result(self) -> Any:
        """Return a new result that is read like the recorded one."""
        return RECORDERS[self.kind].replay(self.state)


class Tap(Protocol):
    """The place of a live result at which its content is written down while it passes."""

    def drain(self) -> Awaitable[None]:
        """Read the result to its end, as its only reader."""
        ...


class Recorder(Protocol):
    """Writes down the results of one class."""

    def record(self, result: Any, ended: Callable[[object], Awaitable[None]]) -> Tap:
        """Tap a result; `ended` is awaited with its state when its reader has had all of it, and not otherwise."""
        ...

    def replay(self, state: Any) -> Any:
        """Return a new result."""
        ...

    def pack(self, state: Any) -> bytes:
        """Return the bytes of a state."""
        ...

    def unpack(self, payload: bytes) -> object:
        """Return the state of bytes.

        :raises ValueError: if they are damaged
        """
        ...


RECORDERS: Final[dict[str, Recorder]] = {}
"""The recorders by the name of the class, ``module.Class``. The modules of these classes need not be loaded."""

PLAIN: Final = frozenset({type(None), bool, int, float, str, bytes, dict, list, tuple, set})
"""The types whose objects are values for certain."""


def kind_of_live(result: object) -> str | None:
    """Return the kind of a result that can be read only once; `None` for one that is a value.

    The kind of a result of a subclass is ``""``: it can be read only once, and nobody knows how to write it down. A
    class that is not loaded has no instances, so a result of any other class costs a look-up or two.
    """
    klass = type(result)
    try:
        if klass in PLAIN:
            return None
    except Exception:  # noqa: BLE001  of a metaclass without a hash: no store takes such a value
        return None
    for name in RECORDERS:
        module, _, of_class = name.rpartition(".")
        live = getattr(sys.modules.get(module), of_class, None)
        if isinstance(live, type) and issubclass(klass, live):
            return name if klass is live else ""
    return None

"""Turns that store copies, and turns that answer with copies (`copy="deep"`)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, Final

from cashews import messages as m
from cashews._dataclass import dataclass, replace
from cashews._log import logger
from cashews._typing import ABSENT
from cashews.backends.interface import Turn
from cashews.exceptions import EncodeError

COPIED_IN: Final = (m.Set, m.SetTagged, m.SetRaw, m.SetMany, m.Commit)
COPIED_OUT: Final = (m.Get, m.Recall, m.GetHit, m.GetRaw, m.GetMany, m.RecallMany, m.GetMatch, m.Peek)
"""The messages with values in them, and those with values in their replies."""


@dataclass(frozen=True, slots=True)
class CopyIn:
    """A turn that stores copies."""

    turn: Turn

    def __call__(self, message: m.Set | m.SetRaw | m.SetMany | m.Commit, now: float) -> object:
        if isinstance(message, m.Commit):
            writes = tuple([with_copy(write) for write in message.writes])
            return self.turn(replace(message, writes=writes), now)
        if isinstance(message, m.SetMany):
            memo: dict[int, object] = {}
            pairs = {key: _copied_in(key, value, memo) for key, value in message.pairs.items()}
            return self.turn(replace(message, pairs=pairs), now)
        return self.turn(with_copy(message), now)


def with_copy(write: m.Write) -> Any:
    """Return a write of a copy of its value; a write without a value as it is."""
    if isinstance(write, (m.Set, m.SetRaw)):
        return replace(write, value=_copied_in(write.key, write.value))
    return write


def _copied_in(key: str, value: object, memo: dict[int, object] | None = None) -> object:
    """Return a deep copy of a value to store.

    :raises EncodeError: if it cannot be copied
    """
    try:
        return deepcopy(value, memo)
    except Exception as error:
        raise EncodeError(key, value, "copying it", str(error)) from error


@dataclass(frozen=True, slots=True)
class CopyOut:
    """A turn that answers with copies of what is stored; a default is the asker's own."""

    turn: Turn

    def __call__(self, message: m.Get | m.GetRaw | m.GetMany | m.GetMatch | m.Peek, now: float) -> object:
        reply = self.turn(message, now)
        if isinstance(message, m.Peek):
            return replace(reply, value=_copied_out(reply.value, ABSENT))
        if isinstance(message, m.GetMatch):  # the cursor stays what it is
            pairs = [(key, _copied_out(value, ABSENT)) for key, value in reply.items]
            return replace(reply, items=[pair for pair in pairs if pair[1] is not ABSENT])
        if isinstance(message, m.GetMany):
            memo: dict[int, object] = {}
            return tuple([_copied_out(value, message.default, memo) for value in reply])
        return _copied_out(reply, message.default)


def _copied_out(value: object, default: object, memo: dict[int, object] | None = None) -> object:
    """Return a deep copy of a stored value, the default for one that cannot be copied any more."""
    if value is default:
        return default
    try:
        return deepcopy(value, memo)
    except Exception as error:  # noqa: BLE001  the user's code: the value counts as absent
        logger.warning("a stored value of type %s cannot be copied, and counts as absent: %s", type(value), error)
        return default

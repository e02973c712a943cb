"""The methods of a branch that serve each message of a transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from cashews import messages as m
from cashews.engine.coordinator.branch import Branch

Serve: TypeAlias = Callable[[Branch, Any], Awaitable[Any]]
SERVE: Final[Mapping[type[m.Message[Any]], Serve]] = {
    m.Get: Branch.read,
    m.GetRaw: Branch.read_raw,
    m.Exists: Branch.read,
    m.GetExpire: Branch.read,
    m.GetSize: Branch.read,
    m.Recall: Branch.recall,
    m.GetHit: Branch.recall,
    m.GetMany: Branch.read_many,
    m.RecallMany: Branch.recall_many,
    m.Scan: Branch.page,
    m.GetMatch: Branch.page,
    m.GetKeysCount: Branch.count,
    m.Set: Branch.set,
    m.SetTagged: Branch.set,
    m.GetKeyTags: Branch.read,
    m.DeleteTags: Branch.delete_tags,
    m.SetRaw: Branch.set_raw,
    m.SetMany: Branch.set_many,
    m.Incr: Branch.change,
    m.Expire: Branch.change,
    m.SetAdd: Branch.change,
    m.SetRemove: Branch.change,
    m.SetPop: Branch.set_pop,
    m.Delete: Branch.delete,
    m.DeleteMany: Branch.delete_many,
    m.DeleteMatch: Branch.delete_match,
    m.Clear: Branch.delete_match,
}
"""The method that serves each message of a transaction. Bits, windows, limits and locks pass transactions by."""

IN_PLACE: Final[Mapping[type[m.Message[Any]], Callable[[Branch, Any], Any]]] = {
    m.Get: Branch.read_in_place,
    m.Recall: Branch.recall_in_place,
    m.GetHit: Branch.recall_in_place,
    m.Exists: Branch.read_in_place,
    m.GetExpire: Branch.read_in_place,
    m.GetSize: Branch.read_in_place,
    m.GetKeyTags: Branch.read_in_place,
    m.Set: Branch.set_in_place,
    m.SetTagged: Branch.set_in_place,
}
"""The methods that may serve a message in place: those of keys that are known, free, or read without a lock."""

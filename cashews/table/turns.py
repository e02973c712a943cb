"""The map of the memory store's turns, from the six rooms: values, structures, locks, tags, keys, transactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cashews import messages as m
from cashews.table import keys, locks, structures, tags, transactions, values
from cashews.table.keyspace import Table

TURNS: Final[Mapping[type[m.Message[Any]], Callable[[Table, Any, float], Any]]] = {
    m.Get: values.get,
    m.Recall: values.get,
    m.GetHit: values.get_hit,
    m.GetRaw: values.get,
    m.Set: values.set_,
    m.SetRaw: values.set_raw,
    m.Incr: values.incr,
    m.Exists: values.exists,
    m.Delete: values.delete,
    m.Expire: values.expire,
    m.GetExpire: values.get_expire,
    m.GetSize: values.get_size,
    m.GetBits: structures.get_bits,
    m.IncrBits: structures.incr_bits,
    m.SliceIncr: structures.slice_incr,
    m.AdmitSlice: structures.admit_slice,
    m.Admit: structures.admit,
    m.EnterCircuit: structures.enter_circuit,
    m.ReportCircuit: structures.report_circuit,
    m.SetAdd: structures.set_add,
    m.SetRemove: structures.set_remove,
    m.SetPop: structures.set_pop,
    m.SetLock: locks.set_lock,
    m.RenewLock: locks.renew_lock,
    m.Unlock: locks.unlock,
    m.LockTimeLeft: locks.lock_time_left,
    m.WatchLock: locks.watch_lock,
    m.UnwatchLock: locks.unwatch_lock,
    m.ListLocks: locks.list_locks,
    m.BreakLock: locks.break_lock,
    m.SetTagged: tags.set_tagged,
    m.GetKeyTags: tags.get_key_tags,
    m.MarkLoad: tags.mark_load,
    m.GetMany: keys.get_many,
    m.RecallMany: keys.get_many,
    m.SetMany: keys.set_many,
    m.DeleteMany: keys.delete_many,
    m.Scan: keys.scan,
    m.GetMatch: keys.get_match,
    m.Ping: keys.ping,
    m.Peek: transactions.peek,
    m.Commit: transactions.commit,
}
"""The turn of each message that takes just one: `turn(table, message, now)` returns the message's reply."""

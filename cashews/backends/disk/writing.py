"""Batches that write: one transaction for each file of a batch, and one for each commit over several files."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cashews import messages as m
from cashews._log import logger
from cashews.backends.disk import keys, locks, structures, tags, transactions, values
from cashews.backends.disk.batches import ShelfServer, ShelfTurn, roll_back, serve_turn
from cashews.backends.disk.busy import BusyError
from cashews.backends.disk.culling import cull
from cashews.backends.disk.lane import Part, fail
from cashews.backends.disk.ledger import APPLIED
from cashews.exceptions import CacheError
from cashews.messages import Message

WRITES: Final[Mapping[type[Message[Any]], ShelfTurn]] = {
    m.GetHit: values.get_hit,
    m.Set: values.set_,
    m.SetTagged: tags.set_tagged,
    tags.DeleteCarriers: tags.delete_carriers,
    m.SetRaw: values.set_raw,
    m.SetMany: keys.set_many,
    m.Incr: values.incr,
    m.Delete: values.delete,
    m.DeleteMany: keys.delete_many,
    keys.DeletePage: keys.delete_page,
    keys.DeleteForeign: keys.delete_foreign,
    m.Expire: values.expire,
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
    m.BreakLock: locks.break_lock,
    m.Commit: transactions.commit,
}
"""The turns that write, one after the other in one lane."""


class Writer(ShelfServer):
    """The server of the writing lane."""

    def _serve_split(self, letters: Sequence[Part]) -> None:
        """Serve letters in their order: those before a commit over several files, that commit, those after it."""
        begin = 0
        for end, letter in enumerate(letters):
            if isinstance(letter.message, m.Commit):
                parts = transactions.split(letter.message, len(self._shelves))
                if len(parts) > 1:
                    super()._serve_split(letters[begin:end])
                    self._serve_commit(letter, parts)
                    begin = end + 1
        super()._serve_split(letters[begin:])

    def _serve_shards(self, by_shard: Mapping[int, Sequence[Part]]) -> None:
        for shard, parts in by_shard.items():
            self._serve_shard(shard, parts)

    def _serve_shard(self, shard: int, parts: Sequence[Part]) -> None:
        """Give parts their outcomes. If their file is damaged, it is set aside, and they are served on a new one."""
        begun, error = self._attempt(shard, parts)
        for _ in range(1 + bool(shard)):  # the first file may have to be replaced, too
            if error is not None and self._set_damaged_aside([shard] if begun else sorted({0, shard}), error):
                begun, error = self._attempt(shard, parts)
        if error is None:
            return
        if not begun or len(parts) == 1 or isinstance(error, BusyError):
            fail(parts, error)
            return
        for part in parts:  # each in a transaction of its own: only the part that fails is refused
            self._serve_shard(shard, [part])

    def _attempt(self, shard: int, parts: Sequence[Part]) -> tuple[bool, Exception | None]:
        """Serve parts in one transaction; returns whether it could begin, and the error that has ended it."""
        shelf, begun = self._shelves[shard], False
        try:
            self._begin_writing(shard)
            begun = True
            for part in parts:
                serve_turn(WRITES, shelf, part)
            cull(shelf, parts[-1].now)
            self._commit(shard)
        except Exception as error:  # noqa: BLE001  any failure is told to the askers
            roll_back(shelf, error)
            return begun, error
        return True, None

    def _begin_writing(self, shard: int) -> None:
        super()._begin_writing(shard)
        if not shard:
            self._ledger.delete_applied()

    def _commit(self, shard: int) -> None:
        """Commit the transaction on a file."""
        self._shelves[shard].commit()
        if not shard:
            self._ledger.note_deleted()

    # --- commits over several files

    def _serve_commit(self, letter: Part, parts: Mapping[int, m.Commit]) -> None:
        """Give a commit over several files its outcome. Damaged files are set aside, and it is served once more."""
        shards = sorted({0, *parts})
        error = self._attempt_commit(letter, parts, shards)
        for _ in shards:
            if error is not None and self._set_damaged_aside(shards, error):
                error = self._attempt_commit(letter, parts, shards)
        if error is not None:
            fail([letter], error)

    def _attempt_commit(self, letter: Part, parts: Mapping[int, m.Commit], shards: Sequence[int]) -> Exception | None:
        """Give a commit its outcome, or return the error for which it has none."""
        failure: Exception | None = None
        try:
            letter.outcome = self._commit_parts(shards, parts, letter.now)
        except CacheError as error:
            letter.outcome = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001  any failure is told to the asker
            failure = error
        for shard in shards:
            roll_back(self._shelves[shard], failure)
        return failure

    def _commit_parts(self, shards: Sequence[int], parts: Mapping[int, m.Commit], now: float) -> m.CommitOutcome:
        self._begin_writing_all(shards)
        if not all(transactions.are_locks_held(self._shelves[shard], part, now) for shard, part in parts.items()):
            return m.CommitOutcome.LOST
        applied = {shard: transactions.apply(self._shelves[shard], part, now) for shard, part in parts.items()}
        for shard in parts:
            cull(self._shelves[shard], now)
        others = {shard: part for shard, part in applied.items() if shard}
        number = self._ledger.enter(others.items(), now)
        for shard in others:
            self._shelves[shard].set_mark(APPLIED, number)
        self._commit(0)  # from here on the commit has happened
        self._commit_others(others, number)
        return m.CommitOutcome.COMMITTED

    def _commit_others(self, shards: Iterable[int], number: int) -> None:
        """Commit the other files. If that fails, the next thread that writes to the file applies the entry."""
        for shard in shards:
            try:
                self._shelves[shard].commit()
                self._ledger.note_applied(shard, number)
            except (sqlite3.Error, OSError) as error:
                logger.warning("disk: a file is behind a commit over several, until its next use: %s", error)

"""Batches that change something: one transaction per file, and commits over several files in between."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from cashews import messages as m
from cashews._log import logger
from cashews.backends.disk import keys, locks, structures, tags, transactions, values
from cashews.backends.disk.lane import Part, fail
from cashews.backends.disk.ledger import APPLIED
from cashews.backends.disk.serving import Server, ShelfTurn, leave, take
from cashews.backends.disk.shelf import BusyError
from cashews.exceptions import CacheError
from cashews.messages import Message

WRITES: Final[Mapping[type[Message[Any]], ShelfTurn]] = {
    m.GetHit: values.get_hit,
    m.Set: values.set_,
    m.SetTagged: tags.set_tagged,
    tags.DeleteCarriers: tags.delete_carriers,
    m.SetRaw: values.set_raw,
    m.SetMany: values.set_many,
    m.Incr: values.incr,
    m.Delete: values.delete,
    m.DeleteMany: values.delete_many,
    keys.DeletePage: keys.delete_page,
    keys.DeleteForeign: keys.delete_foreign,
    m.Expire: values.expire,
    m.IncrBits: structures.incr_bits,
    m.SliceIncr: structures.slice_incr,
    m.Admit: structures.admit,
    m.EnterCircuit: structures.enter_circuit,
    m.ReportCircuit: structures.report_circuit,
    m.SetAdd: structures.set_add,
    m.SetRemove: structures.set_remove,
    m.SetPop: structures.set_pop,
    m.SetLock: locks.set_lock,
    m.RenewLock: locks.renew_lock,
    m.Unlock: locks.unlock,
    m.Commit: transactions.commit,
}
"""The turns that change something: they come one after the other."""


class Writer(Server):
    """Serves what changes something."""

    def _serve_shares(self, letters: Sequence[Part]) -> None:
        """Serve letters up to each commit over several files, that commit, and so on."""
        begin = 0
        for end, letter in enumerate(letters):
            if isinstance(letter.message, m.Commit):
                parts = transactions.split(letter.message, len(self._shelves))
                if len(parts) > 1:
                    super()._serve_shares(letters[begin:end])
                    self._commit_over(letter, parts)
                    begin = end + 1
        super()._serve_shares(letters[begin:])

    def _serve_each(self, shares: Mapping[int, Sequence[Part]]) -> None:
        for shard, parts in shares.items():
            self._serve_on(shard, parts)

    def _serve_on(self, shard: int, parts: Sequence[Part]) -> None:
        shelf = self._shelves[shard]
        try:
            self._begin(shard)
        except Exception as error:  # noqa: BLE001  what cannot begin fails for all
            leave(shelf, error)
            return fail(parts, error)
        try:
            for part in parts:
                take(WRITES, shelf, part)
            shelf.cull(parts[-1].now)
            self._commit(shard)
        except Exception as error:  # noqa: BLE001  whatever fails is the askers'
            leave(shelf, error)
            if len(parts) == 1 or isinstance(error, BusyError):
                return fail(parts, error)
            for part in parts:  # each alone: who fails, fails alone
                self._serve_on(shard, [part])
        return None

    def _begin(self, shard: int) -> None:
        super()._begin(shard)
        if not shard:
            self._ledger.cross_out()

    def _commit(self, shard: int) -> None:
        """Commit what was written to a file."""
        self._shelves[shard].commit()
        if not shard:
            self._ledger.note_crossed_out()

    def _commit_over(self, letter: Part, parts: Mapping[int, m.Commit]) -> None:
        """Commit over several files."""
        shards = sorted({0, *parts})
        failure: Exception | None = None
        try:
            letter.outcome = self._apply_over(shards, parts, letter.now)
        except CacheError as error:
            letter.outcome = error.with_traceback(None)
        except Exception as error:  # noqa: BLE001  likewise
            failure = error
            fail([letter], error)
        for shard in shards:
            leave(self._shelves[shard], failure)

    def _apply_over(self, shards: Sequence[int], parts: Mapping[int, m.Commit], now: float) -> m.CommitOutcome:
        self._begin_all(shards)
        if not all(transactions.holds(self._shelves[shard], part, now) for shard, part in parts.items()):
            return m.CommitOutcome.LOST
        done = {shard: transactions.apply(self._shelves[shard], part, now) for shard, part in parts.items()}
        for shard in parts:
            self._shelves[shard].cull(now)
        others = {shard: part for shard, part in done.items() if shard}
        number = self._ledger.enter(others.items(), now)
        for shard in others:
            self._shelves[shard].set_mark(APPLIED, number)
        self._commit(0)  # from here on it has happened
        self._finish(others, number)
        return m.CommitOutcome.COMMITTED

    def _finish(self, shards: Iterable[int], number: int) -> None:
        """Commit the other files; what fails here is caught up by whoever comes next."""
        for shard in shards:
            try:
                self._shelves[shard].commit()
                self._ledger.note_applied(shard, number)
            except (sqlite3.Error, OSError) as error:
                logger.warning("disk: a file is behind a commit over several, until its next use: %s", error)

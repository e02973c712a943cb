"""Batches of letters over the files of a store: one transaction per file and batch, in the thread of a lane."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from cashews import messages as m
from cashews.backends.disk import commits, locks, pages, structures, tags, values
from cashews.backends.disk.files import File, shard_of
from cashews.backends.disk.lane import Letter, Part
from cashews.backends.disk.ledger import APPLIED, Ledger
from cashews.backends.disk.shelf import BusyError, GoneError, Shelf
from cashews.exceptions import CacheError
from cashews.log import logger
from cashews.messages import Message, OneKey

ShelfTurn: TypeAlias = Callable[[Shelf, Any, float], Any]

READS: Final[Mapping[type[Message[Any]], ShelfTurn]] = {
    m.Get: values.get,
    m.Recall: values.get,
    m.GetRaw: values.get,
    m.GetMany: values.get_many,
    m.RecallMany: values.get_many,
    m.GetMatch: pages.get_match,
    m.Scan: pages.scan,
    m.Exists: values.exists,
    m.GetKeyTags: tags.get_key_tags,
    m.MarkLoad: tags.mark_load,
    m.GetExpire: values.get_expire,
    m.GetSize: values.get_size,
    m.GetBits: structures.get_bits,
    m.IsLocked: locks.is_locked,
    m.Peek: commits.peek,
    m.GetKeysCount: pages.count,
}
"""The turns that change nothing: a reading lane serves them beside one that writes."""
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
    pages.DeletePage: pages.delete_page,
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
    m.Commit: commits.commit,
}
"""The turns that change something: they come one after the other."""
LOOKS: Final = 3
"""How often we look for a value whose file has gone, the last time with a lock: what has gone then is absent."""
GLANCES: Final = 3
"""How often we try to read several files at one instant before we take their locks for it."""


class FailedError(Exception):
    """What a disk failed with, for one asker."""


def shares_of(message: Message[Any], shards: int) -> Mapping[int, Message[Any]]:
    """Return the parts of a message by the file that they are about."""
    if isinstance(message, OneKey):
        return {shard_of(message.key, shards): message}
    if isinstance(message, (m.ManyKeys, m.SetMany)):
        return message.split(lambda key: shard_of(key, shards))
    if isinstance(message, tags.DeleteCarriers):
        return {message.place.shard: message}
    if isinstance(message, m.Commit):  # only one that is about a single file comes here
        return commits.split(message, shards)
    if isinstance(message, (m.Paged, pages.DeletePage)):
        cursor = message.cursor
        return {cursor.shard if isinstance(cursor, pages.Cursor) else 0: cast("Message[Any]", message)}
    return dict.fromkeys(range(shards), message)


class Server(ABC):
    """The files of a store as one thread serves them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._shelves = [Shelf(file) for file in files]
        self._ledger = Ledger(self._shelves[0])

    def serve(self, letters: Sequence[Letter]) -> None:
        """Give each letter its outcome, whatever happens."""
        try:
            if len(self._shelves) == 1:
                self._serve_each({0: letters})
            else:
                self._serve_shares(letters)
        except Exception as error:  # noqa: BLE001  whatever fails is the askers', never the lane's death
            logger.exception("disk: a batch was not served")
            fail(letters, error)

    def _serve_shares(self, letters: Sequence[Letter]) -> None:
        """Serve letters file by file; a message about several files has one outcome."""
        shares: dict[int, list[Part]] = {}
        split: list[tuple[Letter, list[Part]]] = []
        for letter in letters:
            messages = shares_of(letter.message, len(self._shelves))
            if len(messages) == 1:
                shares.setdefault(next(iter(messages)), []).append(letter)
                continue
            parts = [Part(message, letter.now) for message in messages.values()]
            split.append((letter, parts))
            for number, part in zip(messages, parts, strict=True):
                shares.setdefault(number, []).append(part)
        self._serve_each(shares)
        for letter, parts in split:
            letter.outcome = merged(letter.message, parts)

    @abstractmethod
    def _serve_each(self, shares: Mapping[int, Sequence[Part]]) -> None:
        """Give each part its outcome, by the file that they are about."""

    def _open_first(self) -> None:
        """Open the first file, once all are there: whoever finds it can count them."""
        first, *others = self._shelves
        if not first.is_open:
            for shelf in reversed(others):
                if not shelf.file.exists:
                    shelf.open()
            first.open()

    def _begin(self, shard: int) -> None:
        """Begin to write to a file, after what a commit over several files has left to do there."""
        self._open_first()
        shelf = self._shelves[shard]
        shelf.begin()
        if shard and self._ledger.behind(shard, shelf):
            self._ledger.catch_up(shard, shelf)

    def _begin_all(self, shards: Sequence[int]) -> None:
        """Begin to write to files, the first of all among them."""
        for shard in shards:
            self._begin(shard)
        self._ledger.count_on(max([self._shelves[shard].mark(APPLIED) for shard in shards]))

    def hurry(self) -> None:
        for shelf in self._shelves:
            shelf.hurried = True

    def close(self) -> None:
        for shelf in self._shelves:
            shelf.close()


def merged(message: Message[Any], parts: Sequence[Part]) -> Any:
    """Return the one outcome of a message that was split."""
    for part in parts:
        if isinstance(part.outcome, Exception):
            return part.outcome
    return message.merge([(part.message, part.outcome) for part in parts])


def take(turns: Mapping[type[Message[Any]], ShelfTurn], shelf: Shelf, part: Part) -> None:
    """Serve one turn; what it raises of our own is the asker's."""
    try:
        part.outcome = turns[part.message.__class__](shelf, part.message, part.now)
    except (CacheError, GoneError) as error:
        part.outcome = error.with_traceback(None)


def fail(parts: Sequence[Part], error: Exception) -> None:
    """Have each part fail, with an exception of its own."""
    for part in parts:
        part.outcome = FailedError(f"{type(error).__name__}: {error}")


class Reader(Server):
    """Serves what changes nothing; a batch comes from one instant of each file."""

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__(files)
        self._closely = False
        """Whether we lock what we read: what has gone by then is absent."""

    def serve(self, letters: Sequence[Letter]) -> None:
        """Give each letter its outcome; one that has missed a file is looked at again, all its parts at one instant."""
        for look in range(1, LOOKS + 1):
            self._closely = look == LOOKS
            super().serve(letters)
            letters = [letter for letter in letters if isinstance(letter.outcome, GoneError)]
            if not letters:
                return

    def _serve_each(self, shares: Mapping[int, Sequence[Part]]) -> None:
        try:
            seen = self._see(shares)
        except Exception as error:  # noqa: BLE001  what cannot begin fails for all
            self._leave(error)
            for parts in shares.values():
                fail(parts, error)
            return
        for shard, parts in shares.items():
            shelf = self._shelves[shard]
            shelf.lenient = self._closely
            for part in parts:
                self._read(shelf, part)
        self._end(seen)

    def _read(self, shelf: Shelf, part: Part) -> None:
        try:
            take(READS, shelf, part)
        except Exception as error:  # noqa: BLE001  who fails, fails alone
            fail([part], error)

    def _end(self, seen: Sequence[Shelf]) -> None:
        try:
            for shelf in seen:
                shelf.commit()
        except sqlite3.Error as error:
            self._leave(error)

    def _see(self, shards: Iterable[int]) -> Sequence[Shelf]:
        """Begin to read files, all as they were at one instant: between two commits over several of them."""
        self._open_first()
        numbers = sorted({0, *shards})
        seen = [self._shelves[number] for number in numbers]
        for _ in range(0 if self._closely else GLANCES):
            if self._glance(numbers):
                return seen
            for shelf in seen:
                shelf.commit()
        self._look_closely(numbers)
        return seen

    def _glance(self, shards: Sequence[int]) -> bool:
        """Begin to read without a lock; says whether no commit over several files came in between."""
        first = self._shelves[0]
        first.look()  # it is seen first
        if len(shards) == 1:
            return True
        last, whole = self._ledger.last(), True
        for number in shards[1:]:
            shelf = self._shelves[number]
            shelf.look()
            whole = whole and shelf.mark(APPLIED) <= last and not self._ledger.behind(number, shelf)
        return whole

    def _look_closely(self, shards: Sequence[int]) -> None:
        """Begin to read while nobody can change anything, nor replace a value that has a file of its own."""
        self._begin_all(shards)

    def _leave(self, error: Exception) -> None:
        for shelf in self._shelves:
            leave(shelf, error)


class Writer(Server):
    """Serves what changes something."""

    def __init__(self, files: Sequence[File]) -> None:
        super().__init__(files)
        self._done: dict[int, int] = {}
        """What can be crossed out of the ledger: file -> number of the entry that it has been committed with."""

    def _serve_shares(self, letters: Sequence[Letter]) -> None:
        """Serve letters up to each commit over several files, that commit, and so on."""
        begin = 0
        for end, letter in enumerate(letters):
            if isinstance(letter.message, m.Commit):
                parts = commits.split(letter.message, len(self._shelves))
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
            self._ledger.forget(self._done)

    def _commit(self, shard: int) -> None:
        """Commit what was written to a file."""
        self._shelves[shard].commit()
        if not shard:  # what was done is crossed out now
            self._done.clear()

    def _commit_over(self, letter: Letter, parts: Mapping[int, m.Commit]) -> None:
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

    def _apply_over(self, shards: Sequence[int], parts: Mapping[int, m.Commit], now: float) -> m.Outcome:
        self._begin_all(shards)
        if not all(commits.holds(self._shelves[shard], part, now) for shard, part in parts.items()):
            return m.Outcome.LOST
        done = {shard: commits.apply(self._shelves[shard], part, now) for shard, part in parts.items()}
        for shard in parts:
            self._shelves[shard].cull(now)
        others = {shard: part for shard, part in done.items() if shard}
        number = self._ledger.enter(others.items(), now)
        for shard in others:
            self._shelves[shard].set_mark(APPLIED, number)
        self._commit(0)  # from here on it has happened
        self._finish(others, number)
        return m.Outcome.COMMITTED

    def _finish(self, shards: Iterable[int], number: int) -> None:
        """Commit the other files; what fails here is caught up by whoever comes next."""
        for shard in shards:
            try:
                self._shelves[shard].commit()
                self._done[shard] = number
            except (sqlite3.Error, OSError) as error:
                logger.warning("disk: a file is behind a commit over several, until its next use: %s", error)


def leave(shelf: Shelf, failure: Exception | None) -> None:
    """Have nothing stay of a transaction; after a failure connect anew, unless the file was merely busy."""
    try:
        shelf.roll_back()
    except sqlite3.Error as error:
        failure = error
    if not (failure is None or isinstance(failure, BusyError)):
        shelf.close()

"""Batches of letters over the files of a store: a letter is split by file, and its replies are merged again.

`ShelfServer` is common to `reading.Reader` and `writing.Writer`; each serves the letters of one lane, in its thread.
"""

from __future__ import annotations

import sqlite3
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from cashews import messages as m
from cashews._steps import finished
from cashews.backends.disk import keys, tags, transactions
from cashews.backends.disk.busy import BusyError
from cashews.backends.disk.damage import is_damage
from cashews.backends.disk.files import File, shard_of
from cashews.backends.disk.lane import Part, Server
from cashews.backends.disk.ledger import APPLIED, Ledger
from cashews.backends.disk.shelf import GoneError, Shelf
from cashews.exceptions import CacheError
from cashews.messages import Message, OneKey

ShelfTurn: TypeAlias = Callable[[Shelf, Any, float], Any]
"""``turn(shelf, message, now)`` returns the reply."""


class ShelfServer(Server):
    """The files of a store, opened by one thread that serves batches of letters on them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._shelves = [Shelf(file) for file in files]
        self._ledger = Ledger(self._shelves[0])

    def serve(self, letters: Sequence[Part]) -> None:
        if len(self._shelves) == 1:
            self._serve_shards({0: letters})
        else:
            self._serve_split(letters)

    def _serve_split(self, letters: Sequence[Part]) -> None:
        """Serve letters file by file. A message that concerns several files gets one merged outcome."""
        by_shard: dict[int, list[Part]] = {}
        split: list[tuple[Part, list[Part]]] = []
        for letter in letters:
            messages = split_message(letter.message, len(self._shelves))
            if len(messages) == 1:
                by_shard.setdefault(next(iter(messages)), []).append(letter)
                continue
            parts = [Part(message, letter.now) for message in messages.values()]
            split.append((letter, parts))
            for shard, part in zip(messages, parts, strict=True):
                by_shard.setdefault(shard, []).append(part)
        self._serve_shards(by_shard)
        for letter, parts in split:
            letter.outcome = merge_outcomes(letter.message, parts)

    @abstractmethod
    def _serve_shards(self, by_shard: Mapping[int, Sequence[Part]]) -> None:
        """Give each part its outcome; the parts are grouped by the number of their file."""

    def _begin_writing(self, shard: int) -> None:
        """Begin to write to a file. Entries of the ledger that it has not seen are applied first."""
        shelf = self._shelves[shard]
        shelf.begin_writing()
        if shard:
            self._shelves[0].open()  # if the first file was replaced, its old ledger says nothing about this file
            if self._ledger.is_behind(shard, shelf):
                self._ledger.catch_up(shard, shelf)

    def _begin_writing_all(self, shards: Sequence[int]) -> None:
        """Begin to write to several files, the first file of the store among them."""
        for shard in shards:
            self._begin_writing(shard)
        self._ledger.skip_to(max([self._shelves[shard].mark(APPLIED) for shard in shards]))

    def _set_damaged_aside(self, shards: Sequence[int], error: Exception) -> bool:
        """Set the damaged ones of some files aside after an error; returns whether another attempt is worth it."""
        if not is_damage(error):
            return False
        if len(shards) == 1:
            return self._shelves[shards[0]].set_aside(error)
        were_damaged = [self._shelves[shard].set_aside_if_damaged(error) for shard in shards]
        return any(were_damaged)

    def hurry(self) -> None:
        for shelf in self._shelves:
            shelf.hurry()

    def close(self) -> None:
        for shelf in self._shelves:
            shelf.close()


def split_message(message: Message[Any], shards: int) -> Mapping[int, Message[Any]]:
    """Return the parts of a message by the number of the file that they concern."""
    if isinstance(message, OneKey):
        return {shard_of(message.key, shards): message}
    if isinstance(message, (m.ManyKeys, m.SetMany)):
        return finished(message.split(lambda key: shard_of(key, shards)))
    if isinstance(message, tags.DeleteCarriers):
        return {message.cursor.shard: message}
    if isinstance(message, m.Commit):  # within one file: the writer takes out the others before
        return transactions.split(message, shards)
    if isinstance(message, (m.Paged, keys.DeletePage, keys.DeleteForeign)):
        cursor = message.cursor
        return {cursor.shard if isinstance(cursor, keys.FileCursor) else 0: cast("Message[Any]", message)}
    return dict.fromkeys(range(shards), message)


def merge_outcomes(message: Message[Any], parts: Sequence[Part]) -> Any:
    """Return the reply to a message that was split, or the first exception among the outcomes of its parts."""
    for part in parts:
        if isinstance(part.outcome, Exception):
            return part.outcome
    return finished(message.merge([(part.message, part.outcome) for part in parts]))


def serve_turn(turns: Mapping[type[Message[Any]], ShelfTurn], shelf: Shelf, part: Part) -> None:
    """Give a part its outcome. An exception that a turn raises on purpose is the outcome of this part alone."""
    try:
        part.outcome = turns[part.message.__class__](shelf, part.message, part.now)
    except (CacheError, GoneError) as error:
        part.outcome = error.with_traceback(None)


def roll_back(shelf: Shelf, failure: Exception | None) -> None:
    """Roll a transaction back. After a failure the connection is closed, too, unless the file was merely busy."""
    try:
        shelf.roll_back()
    except sqlite3.Error as error:
        failure = error
    if not (failure is None or isinstance(failure, BusyError)):
        shelf.close()

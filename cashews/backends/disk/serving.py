"""Batches of letters over the files of a store, in the thread of a lane: which part of what goes to which file."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from cashews import messages as m
from cashews.backends.disk import keys, tags, transactions
from cashews.backends.disk.files import File, shard_of
from cashews.backends.disk.lane import Part
from cashews.backends.disk.ledger import APPLIED, Ledger
from cashews.backends.disk.shelf import BusyError, GoneError, Shelf
from cashews.exceptions import CacheError
from cashews.messages import Message, OneKey

ShelfTurn: TypeAlias = Callable[[Shelf, Any, float], Any]


def shares_of(message: Message[Any], shards: int) -> Mapping[int, Message[Any]]:
    """Return the parts of a message by the file that they are about."""
    if isinstance(message, OneKey):
        return {shard_of(message.key, shards): message}
    if isinstance(message, (m.ManyKeys, m.SetMany)):
        return message.split(lambda key: shard_of(key, shards))
    if isinstance(message, tags.DeleteCarriers):
        return {message.place.shard: message}
    if isinstance(message, m.Commit):  # only one that is about a single file comes here
        return transactions.split(message, shards)
    if isinstance(message, (m.Paged, keys.DeletePage, keys.DeleteForeign)):
        cursor = message.cursor
        return {cursor.shard if isinstance(cursor, keys.FileCursor) else 0: cast("Message[Any]", message)}
    return dict.fromkeys(range(shards), message)


class Server(ABC):
    """The files of a store as one thread serves them."""

    def __init__(self, files: Sequence[File]) -> None:
        self._shelves = [Shelf(file) for file in files]
        self._ledger = Ledger(self._shelves[0])

    def serve(self, letters: Sequence[Part]) -> None:
        """Give each letter its outcome."""
        if len(self._shelves) == 1:
            self._serve_each({0: letters})
        else:
            self._serve_shares(letters)

    def _serve_shares(self, letters: Sequence[Part]) -> None:
        """Serve letters file by file; a message about several files has one outcome."""
        shares: dict[int, list[Part]] = {}
        split: list[tuple[Part, list[Part]]] = []
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

    def _begin(self, shard: int) -> None:
        """Begin to write to a file, after what a commit over several files has left to do there."""
        shelf = self._shelves[shard]
        shelf.begin()
        if shard:
            self._shelves[0].open()  # anew, if it has been deleted: the ledger of another file is not for this one
            if self._ledger.behind(shard, shelf):
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


def leave(shelf: Shelf, failure: Exception | None) -> None:
    """Have nothing stay of a transaction; after a failure connect anew, unless the file was merely busy."""
    try:
        shelf.roll_back()
    except sqlite3.Error as error:
        failure = error
    if not (failure is None or isinstance(failure, BusyError)):
        shelf.close()

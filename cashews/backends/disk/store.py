"""The disk store: it encodes messages, posts them to its two lanes, decodes the replies, and answers failures."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from anyio.lowlevel import checkpoint

from cashews import messages as m
from cashews._dataclass import replace
from cashews._log import logger
from cashews._typing import ABSENT
from cashews.actors.actor import ActorStatistics
from cashews.actors.loop import current_loop
from cashews.actors.scope import Service
from cashews.backends.disk.encoding import DiskValues
from cashews.backends.disk.escaping import Escaping
from cashews.backends.disk.files import File, count_shards
from cashews.backends.disk.keys import DeleteForeign, DeletePage, FileCursor
from cashews.backends.disk.lane import FailedError, Lane
from cashews.backends.disk.options import DiskOptions
from cashews.backends.disk.reading import READS, Reader
from cashews.backends.disk.tags import CarrierCursor, DeleteCarriers
from cashews.backends.disk.writing import WRITES, Writer
from cashews.backends.encoding import PART, in_parts
from cashews.backends.interface import Backend, Environment, Turn
from cashews.exceptions import CacheBackendInteractionError
from cashews.serialize import SerializerOptions
from cashews.structures.kinds import counter

R = TypeVar("R")


class DiskStore(Backend):
    """A store on disk, shared by all processes that use its directory, with one lane for reads and one for writes."""

    name: ClassVar[str] = "disk"

    def __init__(self, options: DiskOptions, serializer: SerializerOptions, environment: Environment) -> None:
        self._suppress = options.suppress
        self._values = DiskValues(serializer, self)
        self._files_in = partial(files_for, options, options.path)
        clock, ensure_scope = environment.clock, environment.ensure_scope
        self._reads = Lane(lambda: Escaping(Reader(self._files)), clock, ensure_scope)
        self._writes = Lane(lambda: Escaping(Writer(self._files)), clock, ensure_scope)
        self._serve: dict[type[m.Message[Any]], Callable[[Any], Awaitable[Any]]] = {
            **dict.fromkeys(READS, self._reads.ask),
            **dict.fromkeys(WRITES, self._writes.ask),
            m.Get: self._get,
            m.Recall: self._get,
            m.GetHit: self._get_hit,
            m.GetRaw: self._get_raw,
            m.GetMany: self._get_many,
            m.RecallMany: self._get_many,
            m.GetMatch: self._get_match,
            m.Scan: self._scan,
            m.ListLocks: self._list_locks,
            m.Set: self._set,
            m.SetTagged: self._set_tagged,
            m.DeleteTags: self._delete_tags,
            m.SetRaw: self._set_raw,
            m.SetMany: self._set_many,
            m.DeleteMany: self._delete_many,
            m.Incr: self._incr,
            m.DeleteMatch: self._delete_match,
            m.Clear: self._clear,
            m.Peek: self._peek,
            m.Commit: self._commit,
            m.WatchLock: self._watch_lock,
            m.UnwatchLock: self._unwatch_lock,
            m.Ping: self._ping,
        }
        self._failing: dict[type[m.Message[Any]], str] = {}
        """The types of messages that fail at present, each with the text that was logged."""

    @cached_property
    def _files(self) -> tuple[File, ...]:
        """The files; they are counted at the first use, which is when another process may have created them."""
        return self._files_in()

    @property
    def turns(self) -> Mapping[type[m.Message[Any]], Turn]:
        return {}

    @property
    def services(self) -> tuple[Service, ...]:
        return (self._writes.run, self._reads.run)

    def attached(self) -> None:
        loop = current_loop()
        self._writes.attached(loop)
        self._reads.attached(loop)

    async def ask(self, message: m.Message[R], *, strict: bool = False) -> R:
        try:
            reply: R = await self._serve[message.__class__](message)
        except FailedError as error:
            return self._failed(message, error, suppress=self._suppress and not strict)
        if self._failing:
            self._failing.pop(message.__class__, None)
        return reply

    @property
    def suppresses(self) -> bool:
        return self._suppress

    def _failed(self, message: m.Message[R], error: FailedError, *, suppress: bool) -> R:
        """Answer a message that failed: with its neutral reply, or with an error. A new failure is logged once."""
        text = f"disk, {message.command.value}: {error}"
        kind = type(message)
        if self._failing.get(kind) != text:
            self._failing[kind] = text
            logger.error("%s", text)
        if not suppress:
            raise CacheBackendInteractionError(text)
        return message.declined()

    @property
    def actors(self) -> tuple[ActorStatistics, ...]:
        return (self._reads.actor("disk reads"), self._writes.actor("disk writes"))

    def statistics(self) -> Mapping[str, int]:
        reads, writes = self._reads.statistics(), self._writes.statistics()
        files: tuple[File, ...] = vars(self).get("_files", ())  # without counting the files for it
        return {
            "waiting": reads["waiting"] + writes["waiting"],
            "commands": reads["commands"] + writes["commands"],
            "batches": reads["batches"] + writes["batches"],
            "largest_batch": max(reads["largest_batch"], writes["largest_batch"]),
            "expired": sum(file.expired for file in files),
            "evicted": sum(file.evicted for file in files),
            "refused": sum(file.refused for file in files),
            "damaged": sum(file.damaged for file in files),
            "decode_failures": self._values.failures + sum(file.unreadable for file in files),
        }

    async def close(self) -> None:
        await self._writes.close()
        await self._reads.close()

    # --- values

    async def _get(self, message: m.Get) -> object:
        return await self._values.from_stored(message.key, await self._reads.ask(message), message.default)

    async def _get_hit(self, message: m.GetHit) -> object:
        return await self._values.from_stored(message.key, await self._writes.ask(message), message.default)

    async def _get_raw(self, message: m.GetRaw) -> object:
        stored = await self._reads.ask(message)
        return message.default if stored is ABSENT else stored

    async def _get_many(self, message: m.GetMany) -> tuple[object, ...]:
        if len(message.keys) <= PART:
            return await self._get_some(message)
        values: list[object] = []
        for keys in in_parts(message.keys):
            values += await self._get_some(m.GetMany(tuple(keys), message.default))
        return tuple(values)

    async def _get_some(self, message: m.GetMany) -> tuple[object, ...]:
        found = await self._reads.ask(message)
        return tuple(await self._values.many_from_stored(message.keys, found, message.default))

    async def _get_match(self, message: m.GetMatch) -> m.Page[tuple[str, object]]:
        page = await self._reads.ask(message)
        return m.Page(await self._values.pairs_from_stored(page.items), self._next_cursor(message, page.cursor))

    async def _scan(self, message: m.Scan) -> m.Page[str]:
        page = await self._reads.ask(message)
        return m.Page(page.items, self._next_cursor(message, page.cursor))

    async def _list_locks(self, message: m.ListLocks) -> m.Page[tuple[str, float]]:
        page = await self._reads.ask(message)
        return m.Page(page.items, self._next_cursor(message, page.cursor))

    def _next_cursor(self, message: m.Paged[Any], cursor: object) -> object:
        """Return the cursor that a scan goes on from; after the end of a file it is the beginning of the next."""
        shard = message.cursor.shard if isinstance(message.cursor, FileCursor) else 0
        return FileCursor(shard + 1) if cursor is None and shard + 1 < len(self._files) else cursor

    async def _set(self, message: m.Set) -> bool:
        value = await self._values.to_stored(message.key, message.value, message.expire)
        return await self._writes.ask(m.Set(message.key, value, message.expire, message.exist, message.permit))

    async def _set_tagged(self, message: m.SetTagged) -> bool:
        value = await self._values.to_stored(message.key, message.value, message.expire)
        return await self._writes.ask(replace(message, value=value))

    async def _set_raw(self, message: m.SetRaw) -> bool:
        return await self._writes.ask(replace(message, value=self._values.raw_to_stored(message.value)))

    async def _set_many(self, message: m.SetMany) -> None:
        for keys in in_parts(tuple(message.pairs)):
            pairs = await self._values.pairs_to_stored({key: message.pairs[key] for key in keys}, message.expire)
            await self._writes.ask(m.SetMany(pairs, message.expire))

    async def _delete_many(self, message: m.DeleteMany) -> None:
        for keys in in_parts(message.keys):
            await self._writes.ask(m.DeleteMany(tuple(keys)))

    async def _incr(self, message: m.Incr) -> int:
        counter(message.key, message.value)
        return await self._writes.ask(message)

    # --- many keys

    async def _delete_match(self, message: m.DeleteMatch) -> None:
        await self._delete_pages(message.pattern)

    async def _clear(self, _: m.Clear) -> None:
        await self._delete_pages("*")
        for shard in range(len(self._files)):
            while await self._writes.ask(DeleteForeign(FileCursor(shard))):
                pass

    async def _delete_pages(self, pattern: str) -> None:
        for shard in range(len(self._files)):
            cursor: FileCursor | None = FileCursor(shard)
            while cursor is not None:
                cursor = await self._writes.ask(DeletePage(pattern, cursor))

    async def _delete_tags(self, message: m.DeleteTags) -> None:
        for shard in range(len(self._files)):
            cursor: CarrierCursor | None = CarrierCursor(shard)
            while cursor is not None:
                cursor = await self._writes.ask(DeleteCarriers(message.tags, cursor))

    # --- transactions

    async def settle(self) -> None:
        try:
            await self._writes.ask(m.Unlock("", ""))  # which changes nothing, behind everything that waits in its lane
        except FailedError as error:
            self._failed(m.Unlock("", ""), error, suppress=False)

    async def _peek(self, message: m.Peek) -> m.State:
        return await self._values.state_from_stored(message.key, await self._reads.ask(message))

    async def _commit(self, message: m.Commit) -> m.CommitOutcome:
        return await self._writes.ask(await self._values.commit_to_stored(message))

    # --- replies without a turn

    async def _watch_lock(self, _: m.WatchLock) -> bool:
        """Answer that a lock cannot be watched: files send no notifications."""
        await checkpoint()
        return False

    async def _unwatch_lock(self, _: m.UnwatchLock) -> None:
        await checkpoint()

    async def _ping(self, message: m.Ping) -> bytes:
        await self._reads.ask(m.Exists(""))
        return b"PONG" if message.message is None else message.message


def files_for(options: DiskOptions, directory: str) -> tuple[File, ...]:
    """Return the files of a store in a directory; nothing is opened yet."""
    shards = count_shards(directory) if options.shards is None else options.shards
    settings = {**options.settings, "size_limit": options.size_limit // max(1, shards)}
    if not shards:
        return (File(directory, settings, options.timeout),)
    parts = [os.fspath(Path(directory, f"{number:03}")) for number in range(shards)]
    to_create = (directory, *reversed(parts))  # the first shard last: a process that finds it finds all of them
    return tuple([File(part, settings, options.timeout, to_create) for part in parts])

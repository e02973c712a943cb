"""Fillings: the right of users' own loads to store what they bring, with a ttl and tags that are known only then."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

from cashews._arguments import text
from cashews._typing import Duration, Self
from cashews.engine.engine import Engine
from cashews.keys.tags import TagRules, tags_of
from cashews.messages import KnownTags, LoadPermit, storing
from cashews.ttl import seconds


class Filling:
    """The right to store what one load brings: void once its key is written or invalidated while the load runs.

    ``async with cache.filling("report") as filling`` begins and ends it. `begin()` and `end()` do the same for a load
    whose end lies elsewhere.

    :param overtaken_by: tags whose deletion overtakes the load though no value carries them
    """

    __slots__ = ("_engine", "_key", "_permit", "_rules", "_tagging")

    def __init__(self, engine: Engine, rules: TagRules, key: str, overtaken_by: Iterable[str] = ()) -> None:
        self._engine = engine
        self._rules = rules
        self._key = key
        self._tagging = KnownTags(tags_of(overtaken_by), more=True)
        self._permit: LoadPermit | None = None

    @property
    def overtaken(self) -> bool:
        """Whether nothing is stored any more: the key was written or invalidated here, or the filling has ended."""
        return self._permit is None or self._permit.void

    async def begin(self) -> None:
        """Begin: an invalidation from now on overtakes the load.

        :raises CacheBackendInteractionError: if the store cannot be reached
        """
        self.end()
        permit = self._engine.permits.take(self._key, self._tagging)
        try:
            await self._engine.announce(permit)
        except BaseException:
            self._engine.permits.drop(permit)
            raise
        self._permit = permit

    async def set(self, key: str, value: Any, expire: Duration | None = None, tags: Iterable[str] = ()) -> bool:
        """Store a value, of the filling's key or of another one that belongs to the load; says whether it was stored.

        It is not if the filling's key was written or invalidated since the beginning, if one of the tags, or of
        `overtaken_by`, was deleted since, and if the filling has ended.
        """
        lifetime, every = seconds(expire, "expire"), (*self._rules.of(text("key", key)), *tags_of(tags))
        if self._permit is None:
            return False
        return await self._engine.ask(storing(self._permit, key, value, lifetime, every, beside=self._tagging.tags))

    def end(self) -> None:
        """Give the right back; nothing happens if that is done."""
        if self._permit is not None:
            self._engine.permits.drop(self._permit)
            self._permit = None

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

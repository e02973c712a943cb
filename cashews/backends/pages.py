"""An iterator over the items of pages, for commands that find many keys."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, TypeAlias, TypeVar

from anyio.lowlevel import checkpoint

from cashews._dataclass import replace
from cashews._typing import Self
from cashews.messages import Paged

Item = TypeVar("Item")
Ask: TypeAlias = Callable[[Any], Awaitable[Any]]


class Pages(Generic[Item]):
    """An asynchronous iterator over the items of pages. Unlike a generator, it needs no closing if it is left early.

    :param places: the functions that answer the message, one after the other
    :param prepare: called before the first page of each place
    """

    def __init__(
        self, message: Paged[Item], places: Iterable[Ask], prepare: Callable[[], Awaitable[None]] = checkpoint
    ) -> None:
        self._message = message
        self._places = deque(places)
        self._prepare = prepare
        self._items: deque[Item] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if not self._places:
                raise StopAsyncIteration
            await (self._prepare() if self._message.cursor is None else checkpoint())
            page = await self._places[0](self._message)
            self._items.extend(page.items)
            self._message = replace(self._message, cursor=page.cursor)
            if page.cursor is None:
                self._places.popleft()
        return self._items.popleft()

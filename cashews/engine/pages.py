"""Iteration over keys that match a pattern, page by page, on every store that may hold some."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from cashews.engine.routes import Route
from cashews.messages import Page, Paged

if TYPE_CHECKING:
    from cashews._typing import Self

Item = TypeVar("Item")


class Pages(Generic[Item]):
    """An asynchronous iterator. Not a generator: whoever leaves it early has nothing to close."""

    def __init__(
        self,
        message: Paged[Item],
        routes: Iterable[Route],
        ask: Callable[[Paged[Item], Route], Awaitable[Page[Item]]],
    ) -> None:
        self._message = message
        self._routes = deque(routes)
        self._ask = ask
        self._items: deque[Item] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._items:
            if not self._routes:
                raise StopAsyncIteration
            page = await self._ask(self._message, self._routes[0])
            self._items.extend(page.items)
            self._message = replace(self._message, cursor=page.cursor)
            if page.cursor is None:
                self._routes.popleft()
        return self._items.popleft()

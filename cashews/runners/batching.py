"""Batching: single loads of one function that come close together are one run of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from functools import wraps
from threading import get_ident
from typing import Any, TypeAlias, cast

from cashews._dataclass import dataclass, field
from cashews.actors.loop import Loop
from cashews.actors.slots import ReplySlot
from cashews.engine.engine import Engine
from cashews.engine.flights import TAKE_OVER, TakeOverType
from cashews.runners.call import answer_of
from cashews.runners.ids import Ids
from cashews.strategies.entry import Outcome, Raised, Returned

Answer: TypeAlias = "ReplySlot[Outcome | TakeOverType]"


@dataclass(slots=True, eq=False)
class Batch:
    """The calls that are gathered for one run; the first of them leads it."""

    loop: Loop
    full: ReplySlot[None]
    """Given when there is no room for more."""
    waiting: dict[Answer, Hashable] = field(default_factory=dict[Answer, Hashable])
    """The calls but the leader's, each with its id."""
    size: int = 1


class Batcher:
    """Gathers the calls of one function whose other arguments are the same.

    :param window: for how many seconds the first call waits for others
    :param size: the most ids of a run
    """

    def __init__(self, engine: Engine, function: Callable[..., Any], ids: Ids, window: float, size: int) -> None:
        self._engine = engine
        self._function = function
        self._ids = ids
        self._window = window
        self._size = size
        self._open: dict[Hashable, Batch] = {}
        """The batch that takes calls, by the thread, the other arguments, and the types of all of them and of the id.

        Ids of two types are gathered apart: a mapping has one place for 1, 1.0 and `True`, and keys have three.
        """

    def decorated(self) -> Callable[..., Awaitable[Any]]:
        """Return the function of one id that users call."""

        @wraps(self._function)
        async def batched(*args: Any, **kwargs: Any) -> Any:
            return await self._answer(args, kwargs)

        return batched

    async def _answer(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        one = self._ids.one_of(args, kwargs)
        args, kwargs = self._ids.with_place_of_many(args, kwargs)
        others = (args, tuple(sorted(kwargs.items())))
        place = (get_ident(), others, types_in((one, others)))
        try:
            batch = self._open.get(place)
        except TypeError:  # another argument has no hash: the call is a batch of its own
            return (await self._ids.run(self._function, [one], args, kwargs)).get(one)
        if batch is None or not batch.loop.here:
            loop = self._engine.loop()
            batch = self._open[place] = Batch(loop, loop.reply_slot())
            return await self._lead(batch, place, one, args, kwargs)
        return await self._follow(batch, place, one, args, kwargs)

    async def _follow(
        self, batch: Batch, place: Hashable, one: Hashable, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        reply: Answer = batch.loop.reply_slot()
        batch.waiting[reply] = one
        batch.size += 1
        if batch.size >= self._size:
            self._close(batch, place)
        try:
            answer = await reply
        except BaseException:
            if batch.waiting.pop(reply, None) is None and reply.answer is TAKE_OVER:
                _pass_on(batch)
            raise
        if answer is TAKE_OVER:
            return await self._lead(batch, place, one, args, kwargs)
        return answer_of(answer, shared=True)

    def _close(self, batch: Batch, place: Hashable) -> None:
        """Take no more calls into a batch."""
        if self._open.get(place) is batch:
            del self._open[place]
        if not batch.full.given:
            batch.full.give(None)

    async def _lead(
        self, batch: Batch, place: Hashable, one: Hashable, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        """Gather calls for the window, run the function for all of them, and give each its own answer."""
        clock = self._engine.clock
        try:
            if not batch.full.given:
                with clock.move_on_at(clock.now() + self._window):
                    await batch.full
            self._close(batch, place)
            ids = list(dict.fromkeys([one, *batch.waiting.values()]))
            found = await self._ids.run(self._function, ids, args, kwargs)
            values = {each: found.get(each) for each in ids}
        except Exception as error:
            failed = Raised(error)
            _tell(batch, lambda _: failed)
            raise
        except BaseException:
            self._close(batch, place)
            _pass_on(batch)
            raise
        _tell(batch, lambda each: Returned(values[each]))
        return values[one]


def types_in(value: object) -> object:
    """Return the type of a value, and of each item if it is a tuple: equal values of two types are told apart."""
    if not isinstance(value, tuple):
        return type(value)
    items = cast("tuple[object, ...]", value)
    return (type(items), *map(types_in, items))


def _tell(batch: Batch, outcome: Callable[[Hashable], Outcome]) -> None:
    waiting, batch.waiting = batch.waiting, {}
    for reply, one in waiting.items():
        reply.give(outcome(one))


def _pass_on(batch: Batch) -> None:
    """Have the first of the calls that wait lead the batch: its leader was cancelled."""
    if batch.waiting:
        reply = next(iter(batch.waiting))
        del batch.waiting[reply]
        reply.give(TAKE_OVER)

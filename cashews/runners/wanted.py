"""The ids of one call of a function of many ids: their values, their loads, and the loads of other calls."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from cashews.actors.slots import ReplySlot
from cashews.engine.flights import Answer, Flight, Waiter
from cashews.messages import LoadPermit


class Share(Waiter):
    """The part of a call in the load of another one: one id."""

    __slots__ = ("_wanted", "flight", "one", "outcome")

    def __init__(self, wanted: Wanted, one: Hashable, flight: Flight) -> None:
        self._wanted = wanted
        self.one = one
        self.flight = flight
        self.outcome: Answer | None = None

    @property
    def answer(self) -> Answer:
        """The answer, once it is there."""
        assert self.outcome is not None
        return self.outcome

    def done(self) -> bool:
        return self.outcome is not None

    def set_result(self, value: Answer, /) -> None:
        self.outcome = value
        self._wanted.arrived.append(self)
        bell = self._wanted.bell
        if bell is not None and not bell.given:
            bell.give(None)


class Wanted:
    """The ids of one call: the values that are there already, and the ids that are loaded or waited for.

    Whatever arrives first is taken first: a call that was chosen to lead a load leads it, and waits for nothing else
    before.
    """

    __slots__ = ("args", "arrived", "bell", "joined", "keyless", "keys", "kwargs", "own", "values")

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs
        self.values: dict[Hashable, Any] = {}
        """The value of each id, in the order of the ids; `ABSENT` until there is one."""
        self.keys: dict[Hashable, str] = {}
        """The keys of the ids that are loaded."""
        self.keyless: list[Hashable] = []
        """The ids that can have no key: they are loaded, and not stored."""
        self.own: dict[Hashable, LoadPermit] = {}
        """The loads that this call runs."""
        self.joined: dict[Hashable, Share] = {}
        """The loads of other calls that this one waits for."""
        self.arrived: list[Share] = []
        self.bell: ReplySlot[None] | None = None

"""The defaults of `get_or_set`: the simple strategy, for a value that is given at each call."""

from __future__ import annotations

import inspect
from typing import Any

from cashews._typing import ABSENT
from cashews.engine.engine import Engine
from cashews.keys.tags import TagRules
from cashews.messages import KnownTags, Recall
from cashews.runners.call import Call, Plan, Target, answer_of
from cashews.runners.loader import Loader
from cashews.strategies.strategies import Simple
from cashews.ttl import TTLRule


class Defaults:
    """Gets the value of a key or, if there is none, loads it from the default that the call gives."""

    def __init__(self, engine: Engine, rules: TagRules) -> None:
        self._engine = engine
        self._rules = rules
        self._loader = Loader(engine, DefaultTarget(value_of, _no_key), Simple(), Plan(ttl=TTLRule(_lifetime)))

    async def get_or_set(self, key: str, default: Any, lifetime: float | None, tags: tuple[str, ...]) -> Any:
        """Return the value of a key; if there is none, store and return the default.

        :param default: a value, an awaitable, or a callable (plain or async)
        :param tags: the tags of the value, besides those that the key gives it
        """
        known = (*self._rules.of(key), *tags)
        found = await self._engine.ask(Recall(key, ABSENT))
        if found is not ABSENT:
            return found
        tagging = KnownTags(tuple(dict.fromkeys(known))) if known else None
        outcome, shared = await self._loader.load(Call((default, lifetime, tagging), {}, key))
        return answer_of(outcome, shared=shared)


class DefaultTarget(Target):
    """The function `value_of`; the arguments of its calls are a default, a time to live and the known tags."""

    __slots__ = ()

    def tagging(self, call: Call) -> KnownTags | None:
        tagging: KnownTags | None = call.args[2]
        return tagging


async def value_of(default: Any, *_: object) -> object:
    """Return a default that may be a value, an awaitable or a callable."""
    value: object = default() if callable(default) else default
    return await value if inspect.isawaitable(value) else value


def _lifetime(_: object, lifetime: float | None, __: object) -> float | None:
    return lifetime


def _no_key() -> str:
    raise AssertionError

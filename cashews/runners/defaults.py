"""The load path of `get_or_set`: the simple strategy, for a default that is given at the call."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from cashews._arguments import is_awaitable
from cashews.engine.engine import Engine
from cashews.exceptions import CacheClosedError
from cashews.messages import KnownTags, LoadPermit, Set, storing
from cashews.runners.call import Call, Plan, Target
from cashews.runners.loader import Loader
from cashews.runners.observer import CallObserver
from cashews.strategies.entry import Outcome
from cashews.strategies.strategies import Simple
from cashews.ttl import TTLRule


class DefaultTarget(Target):
    """The target of calls whose arguments are a default, its time to live, and its known tags."""

    __slots__ = ()

    def invoke(self, call: Call) -> Awaitable[Any]:
        return value_of(call.args[0])

    def tagging(self, call: Call) -> KnownTags | None:
        tagging: KnownTags | None
        _, _, tagging = call.args
        return tagging

    def storing(self, call: Call, outcome: Outcome, form: object, ttl: float | None, permit: LoadPermit) -> Set:
        return storing(permit, call.key, form, ttl, () if permit.tagging is None else permit.tagging.tags)


async def value_of(default: Any) -> object:
    """Return a default that may be a value, an awaitable or a callable."""
    value: object = default() if callable(default) else default
    return await value if is_awaitable(value) else value


def default_loader(engine: Engine) -> Loader:
    """Return the loader of calls whose arguments are a default, its time to live, and its known tags."""
    plan = Plan(ttl=TTLRule(_ttl_of))
    # It is a command: other errors are raised.
    observer = CallObserver(engine, value_of, Simple.name, plan, CacheClosedError)
    return Loader(engine, DefaultTarget(value_of, _no_key), Simple(), plan, observer)


def _ttl_of(_: object, ttl: float | None, __: object) -> float | None:
    return ttl


def _no_key() -> str:
    raise AssertionError

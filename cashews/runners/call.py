"""One decorated call, worked out; and what is known of its function."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cashews.engine.engine import Engine
from cashews.keys.tags import TagMaker
from cashews.messages import KnownTags, LoadPermit, Set, SetTagged
from cashews.strategies.conditions import Condition
from cashews.strategies.entry import Outcome, Returned
from cashews.ttl import TTLRule

Compiled: TypeAlias = "TTLRule | float | None"
"""A duration as a decorator keeps it: seconds, `None`, or a rule to ask at each call."""


@dataclass(slots=True)
class Call:
    """The arguments of one call, and its key."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    key: str


@dataclass(frozen=True, slots=True)
class Target:
    """A decorated function, and what makes the keys of its calls and the tags of its values."""

    function: Callable[..., Any]
    key: Callable[..., str]
    tags: TagMaker | None = None

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Work out a call.

        :raises WrongKeyError: if an argument does not have what the template asks for
        """
        return Call(args, kwargs, self.key(*args, **kwargs))

    def invoke(self, call: Call) -> Awaitable[Any]:
        """Run the function."""
        run: Awaitable[Any] = self.function(*call.args, **call.kwargs)
        return run

    def tagging(self, call: Call, registered: tuple[str, ...]) -> KnownTags | None:
        """Return what is known of the tags of a call's value before it is loaded, `None` if it will carry none.

        :param registered: the tags that it carries because of its key
        :raises WrongKeyError: if an argument does not have what a template asks for
        """
        if self.tags is None:
            return KnownTags(registered) if registered else None
        return KnownTags((*registered, *self.tags.of_call(call.args, call.kwargs)), bool(self.tags.after))

    def keeping(self, call: Call, outcome: Outcome, kept: object, ttl: float | None, permit: LoadPermit) -> Set:
        """Return the message that has something kept of a call's outcome; an exception gives no tags of its own.

        :raises WrongKeyError: if the result does not have what a template asks for
        """
        tags: tuple[str, ...] = () if permit.tagging is None else permit.tagging.tags
        if self.tags is not None and isinstance(outcome, Returned):
            tags += self.tags.of_result(call.args, call.kwargs, outcome.value)
        if not tags:
            return Set(call.key, kept, ttl, None, permit)
        return SetTagged(call.key, kept, ttl, None, permit, tuple(dict.fromkeys(tags)), permit.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a caching decorator was told; durations in seconds.

    `ttl`: how long an outcome is kept. `own_ttl`: after how long the strategy wants a new one. `condition`: what is
    worth keeping. `min_cost`: how long a load has to take to be worth it. `jitter`: by which share a ttl is shortened
    at random. `protected`: whether concurrent calls share one load. `lease`: for how long a load locks its key against
    other processes, `None` if it does not. `upper`: whether what came from another cache is not kept.
    `soft_timeout`: how long callers wait for a new value if there is an old one. `hard_timeout`: how long a load may
    take.
    """

    ttl: Compiled
    own_ttl: Compiled = None
    condition: Condition | None = None
    min_cost: float = 0.0
    jitter: float = 0.0
    protected: bool = True
    lease: float | None = None
    upper: bool = False
    soft_timeout: float | None = None
    hard_timeout: float | None = None


async def consult(condition: Condition, about: object, call: Call) -> object:
    """Return what a condition, plain or async, answers about a result, an exception or an item."""
    answer = condition(about, call.args, call.kwargs, key=call.key)
    return await answer if inspect.isawaitable(answer) else answer


def lifetime(plan: Plan, call: Call, result: object, draw: Callable[[], float]) -> float | None:
    """Return for how many seconds a result is kept, shortened at random by up to the plan's jitter."""
    ttl = resolve(plan.ttl, call, result)
    return ttl if ttl is None or not plan.jitter else ttl * (1.0 - plan.jitter * draw())


def record_of(engine: Engine, name: str, plan: Plan, call: Call, result: object) -> dict[str, Any]:
    """Return what `detect` tells of a call that was answered from the cache."""
    return {"name": name, "ttl": resolve(plan.ttl, call, result), "backend": engine.route_of(call.key).backend.name}


def resolve(ttl: Compiled, call: Call, result: object) -> float | None:
    """Return the seconds of a duration for one call."""
    return ttl(call.args, call.kwargs, result) if isinstance(ttl, TTLRule) else ttl

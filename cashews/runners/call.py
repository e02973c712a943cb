"""One call of a decorated function, its function, and the plan of its decorator."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass, field
from cashews.exceptions import NoKeyError
from cashews.keys.tags import TagMaker, TagRules
from cashews.keys.writing import Head, any_call, fitting_call, is_plain
from cashews.messages import KnownTags, LoadPermit, Set, storing
from cashews.strategies.conditions import Condition
from cashews.strategies.entry import Outcome, Raised, Returned
from cashews.strategies.replay import Replay
from cashews.ttl import TTLRule

Compiled: TypeAlias = "TTLRule | float | None"
"""A duration as a decorator keeps it: seconds, `None`, or a rule to ask at each call."""


@dataclass(slots=True)
class Call:
    """The arguments of one call, and its key."""

    args: tuple[Any, ...] = field(repr=False)
    kwargs: Mapping[str, Any] = field(repr=False)
    key: str


@dataclass(frozen=True, slots=True)
class Target:
    """A decorated function, and the makers of its calls' keys and of its values' tags."""

    function: Callable[..., Any]
    key: Callable[..., str]
    tags: TagMaker | None = None
    rules: TagRules | None = None
    """The cache's tags by key; `None` if the function's results are not stored."""
    head: Head | None = None
    """The head of a function that takes the calls by name; `None` if users' code sees how arguments were passed."""

    def call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call:
        """Return a call and its key.

        :raises WrongKeyError: if it can have none; a NoKeyError unless keys are strict
        """
        return Call(args, kwargs, self.key(*args, **kwargs))

    def call_if_keyed(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Call | None:
        """Return a call and its key, `None` if it can have no key; nothing is stored for such a call."""
        try:
            return self.call(args, kwargs)
        except NoKeyError:
            return None

    def invoke(self, call: Call) -> Awaitable[Any]:
        """Run the function."""
        run: Awaitable[Any] = self.function(*call.args, **call.kwargs)
        return run

    def has_tags(self) -> bool:
        """Say whether values of the function's calls may carry tags."""
        return self.tags is not None or (self.rules is not None and bool(self.rules.rules))

    def tagging(self, call: Call) -> KnownTags | None:
        """Return the tags that are known of a call's value before it is loaded, `None` if it will carry none.

        They are worked out now, since the function may change its arguments.

        :raises WrongKeyError: if an argument does not have the attribute or item that a tag names
        """
        registered = () if self.rules is None or not self.rules.rules else self.rules.of(call.key)
        if self.tags is None:
            return KnownTags(registered) if registered else None
        return KnownTags((*registered, *self.tags.of_call(call.args, call.kwargs)), bool(self.tags.after))

    def storing(self, call: Call, outcome: Outcome, form: object, ttl: float | None, permit: LoadPermit) -> Set:
        """Return the message that stores the form of a call's outcome under its tags, if the permit is valid by then.

        A result may add tags of its own, an exception does not.

        :raises WrongKeyError: if the result does not have the attribute or item that a tag names
        """
        if permit.tagging is None:
            return Set(call.key, form, ttl, None, permit)
        tags = permit.tagging.tags
        if self.tags is not None and isinstance(outcome, Returned):
            tags += self.tags.of_result(call.args, call.kwargs, outcome.value)
        return storing(permit, call.key, form, ttl, tags)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The options of a caching decorator; durations in seconds.

    `ttl`: how long an outcome is stored. `own_ttl`: after how long the strategy wants a new one. `condition`: which
    outcomes are stored. `min_cost`: a load that takes less than this is not stored. `jitter`: the share by which a ttl
    is shortened at random, at most. `protected`: whether concurrent calls share one load. `lease`: for how long a load
    locks its key against other processes, `None` if it does not. `upper`: whether nothing is stored if another cache
    has answered beneath. `soft_timeout`: how long callers wait for a new value if there is an old one. `hard_timeout`:
    how long the function may take.
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


def head_of(target: Target, plan: Plan, name: str) -> Head:
    """Return the head of the wrapper of a cached function.

    :param name: the name of the function, for errors
    """
    if not is_plain(target.function):
        return fitting_call(target.key, name)
    return named_head(target, plan.condition, plan.ttl, plan.own_ttl)


def named_head(target: Target, *seen: object) -> Head:
    """Return the head of a wrapper: by the names of the arguments, unless users' code sees how they were passed.

    :param seen: the options that may be such code: a callable, or a rule for a duration
    """
    is_seen = any(callable(each) or isinstance(each, TTLRule) for each in seen)
    return any_call(target.key) if is_seen or target.head is None else target.head


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function with its module; that of its class, for an object that can be called."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{getattr(function, '__module__', None) or type(function).__module__}.{name}"


async def consult(condition: Condition, about: object, call: Call) -> object:
    """Return the answer of a condition, plain or async, about a result, an exception or an item."""
    answer = condition(about, call.args, call.kwargs, key=call.key)
    return await answer if is_awaitable(answer) else answer


def lifetime(plan: Plan, call: Call, result: object, draw: Callable[[], float]) -> float | None:
    """Return for how many seconds a result is stored, shortened at random by up to the plan's jitter."""
    ttl = resolve(plan.ttl, call, result)
    return ttl if ttl is None or not plan.jitter else ttl * (1.0 - plan.jitter * draw())


def fixed_durations(plan: Plan) -> tuple[float | None, float | None] | None:
    """Return the ttl and the strategy's own ttl of a plan, or `None` if they depend on the call or on chance."""
    if plan.jitter or isinstance(plan.ttl, TTLRule) or isinstance(plan.own_ttl, TTLRule):
        return None
    return plan.ttl, plan.own_ttl


def resolve(ttl: Compiled, call: Call, result: object) -> float | None:
    """Return the seconds of a duration for one call."""
    return ttl(call.args, call.kwargs, result) if isinstance(ttl, TTLRule) else ttl


def answer_of(outcome: Outcome, *, shared: bool) -> Any:
    """Return the result of an outcome, or raise its exception: a copy, if the outcome is another call's."""
    if isinstance(outcome, Raised):
        raise outcome.fresh() if shared else outcome.error
    value = outcome.value
    return value.result() if type(value) is Replay else value

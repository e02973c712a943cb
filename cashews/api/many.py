"""The decorators of functions that take many ids: `many` caches each id by itself, `batching` gathers single calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, cast, overload

from cashews._arguments import flag, integer, non_negative_duration, number, text
from cashews._dataclass import dataclass
from cashews._typing import TTL, Duration
from cashews.api.caching import lifetime_of
from cashews.api.decorated import AsyncFunction, CachedMany, K, Owner, P, R
from cashews.api.decorators import statistics_of
from cashews.api.face import Face
from cashews.api.keying import Keying, async_function
from cashews.api.methods import equipped, unwrapped
from cashews.engine.engine import Engine
from cashews.keys.tags import Tags, parse_tags
from cashews.runners.batching import Batcher
from cashews.runners.call import Plan, Target
from cashews.runners.ids import ids_of, single
from cashews.runners.many import ManyRunner
from cashews.strategies.conditions import Condition, parse_condition


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyDecorator:
    """``@cache.many(...)``: makes a cached function of an async one that takes many ids and returns a mapping."""

    engine: Engine
    keying: Keying
    plan: Plan
    ids: str
    absent: bool

    def __call__(self, function: Callable[P, Awaitable[Mapping[K, R]]]) -> CachedMany[P, K, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the key template does not fit it
        :raises WrongArgumentError: if it has no parameter for the ids
        """
        function, binding = unwrapped(function)
        ids = ids_of(async_function(function), self.ids, self.keying.template)
        one = single(function, ids)
        target = Target(function, self.keying.key_of(one), self.keying.tags_of(one), self.keying.rules)
        runner = ManyRunner(self.engine, target, ids, self.plan, absent=self.absent)
        helpers: dict[str, Callable[..., Any]] = {
            "key": self.keying.shown_key_of(one),
            "invalidate": runner.invalidate,
            "explain": runner.explain,
            "statistics": statistics_of(runner.observer),
        }
        template = self.keying.template_of(one)
        return cast("CachedMany[P, K, R]", equipped(runner.decorated(), function, binding, template, **helpers))


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchingDecorator:
    """``@cache.batching(...)``: makes a function of one id of an async one that takes many."""

    engine: Engine
    window: float
    size: int
    ids: str
    one: str

    @overload
    def __call__(
        self, function: Callable[Concatenate[list[K], P], Awaitable[Mapping[K, R]]]
    ) -> AsyncFunction[Concatenate[K, P], R | None]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Owner, list[K], P], Awaitable[Mapping[K, R]]]
    ) -> AsyncFunction[Concatenate[Owner, K, P], R | None]: ...
    def __call__(self, function: Callable[..., Awaitable[Mapping[Any, Any]]]) -> AsyncFunction[..., Any]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongArgumentError: if it has no parameter for the ids
        """
        ids = ids_of(async_function(function), self.ids, "{" + self.one + "}")
        batched = Batcher(self.engine, function, ids, self.window, self.size).decorated()
        batched.__dict__["__signature__"] = single(function, ids).__dict__["__signature__"]
        return cast("AsyncFunction[..., Any]", batched)


class ManyAPI(Face):
    """The decorators of functions of many ids."""

    def many(
        self,
        ttl: TTL,
        key: str | None = None,
        condition: Condition | str | None = None,
        *,
        ids: str = "ids",
        absent: bool = False,
        time_condition: Duration | None = None,
        prefix: str = "",
        tags: Tags = (),
        protected: bool = True,
        jitter: float = 0.0,
    ) -> ManyDecorator:
        """Return a decorator of functions that take many ids and return a mapping: each id is cached by itself.

        The stored ids are read in one message. The others are loaded in one run of the function, which gets only
        them, and stored; ids that another call loads already are waited for. The answer is a dictionary, in the order
        of the ids.

        :param key: the template of the keys, in which a field that is none of the parameters, such as ``{id}``, is one
            id; the parameter of the ids is one of them, too
        :param condition: asked about the value of each id
        :param ids: the name of the parameter that takes the ids
        :param absent: remember the ids that the function leaves out, in the form of `None`; then `None` values are left
            out of the answer
        :param time_condition: store only the results of runs that took at least this long
        :param tags: as for the other decorators; the result is the value of one id
        """
        plan = Plan(
            ttl=lifetime_of(ttl),
            condition=parse_condition(condition),
            min_cost=non_negative_duration("time_condition", time_condition) or 0.0,
            protected=flag("protected", protected),
            jitter=number("jitter", jitter, 0, 1),
        )
        keying, kept = self._keying(key, prefix, tags=parse_tags(tags), answers=True), flag("absent", absent)
        return ManyDecorator(engine=self._engine, keying=keying, plan=plan, ids=text("ids", ids), absent=kept)

    def batching(
        self,
        window: Duration = "2ms",
        size: int = 100,
        *,
        ids: str = "ids",
        id: str = "id",  # noqa: A002  the usual name of one
    ) -> BatchingDecorator:
        """Return a decorator of functions that take many ids: the decorated function takes one, and calls are gathered.

        The first call waits for others, and runs the function for all of them; each gets the value of its own id,
        `None` if there is none. Calls whose other arguments differ are gathered apart. Nothing is stored: put a caching
        decorator over it.

        :param window: how long the first call waits
        :param size: the most calls of one run, which does not wait any longer then
        :param ids: the name of the parameter that takes the ids
        :param id: the name of the decorated function's parameter in its place
        """
        seconds = non_negative_duration("window", window) or 0.0
        most = integer("size", size, 1)
        return BatchingDecorator(
            engine=self._engine, window=seconds, size=most, ids=text("ids", ids), one=text("id", id)
        )

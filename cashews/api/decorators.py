"""The objects that the methods of a cache return: each decorates a function."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, cast

from cashews._dataclass import dataclass
from cashews.api.decorated import AsyncFunction, Cached, CachedIterator, Filtered, P, R
from cashews.api.keying import Keying, async_function, async_generator_function
from cashews.api.methods import equipped, unwrapped
from cashews.engine.counts import CallStatistics
from cashews.engine.engine import Engine
from cashews.exceptions import WrongArgumentError
from cashews.guards.bloom import Bloom, BloomShape, DualBloom
from cashews.guards.guard import Guard
from cashews.guards.invalidate import Invalidate, pieces_for
from cashews.keys.compile import get_cache_key_template
from cashews.keys.formatter import default_formatter
from cashews.keys.template import Field, parse_template
from cashews.messages import Delete
from cashews.runners.call import Plan, Target
from cashews.runners.observer import CallObserver
from cashews.runners.runner import Runner
from cashews.runners.streams import StreamRunner
from cashews.strategies.strategy import Strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class BloomDecorator:
    """``@cache.bloom(...)``: puts a filter before an async function."""

    engine: Engine
    keying: Keying
    shape: BloomShape
    check: bool

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Filtered[P, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the name does not fit it
        :raises WrongArgumentError: if the name is the same for all calls
        """
        function, binding = unwrapped(function)
        target = self.keying.target(async_function(function))
        bloom = Bloom(self.engine, stored_name(function, self.keying, self.shape), self.shape, self.check)
        key, put = self.keying.shown_key_of(function), partial(_put, bloom, target)
        return cast("Filtered[P, R]", equipped(bloom.bound(target), function, binding, key=key, set=put))


async def _put(bloom: Bloom, target: Target, /, *args: Any, **kwargs: Any) -> Any:
    return await bloom.put(target.call(args, kwargs), target.invoke)


@dataclass(frozen=True, slots=True, kw_only=True)
class DualBloomDecorator:
    """``@cache.dual_bloom(...)``: puts two filters before an async function."""

    engine: Engine
    keying: Keying
    yes: BloomShape
    no: BloomShape
    strict: bool

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R | bool]]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the name does not fit it
        :raises WrongArgumentError: if the name is the same for all calls
        """
        function, binding = unwrapped(function)
        target = self.keying.target(async_function(function))
        name = stored_name(function, self.keying, self.yes, self.no)
        run = DualBloom(self.engine, name, self.yes, self.no, self.strict).bound(target)
        filtered = equipped(run, function, binding, key=self.keying.shown_key_of(function))
        return cast("Callable[P, Coroutine[Any, Any, R | bool]]", filtered)


def stored_name(function: Callable[..., Any], keying: Keying, *shapes: BloomShape) -> str:
    """Return the key under which a filter is stored: functions of the same template and sizes share it.

    The sizes are part of it, since the bits of a filter of another size mean nothing.

    :raises WrongArgumentError: if the template is the same for all calls
    """
    if keying.template is not None and not any(isinstance(part, Field) for part in parse_template(keying.template)):
        raise WrongArgumentError("name", keying.template, "a key template with fields, such as 'emails:{email}'")
    template = get_cache_key_template(function, keying.template, keying.prefix, noself=keying.noself)
    return ":".join([template, *(f"{shape.bits}:{shape.hashes}" for shape in shapes)])


@dataclass(frozen=True, slots=True)
class CachingDecorator:
    """``@cache(...)`` and its kin: makes a cached function of an async one."""

    engine: Engine
    strategy: Strategy
    keying: Keying
    plan: Plan

    def __call__(self, function: Callable[P, Awaitable[R]]) -> Cached[P, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the key template does not fit it
        """
        function, binding = unwrapped(function)
        target = self.keying.target(async_function(function))
        runner = Runner(self.engine, target, self.strategy, self.plan)
        helpers = helpers_of(runner, target, self.engine)
        key, template = self.keying.shown_key_of(function), self.keying.template_of(function)
        return cast("Cached[P, R]", equipped(runner.decorated(), function, binding, template, key=key, **helpers))


def helpers_of(runner: Runner, target: Target, engine: Engine) -> dict[str, Callable[..., Any]]:
    """Return the methods of a cached function but `key`."""

    async def invalidate(*args: object, **kwargs: object) -> bool:
        call = target.call_if_keyed(args, kwargs)
        return call is not None and await engine.ask(Delete(call.key))

    async def refresh(*args: object, **kwargs: object) -> object:
        call = target.call_if_keyed(args, kwargs)
        return await (runner.run(args, kwargs) if call is None else runner.refresh(call))

    async def peek(*args: object, **kwargs: object) -> object:
        call = target.call_if_keyed(args, kwargs)
        return None if call is None else await runner.peek(call, None)

    explain, statistics = runner.explainer(), statistics_of(runner.observer)
    return {"invalidate": invalidate, "refresh": refresh, "peek": peek, "explain": explain, "statistics": statistics}


def statistics_of(observer: CallObserver) -> Callable[..., CallStatistics]:
    """Return the method `statistics` of a decorated function; that of a bound method gets the instance."""
    return lambda *_: observer.counts.statistics()


@dataclass(frozen=True, slots=True)
class IteratorDecorator:
    """``@cache.iterator(...)``: makes a cached async generator function of another."""

    engine: Engine
    keying: Keying
    plan: Plan
    most: int

    def __call__(self, function: Callable[P, AsyncIterator[R]]) -> CachedIterator[P, R]:
        """Decorate an async generator function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the key template does not fit it
        """
        function, binding = unwrapped(function)
        runner = self.runner(async_generator_function(function))
        helpers, template = self.helpers(runner, function), self.keying.template_of(function)
        return cast("CachedIterator[P, R]", equipped(runner.decorated(), function, binding, template, **helpers))

    def runner(self, function: Callable[..., Any]) -> StreamRunner:
        """Return the runner of a generator function's calls.

        :raises WrongKeyError: if the key template does not fit it
        """
        return StreamRunner(self.engine, self.keying.target(function), self.plan, self.most)

    def helpers(self, runner: StreamRunner, function: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
        """Return the methods of a cached generator function."""
        key, statistics = self.keying.shown_key_of(function), statistics_of(runner.observer)
        return {"key": key, "invalidate": runner.invalidate, "explain": runner.explainer(), "statistics": statistics}


@dataclass(frozen=True, slots=True)
class GuardDecorator:
    """``@cache.locked(...)`` and its kin: puts a guard before an async function."""

    guard: Guard
    keying: Keying
    per_function: bool = False
    """True: the default key is the same for all calls of a function."""

    def __call__(self, function: Callable[P, Awaitable[R]]) -> AsyncFunction[P, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the key template does not fit it
        """
        function, binding = unwrapped(function)
        call = async_function(function)
        keying = self.keying.per_function(function) if self.per_function else self.keying
        target = keying.target(call)
        run = self.guard.for_function().bound(target)
        key = keying.shown_key_of(function)
        return cast("AsyncFunction[P, R]", equipped(run, function, binding, key=key))


@dataclass(frozen=True, slots=True)
class InvalidateDecorator:
    """``@cache.invalidate(...)``: makes an async function remove keys when it has returned."""

    engine: Engine
    template: str
    args_map: Mapping[str, str]
    defaults: Mapping[str, object]
    strict: bool = False
    stars: bool = True
    """True: a star of the template stands for any text."""

    def __call__(self, function: Callable[P, Awaitable[R]]) -> AsyncFunction[P, R]:
        """Decorate an async function.

        :raises NotAsyncError: if it is not one
        :raises WrongKeyError: if the template has a field without a value
        """
        function, binding = unwrapped(function)
        target = Target(async_function(function), _no_key)
        template, strict, stars = self.template, self.strict, self.stars
        pieces = pieces_for(
            function, template, self.args_map, self.defaults, default_formatter, strict=strict, stars=stars
        )
        run = Invalidate(self.engine, pieces).bound(target)
        return cast("AsyncFunction[P, R]", run if binding is None else equipped(run, function, binding))


def _no_key(*_: object, **__: object) -> str:
    return ""

"""The decorators of Bloom filters, and the type of what they make."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, Protocol, TypeVar, cast, overload

from cashews.bloom import BloomShape
from cashews.decorated import P, Q, R, R_co
from cashews.decorating import Keying, async_function
from cashews.engine.engine import Engine
from cashews.exceptions import WrongArgumentError
from cashews.key import get_cache_key_template
from cashews.strategies.call import Target
from cashews.strategies.guards.bloom import Bloom, DualBloom
from cashews.strategies.guards.guard import guarded
from cashews.template import Field, parse_template

Owner = TypeVar("Owner")


class Filtered(Protocol[P, R_co]):
    """A function behind a Bloom filter; on a method, `set` and `key` are called on the class's attribute."""

    __name__: str
    __qualname__: str
    __wrapped__: Callable[..., Any]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co | bool]:
        """Answer from the filter, or run the function."""
        ...

    @overload
    def __get__(self, instance: None, owner: type) -> Filtered[P, R_co]: ...
    @overload
    def __get__(
        self: Filtered[Concatenate[Owner, Q], R], instance: Owner, owner: type[Owner]
    ) -> Callable[Q, Coroutine[Any, Any, R | bool]]: ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Return the item that stands for a call."""
        ...

    async def set(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Run the function and return its result; if it is true, the filter answers yes for this call from now on."""
        ...


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
        target = self.keying.target(async_function(function))
        bloom = Bloom(self.engine, stored_name(function, self.keying, self.shape), self.shape, self.check)
        run: Any = guarded(target, bloom)
        run.key, run.set = target.key, partial(_put, bloom, target)
        return cast("Filtered[P, R]", run)


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
        target = self.keying.target(async_function(function))
        name = stored_name(function, self.keying, self.yes, self.no)
        run: Any = guarded(target, DualBloom(self.engine, name, self.yes, self.no, self.strict))
        run.key = target.key
        return cast("Callable[P, Coroutine[Any, Any, R | bool]]", run)


def stored_name(function: Callable[..., Any], keying: Keying, *shapes: BloomShape) -> str:
    """Return the key under which a filter is stored: functions of the same template and sizes share it.

    The sizes are part of it, since the bits of another size mean nothing.

    :raises WrongArgumentError: if the template is the same for all calls
    """
    if keying.template is not None and not any(isinstance(part, Field) for part in parse_template(keying.template)):
        raise WrongArgumentError("name", keying.template, "a key template with fields, such as 'emails:{email}'")
    template = get_cache_key_template(function, keying.template, keying.prefix, noself=keying.noself)
    return ":".join([template, *(f"{shape.bits}:{shape.hashes}" for shape in shapes)])

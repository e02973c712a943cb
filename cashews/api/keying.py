"""What all decorators share: how they make keys, and what they take from what they are told."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from cashews._arguments import text
from cashews.exceptions import NotAsyncError
from cashews.keys.compile import compile_key
from cashews.keys.formatter import Formatter, default_formatter
from cashews.keys.tags import Tag, TagMaker, compile_tags
from cashews.runners.call import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Keying:
    """How a decorator makes keys.

    :raises WrongArgumentError: if the template or the prefix is not text
    """

    template: str | None
    prefix: str
    noself: bool = False
    strict: bool = False
    formatter: Formatter = default_formatter
    argument: str = "key"
    """What the decorator calls its template."""
    tags: tuple[Tag, ...] = ()

    def __post_init__(self) -> None:
        if self.template is not None:
            text(self.argument, self.template)
        text("prefix", self.prefix)

    def target(self, function: Callable[..., Awaitable[Any]]) -> Target:
        """Work out the keys of an async function.

        :raises WrongKeyError: if the template does not fit it
        """
        return Target(function, self.key_of(function), self.tags_of(function))

    def tags_of(self, function: Callable[..., object]) -> TagMaker | None:
        """Return what makes the tags of a function's values, `None` if they carry none.

        :raises WrongKeyError: if a template does not fit it
        """
        return compile_tags(function, self.tags, self.formatter)

    def key_of(self, function: Callable[..., object]) -> Callable[..., str]:
        """Return what makes the keys of a function's calls.

        :raises WrongKeyError: if the template does not fit it
        """
        return compile_key(
            function,
            self.template,
            prefix=self.prefix,
            noself=self.noself,
            formatter=self.formatter,
            strict=self.strict,
        )


def async_function(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """Return a function that is async, by itself or inside of `functools.partial`.

    :raises NotAsyncError: if it is not
    """
    if any(map(inspect.iscoroutinefunction, _forms(function))):
        return function
    raise NotAsyncError(function)


def async_generator_function(function: Callable[..., Any]) -> Callable[..., AsyncGenerator[Any, None]]:
    """Return a function that makes async generators, by itself or inside of `functools.partial`.

    :raises NotAsyncError: if it does not
    """
    if any(map(inspect.isasyncgenfunction, _forms(function))):
        return function
    raise NotAsyncError(function, "async generator functions")


def _forms(function: Callable[..., Any]) -> tuple[object, object]:
    """Return what may show the kind of a function: itself, out of its partials, and of an object its call method."""
    inner: object = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inner, getattr(inner, "__call__", None)  # noqa: B004  of an object, the method is what is called


def noself(decorate: Callable[..., Any]) -> Callable[..., Any]:
    """Return a decorator factory like the given one, whose default keys leave out the first parameter of a method.

    ``@noself(cache)(ttl="2h")``, ``@noself(cache.early)(ttl="2h")``.
    """

    @functools.wraps(decorate)
    def factory(*args: Any, **kwargs: Any) -> Any:
        decorator = decorate(*args, **kwargs)
        return replace(decorator, keying=replace(decorator.keying, noself=True))

    return factory

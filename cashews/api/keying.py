"""Shared by all decorators: building the key functions and tags of a function; `noself`."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, ParamSpec, TypeVar

from cashews._arguments import text
from cashews._dataclass import dataclass, field, replace
from cashews.exceptions import NotAsyncError, SharedKeyError, SharedKeyWarning, WrongArgumentError
from cashews.keys.compile import get_cache_key_template, key_source, template_of
from cashews.keys.formatter import Formatter, default_formatter
from cashews.keys.names import Claims, Subject, subject_of, without_textless
from cashews.keys.source import KeySource
from cashews.keys.tags import TAG_LABELS, Tag, TagMaker, TagRules, compile_tags
from cashews.keys.writing import is_plain
from cashews.runners.call import Target

P = ParamSpec("P")
D = TypeVar("D")
"""A decorator that was made with a `Keying`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keying:
    """The key settings of a decorator, and the makers of keys and tags that follow from them.

    :raises WrongArgumentError: if the template or the prefix is not text
    """

    template: str | None
    prefix: str
    noself: bool = False
    strict: bool = False
    formatter: Formatter = default_formatter
    argument: str = "key"
    """The decorator's name for its template."""
    tags: tuple[Tag, ...] = ()
    rules: TagRules | None = None
    """The cache's tags by key."""
    answers: bool = False
    """True: calls of one key answer each other, so a strict key has to name every parameter."""
    claims: Claims = field(default_factory=Claims)
    """The functions that have the default keys of the cache."""

    def __post_init__(self) -> None:
        if self.template is not None:
            text(self.argument, self.template)
        text("prefix", self.prefix)

    def target(self, function: Callable[..., Any]) -> Target:
        """Return a function with the makers of its keys and tags.

        :raises WrongKeyError: if a template does not fit it
        """
        self._claim_default(function)
        source = self._source(function, in_use=True)
        is_seen = any(not isinstance(tag, str) for tag in self.tags)  # a callable is called as the function was
        head = source.head() if is_plain(function) and not is_seen else None
        return Target(function, source.key(), self.tags_of(function), self.rules, head)

    def tags_of(self, function: Callable[..., object]) -> TagMaker | None:
        """Return the maker of the tags of a function's values, `None` if the decorator gives them none.

        :raises WrongKeyError: if a template does not fit it
        """
        made = compile_tags(function, self.tags, self.formatter)
        if made is not None:
            TAG_LABELS.add(get_cache_key_template(function, self.template, self.prefix, noself=self.noself), self.tags)
        return made

    def key_of(self, function: Callable[..., object]) -> Callable[..., str]:
        """Return the function that makes the keys of a function's calls; it raises NoKeyError where there is none.

        :raises WrongKeyError: if the template does not fit it
        :raises SharedKeyError: if another function has this default key, and keys are strict
        """
        self._claim_default(function)
        return self._source(function, in_use=True).key()

    def shown_key_of(self, function: Callable[..., object]) -> Callable[..., str]:
        """Return the function that shows the keys of a function's calls, those that cannot be used, too."""
        return self._source(function, in_use=False).key()

    def template_of(self, function: Callable[..., object]) -> str | None:
        """Return the template that makes the keys of a function; `None` if the class of `self` is also part of them."""
        if self.noself and self.template is None:
            return None
        return template_of(subject_of(function), self.template, self.prefix)

    def per_function(self, function: Callable[..., object]) -> Keying:
        """Return the settings for one key for all calls of a function, unless there is a template.

        :raises SharedKeyError: if another function has this default key, and keys are strict
        """
        if self.template is not None:
            return self
        subject = self._subject(function)
        template = template_of(replace(subject, parameters=subject.brought), None)
        self._claim(function, subject, f"{self.prefix}:{template}")
        return replace(self, template=template, noself=False)

    def _source(self, function: Callable[..., object], *, in_use: bool) -> KeySource:
        return key_source(
            function,
            self.template,
            prefix=self.prefix,
            noself=self.noself,
            formatter=self.formatter,
            strict=self.strict,
            in_use=in_use,
            answers=self.answers,
        )

    def _subject(self, function: Callable[..., object]) -> Subject:
        subject = subject_of(function)
        return subject if self.answers else without_textless(subject, self.formatter.plain_text)

    def _claim_default(self, function: Callable[..., object]) -> None:
        if self.template is None:
            subject = self._subject(function)
            self._claim(function, subject, template_of(subject, None, self.prefix, noself=self.noself))

    def _claim(self, function: Callable[..., object], subject: Subject, template: str) -> None:
        """Say that two functions have one default key, once per key."""
        if (told := self.claims.rival(template, function, subject.left_out)) is None:
            return
        if self.strict:
            raise SharedKeyError(subject.name, told)
        warnings.warn(SharedKeyWarning(told), stacklevel=5)


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


def generator_function(function: Callable[..., Any]) -> Callable[..., Generator[Any, Any, Any]]:
    """Return a function that makes plain generators, by itself or inside of `functools.partial`.

    :raises WrongArgumentError: if it does not
    """
    if any(map(inspect.isgeneratorfunction, _forms(function))):
        return function
    raise WrongArgumentError("function", function, "a plain generator function")


def _forms(function: Callable[..., Any]) -> tuple[object, object]:
    """Return the two objects that may show the kind of a function: itself without its partials, and its call method."""
    inner: object = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return inner, getattr(type(inner), "__call__", None)  # noqa: B004  calling an object runs this method


def noself(decorate: Callable[P, D]) -> Callable[P, D]:
    """Return a decorator factory like the given one, whose default keys leave out the first parameter of a method.

    Examples: ``@noself(cache)(ttl="2h")``, ``@noself(cache.early)(ttl="2h")``.
    """
    described = decorate if inspect.isroutine(decorate) else getattr(decorate, "__call__")  # noqa: B004, B009  of a cache

    @functools.wraps(described)
    def factory(*args: P.args, **kwargs: P.kwargs) -> D:
        decorator: Any = decorate(*args, **kwargs)
        without_self: D = replace(decorator, keying=replace(decorator.keying, noself=True))
        return without_self

    return factory

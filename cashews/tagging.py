"""The tags of a decorated function's values: templates of its arguments and result, and callables, compiled once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from cashews.attributes import signature_of
from cashews.border import several, text
from cashews.exceptions import WrongArgumentError
from cashews.formatter import Formatter, default_formatter
from cashews.key import RESULT, compile_key
from cashews.template import Field, parse_template

Tag: TypeAlias = "str | Callable[..., Iterable[str]]"
Tags: TypeAlias = "Iterable[Tag] | Callable[..., Iterable[str]]"
"""Templates such as ``"page:{page}"`` and ``"user:{result.id}"``, and callables that return any number of tags; these
are called as ``tags(result, *args, **kwargs)``."""

ALLOWED = "several templates or callables, such as ['items', 'page:{page}']"


@dataclass(frozen=True, slots=True)
class TagMaker:
    """Makes the tags of the calls of one function: some before it runs, some of its result."""

    before: tuple[Callable[..., str], ...]
    after: tuple[Callable[..., str | Iterable[str]], ...]

    def of_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tags that a call's arguments give.

        :raises WrongKeyError: if an argument does not have what a template asks for
        """
        return tuple([tag(*args, **kwargs) for tag in self.before])

    def of_result(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object) -> tuple[str, ...]:
        """Return the tags that a result gives.

        :raises WrongKeyError: if the result does not have what a template asks for
        :raises WrongArgumentError: if a callable returns what are no tags
        """
        return tuple([tag for make in self.after for tag in _read(make(result, *args, **kwargs))])


def _read(made: str | Iterable[str]) -> tuple[str, ...]:
    return (made,) if isinstance(made, str) else tags_of(made)


def tags_of(given: Iterable[str]) -> tuple[str, ...]:
    """Return tags, each once.

    :raises WrongArgumentError: if they are not several texts
    """
    tags = several("tags", given, "several texts")
    return tuple(dict.fromkeys([text("tags", tag) for tag in tags]))


def read_tags(given: object) -> tuple[Tag, ...]:
    """Return templates and callables that were given to a decorator.

    :raises WrongArgumentError: if something else is among them
    """
    tags = (given,) if callable(given) else several("tags", given, ALLOWED)
    for tag in tags:
        if inspect.iscoroutinefunction(tag) or not (isinstance(tag, str) or callable(tag)):
            raise WrongArgumentError("tags", tag, ALLOWED)
    return cast("tuple[Tag, ...]", tags)


def compile_tags(
    function: Callable[..., object], tags: tuple[Tag, ...], formatter: Formatter = default_formatter
) -> TagMaker | None:
    """Return what makes the tags of a function's values, `None` if they carry none.

    :raises WrongKeyError: if a template does not fit the function
    """
    if not tags:
        return None
    before: list[Callable[..., str]] = []
    after: list[Callable[..., str | Iterable[str]]] = []
    for tag in tags:
        if not isinstance(tag, str):
            after.append(tag)
        elif _needs_result(function, tag):
            after.append(compile_key(function, tag, formatter=formatter, result=True))
        else:
            before.append(compile_key(function, tag, formatter=formatter))
    return TagMaker(tuple(before), tuple(after))


def _needs_result(function: Callable[..., object], template: str) -> bool:
    if RESULT in signature_of(function).parameters:
        return False
    return any(isinstance(part, Field) and part.root == RESULT for part in parse_template(template))

"""Tags: those that a decorator gives to the values of its function, and those that are registered for keys.

A decorator's tags are compiled once, like keys, and are made at each call from its arguments and result. Registered
tags are made from a key alone, for every value that is stored under it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, cast

from cashews._arguments import several, text
from cashews._dataclass import dataclass
from cashews.exceptions import WrongArgumentError, WrongTagError
from cashews.keys.compile import RESULT, key_source
from cashews.keys.formatter import Formatter, default_formatter
from cashews.keys.signatures import signature_of
from cashews.keys.template import Field, Template, parse_template

Tag: TypeAlias = str | Callable[..., Iterable[str]]
"""A template such as ``"page:{page}"`` or ``"user:{result.id}"``, or a callable that returns any number of tags.

The callable gets the arguments of the call, and the result of the call as `result` if it has a parameter of this name.
"""

Tags: TypeAlias = Iterable[Tag] | Callable[..., Iterable[str]]
"""The tags of a decorated function: several templates and callables, or one callable."""

ALLOWED = "several templates or callables, such as ['items', 'page:{page}']"


def tags_of(given: Iterable[str]) -> tuple[str, ...]:
    """Return tags in their order, each of them once.

    :raises WrongArgumentError: if they are not several texts
    """
    tags = several("tags", given, "several texts")
    return tuple(dict.fromkeys([text("tags", tag) for tag in tags]))


# --- tags of calls


@dataclass(frozen=True, slots=True)
class TagMaker:
    """The functions that make the tags of one function's values: from a call's arguments, and from its result."""

    before: tuple[Callable[..., str | Iterable[str]], ...]
    """Called as the decorated function, before it runs."""
    after: tuple[Callable[..., str | Iterable[str]], ...]
    """Called with the result in front of the arguments."""

    def of_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the tags that are made from a call's arguments.

        :raises WrongKeyError: if an argument lacks an attribute or item of a template
        :raises WrongArgumentError: if a callable does not return tags
        """
        return tuple([tag for make in self.before for tag in _checked(make(*args, **kwargs))])

    def of_result(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: object) -> tuple[str, ...]:
        """Return the tags that are made from a call's result.

        :raises WrongKeyError: if the result lacks an attribute or item of a template
        :raises WrongArgumentError: if a callable does not return tags
        """
        return tuple([tag for make in self.after for tag in _checked(make(result, *args, **kwargs))])


def _checked(made: str | Iterable[str]) -> tuple[str, ...]:
    return (made,) if isinstance(made, str) else tags_of(made)


def parse_tags(given: object) -> tuple[Tag, ...]:
    """Return the templates and callables that a decorator was given as its tags.

    :raises WrongArgumentError: if anything else is among them
    """
    tags = (given,) if callable(given) else several("tags", given, ALLOWED)
    for tag in tags:
        if inspect.iscoroutinefunction(tag) or not (isinstance(tag, str) or callable(tag)):
            raise WrongArgumentError("tags", tag, ALLOWED)
    return cast("tuple[Tag, ...]", tags)


def compile_tags(
    function: Callable[..., object], tags: tuple[Tag, ...], formatter: Formatter = default_formatter
) -> TagMaker | None:
    """Return the maker of a function's tags, `None` if its values carry no tags.

    :raises WrongKeyError: if a template does not fit the function
    """
    if not tags:
        return None
    before: list[Callable[..., str | Iterable[str]]] = []
    after: list[Callable[..., str | Iterable[str]]] = []
    for tag in tags:
        if not isinstance(tag, str):
            place = _place_of_result(tag, function)
            (before if place is None else after).append(WithResult(tag) if place else tag)
        elif _needs_result(function, tag):
            after.append(key_source(function, tag, formatter=formatter, result=True).key())
        else:
            before.append(key_source(function, tag, formatter=formatter).key())
    return TagMaker(tuple(before), tuple(after))


@dataclass(frozen=True, slots=True)
class WithResult:
    """A callable that is given the result of the call by name, made one that is given it in front of the arguments."""

    tag: Callable[..., Iterable[str]]

    def __call__(self, result: object, /, *args: Any, **kwargs: Any) -> Iterable[str]:
        return self.tag(*args, **kwargs, result=result)


def _place_of_result(tag: Callable[..., object], function: Callable[..., object]) -> int | None:
    """Return the place of a callable's parameter for the result, 0 for the first; `None` if it has none."""
    try:
        parameters = list(signature_of(tag).parameters)
    except ValueError:  # some functions written in C have no signature
        return None
    if RESULT not in parameters or RESULT in signature_of(function).parameters:
        return None
    return parameters.index(RESULT)


def _needs_result(function: Callable[..., object], template: str) -> bool:
    if RESULT in signature_of(function).parameters:
        return False
    return any(isinstance(part, Field) and part.root == RESULT for part in parse_template(template))


# --- tags registered for keys


@dataclass(frozen=True, slots=True)
class TagRule:
    """A template of a tag, and the template of the keys that carry it; the key fills the fields of the tag.

    When a key is matched, a field takes the shortest text up to the next literal, and the last field takes the rest.
    This takes linear time in the length of the key.
    """

    tag: Template
    key: Template

    def of(self, key: str) -> str | None:
        """Return the tag of a key, `None` if the key does not match."""
        fields = self._match(key)
        if fields is None:
            return None
        return "".join(part if isinstance(part, str) else fields[part.source] for part in self.tag)

    def _match(self, key: str) -> Mapping[str, str] | None:
        """Return the text of each field in a key, `None` if the key does not match."""
        fields: dict[str, str] = {}
        at, pending = 0, None
        for number, part in enumerate(self.key, start=1):
            if isinstance(part, Field):
                pending = part.source
                continue
            found = len(key) - len(part) if number == len(self.key) else key.find(part, at)
            if found < at or not key.startswith(part, found) or (pending is None and found != at):
                return None
            if pending is not None and fields.setdefault(pending, key[at:found]) != key[at:found]:
                return None
            at, pending = found + len(part), None
        if pending is None:
            return fields if at == len(key) else None
        return fields if fields.setdefault(pending, key[at:]) == key[at:] else None


class TagRules:
    """The rules of one cache, as `register_tag()` has added them."""

    def __init__(self) -> None:
        self.rules: tuple[TagRule, ...] = ()

    def add(self, tag: str, key: str) -> None:
        """Attach a tag to every value whose key matches a template.

        :raises WrongKeyError: if a template is not understood
        :raises WrongTagError: if two fields of the key have no text between them, or the tag has a field that the key
            lacks
        """
        rule = TagRule(parse_template(tag, "a tag"), parse_template(key, "a tag"))
        known = {part.source for part in rule.key if isinstance(part, Field)}
        for part, after in zip(rule.key, rule.key[1:], strict=False):
            if isinstance(part, Field) and isinstance(after, Field):
                raise WrongTagError(tag, after.source, "no text in the key template separates it from the field before")
        for part in rule.tag:
            if isinstance(part, Field) and part.source not in known:
                raise WrongTagError(tag, part.source, "the key template has no such field")
        if rule not in self.rules:
            self.rules = (*self.rules, rule)

    def of(self, key: str) -> tuple[str, ...]:
        """Return the tags that the rules give to a key."""
        return tuple([tag for rule in self.rules if (tag := rule.of(key)) is not None]) if self.rules else ()


# --- labels


class TagLabels:
    """The tag templates of decorated functions, found by a key of theirs: a name for all values of a function.

    Tags themselves would be too many for a metric: there may be one for each value.
    """

    def __init__(self) -> None:
        self._rules: dict[TagRule, None] = {}

    def add(self, key: str, tags: tuple[Tag, ...]) -> None:
        """Take note of the tags of a function whose keys have a template."""
        if label := ",".join([tag for tag in tags if isinstance(tag, str)]):
            self._rules[TagRule((label,), parse_template(key))] = None

    def of(self, key: str) -> str:
        """Return the tag templates of a key, the empty text if it is no key of a function with tags."""
        return next((label for rule in self._rules if (label := rule.of(key)) is not None), "")


TAG_LABELS = TagLabels()
"""Those of all caches of the process; as many as there are different templates."""

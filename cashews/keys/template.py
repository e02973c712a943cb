"""The grammar of key templates: literals, and fields such as `{user.name}`, `{x[0]!r}` or `{password:hash(sha1)}`."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from typing import Final, TypeAlias

from cashews._dataclass import dataclass
from cashews.exceptions import WrongKeyError

ARGS: Final = "__args__"
KWARGS: Final = "__kwargs__"
CONTEXT: Final = "@"

_STEP: Final = r"\.(?P<attribute>[^\W\d]\w*)|\[(?P<item>[^\[\]]+)\]"
_PATH: Final = re.compile(rf"(?P<root>@|[^\W\d]\w*)(?P<steps>(?:{re.sub(r'[?]P<[a-z]+>', '?:', _STEP)})*)")
_STEPS: Final = re.compile(_STEP)
# A format specification that looks like a name is a function; any other one is left to the value's own __format__.
_CALL: Final = re.compile(r"(?P<name>[A-Za-z]\w*)(?:\((?P<arguments>.*)\))?", re.DOTALL)
_ARGUMENT: Final = re.compile(r"""(?:'[^']*'|"[^"]*"|\{[^{}]*\}|[^,'"])+""")


@dataclass(frozen=True, slots=True)
class Attribute:
    """The step `.name`."""

    name: str


@dataclass(frozen=True, slots=True)
class Item:
    """The step `[key]`; a key of digits is an index."""

    key: str | int


Step: TypeAlias = Attribute | Item


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """The function that a field calls, with its arguments."""

    name: str
    arguments: tuple[object, ...]
    """Literals and fields."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field: the text between two braces of a template, in its parts."""

    source: str
    """The whole text."""
    root: str
    """The name of a parameter, `__args__`, `__kwargs__`, or `@` for the key context."""
    steps: tuple[Step, ...]
    """The attributes and items after the root."""
    conversion: str
    """One of `r`, `s`, `a`, or empty."""
    spec: str
    """The format specification or function call after the colon, or empty."""

    @property
    def is_plain(self) -> bool:
        """True if the field is a root alone."""
        return self.source == self.root

    call: FunctionCall | None
    """The function call after the colon, `None` if there is none."""

    @property
    def roots(self) -> tuple[str, ...]:
        """The root of the field, and those of the fields in its function call."""
        nested = self.call.arguments if self.call else ()
        return (self.root, *(one.root for one in nested if isinstance(one, Field)))


Template: TypeAlias = "tuple[str | Field, ...]"


def parse_template(template: str, function: str = "a pattern") -> Template:
    """Return the literals and fields of a template.

    :param function: the name of the decorated function, for the error
    :raises WrongKeyError: if a brace is not closed, or a field is not understood
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise WrongKeyError(function, template, str(error)) from error
    return tuple(_joined(_parts(parts, function)))


def template_pattern(template: str) -> str:
    """Return a pattern that matches all keys of a template: each field becomes `*`."""
    parts = parse_template(template)
    if ends_in_kwargs(parts):
        parts = (*parts[:-2], str(parts[-2])[:-1], parts[-1])
    return re.sub(r"\*+", "*", "".join([part if isinstance(part, str) else "*" for part in parts]))


def needs_end(rest: Template) -> bool:
    """Say whether a field of a strict key needs a semicolon at its end, given the parts after it.

    A colon ends a field, since no strict text contains one, and so does the star of a pattern.
    """
    return bool(rest) and not (isinstance(rest[0], str) and rest[0].startswith((":", "*")))


def ends_in_kwargs(parts: Template) -> bool:
    """Say whether a template ends in `:{__kwargs__}`. That colon is left out of the key of a call without any."""
    match parts:
        case [*_, str(literal), Field(source="__kwargs__")]:
            return literal.endswith(":")
        case _:
            return False


_Parsed: TypeAlias = "tuple[str, str | None, str | None, str | None]"


def _parts(parsed: list[_Parsed], function: str) -> Iterator[str | Field]:
    for literal, path, spec, conversion in parsed:
        yield literal
        if path is not None:
            yield _field(path, spec or "", conversion or "", function)


def _joined(parts: Iterator[str | Field]) -> Iterator[str | Field]:
    # Python's parser splits literals at doubled braces; we join them, so that a literal is one part.
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        if text:
            yield text
        text = ""
        yield part
    if text:
        yield text


def _field(path: str, spec: str, conversion: str, function: str) -> Field:
    source = path + (conversion and f"!{conversion}") + (spec and f":{spec}")
    match = _PATH.fullmatch(path)
    if match is None:
        raise WrongKeyError(function, source, "a field is a parameter's name, then .attribute or [item]")
    if conversion not in {"", "r", "s", "a"}:
        raise WrongKeyError(function, source, f"the conversion !{conversion} is not one of !r, !s, !a")
    call = _CALL.fullmatch(spec)
    parsed = call and FunctionCall(call["name"], tuple(_arguments(call["arguments"] or "", source, function)))
    if parsed is None and "{" in spec:
        raise _nested(source, function)
    return Field(source, match["root"], tuple(map(_step, _STEPS.finditer(match["steps"]))), conversion, spec, parsed)


def _nested(source: str, function: str) -> WrongKeyError:
    return WrongKeyError(function, source, "a nested field is a whole argument of a function, and has none itself")


def _step(match: re.Match[str]) -> Step:
    if match["attribute"]:
        return Attribute(match["attribute"])
    key = match["item"]
    return Item(int(key) if key.isdecimal() else key)


def _arguments(arguments: str, source: str, function: str) -> Iterator[object]:
    for match in _ARGUMENT.finditer(arguments):
        argument = match[0].strip()
        if "{" not in argument or argument[0] in "'\"":
            yield _literal(argument)
            continue
        try:
            (before, path, spec, conversion), *after = string.Formatter().parse(argument)
        except ValueError as error:
            raise WrongKeyError(function, source, str(error)) from error
        if before or path is None or after or "{" in (spec or ""):
            raise _nested(source, function)
        yield _field(path, spec or "", conversion or "", function)


def _literal(argument: str) -> object:
    # Quotes around text are optional: an argument that is no literal of Python is taken as text.
    try:
        return ast.literal_eval(argument)
    except (ValueError, SyntaxError):
        return argument

"""Invalidate: a call that succeeds removes the keys of the values that it has made out of date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from cashews._dataclass import dataclass
from cashews.engine.engine import Engine
from cashews.exceptions import WrongKeyError
from cashews.guards.guard import AroundCall
from cashews.keys.compile import key_source
from cashews.keys.formatter import Formatter
from cashews.keys.pattern import Pattern
from cashews.keys.template import Field, needs_end, parse_template
from cashews.messages import Delete, DeleteMatch
from cashews.runners.call import Call


@dataclass(frozen=True, slots=True)
class Invalidate(AroundCall):
    """Removes the keys that a pattern matches: the stars of the template match anything, its fields only themselves."""

    engine: Engine
    pieces: tuple[Callable[..., str], ...]
    """One key function for each piece of the template between its stars."""

    async def __call__(self, call: Call, proceed: Callable[[Call], Awaitable[Any]]) -> Any:
        pieces = [piece(*call.args, **call.kwargs) for piece in self.pieces]  # arguments may change while it runs
        result = await proceed(call)
        if len(pieces) == 1:
            await self.engine.ask(Delete(pieces[0]))
        else:
            await self.engine.ask(DeleteMatch(Pattern.of(pieces)))
        return result


def pieces_for(
    function: Callable[..., Awaitable[Any]],
    template: str,
    args_map: Mapping[str, str],
    defaults: Mapping[str, object],
    formatter: Formatter,
    *,
    strict: bool = False,
    stars: bool = True,
) -> tuple[Callable[..., str], ...]:
    """Return the key functions of a template's pieces.

    :param args_map: the parameters that stand for fields of other names
    :param defaults: the values of the fields that no parameter stands for
    :param strict: the keys are strict ones
    :param stars: a star stands for any text, instead of for itself
    :raises WrongKeyError: if a field is neither a parameter nor in one of the two
    """
    source_of = partial(key_source, function, formatter=formatter, strict=strict, answers=False)
    form = formatter.strict_text if strict else formatter.text
    parts = parse_template(template)
    filled = [_filled(part, args_map, defaults, form) for part in parts]
    for index, part in enumerate(parts, start=1):
        if strict and _is_default(part, args_map, defaults) and needs_end(parts[index:]):
            filled[index - 1] += ";"
    text = "".join(filled)
    try:
        return tuple(source_of(piece).key() for piece in (text.split("*") if stars else [text]))
    except WrongKeyError as error:
        reason = f"{error.reason}; a field may also be in args_map or defaults"
        reason += ", and * matches anything" if stars else ""
        raise WrongKeyError(error.function, error.field, reason) from None


def _is_default(part: str | Field, args_map: Mapping[str, str], defaults: Mapping[str, object]) -> bool:
    return isinstance(part, Field) and part.root in defaults and part.root not in args_map


def _filled(
    part: str | Field, args_map: Mapping[str, str], defaults: Mapping[str, object], form: Callable[[object], str]
) -> str:
    """Return the template of a part: the text of a default stands in the place of its field."""
    if isinstance(part, str):
        return _doubled(part)
    if _is_default(part, args_map, defaults):
        return _doubled(form(defaults[part.root]))
    return "{" + args_map.get(part.root, part.root) + part.source[len(part.root) :] + "}"


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

"""Invalidate: a call that succeeds removes the keys of the values that it has made out of date."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cashews.engine.engine import Engine
from cashews.exceptions import WrongKeyError
from cashews.guards.guard import Guard
from cashews.keys.compile import compile_key
from cashews.keys.formatter import Formatter
from cashews.keys.pattern import Pattern
from cashews.keys.template import Field, parse_template
from cashews.messages import Delete, DeleteMatch
from cashews.runners.call import Call


@dataclass(frozen=True, slots=True)
class Invalidate(Guard):
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
) -> tuple[Callable[..., str], ...]:
    """Return the key functions of a template's pieces.

    :param args_map: the parameters that stand for fields of other names
    :param defaults: the values of the fields that no parameter stands for
    :raises WrongKeyError: if a field is neither a parameter nor in one of the two
    """
    compiled = partial(compile_key, function, formatter=formatter)
    fill = partial(_filled, args_map=args_map, defaults=defaults, formatter=formatter)
    text = "".join(part if isinstance(part, str) else fill(part) for part in _parts(template))
    try:
        return tuple(compiled(piece) for piece in text.split("*"))
    except WrongKeyError as error:
        reason = f"{error.reason}; a field may also be in args_map or defaults, and * matches anything"
        raise WrongKeyError(error.function, error.field, reason) from None


def _parts(template: str) -> list[str | Field]:
    return [_doubled(part) if isinstance(part, str) else part for part in parse_template(template)]


def _filled(field: Field, args_map: Mapping[str, str], defaults: Mapping[str, object], formatter: Formatter) -> str:
    if field.root in defaults and field.root not in args_map:
        return _doubled(formatter.text(defaults[field.root]))
    return "{" + args_map.get(field.root, field.root) + field.source[len(field.root) :] + "}"


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")

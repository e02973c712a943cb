"""The way of a message through users' middlewares: as the arguments of its public command, and back.

Two functions for each type of message, which are written at its first passage: a middleware costs every command, and
arguments that have names take a third of the time of those in tuples and dicts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import is_
from typing import Any, Final

from cashews._dataclass import dataclass
from cashews.engine.chain import Proceed
from cashews.keys.writing import compiled
from cashews.messages import Message, public_fields

_GIVEN: Final = object()
"""The default of every argument: it stays the one of the message."""


@dataclass(frozen=True, slots=True)
class Passing:
    """The two functions of one type of message.

    `through(first, others, backend, proceed)` returns a function that passes a message through the middlewares `first`
    and `others`, these from the inside out, with the arguments of the public command that makes it. `pass_on(message,
    proceed, *args, **kwargs)` proceeds with the message, or with one like it if these arguments are others. An argument
    that is not given stays as it is, and so do the keys of a command of many if none is; more of them than the command
    has are ignored. It raises a WrongArgumentError if the command has no argument of a name.
    """

    through: Callable[[Callable[..., Any], Sequence[Callable[..., Any]], object, Proceed], Proceed]
    pass_on: Callable[..., Awaitable[Any]]


def passing_of(kind: type[Message[Any]]) -> Passing:
    """Return the functions of a type of message."""
    found = _passing.get(kind)
    if found is None:
        found = _passing[kind] = _written(kind)
    return found


_passing: dict[type[Message[Any]], Passing] = {}


def _written(kind: type[Message[Any]]) -> Passing:
    place = f"<{kind.command.value} through middlewares>"
    fields = public_fields(kind)
    if kind.spread:
        lead = [name for name in fields if name == "key"]
        arguments, head, pass_on = _of_many(
            kind.spread, lead, [one for one in fields if one not in {kind.spread, *lead}]
        )
    else:
        arguments, head, pass_on = _of_names(fields)
    names = {"_given": _GIVEN, "_same": _same}
    function = compiled(f"def _pass_on(_message, _proceed, {head}, **_others)", pass_on, names, place)
    names = {"_partial": partial, "_pass_on": function, "_command": kind.command}
    through = _THROUGH.replace("<arguments>", arguments)
    return Passing(compiled("def _bound(_first, _others, _backend, _proceed)", through, names, place), function)


_THROUGH: Final = """\
def _through(_message):
    _call = _partial(_pass_on, _message, _proceed)
    for _one in _others:
        _call = _partial(_one, _call, _command, _backend)
    return _first(_call, _command, _backend, <arguments>)
return _through"""


def _of_names(names: Sequence[str]) -> tuple[str, str, str]:
    """Return the texts for a command whose arguments have names: these, and the head and body of `pass_on`."""
    head = f"/, {_optional(names)}*_ignored"
    return _named(names), head, _pass_on(_unchanged(names), "", names)


def _of_many(spread: str, lead: Sequence[str], names: Sequence[str]) -> tuple[str, str, str]:
    """Return the texts for a command with any number of arguments behind its key, if it has one."""
    before = "".join(f"_message.{name}, " for name in lead)
    arguments = f"{before}*_message.{spread}, {_named(names)}"
    head = f"{_optional(lead)}/, *_many, {_optional(names)}".rstrip(", ")
    unchanged = [*_unchanged([*lead, *names]), f"(not _many or _same(_many, _message.{spread}))"]
    given = f"*[_one for _one in ({''.join(f'{name}, ' for name in lead)}*_many,) if _one is not _given], "
    return arguments, head, _pass_on(unchanged, given, names)


def _optional(names: Sequence[str]) -> str:
    return "".join(f"{name}=_given, " for name in names)


def _named(names: Sequence[str]) -> str:
    return ", ".join(f"{name}=_message.{name}" for name in names)


def _unchanged(names: Sequence[str]) -> list[str]:
    return [f"({name} is _given or {name} is _message.{name})" for name in names]


def _pass_on(unchanged: Sequence[str], given: str, names: Sequence[str]) -> str:
    by_name = ", ".join(f"({name!r}, {name})" for name in names)
    return f"""\
if {" and ".join([*unchanged, "not _others"])}:
    return _proceed(_message)
_changed = {{_name: _one for _name, _one in [{by_name}] if _one is not _given}}
return _proceed(_message.with_arguments({given}**_changed, **_others))"""


def _same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Say whether two sequences hold the same objects; a comparison of users' values might fail."""
    return len(some) == len(others) and all(map(is_, some, others))

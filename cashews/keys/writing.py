"""Functions that are written at a decoration: statements behind the head of a call, which makes the call's key.

A function with the signature of the decorated one gets its arguments by name. One that takes any arguments has them
packed into a tuple and a dict, and unpacked again for the key: a fifth of the time of a hit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, Signature
from types import FunctionType, MethodType
from typing import Any, Final, cast

from cashews._dataclass import dataclass, field, replace
from cashews.exceptions import CacheError, NoKeyError

OURS: Final = "$"
"""The beginning of the names in a text that are not the decorated function's; the mark of a head takes its place."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a function that takes the calls of another.

    `signature`: its parameters, without annotations and defaults. `key`: the statements that set the variable ``key``
    behind the mark. `args`, `kwargs`: the expressions of the arguments that the other function is called with. `given`:
    the same arguments, as they stand in a call. `names`: the values of the names in `key`. `mark`: the beginning of
    names that no parameter has. `defaults`: the signature with the defaults.
    """

    signature: str
    key: str
    args: str
    kwargs: str
    given: str
    names: Mapping[str, object]
    mark: str = "_"
    defaults: Signature = field(default_factory=Signature)


def any_call(key_of: Callable[..., str]) -> Head:
    """Return a head of ``*args, **kwargs``: calls go on as they were made, and `key_of` makes their keys."""
    key, given = "_key = _key_of(*args, **kwargs)", "*args, **kwargs"
    return Head("(*args, **kwargs)", key, "args", "kwargs", given, {"_key_of": key_of})


def fitting_call(key_of: Callable[..., str], name: str) -> Head:
    """Return a head like `any_call`, for a function that may take other arguments than it shows.

    A decorator beneath, such as one that adds an argument, often shows the signature of the function within. A call
    that does not fit it has no key.

    :param name: the name of the function, for the error
    """
    head = any_call(key_of)
    key = f"try: {head.key}\nexcept TypeError as _error: raise _misfit(_error)"
    return replace(head, key=key, names={**head.names, "_misfit": partial(misfit, name)})


def misfit(name: str, error: TypeError) -> CacheError:
    """Return the error of a call whose arguments a key function does not take; other errors are of the key itself."""
    return error if isinstance(error, CacheError) else NoKeyError(name, f"its signature has other parameters: {error}")


def is_plain(function: object) -> bool:
    """Say whether a function, or a bound method's, was written by somebody, and has the signature of its text."""
    if type(function) is MethodType:
        function = function.__func__
    return type(function) is FunctionType and vars(function).keys().isdisjoint({"__wrapped__", "__signature__"})


def call_of(signature: Signature) -> tuple[str, str, str]:
    """Return the expressions of the arguments by which a function hands its call on to one of the same signature.

    They are those of the tuple and of the dictionary, and the arguments as they stand in a call.
    """
    parameters = signature.parameters.values()
    args = [_SPREAD.get(one.kind, "") + one.name for one in parameters if one.kind not in _NAMED]
    kwargs = [_SPREAD.get(one.kind, f"{one.name!r}: ") + one.name for one in parameters if one.kind in _NAMED]
    named = [f"{_SPREAD.get(one.kind, one.name + '=')}{one.name}" for one in parameters if one.kind in _NAMED]
    return f"({''.join(f'{one}, ' for one in args)})", f"{{{', '.join(kwargs)}}}", ", ".join([*args, *named])


_NAMED: Final = frozenset({Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD})
_SPREAD: Final[Mapping[object, str]] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


def written(head: Head, name: str, statements: str, values: Mapping[str, object]) -> Callable[..., Any]:
    """Return a coroutine function of a head and statements.

    ``$make_key`` stands for the statements of the key, ``$args`` and ``$kwargs`` for the arguments of the call, and
    ``$given`` for those of a call that hands them on.

    :param name: the name of the decorated function, for tracebacks
    :param values: the values of the other names in the statements
    """
    text = statements.replace("$args", head.args).replace("$kwargs", head.kwargs).replace("$given", head.given)
    before, _, after = text.replace(OURS, head.mark).partition(f"{head.mark}make_key")
    depth = before.rpartition("\n")[2]
    text = before + head.key.replace("\n", "\n" + depth) + after  # at last: it may have any character
    own = {head.mark + name: value for name, value in values.items()}
    assert all(head.names.get(name, value) is value for name, value in own.items()), "the key needs a name of the text"
    names = {**head.names, **own}
    return compiled(f"async def {head.mark}written{head.signature}", text, names, f"<calls of {name}>", head.defaults)


def compiled(
    head: str, body: str, names: Mapping[str, object], place: str, defaults: Signature | None = None
) -> FunctionType:
    """Compile a function.

    :param head: its ``def``, without the colon
    :param names: the values of its global names
    :param place: the name of the text in tracebacks
    :param defaults: the signature whose defaults it gets; `None` for those in its head
    """
    namespace = dict(names)
    exec(compile(f"{head}:\n{indented(body)}", place, "exec"), namespace)  # noqa: S102  names and literals only
    function = cast("FunctionType", namespace[head.partition("(")[0].rpartition(" ")[2]])
    if defaults is None:
        return function
    parameters = [one for one in defaults.parameters.values() if one.default is not Parameter.empty]
    named = {one.name: one.default for one in parameters if one.kind is Parameter.KEYWORD_ONLY}
    function.__defaults__ = tuple([one.default for one in parameters if one.name not in named])
    function.__kwdefaults__ = named
    return function


def indented(body: str) -> str:
    """Return statements one space deeper."""
    return " " + body.replace("\n", "\n ")
